"""Reads moments, in every spelling that cannot be misread.

DuckDB's own casts to a time with a zone are not used: a zone named in one row can move the times of
the rows after it, and abbreviations such as IST are guessed. A text is taken to parts by patterns,
and only its digits are cast.
"""

from datetime import datetime
from functools import cache
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy import ColumnElement, and_, case, func, select

from data.files.text import text_list
from data.values.words import without_accents

Value = ColumnElement[Any]

EARLIEST, LATEST = datetime(1970, 1, 2), datetime(9999, 12, 30)
"""Times outside stand for an unknown time: zero of Unix, Windows or .NET, `9999-12-31`."""

MONTHS = (
    "january jan januar jänner janvier janv enero ene janeiro gennaio gen januari",
    "february feb februar février févr fév febrero fevereiro fev febbraio februari",
    "march mar märz mrz mars marzo março maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maio maggio mag mei",
    "june jun juni juin junio junho giugno giu",
    "july jul juli juillet juil julio julho luglio lug",
    "august aug août agosto ago augustus",
    "september sep sept septembre septiembre setembro set settembre",
    "october oct oktober okt octobre octubre outubro out ottobre ott",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dezembro dicembre",
)
MONTH_NUMBERS = {
    without_accents(word): number
    for number, words in enumerate(MONTHS, start=1)
    for word in words.split()
}
WEEKDAYS = """
    mon tue tues wed thu thur thurs fri sat sun
    monday tuesday wednesday thursday friday saturday sunday
    mo di mi do fr sa so montag dienstag mittwoch donnerstag freitag samstag sonntag
    lun mar mer jeu ven sam dim lundi mardi mercredi jeudi vendredi samedi dimanche
    mie jue vie sab dom lunes martes miercoles jueves viernes sabado domingo
    lunedi martedi mercoledi giovedi venerdi sabato domenica gio
    maandag dinsdag woensdag donderdag vrijdag zaterdag zondag ma di wo za zo
    seg ter qua qui sex segunda-feira terca-feira quarta-feira quinta-feira sexta-feira
"""
WEEKDAY = rf"^(?:{'|'.join(WEEKDAYS.split())})[.,]* "
DAY, BIG_DAY, MONTH_NUMBER = r"(\d\d?)", r"(1[3-9]|2\d|3[01])", r"(0?[1-9]|1[0-2])"
DAY_ORDINAL = r"(\d\d?)(?:st|nd|rd|th|er|º|\.)?"
MONTH = r"([a-z]{3,10})\.?"
CLOCK = r"\d\d?:\d\d(?::\d\d)?(?:\.\d+)?"
COMPACT_DATE = r"^((?:19|20)\d\d)([01]\d)([0-3]\d)"

