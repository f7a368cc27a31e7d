// Elements and icons, and the clipboard. All data becomes text nodes or inert attributes; nothing is parsed as HTML.

export const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  check: "M8 1.75a6.25 6.25 0 1 1 0 12.5 6.25 6.25 0 0 1 0-12.5M5.25 8.25l2 2 3.5-4.25",
  cross: "M5.4 1.75h5.2l3.65 3.65v5.2l-3.65 3.65H5.4L1.75 10.6V5.4zM6 6l4 4m0-4-4 4",
  clock: "M8 1.75a6.25 6.25 0 1 1 0 12.5 6.25 6.25 0 0 1 0-12.5M8 4.5V8l2.25 1.5",
  spinner: "M13.9 6A6.25 6.25 0 0 0 2.6 4.9M2.1 10a6.25 6.25 0 0 0 11.3 1.1M2.5 1.75V5h3.25M13.5 14.25V11h-3.25",
  dash: "M4 8h8",
  plus: "M4 8h8M8 4v8",
  question: "M5.5 5.75a2.5 2.5 0 1 1 3.6 2.25C8.3 8.4 8 8.8 8 9.6M8 12.5v.01",
  alert: "M8 2 1.75 13.5h12.5zM8 6.5v3M8 11.5v.01",
  open: "m6 3.5 4.5 4.5L6 12.5",
  up: "M8 13V3.5M4 7l4-4 4 4",
  down: "M8 3v9.5M4 9l4 4 4-4",
  rows: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  memo: "M2.75 2.75h10.5v7l-3.5 3.5h-7zM13.25 9.75h-3.5v3.5M5.25 5.75h5.5M5.25 8.25h2.5",
  close: "m4 4 8 8m0-8-8 8",
  fold: "m4 6 4 4 4-4",
  copy: "M6 5.5h7.25v8.25H6zM10 3.25V2.25H2.75v8.25H4",
};

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.flat(2).filter(Boolean)); // strings become text nodes
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", class: `icon ${name}`, "aria-hidden": "true" })) svg.setAttribute(key, value);
  svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("d", ICONS[name] ?? ICONS.question);
  return svg;
}

// Makes these nodes the parent's children, in order, with few moves.
export function setChildren(parent, nodes) {
  const kept = new Set(nodes);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  nodes.forEach((node, index) => { if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null); });
}

// The text can be a promise. Without a secure connection browsers give no clipboard; the old command still
// copies a selection.
export async function putOnClipboard(text) {
  const blob = Promise.resolve(text).then((whole) => new Blob([whole], { type: "text/plain" }));
  try { await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]); } catch {
    const area = Object.assign(document.createElement("textarea"), { value: await text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
