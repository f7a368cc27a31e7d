// A page of rows as one semantic table, each row with a panel that opens right under it.
// It draws what it is handed (see __init__.py for the shapes) and knows nothing about what the rows mean.
// Every piece of data becomes a text node or an inert attribute: nothing is ever parsed as HTML.
// Rows and panels that did not change keep their DOM nodes, so focus, text and scrolling stay where they are.

const MOST_REMEMBERED = 200; // open rows
const MOMENTS_FIRST = 8; // of a timeline; the rest comes on demand
const NAMES_FIRST = 6; // of one of its events
const WIDE = 40; // characters; a longer text may not make its column as wide as it likes
const LONG = 300; // characters; a longer text gets a box of its own to scroll in
const SVG = "http://www.w3.org/2000/svg";
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
};
const NOTE_ICONS = { good: "check", bad: "cross", busy: "spinner", wait: "clock", warn: "alert", quiet: "dash" };
const views = new WeakMap(); // root element -> what has to outlive a redraw

export default function draw(component) {
  const root = component.parentElement.querySelector(".users-table");
  const view = views.get(root) ?? begin(root, component.data);
  root.classList.toggle("many", component.data.columns.length > 7);
  view.component = component;
  const restore = remember(root);
  drawHead(view);
  drawRows(view);
  restore();
}

function begin(root, data) {
  const view = { open: new Set(Object.keys(data.details)), rows: new Map(), searches: new Map(), unfolded: new Set(), serial: 0 };
  view.sorter = el("div", { class: "sorter" });
  view.caption = el("caption");
  view.widths = el("colgroup");
  view.head = el("thead", { role: "rowgroup" });
  view.body = el("tbody", { role: "rowgroup" });
  root.replaceChildren(view.sorter, el("table", { class: "main", role: "table" }, view.caption, view.widths, view.head, view.body));
  root.addEventListener("pointerdown", (event) => { view.pressed = [event.clientX, event.clientY]; });
  root.addEventListener("click", (event) => clicked(view, event));
  root.addEventListener("keydown", (event) => pressed(view, event));
  root.addEventListener("toggle", (event) => unfolded(view, event.target), true); // it does not bubble
  root.addEventListener("change", (event) => { if (event.target.id === "sort-by") view.component.setTriggerValue("sort", event.target.value); });
  root.addEventListener("input", (event) => { if (event.target.type === "search") searched(view, event.target); });
  views.set(root, view);
  return view;
}

// ---- what the reader does ------------------------------------------------------------------------------------------

function clicked(view, event) {
  const control = event.target.closest("a, button, input, select, label");
  if (control?.dataset.sort) return view.component.setTriggerValue("sort", control.dataset.sort);
  if (control && !control.classList.contains("toggle")) return;
  const row = event.target.closest("tr.row");
  if (row && (control || !selecting(view, event))) toggle(view, row.dataset.id);
}

function selecting(view, event) {
  const [x, y] = view.pressed ?? [event.clientX, event.clientY];
  return event.detail > 1 || Math.hypot(event.clientX - x, event.clientY - y) > 4;
}

function toggle(view, id) {
  if (!view.open.delete(id)) view.open.add(id);
  for (const oldest of view.open) if (view.open.size > MOST_REMEMBERED) view.open.delete(oldest);
  drawPanel(view, view.rows.get(id));
  view.component.setStateValue("open", [...view.open]);
}

// Escape in a panel closes it and goes back to its row; in a search it first empties that.
function pressed(view, event) {
  const panel = event.key === "Escape" && !event.target.value && event.target.closest("tr.panel");
  const entry = panel && [...view.rows.values()].find((entry) => entry.panel === panel);
  if (!entry) return;
  entry.toggle.focus();
  toggle(view, entry.id);
}

function unfolded(view, details) {
  if (!details.open) return view.unfolded.delete(details.id);
  view.unfolded.add(details.id);
  details.fill?.();
  delete details.fill;
}

function searched(view, input) {
  view.searches.set(input.id, input.value);
  const block = input.closest(".block");
  const rows = [...block.querySelectorAll(":scope tbody tr")];
  const wanted = plain(input.value.trim());
  for (const row of rows) row.hidden = !plain(row.textContent).includes(wanted);
  const left = rows.filter((row) => !row.hidden).length;
  block.querySelector("output").textContent = wanted ? (left ? `${left} of ${rows.length}` : "Nothing found") : "";
}