DAY_LEADS = rf"^{BIG_DAY}[./-] ?{MONTH_NUMBER}[./-] ?(\d{{4}})"
MONTH_LEADS = rf"^{MONTH_NUMBER}[./-] ?{BIG_DAY}[./-] ?(\d{{4}})"
UNCLEAR_DATE = rf"^{MONTH_NUMBER}[./-] ?{MONTH_NUMBER}[./-] ?(\d{{4}})"
DAY_MONTH_YEAR, MONTH_DAY_YEAR = r"\3|\2|\1|", r"\3|\1|\2|"
DATES = (
    (r"^(\d{4})-(\d\d)-(\d\d)-(\d\d\.\d\d\.)", r"\1|\2|\3| \4"),  # 2026-11-23-06.00.00
    (r"^(\d{4})[-/.] ?(\d\d?)[-/.] ?(\d\d?)\.?", r"\1|\2|\3|"),
    (rf"{COMPACT_DATE}[t ]?(\d\d)(\d\d)(\d\d)", r"\1|\2|\3| \4:\5:\6"),  # 20261123T060000
    (rf"{COMPACT_DATE}[t ]?(\d\d):?(\d\d)", r"\1|\2|\3| \4:\5"),
    (rf"{COMPACT_DATE}$", r"\1|\2|\3|"),
    (r"^(\d{4})年(\d\d?)月(\d\d?)日", r"\1|\2|\3|"),
    (rf"^(\d{{4}})[ /.-]{MONTH}[ /.-]{DAY}", r"\1|\2|\3|"),  # 2026-Nov-23
    (
        rf"^{MONTH} {DAY} ({CLOCK}(?: [ap]m)?) ?([a-z]*) (\d{{4}})( [+-]\d{{4}})?$",
        r"\5|\1|\2| \3\4\6",
    ),  # Nov 23 06:00:00 UTC 2026
    (rf"^{MONTH}[ /-]{DAY_ORDINAL},?[ /-](\d{{4}})", r"\3|\1|\2|"),  # Nov 23, 2026
    (
        rf"^{DAY_ORDINAL}[ /.-]?(?:de )?{MONTH}[ /.,-]{{0,2}}(?:del? )?(\d{{4}}|\d\d)",
        DAY_MONTH_YEAR,
    ),  # 23 Nov 2026, 23-Nov-26
    (DAY_LEADS, DAY_MONTH_YEAR),  # 23.11.2026
    (MONTH_LEADS, MONTH_DAY_YEAR),  # 11/23/2026
)
"""Dates at the start of a text in lower case, and the same as `year|month|day|rest of the text`."""

TIME = (
    r"(\d\d?)[:.](\d\d)(?:[:.](\d\d)(?:[.,:](\d{1,9})\d*)?)?"
    r"(?: ?([ap])\.? ?m\b\.?)?(?: uhr\b)?"
)
OFFSET = r"([+\x{2212}-])(1[0-4]|0?\d)(?::?([0-5]\d))?"
ZONE = (
    rf"(?:| ?(?:z|utc|gmt|ut)(?:\[[^\]]*\])?"
    rf"| ?\(?(?:utc|gmt)? ?{OFFSET}\)?(?: ?(?:\(.*\)|\[.*\]|[a-z]{{2,5}}))?"
    r"| ?\[?([a-z_]+(?:/[a-z0-9_+-]+)+)\]?)"
)
"""No zone, UTC, an offset – what follows an offset only repeats it –, or a name of IANA."""
PART_NAMES = (
    *("year", "month", "day", "hour", "minute", "second", "fraction", "half"),
    *("sign", "offset_hours", "offset_minutes", "zone"),
)
BEFORE_TIME = r"(?:t|:|,? (?:at |um |a las |a )?|, ?)"
ALL_PARTS = (
    r"^(\d{2}|\d{4})\|([a-z]+|\d\d?)\|(\d\d?)\|"
    rf"(?:{BEFORE_TIME}{TIME}{ZONE})?$"
)
ISO_DAYS = ("%G-w%V-%u", "%Y-%j")
"""`2026-W47-5` and `2026-324`, the fifth day of a week and the 324th of a year."""

NEVER = (
    r"(?:never|nie|jamais|nunca|nooit)\b.*|mai|not (?:yet|set)\b.*|nat|unset"
    r"|0000-00-00(?: 00:00(?::00)?)?|00[./]00[./]0000"
)
"""Texts for a time that never was, in lower case."""

NEVER_SIGNED_IN = (
    r"(?:never|nie|niemals|noch nie|jamais|nunca|nooit|not yet|has not|no login|no sign-?in)\b.*"
    r"|mai|0(?:\.0)?|(?:00[./]00[./]0000|0000-00-00|0001-01-01|1601-01-01|1970-01-01).*|未ログイン|なし"
)
"""Texts of a last sign-in for a person who never signed in, in lower case: products write the zero
of their clocks, too."""

HAS_DATE = (
    r"(?i)^(?:\d{4}\D\d|(?:19|20)\d{6}(?:T?\d{4}(?:\d\d)?(?:\D|$)|$)"
    r"|\d\d?[-/. ]+(?:[a-z]{3}|\d\d?[-/.])|(?:[a-z]{2,10}[., ]+){0,2}\d\d?[a-z,]* .*\d{4})"
)
HAS_OFFSET = r"(?i)(?:\d ?Z|UTC|GMT|[A-Z]/[A-Z]|[:T.]\d[\d.,]* ?[+\x{2212}-]\d)"

