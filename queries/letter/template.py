"""The HTML of a letter: tables and inline styles, as Outlook needs them, and colors for the dark.

A mail program that does not know `prefers-color-scheme` shows the light colors, or inverts them.
"""

from string import Template

COLORS = {"alarm": "#c02634", "bad": "#d97706", "note": "#64748b", "good": "#15803d"}
"""Severity → the color of its mark. All four are seen on white and on the dark ground."""

FONT = "font-family:'Segoe UI',-apple-system,Roboto,Helvetica,Arial,sans-serif"

LINK = Template(
    '<a class="link" href="$url" style="color:#1d4ed8;font-weight:600;text-decoration:none">'
    "$text</a>"
)

ROW = Template("""
<tr><td width="5" bgcolor="$color" style="background:$color;border-radius:3px;min-width:5px">\
</td>
<td class="text" style="padding:5px 0 5px 14px;$font;font-size:15px;line-height:22px;\
color:#1f2937;word-break:break-word">$text</td></tr>
<tr><td colspan="2" height="8" style="height:8px;font-size:0;line-height:0">&nbsp;</td></tr>
""")

DOCUMENT = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">
<title>$subject</title>
<style>
:root { color-scheme: light dark; }
@media (max-width: 480px) {
  .outer { padding: 0 !important; }
  .card { border-radius: 0 !important; border-width: 0 !important; }
  .inner { padding-left: 18px !important; padding-right: 18px !important; }
}
@media (prefers-color-scheme: dark) {
  .ground { background: #0f1319 !important; }
  .card { background: #181d25 !important; border-color: #2b333f !important; }
  .text, .name { color: #e5e9ef !important; }
  .quiet { color: #9aa5b5 !important; }
  .link { color: #8ab4ff !important; }
}
</style>
</head>
<body class="ground" style="margin:0;padding:0;background:#f2f4f7">
<table role="presentation" class="ground" width="100%" cellpadding="0" cellspacing="0" border="0"
 style="background:#f2f4f7"><tr><td class="outer" align="center" style="padding:28px 12px">
<!--[if mso]><table role="presentation" width="600" cellpadding="0" cellspacing="0">
<tr><td><![endif]-->
<table role="presentation" class="card" width="100%" cellpadding="0" cellspacing="0" border="0"
 style="max-width:600px;background:#ffffff;border:1px solid #dfe3e8;border-radius:10px">
<tr><td class="inner" style="padding:24px 28px 6px">
<div class="name" style="$font;font-size:20px;line-height:26px;font-weight:700;color:#111827">
Rollcall</div>
<div class="quiet" style="$font;font-size:13px;line-height:20px;color:#64748b">$period</div>
</td></tr>
<tr><td class="inner" style="padding:14px 28px 8px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">$rows</table>
</td></tr>
<tr><td class="inner quiet" style="padding:8px 28px 22px;$font;font-size:13px;line-height:20px;\
color:#64748b">$note
<a class="link" href="$home" style="color:#1d4ed8;text-decoration:none">Open Rollcall</a>
</td></tr></table>
<!--[if mso]></td></tr></table><![endif]-->
</td></tr></table>
</body>
</html>
""")