// Without case and accents.
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

// ---- the table -----------------------------------------------------------------------------------------------------

function drawHead(view) {
  const { caption, columns, sort } = view.component.data;
  const drawn = JSON.stringify([caption, columns, sort]);
  if (view.drawn === drawn) return;
  view.drawn = drawn;
  view.caption.textContent = caption;
  const total = columns.reduce((sum, column) => sum + (column.width ?? 1), 0);
  view.widths.replaceChildren(el("col", { class: "toggles" }), ...columns.map((column) => {
    const col = el("col");
    col.style.width = `${(100 * (column.width ?? 1)) / total}%`;
    return col;
  }));
  view.head.replaceChildren(el("tr", { role: "row" },
    el("th", { scope: "col", role: "columnheader" }, el("span", { class: "unseen" }, "Details")),
    columns.map((column) => headCell(column, sort))));
  view.sorter.replaceChildren(...sorter(columns.filter((column) => column.sortable), sort));
}

function headCell({ key, label, sortable }, sort) {
  const way = sort?.key === key ? (sort.descending ? "descending" : "ascending") : null;
  const inner = sortable
    ? el("button", { type: "button", id: `sort-${key}`, "data-sort": key }, el("span", {}, label), icon(way === "descending" ? "down" : "up"))
    : label;
  return el("th", { scope: "col", role: "columnheader", "aria-sort": way }, inner);
}

// In place of the header where rows are cards.
function sorter(columns, sort) {
  if (!columns.length) return [];
  const choices = columns.map(({ key, label }) => el("option", { value: key, selected: sort?.key === key }, label));
  if (!sort) choices.unshift(el("option", { value: "", selected: true, disabled: true }, "Unsorted"));
  const way = sort?.descending ? "descending" : "ascending";
  return [el("select", { id: "sort-by", "aria-label": "Sort by" }, choices),
    sort && el("button", { type: "button", id: "sort-way", "data-sort": sort.key, title: `Sorted ${way}`,
      "aria-label": `Sorted ${way}; reverse` }, icon(sort.descending ? "down" : "up"))].filter(Boolean);
}

function drawRows(view) {
  const { rows, columns, empty } = view.component.data;
  const shown = new Map(rows.map((row) => [row.id, drawRow(view, row, columns)]));
  view.rows = shown;
  for (const entry of shown.values()) drawPanel(view, entry);
  const nothing = el("tr", { role: "row" }, el("td", { role: "cell", class: "empty", colspan: columns.length + 1 }, empty));
  arrange(view.body, shown.size ? [...shown.values()].flatMap((entry) => [entry.row, entry.panel]) : [nothing]);
}

function drawRow(view, row, columns) {
  const drawn = JSON.stringify([row, columns]);
  const entry = view.rows.get(row.id) ?? { id: row.id, serial: ++view.serial };
  if (entry.drawn === drawn) return entry;
  entry.drawn = drawn;
  entry.toggle = el("button", { type: "button", class: "toggle", id: `toggle-${entry.serial}`, "aria-expanded": "false",
    "aria-controls": `panel-${entry.serial}`, "aria-label": `Details of ${row.label}` }, icon("open"));
  const cells = columns.map((column, index) => tableCell(index === 0, column.label, row.cells[column.key]));
  entry.row = el("tr", { role: "row", class: "row", "data-id": row.id }, el("td", { role: "cell", class: "toggles" }, entry.toggle), cells);
  entry.panel ??= el("tr", { role: "row", class: "panel", id: `panel-${entry.serial}` }, el("td", { role: "cell" }));
  entry.panel.firstChild.colSpan = columns.length + 1;
  return entry;
}

function drawPanel(view, entry) {
  const open = view.open.has(entry.id);
  entry.toggle.setAttribute("aria-expanded", String(open));
  entry.row.classList.toggle("opened", open);
  entry.panel.hidden = !open;
  const blocks = open ? view.component.data.details[entry.id] : [];
  const drawn = JSON.stringify([open, blocks]);
  if (entry.filled === drawn) return;
  entry.filled = drawn;
  entry.panel.firstChild.replaceChildren(blocks?.length ? drawBlocks(blocks, entry.serial) : blocks && open ? el("p", {}, "No details.") : loading());
  for (const text of entry.panel.querySelectorAll(".text")) if (text.textContent.length > LONG) makeScroll(text);
  for (const details of entry.panel.querySelectorAll("details")) details.open = view.unfolded.has(details.id);
  for (const input of entry.panel.querySelectorAll("input")) {
    input.value = view.searches.get(input.id) ?? "";
    if (input.value) searched(view, input);
  }
}