MICROSECONDS = {10: 1_000_000, 13: 1_000, 16: 1, 19: sa.literal(0.001, sa.Numeric)}
"""Digits before the point → microseconds per unit, for Unix times from 2001 to 2286. 18 digits are
a time of Windows. A number of another length can be a serial of Excel, and is flagged."""


JAPANESE_CLOCK = (
    (r"時(\d)分", r"時0\1分"),
    (r"分(\d)秒", r"分0\1秒"),
    (r"時(\d\d)分(\d\d)秒$", r":\1:\2"),
    (r"時(\d\d)分$", r":\1"),
)
"""Parts of `9時5分`, and the same as `9:05`."""

WINDOWS_EPOCH = 11_644_473_600_000_000
"""Microseconds from 1601, with which the clocks of Windows start, to 1970."""


def with_moment(rows: sa.FromClause, column: str, *, day_first: bool | None) -> sa.FromClause:
    """The rows with `moment`, naive UTC, from a column of text; NULL where it cannot be read.

    A text without an offset is UTC; a lone number is a Unix time. `day_first`: how to read
    03/04/2026; None leaves it unread. A local time that occurs twice, as clocks go back, is not
    read. Each step has a name in a subquery, as long SQL takes long to plan.
    """
    text = rows.c[column]
    utc_time = case((func.suffix(text, "Z"), sa.try_cast(text, sa.DateTime)))
    simple = select(rows, utc_time.label("utc_time")).subquery("with_utc_time")
    other = case((simple.c.utc_time.is_(None), simple.c[column]))  # Z is usual, and the fastest
    keyed = select(simple, _time_key(other).label("time_key")).subquery("with_time_key")
    dated = _dated(keyed.c.time_key, day_first)
    parts = func.regexp_extract(dated, ALL_PARTS, sa.literal_column(str([*PART_NAMES])))
    parted = select(keyed, parts.label("parts")).subquery("with_parts")
    local = func.coalesce(_local_time(parted.c.parts), _iso_day(parted.c.time_key))
    zone = _part(parted.c.parts, "zone")
    placed = select(parted, local.label("local"), zone.label("zone")).subquery("with_local_time")
    moment = func.coalesce(placed.c.utc_time, _unix_time(placed.c.time_key), _utc(placed))
    columns = [placed.c[c.name] for c in rows.c]
    read = select(*columns, moment.label("moment")).subquery("with_any_moment")
    is_plausible = read.c.moment.between(EARLIEST, LATEST)
    return select(
        *(read.c[column.name] for column in rows.c),
        case((is_plausible, read.c.moment)).label("moment"),
    ).subquery("with_moment")


def _time_key(text: Value) -> Value:
    """The text in lower case, without accents, and with single spaces."""
    spaced = func.regexp_replace(text, r"[\s\x{a0}\x{2009}\x{202f}]+", " ", "g")
    lower = func.strip_accents(func.lower(spaced))
    key = func.regexp_replace(lower, WEEKDAY, "")
    key = func.regexp_replace(key, r"^/date\((\d{13})(?:[+-]\d{4})?\)/$", r"\1")
    clock = key
    for pattern, parts in JAPANESE_CLOCK:
        clock = func.regexp_replace(clock, pattern, parts)
    return case((func.contains(key, "時"), clock), else_=key)


def _dated(key: Value, day_first: bool | None) -> Value:
    dates = list(DATES)
    if day_first is not None:
        dates.append((UNCLEAR_DATE, DAY_MONTH_YEAR if day_first else MONTH_DAY_YEAR))
    return case(
        *(
            (func.regexp_matches(key, pattern), func.regexp_replace(key, pattern, parts))
            for pattern, parts in dates
        )
    )