// ---- cells ---------------------------------------------------------------------------------------------------------

const CELLS = {
  text: ({ text }) => words("text", text),
  quiet: ({ text }) => words("text muted", text),
  code: ({ text }) => words("text code", text),
  lines: ({ text }) => el("pre", { class: "code lines", dir: "auto", tabindex: text.split("\n").length > 9 || text.length > LONG ? "0" : null }, text),
  link: ({ text, href }) => el("a", { class: "text", dir: "auto", href: href.startsWith("?") ? href : null }, text),
  person: ({ title, subtitle }) => [words("text title", title), subtitle && words("line muted", subtitle)],
  tags: ({ items, more = 0 }) => items.length ? el("span", { class: "tags" }, items.slice(0, -1).map(tag),
    el("span", { class: "last" }, tag(items.at(-1)), more > 0 && el("span", { class: "more" }, `+${more}`, el("span", { class: "unseen" }, " more")))) : [],
  mark: ({ text, tone, icon: name }) => el("span", { class: `mark ${tone}` }, icon(name), el("span", { dir: "auto" }, text)),
  time: ({ iso, text, title }) => el("time", { datetime: iso, title }, text.split(" ").flatMap((word) => [" ", el("span", { class: "word" }, word)]).slice(1)),
};
const cellOf = (cell) => typeof cell === "string" ? CELLS.text({ text: cell }) : (cell && CELLS[cell.kind]?.(cell)) || [];
const tag = (text) => el("span", { class: "tag", dir: "auto", title: text }, text);
const words = (kind, text) => el("span", { class: kind, dir: "auto", title: text.length > 16 ? text : null }, text);

function tableCell(heads, label, cell) {
  return el(heads ? "th" : "td", { scope: heads ? "row" : null, role: heads ? "rowheader" : "cell", "data-label": label },
    el("div", { class: "value" }, cellOf(cell)));
}

// ---- blocks of a panel ---------------------------------------------------------------------------------------------

const BLOCKS = {
  facts: ({ caption, items }, id) => el("div", { class: "block" }, caption && blockName(caption, id), list(items)),
  note: ({ text, tone, mark, since, items }) => el("div", { class: `note ${tone}` },
    mark ? el("p", { class: "about" }, cellOf(mark), cellOf(since)) : icon(NOTE_ICONS[tone]),
    el("div", {}, el("p", { dir: "auto" }, text), items.length > 0 && list(items))),
  timeline: ({ caption, items }, id) => {
    const moments = byMoment(items);
    const first = moments.slice(0, MOMENTS_FIRST), rest = moments.slice(MOMENTS_FIRST);
    return el("div", { class: "block timeline" }, blockName(caption, id),
      el("ol", { role: "list" }, first.map((moment, index) => drawMoment(moment, `${id}-${index}`))),
      rest.length > 0 && fold(`rest-${id}`, `Show ${rest.length.toLocaleString("en")} earlier`,
        () => el("div", { class: "scroll", id: `scroll-${id}`, ...scrolls(rest.length > MOMENTS_FIRST, `name-${id}`) },
          el("ol", { role: "list" }, rest.map((moment, index) => drawMoment(moment, `${id}-r${index}`))))));
  },
  table: ({ caption, columns, rows, searchable }, id) => el("div", { class: "block" }, blockName(caption, id,
      searchable && [el("output", { "aria-live": "polite" }), el("input", { type: "search", id: `search-${id}`, placeholder: "Search",
        "aria-label": `Search ${caption}`, autocomplete: "off", spellcheck: "false", maxlength: 200 })]),
    rows.length > 0 && el("div", { class: "scroll", id: `scroll-${id}`, ...scrolls(rows.length > 6, `name-${id}`) },
      el("table", { role: "table", "aria-labelledby": `name-${id}` },
        el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map((name) => el("th", { scope: "col", role: "columnheader" }, name)))),
        el("tbody", { role: "rowgroup" }, rows.map((row) => el("tr", { role: "row" }, row.map((cell, index) => innerCell(index === 0, columns[index], cell)))))))),
};
// As lean as can be: there may be thousands.
function innerCell(heads, label, cell) {
  const { kind, text = cell, iso, title } = cell;
  const drawn = kind === "time" ? el("time", { datetime: iso, title }, text) : cellOf(cell);
  return el(heads ? "th" : "td", { scope: heads ? "row" : null, role: heads ? "rowheader" : "cell", "data-label": label },
    text.length > WIDE ? el("div", { class: "value" }, drawn) : drawn);
}

const drawBlock = (block, id) => BLOCKS[block.kind]?.(block, id) ?? [];
const blockName = (caption, id, tools) => el("div", { class: "name" }, el("p", { id: `name-${id}` }, caption), tools);
const list = (items) => el("dl", { class: "facts" }, items.map(([label, cell]) => el("div", {}, el("dt", { dir: "auto" }, label), el("dd", {}, cellOf(cell)))));
// Closed at first; what is in it is made when it opens.
function fold(id, words, content) {
  const details = el("details", { id }, el("summary", {}, words));
  details.fill = () => details.append(content());
  return details;
}
const makeScroll = (text) => { text.classList.add("long"); text.tabIndex = 0; };
const scrolls = (can, name) => can ? { tabindex: "0", role: "group", "aria-labelledby": name } : {};

// A timeline stands beside the rest where there is room.
function drawBlocks(blocks, serial) {
  const drawn = blocks.map((block, index) => [block, drawBlock(block, `${serial}-${index}`)]);
  const beside = ([block]) => block.kind === "timeline";
  return el("div", { class: "blocks" },
    el("div", {}, drawn.filter((each) => !beside(each)).map((each) => each[1])), drawn.filter(beside).map((each) => each[1]));
}

// Events of one moment, one after the other, under one time.
function byMoment(events) {
  const moments = [];
  for (const event of events) {
    if (moments.at(-1)?.[0].iso === event.iso) moments.at(-1).push(event);
    else moments.push([event]);
  }
  return moments;
}

const drawMoment = (events, id) => el("li", {}, el("time", { datetime: events[0].iso, title: events[0].exactly }, events[0].when),
  events.map((event, index) => drawEvent(event, `${id}-${index}`)));

function drawEvent({ title, tone, icon: name, text, change, tags }, id) {
  const names = tags?.items ?? [], rest = names.slice(NAMES_FIRST);
  return el("div", { class: `event ${tone}` }, el("span", { class: "dot" }, name && icon(name)), el("div", {},
    el("p", { class: "title", dir: "auto" }, title),
    text && words("text muted", text),
    change && el("p", { class: "change muted" }, el("bdi", {}, change[0]), " → ", el("bdi", {}, change[1])),
    names.length > 0 && el("p", { class: "tags" }, names.slice(0, NAMES_FIRST).map(tag)),
    rest.length > 0 && fold(`names-${id}`, `and ${(rest.length + tags.more).toLocaleString("en")} more`,
      () => el("p", { class: "tags" }, rest.map(tag), tags.more > 0 && el("span", { class: "more" }, `and ${tags.more.toLocaleString("en")} more`)))));
}
const loading = () => el("div", { class: "loading", role: "status" }, el("span", { class: "unseen" }, "Loading…"),
  el("i", {}), el("i", {}), el("i", {}));

// ---- small tools ---------------------------------------------------------------------------------------------------

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.flat(2).filter(Boolean)); // strings become text nodes
  return element;
}

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", class: `icon ${name}`, "aria-hidden": "true" })) svg.setAttribute(key, value);
  svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("d", ICONS[name] ?? ICONS.question);
  return svg;
}

// Puts exactly these nodes into the parent, moving as few as it can.
function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, index) => { if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null); });
}

// Remembers focus, caret and inner scrolling before a redraw; the returned function brings them back.
function remember(root) {
  const tree = root.getRootNode();
  const active = root.contains(tree.activeElement) ? tree.activeElement : null;
  const caret = active?.type === "search" ? [active.selectionStart, active.selectionEnd] : null;
  const scrolled = [...root.querySelectorAll(".scroll")].filter((box) => box.scrollTop).map((box) => [box.id, box.scrollTop]);
  return () => {
    for (const [id, top] of scrolled) tree.getElementById(id)?.scrollTo(0, top);
    if (!active || tree.activeElement === active) return;
    const again = tree.getElementById(active.id) ?? root;
    again.focus({ preventScroll: true });
    if (caret && again.type === "search") again.setSelectionRange(...caret);
  };
}