def _part(parts: Value, name: str) -> Value:
    return func.nullif(func.struct_extract(parts, name), "")


def _number(parts: Value, name: str) -> Value:
    return sa.cast(_part(parts, name), sa.Integer)


def _local_time(parts: Value) -> Value:
    """The date and time as written; NULL where there is no such day or hour."""
    year, month, hour, half = (_part(parts, n) for n in ("year", "month", "hour", "half"))
    century = case((func.len(year) == 4, ""), (year < "70", "20"), else_="19")
    month_number = func.list_extract(
        text_list(map(str, MONTH_NUMBERS.values())),
        func.list_position(text_list(MONTH_NUMBERS), month),
    )
    of_twelve = sa.cast(hour, sa.Integer) % 12 + case((half == "p", 12), else_=0)
    clock_hour = case(
        (half.is_(None), func.coalesce(hour, "0")),
        (sa.cast(hour, sa.Integer).between(1, 12), sa.cast(of_twelve, sa.String)),
    )
    rest = (func.coalesce(_part(parts, n), "0") for n in ("minute", "second", "fraction"))
    day = (century + year, func.coalesce(month_number, month), _part(parts, "day"))
    text = func.format("{}-{}-{} {}:{}:{}.{}", *day, clock_hour, *rest)
    return sa.try_cast(text, sa.DateTime)


def _iso_day(key: Value) -> Value:
    is_iso_day = func.regexp_full_match(key, r"\d{4}-(?:w\d\d-\d|\d{3})")
    return case((is_iso_day, func.try_strptime(key, text_list(ISO_DAYS))))


def _utc(row: sa.FromClause) -> Value:
    """The local time, less its offset; NULL for an unknown zone."""
    local, zone, parts = row.c.local, row.c.zone, row.c.parts
    minutes = _number(parts, "offset_hours") * 60 + func.coalesce(
        _number(parts, "offset_minutes"), 0
    )
    offset = func.to_minutes(case((_part(parts, "sign") == "+", minutes), else_=-minutes))
    return case(
        (and_(zone.is_(None), _part(parts, "sign").is_(None)), local),
        (zone.is_(None), local - offset),
        (func.contains(_zone_names(), "\n" + zone + "\n"), _in_zone(local, zone)),
    )


def _in_zone(local: Value, zone: Value) -> Value:
    """The moment at which clocks in the zone show the time; NULL where they show it twice.

    A time that clocks skip is read as if they had not been put forward.
    """
    moment = func.timezone(zone, local)
    hour = sa.literal_column("INTERVAL 1 HOUR")
    occurs_twice = sa.or_(
        func.timezone(zone, moment + hour) == local, func.timezone(zone, moment - hour) == local
    )
    return case((~occurs_twice, func.timezone("UTC", moment)))


@cache
def _zone_names() -> str:
    """The zones that DuckDB knows, a line each. Names without a slash are mostly abbreviations."""
    with duckdb.connect() as con:
        rows = con.execute("SELECT lower(name) FROM pg_timezone_names()").fetchall()
    return "\n".join(["", *(name for (name,) in rows if "/" in name), ""])


def _unix_time(text: Value) -> Value:
    number = sa.cast(text, sa.Numeric(30, 9))
    windows_time = func.make_timestamp(sa.cast(number / 10 - WINDOWS_EPOCH, sa.BigInteger))
    return case(
        (func.regexp_full_match(text, r"13\d{16}"), windows_time),
        *(
            (
                func.regexp_full_match(text, rf"\d{{{digits}}}(\.\d+)?"),
                func.make_timestamp(sa.cast(func.floor(number * factor), sa.BigInteger)),
            )
            for digits, factor in MICROSECONDS.items()
        ),
    )


def lacks_offset(text: Value) -> Value:
    """Whether the text is a time with a date but without a time zone, which is read as UTC."""
    return func.coalesce(
        and_(func.regexp_matches(text, HAS_DATE), ~func.regexp_matches(text, HAS_OFFSET)),
        sa.false(),
    )
