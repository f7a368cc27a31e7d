// Draws one page of rows as a semantic table; each row opens a panel below it.
// __init__.py defines the shapes of the data. This file does not know what the rows mean.
// All data becomes text nodes or inert attributes; nothing is parsed as HTML (dom.js).
// Unchanged rows and panels keep their DOM nodes, and with them focus, input and scroll position.

import { SVG, el, icon, putOnClipboard, setChildren } from "./dom.js";
import { actOnRow, clickBox, createMarks, drawMarks, headBox, keysOfActions, keysOfMarks, markByKey, rowBox } from "./marks.js";

const MAX_OPEN_ROWS = 200;
const MAX_ADDRESS_ROWS = 20; // open rows that an address keeps
const FIRST_MOMENTS = 8; // of a timeline; the others are folded
const FIRST_NAMES = 6; // of an event; the others are folded
const WIDE_TEXT = 40; // characters; longer text gets a limited width
const LONG_TEXT = 300; // characters; longer text gets a scroll box
const TAIL = 8; // characters behind an ellipsis in the middle
const IS_CUTTABLE = /^[ -~]{12,}$/; // other scripts can join letters, or be written from the right
const MORE_WIDTH = 36; // pixels for "+8"
const LEAST_UNIT = 80; // pixels of a column of width 1; a table with less room than that scrolls,
const SCROLLED_UNIT = 116; // and then has more
const MIN_WIDTH = 0.4; // of a column that is made narrower
const WIDTHS_KEY = "rollcall-widths"; // of the browser's storage: table -> column -> width
const pen = document.createElement("canvas").getContext("2d"); // measures text
const NOTE_ICONS = { good: "check", bad: "cross", ongoing: "spinner", awaiting: "clock", warn: "alert", quiet: "dash" };
const ROW_HEIGHTS = { compact: "Compact rows", comfortable: "Comfortable rows" };
const ROW_HEIGHT_KEY = "rollcall-rows"; // of the browser's storage
const KEYS = [["j  ↓", "Next row"], ["k  ↑", "Previous row"], ["o  Enter", "Open or close the row"], ["Esc", "Close the row"],
  ["Shift  ← →", "Make the column narrower or wider, on its heading"], ["/  Ctrl K", "Search"], ["?", "Show these keys"]];
const views = new WeakMap(); // root element -> state that survives a redraw

export default function draw(component) {
  const root = component.parentElement.querySelector(".users-table");
  const known = views.get(root), view = known ?? createView(root, component.data);
  root.classList.toggle("many", component.data.columns.length > 7);
  root.classList.toggle("few", component.data.columns.length < 5 && component.data.opens !== "details");
  root.classList.toggle("markable", Boolean(component.data.marks));
  root.classList.toggle("opening", component.data.opens === "details");
  root.classList.toggle("listed", component.data.columns.some((column) => column.place));
  view.component = component;
  const restore = saveFocus(root);
  drawHead(view);
  drawRows(view);
  drawMarks(view);
  component.parentElement.getRootNode().host?.closest("[data-testid=stElementContainer]")?.toggleAttribute("data-drawn", true);
  fitCells(view);
  restore();
  if (!known) followFocus(view, root);
  showHead(view, root);
}

// The row that a key has led to keeps the focus where the page is drawn from scratch, as after a load.
let led = null;
function followFocus(view, root) {
  if (led && !led.root.isConnected && document.activeElement === document.body) focusRow(view.rows.get(led.id));
  led = led && { ...led, root };
}

// Turning a page leads to the head of the list.
function showHead(view, root) {
  const { page } = view.component.data;
  if (view.page !== undefined && view.page !== page) root.scrollIntoView({ block: "start" });
  view.page = page;
}

function createView(root, data) {
  const view = { open: new Set(Object.keys(data.details)), rows: new Map(), searches: new Map(), unfolded: new Set(), serial: 0 };
  view.sorter = el("div", { class: "sorter" });
  view.caption = el("caption");
  view.widths = el("colgroup");
  view.head = el("thead", { role: "rowgroup" });
  view.body = el("tbody", { role: "rowgroup" });
  view.keys = keysDialog([...KEYS, ...(data.marks ? [...keysOfMarks, ...keysOfActions(data.marks)] : [])]);
  view.table = el("table", { class: "main", role: "table" }, view.caption, view.widths, view.head, view.body);
  view.pane = el("div", { class: "pane" }, view.table);
  view.cellOf = cellOf;
  createMarks(view, (ids) => openRows(view, ids));
  root.replaceChildren(view.sorter, view.pane, view.bar, view.said, view.keys);
  root.classList.toggle("comfortable", localStorage.getItem(ROW_HEIGHT_KEY) === "comfortable");
  new ResizeObserver(([{ contentRect }]) => fitWidth(view, contentRect.width)).observe(root);
  root.addEventListener("pointerdown", (event) => { if (event.target.matches(".resizer")) startResize(view, event); });
  root.addEventListener("dblclick", (event) => { if (event.target.matches(".resizer")) forgetWidths(view); });
  document.addEventListener("keydown", function onKey(event) {
    if (root.isConnected) handlePageKey(view, root, event);
    else document.removeEventListener("keydown", onKey);
  });
  root.addEventListener("pointerdown", (event) => { view.pointerDown = [event.clientX, event.clientY]; view.isShift = event.shiftKey; });
  root.addEventListener("mousedown", (event) => { if (event.shiftKey && event.target.closest(".mark-area")) event.preventDefault(); }); // selects no text
  root.addEventListener("click", (event) => handleClick(view, event));
  root.addEventListener("keydown", (event) => handleKey(view, event));
  root.addEventListener("toggle", (event) => handleFold(view, event.target), true); // capture: toggle does not bubble
  root.addEventListener("change", (event) => {
    if (event.target.id === "sort-by") view.component.setTriggerValue("sort", event.target.value);
    if (event.target.name === "row-height") setRowHeight(view, root, event.target.value);
  });
  root.addEventListener("input", (event) => { if (event.target.type === "search") handleSearch(view, event.target); });
  views.set(root, view);
  return view;
}

// ---- input ---------------------------------------------------------------------------------------------------------

function handleClick(view, event) {
  const control = event.target.closest("a, button, input, select, label");
  if (control?.dataset.sort) return view.component.setTriggerValue("sort", control.dataset.sort);
  if (control?.matches(".copy-rows")) control.dataset.text = visibleRows(control);
  if (control?.matches(".copy")) return copyText(control);
  if (control?.matches(".mark-box")) return clickBox(view, rowOf(view, control), event.shiftKey || view.isShift);
  if (control?.dataset.order) return orderRows(control.closest("th"));
  if (control?.matches(".more")) return showAllTags(control);
  if (control?.dataset.choice) return actOnRow(view, control.dataset.choice, rowOf(view, control));
  if (control?.matches(".action")) return view.component.setTriggerValue("action", [control.dataset.action, rowOf(view, control).id]);
  if (control && !control.matches(".toggle, .opener")) return;
  const row = event.target.closest("tr.row");
  if (row && (control || !isSelecting(view, event))) openRow(view, row.dataset.id);
}

// The second click of a double click undoes the first: it selects the word, and the row stays as it was.
function isSelecting(view, event) {
  const [x, y] = view.pointerDown ?? [event.clientX, event.clientY];
  return event.detail > 2 || Math.hypot(event.clientX - x, event.clientY - y) > 4;
}

function openRow(view, id) {
  const { opens } = view.component.data;
  if (opens === "details") toggle(view, id);
  if (opens === "page") view.component.setTriggerValue("row", id);
}

function toggle(view, id) {
  if (view.open.delete(id)) openRows(view, [], id);
  else openRows(view, [id]);
}

function openRows(view, ids, closed) {
  for (const id of ids) view.open.add(id);
  for (const oldest of view.open) if (view.open.size > MAX_OPEN_ROWS) view.open.delete(oldest);
  for (const id of [...ids, closed]) if (view.rows.has(id)) drawPanel(view, view.rows.get(id));
  view.component.setStateValue("open", [...view.open]);
  keepInAddress(view);
}

// The open rows are in the address, for Back, a reload and a copied link. They leave no entry in the
// browser's history: Back leads to the view before, not to each row.
function keepInAddress(view) {
  const { address } = view.component.data;
  if (!address) return;
  const url = new URL(location.href);
  url.searchParams.delete(address);
  for (const { link } of [...view.open].map((id) => view.rows.get(id)).filter(Boolean).slice(-MAX_ADDRESS_ROWS)) url.searchParams.append(address, link);
  history.replaceState(history.state, "", url);
}

const rowOf = (view, element) => [...view.rows.values()].find(({ panel, row }) => panel.contains(element) || row.contains(element));

// Escape closes the row and focuses it; in a search box with text it only clears the text.
function handleKey(view, event) {
  if (resizeByKey(view, event)) return;
  const entry = rowOf(view, event.target);
  if (event.key === "Escape" && entry && !event.target.value && view.open.has(entry.id)) {
    entry.toggle.focus();
    toggle(view, entry.id);
    event.preventDefault(); // so that it does nothing else
  }
}

// Keys for the whole page, except where somebody types or a dialog is open.
function handlePageKey(view, root, event) {
  const target = event.composedPath()[0];
  const isTyping = target.matches?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
  const isInMenu = event.composedPath().some((element) => element.popover);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping || isInMenu || document.querySelector("[role=dialog], [data-testid=stPopoverBody]") || view.keys.open) return;
  const entries = [...view.rows.values()].filter(buttonOf);
  const focused = entries.findIndex(({ row }) => row.contains(target));
  const entry = entries[focused] ?? entries.find(({ panel }) => panel.contains(target));
  const step = { j: 1, k: -1, ...(focused >= 0 && { ArrowDown: 1, ArrowUp: -1 }) }[event.key];
  const next = entries[entries.indexOf(entry) + 1];
  const leadTo = (row) => {
    focusRow(row, target.matches?.(".mark-box"));
    if (row) led = { root, id: row.id };
  };
  let done;
  if (event.key === "?") view.keys.showModal();
  else if (event.key === "o" && entry) openRow(view, entry.id);
  else if ((done = markByKey(view, event, entry))) done === "next" && next && leadTo(next);
  else if (step && entries.length) leadTo(entries[entry ? entries.indexOf(entry) + step : firstVisible(entries)]);
  else return;
  event.preventDefault();
}

// What of a row gets the focus.
const buttonOf = ({ toggle, box }) => (toggle.isConnected ? toggle : box);
const firstVisible = (entries) => Math.max(0, entries.findIndex(({ row }) => row.getBoundingClientRect().top > 100));
function focusRow(entry, onBox) {
  if (entry) (onBox ? entry.box : buttonOf(entry)).focus({ preventScroll: true });
  entry?.row.scrollIntoView({ block: "nearest" });
}

function setRowHeight(view, root, height) {
  localStorage.setItem(ROW_HEIGHT_KEY, height);
  root.classList.toggle("comfortable", height === "comfortable");
  fitCells(view);
}

async function copyText(button) {
  await putOnClipboard(button.dataset.text);
  if (button.getRootNode().activeElement !== button) button.focus();
  button.replaceChildren(icon("check"), el("span", { class: "unseen", role: "status" }, "Copied"));
  setTimeout(() => button.replaceChildren(icon("copy")), 1500);
}

// "+8": the others in place; a second press folds them again.
function showAllTags(button) {
  const tags = button.closest(".tags");
  button.setAttribute("aria-expanded", String(tags.classList.toggle("all")));
  fitTags([tags]);
}

function handleFold(view, details) {
  if (!details.open) return view.unfolded.delete(details.id);
  view.unfolded.add(details.id);
  details.fill?.();
  delete details.fill;
}

const rowsOf = (element) => [...element.closest(".block").querySelectorAll(":scope tbody tr")];
const visibleRows = (button) => rowsOf(button).filter((row) => !row.hidden)
  .map((row) => [...row.children].map((cell) => cell.textContent).join("\t")).join("\n");

// A list of a panel, by one of its columns; a second press reverses it.
function orderRows(heading) {
  const sign = heading.ariaSort === "ascending" ? -1 : 1, column = heading.cellIndex;
  for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
  heading.ariaSort = sign > 0 ? "ascending" : "descending";
  const textOf = (row) => row.children[column].textContent;
  const rows = rowsOf(heading).sort((one, other) => sign * textOf(one).localeCompare(textOf(other), undefined, { numeric: true }));
  rows[0].parentElement.append(...rows);
}

function handleSearch(view, input) {
  view.searches.set(input.id, input.value);
  const block = input.closest(".block");
  const rows = [...block.querySelectorAll(":scope tbody tr")];
  const wanted = searchKey(input.value.trim());
  for (const row of rows) row.hidden = !searchKey(row.textContent).includes(wanted);
  const count = rows.filter((row) => !row.hidden).length;
  block.querySelector("output").textContent = wanted ? (count ? `${count} of ${rows.length}` : "No matches") : "";
}

// Ignores case and accents.
const searchKey = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

// ---- the table -----------------------------------------------------------------------------------------------------

// The boxes that mark rows, and the buttons that open them.
const hasToolColumn = ({ component: { data } }) => data.opens === "details" || Boolean(data.marks);

function drawHead(view) {
  const { caption, columns, sort, opens, marks } = view.component.data;
  const drawn = JSON.stringify([caption, columns, sort, opens, Boolean(marks)]);
  if (view.drawn === drawn) return;
  view.drawn = drawn;
  view.caption.textContent = caption;
  const hasTools = hasToolColumn(view);
  view.widths.replaceChildren(...(hasTools ? [el("col", { class: "toggles" })] : []), ...columns.map(() => el("col")));
  const kept = keptWidths(view);
  view.shares = columns.map(({ key, width }) => kept[key] ?? width ?? 1);
  applyWidths(view);
  view.head.replaceChildren(el("tr", { role: "row" },
    hasTools && el("th", { scope: "col", role: "columnheader" }, el("span", { class: "unseen" }, "Details"), el("div", { class: "tools" }, marks && headBox(view), rowsMenu())),
    columns.map((column) => headCell(column, sort))));
  view.sorter.replaceChildren(...sortControl(columns.filter((column) => column.sortable), sort));
}

// How high rows are. A select is a menu in every browser, and lists its choices by itself.
function rowsMenu() {
  const height = localStorage.getItem(ROW_HEIGHT_KEY) === "comfortable" ? "comfortable" : "compact";
  return el("label", { class: "rows-menu", title: "Row height" }, icon("rows"), el("select", { name: "row-height", "aria-label": "Row height" },
    Object.entries(ROW_HEIGHTS).map(([value, label]) => el("option", { value, selected: value === height }, label))));
}

function keysDialog(keys) {
  const close = el("button", { type: "button", class: "close", autofocus: true }, "Close");
  const dialog = el("dialog", { "aria-label": "Keyboard shortcuts" }, el("p", { class: "title" }, "Keyboard shortcuts"),
    el("dl", {}, keys.map(([keys, meaning]) => el("div", {}, el("dt", {}, keys.split("  ").map((key) => el("kbd", {}, key))), el("dd", {}, meaning)))), close);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  return dialog;
}

// ---- widths ----------------------------------------------------------------------------------------

// An opened row makes the table higher: then everything fits as before, and measuring takes long.
// What was measured before the stylesheet came is measured again.
function fitWidth(view, width) {
  const isStyled = getComputedStyle(view.pane).getPropertyValue("--row") !== "";
  if (width === view.width && isStyled === view.isStyled) return;
  Object.assign(view, { width, isStyled });
  if (view.shares) fitPane(view);
  fitCells(view);
}

// A column has a share of the table, which is at least as wide as the window: where all shares together
// need more room, the table scrolls within its pane.
function applyWidths(view) {
  const total = view.shares.reduce((sum, share) => sum + share, 0);
  [...view.widths.children].slice(-view.shares.length).forEach((col, index) => { col.style.width = `${(100 * view.shares[index]) / total}%`; });
  fitPane(view, total);
}

function fitPane(view, total = view.shares.reduce((sum, share) => sum + share, 0)) {
  const isList = getComputedStyle(view.body).display === "block"; // on a phone
  const isScrolled = !isList && total * LEAST_UNIT > view.pane.clientWidth;
  view.pane.classList.toggle("scrolls", isScrolled);
  view.table.style.minWidth = isScrolled ? `${Math.round(total * SCROLLED_UNIT)}px` : "";
  letPaneBeReached(view);
}

const allWidths = () => { try { return JSON.parse(localStorage.getItem(WIDTHS_KEY)) ?? {}; } catch { return {}; } };
const keptWidths = (view) => Object.fromEntries(Object.entries(allWidths()[view.component.data.caption] ?? {}).filter(([, width]) => width >= MIN_WIDTH && width < 50));

function keepWidths(view) {
  const { caption, columns } = view.component.data;
  const widths = { ...keptWidths(view), ...Object.fromEntries(columns.map(({ key }, index) => [key, view.shares[index]])) };
  localStorage.setItem(WIDTHS_KEY, JSON.stringify({ ...allWidths(), [caption]: widths }));
  fitCells(view);
}

function forgetWidths(view) {
  const { caption, columns } = view.component.data;
  localStorage.setItem(WIDTHS_KEY, JSON.stringify({ ...allWidths(), [caption]: {} }));
  view.shares = columns.map(({ width }) => width ?? 1);
  applyWidths(view);
  fitCells(view);
}

// The room comes from the next column, or goes there. A table that scrolls becomes wider or narrower.
function resize(view, index, change, before = [...view.shares]) {
  const { shares } = view, isLast = index === shares.length - 1, isFree = isLast || view.pane.classList.contains("scrolls");
  const most = isFree ? 50 - before[index] : before[index + 1] - MIN_WIDTH;
  const step = Math.min(Math.max(change, MIN_WIDTH - before[index]), Math.max(most, 0));
  shares[index] = before[index] + step;
  if (!isFree) shares[index + 1] = before[index + 1] - step;
  applyWidths(view);
}

function startResize(view, event) {
  const cell = event.target.closest("th"), cells = [...cell.parentElement.children];
  const index = cells.indexOf(cell) - (cells.length - view.shares.length);
  const before = [...view.shares], start = event.clientX, perPixel = before[index] / cell.offsetWidth, ended = new AbortController();
  event.preventDefault();
  event.target.setPointerCapture(event.pointerId);
  event.target.addEventListener("pointermove", ({ clientX }) => resize(view, index, (clientX - start) * perPixel, before), { signal: ended.signal });
  for (const type of ["pointerup", "pointercancel"]) event.target.addEventListener(type, () => { ended.abort(); keepWidths(view); }, { signal: ended.signal });
}

function resizeByKey(view, event) {
  const index = view.component.data.columns.findIndex(({ key }) => key === event.target.dataset?.sort);
  const step = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key];
  if (!event.shiftKey || index < 0 || !step) return false;
  event.preventDefault();
  resize(view, index, step);
  keepWidths(view);
  return true;
}

function headCell({ key, label, sortable, numeric, suffix }, sort) {
  const direction = sort?.key === key ? (sort.descending ? "descending" : "ascending") : null;
  const inner = sortable
    ? el("button", { type: "button", id: `sort-${key}`, "data-sort": key }, el("span", {}, label, suffix && el("span", { class: "suffix" }, ` (${suffix})`)), icon(direction === "descending" ? "down" : "up"))
    : label;
  return el("th", { scope: "col", role: "columnheader", class: numeric && "numeric", "aria-sort": direction }, inner,
    el("span", { class: "resizer", "aria-hidden": "true", title: "Drag to change the width. Double-click: the usual widths." }));
}

// Replaces the header where rows are cards.
function sortControl(columns, sort) {
  if (!columns.length) return [];
  const options = columns.map(({ key, label }) => el("option", { value: key, selected: sort?.key === key }, label));
  if (!sort) options.unshift(el("option", { value: "", selected: true, disabled: true }, "Unsorted"));
  const direction = sort?.descending ? "descending" : "ascending";
  return [el("select", { id: "sort-by", "aria-label": "Sort by" }, options),
    sort && el("button", { type: "button", id: "sort-direction", "data-sort": sort.key, title: `Sorted ${direction}`,
      "aria-label": `Sorted ${direction}; reverse` }, icon(sort.descending ? "down" : "up"))].filter(Boolean);
}

function drawRows(view) {
  const { rows, columns, empty } = view.component.data;
  const entries = new Map(rows.map((row) => [row.id, drawRow(view, row, columns)]));
  view.rows = entries;
  for (const entry of entries.values()) drawPanel(view, entry);
  const emptyRow = el("tr", { role: "row" }, el("td", { role: "cell", class: "empty", colspan: columns.length + hasToolColumn(view) }, empty));
  setChildren(view.body, entries.size ? [...entries.values()].flatMap((entry) => [entry.row, entry.panel]) : [emptyRow]);
  letPaneBeReached(view);
}

// What scrolls must be reached by keyboard: by a link or button in it, or by itself.
function letPaneBeReached({ pane }) {
  const isReached = [...pane.querySelectorAll("a[href], button")].some((each) => each.checkVisibility());
  const needsFocus = getComputedStyle(pane).overflowY !== "visible" && !isReached;
  if (needsFocus) pane.tabIndex = 0;
  else pane.removeAttribute("tabindex");
}

function drawRow(view, row, columns) {
  const { opens, marks } = view.component.data;
  const drawn = JSON.stringify([row, columns, opens, Boolean(marks)]);
  const entry = view.rows.get(row.id) ?? { id: row.id, serial: ++view.serial };
  if (entry.drawn === drawn) return entry;
  entry.drawn = drawn;
  Object.assign(entry, { link: row.link ?? row.id, texts: row.texts, box: null });
  entry.toggle = el("button", { type: "button", class: "toggle", id: `toggle-${entry.serial}`, "aria-expanded": "false",
    "aria-controls": `panel-${entry.serial}`, "aria-label": `Details of ${row.label}` }, icon("open"));
  const cells = columns.map((column, index) => tableCell(index === 0, column, row.cells[column.key], row.label));
  if (opens === "page") cells[0].replaceChildren(el("button", { type: "button", class: "opener", "aria-label": `Open ${row.label}` }, [...cells[0].childNodes]));
  if (row.hint) cells[0].querySelector(".value").append(hint(row.hint));
  entry.row = el("tr", { role: "row", class: opens === "nothing" ? "row still" : "row", "data-id": row.id },
    hasToolColumn(view) && el("td", { role: "cell", class: "toggles" }, el("div", { class: "tools" }, marks && rowBox(entry, row.label), opens === "details" && entry.toggle)), cells);
  for (const button of entry.row.querySelectorAll("[data-choice]")) button.id = `choose-${entry.serial}-${button.dataset.choice}`;
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
  for (const text of entry.panel.querySelectorAll(".text")) if (text.textContent.length > LONG_TEXT) makeScroll(text);
  for (const details of entry.panel.querySelectorAll("details")) details.open = view.unfolded.has(details.id);
  for (const input of entry.panel.querySelectorAll("input")) {
    input.value = view.searches.get(input.id) ?? "";
    if (input.value) handleSearch(view, input);
  }
}

// ---- cells ---------------------------------------------------------------------------------------------------------

const CELLS = {
  text: ({ text }) => textSpan("text", text),
  quiet: ({ text, subtitle }) => [textSpan("text muted", text), subtitle && secondLine(subtitle)],
  code: ({ text }) => textSpan("text code", text),
  id: ({ text, code }) => el("span", { class: code ? "id code" : "id", dir: "auto", title: text, "data-text": text }, text),
  lines: ({ text }) => el("pre", { class: "code lines", dir: "auto", tabindex: text.split("\n").length > 9 || text.length > LONG_TEXT ? "0" : null }, text),
  link: ({ text, href }) => el("a", { class: "text", dir: "auto", href: /^[a-z]*\?/.test(href) ? href : null }, text),
  person: ({ title, subtitle }) => [textSpan("text title", title), subtitle && secondLine(subtitle)],
  tags: ({ items, more = 0, marked = 0 }) => items.length ? el("span", { class: "tags", "data-more": more }, items.map((text, index) => tag(text, index < marked)),
    more > 0 && el("span", { class: "rest" }, `and ${more.toLocaleString("en")} more`)) : [],
  mark: ({ text, tone, icon: name, title, note }) => [el("span", { class: `mark ${tone}`, title }, icon(name), el("span", { dir: "auto" }, text)), note && el("span", { class: "line muted reason", dir: "auto" }, note)],
  bar: ({ share, tone }) => el("span", { class: `bar ${tone}`, "aria-hidden": "true" }, el("i", { style: `width: ${100 * share}%` })),
  course: ({ values, title }) => curve(values, title),
  choice: ({ options, text, title }) => el("span", { class: "choice", role: "group" }, options.map(([name, label]) =>
    el("button", { type: "button", "data-choice": name, "aria-pressed": String(name === text), title: name === text ? title : null }, label))),
  time: ({ iso, text, title }) => el("time", { datetime: iso, title }, text.split(" ").flatMap((word) => [" ", el("span", { class: "word" }, word)]).slice(1)),
};
const secondLine = (text) => el("span", { class: "line muted id", dir: "auto", title: text, "data-text": text }, text);
const cellOf = (cell) => typeof cell === "string" ? CELLS.text({ text: cell }) : (cell && CELLS[cell.kind]?.(cell)) || [];
const tag = (text, isMarked) => el(isMarked === true ? "mark" : "span", { class: isMarked === true ? "tag hit" : "tag", dir: "auto", title: text }, text);
const copyButton = (text, label, attributes = {}) => el("button", { type: "button", class: "copy", title: "Copy", "aria-label": `Copy ${label}`, "data-text": text, ...attributes }, icon("copy"));
const action = ([name, label]) => el("button", { type: "button", class: "action", "data-action": name }, label);
// A mark in a row whose text shows on hover and focus; a tooltip of the browser would not show on focus.
const hint = (text) => el("button", { type: "button", class: "remark", "aria-label": `Note: ${text}` }, icon("memo"), el("span", { class: "tip", dir: "auto", "aria-hidden": "true" }, text));
const textSpan = (kind, text) => el("span", { class: kind, dir: "auto", title: text.length > 16 ? text : null }, breakable(text));
// A long address goes on in a new line before its “@”, not inside a word.
const breakable = (text) => text.split(/(?=@)/).flatMap((part, index) => index ? [el("wbr"), part] : part);

function tableCell(isHeading, { label, numeric, place }, cell, rowLabel) {
  const value = el("div", { class: "value", "data-label": place === "fact" ? label : null }, cellOf(cell));
  // A row is too narrow for visible buttons; with the keyboard the same text is copied in the panel.
  if (cell?.kind === "id") value.append(copyButton(cell.text, label, { tabindex: "-1" }));
  if (cell?.kind === "choice") value.firstChild.setAttribute("aria-label", `${label} of ${rowLabel}`);
  if (cell?.kind === "tags" && cell.items.length) value.firstChild.append(el("button", { type: "button", class: "more", hidden: true, "aria-expanded": "false", "data-of": `${label} of ${rowLabel}` }));
  return el(isHeading ? "th" : "td", { scope: isHeading ? "row" : null, role: isHeading ? "rowheader" : "cell", class: numeric && "numeric", "data-label": label, "data-place": place },
    value);
}

// ---- what fits into a cell -----------------------------------------------------------------------------------------

// As many tags as fit, and IDs cut in the middle, where they differ least. Sizes are read all together and
// then everything is written: the browser lays out the table once.
function fitCells(view) {
  fitTags([...view.body.querySelectorAll(".row .tags")]);
  const ids = [...view.body.querySelectorAll(".row .id")];
  for (const id of ids) if (id.firstElementChild) id.replaceChildren(id.dataset.text);
  const cut = ids.filter((id) => id.scrollWidth > id.clientWidth && IS_CUTTABLE.test(id.dataset.text))
    .map((id) => [id, id.dataset.text, id.clientWidth, fontOf(getComputedStyle(id))]);
  for (const [id, text, width, font] of cut) {
    const start = startThatFits(text, width, font), end = text.length - TAIL;
    if (!start) continue;
    id.replaceChildren(el("span", { class: "start" }, text.slice(0, start)), el("span", { class: "left-out" }, text.slice(start, end)), text.slice(end));
  }
}

const fontOf = ({ fontWeight, fontSize, fontFamily }) => `${fontWeight} ${fontSize} ${fontFamily}`;

// How many letters fit before an ellipsis and the tail; none in a cell that is too narrow for both.
function startThatFits(text, width, font) {
  pen.font = font;
  const tail = pen.measureText(`…${text.slice(-TAIL)}`).width + 1;
  if (pen.measureText(text.slice(0, 2)).width + tail > width) return 0;
  let low = 2, high = text.length - TAIL - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (pen.measureText(text.slice(0, middle)).width + tail <= width) low = middle;
    else high = middle - 1;
  }
  return low;
}

function fitTags(boxes) {
  const measured = boxes.map((box) => ({ box, tags: [...box.querySelectorAll(".tag")], button: box.querySelector(".more") }));
  for (const { tags, button } of measured) [...tags, button].forEach((element) => { element.hidden = false; });
  for (const entry of measured) {
    entry.width = entry.box.clientWidth;
    entry.ends = entry.tags.map((tag) => tag.offsetLeft + tag.offsetWidth - entry.box.offsetLeft);
  }
  for (const { box, tags, button, width, ends } of measured) {
    const more = Number(box.dataset.more), isWhole = !more && ends.at(-1) <= width, isAll = box.classList.contains("all");
    const count = isWhole || isAll ? tags.length : Math.max(1, ends.filter((end) => end <= width - MORE_WIDTH).length);
    tags.forEach((tag, index) => { tag.hidden = index >= count; });
    const rest = tags.slice(count), others = rest.length + more;
    button.hidden = isAll ? false : !others;
    button.textContent = isAll ? "less" : `+${others.toLocaleString("en")}`;
    button.title = isAll ? "" : [...rest.slice(0, 20).map((tag) => tag.textContent), ...(others > 20 ? ["…"] : [])].join("\n");
    button.setAttribute("aria-label", isAll ? `Show fewer of ${button.dataset.of}` : `Show ${others.toLocaleString("en")} more: ${button.dataset.of}`);
  }
}

// ---- blocks of a panel ---------------------------------------------------------------------------------------------

const BLOCKS = {
  facts: ({ caption, items }, id) => el("div", { class: "block" }, caption && blockName(caption, id), list(items)),
  note: ({ text, tone, mark, since, items, actions = [] }) => text ? el("div", { class: `note ${tone}` },
    mark ? el("p", { class: "about" }, cellOf(mark), cellOf(since), actions.map(action)) : icon(NOTE_ICONS[tone]),
    el("div", {}, el("p", { class: "words", dir: "auto" }, text), items.length > 0 && list(items))) : el("p", { class: "actions" }, actions.map(action)),
  timeline: ({ caption, items }, id) => {
    const moments = byMoment(items);
    const first = moments.slice(0, FIRST_MOMENTS), rest = moments.slice(FIRST_MOMENTS);
    return el("div", { class: "block timeline" }, blockName(caption, id),
      el("ol", { role: "list" }, first.map((moment, index) => drawMoment(moment, `${id}-${index}`))),
      rest.length > 0 && fold(`rest-${id}`, `Show ${rest.length.toLocaleString("en")} earlier`,
        () => el("div", { class: "scroll", id: `scroll-${id}`, ...scrollAttributes(rest.length > FIRST_MOMENTS, `name-${id}`) },
          el("ol", { role: "list" }, rest.map((moment, index) => drawMoment(moment, `${id}-r${index}`))))));
  },
  table: ({ caption, columns, rows, searchable }, id) => el("div", { class: "block" }, blockName(caption, id,
      [rows.length > 1 && copyButton("", caption, { class: "copy copy-rows" }), searchable && [el("output", { "aria-live": "polite" }), el("input", { type: "search", id: `search-${id}`, placeholder: "Search",
        "aria-label": `Search ${caption}`, autocomplete: "off", spellcheck: "false", maxlength: 200 })]]),
    rows.length > 0 && el("div", { class: "scroll", id: `scroll-${id}`, ...scrollAttributes(rows.length > 6, `name-${id}`) },
      el("table", { role: "table", "aria-labelledby": `name-${id}` },
        el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map((name, index) => el("th", { scope: "col", role: "columnheader" },
          rows.length > 1 && name ? el("button", { type: "button", "data-order": String(index), title: "Sort" }, name) : name)))),
        el("tbody", { role: "rowgroup" }, rows.map((row) => el("tr", { role: "row" }, row.map((cell, index) => innerCell(index === 0, columns[index], cell)))))))),
};
// Few elements per cell: there can be thousands.
function innerCell(isHeading, label, cell) {
  const { kind, text = cell, iso, title } = cell;
  const drawn = kind === "time" ? el("time", { datetime: iso, title }, text) : cellOf(cell);
  return el(isHeading ? "th" : "td", { scope: isHeading ? "row" : null, role: isHeading ? "rowheader" : "cell", "data-label": label },
    text.length > WIDE_TEXT ? el("div", { class: "value" }, drawn) : drawn);
}

const drawBlock = (block, id) => BLOCKS[block.kind]?.(block, id) ?? [];
const blockName = (caption, id, tools) => el("div", { class: "name" }, el("p", { id: `name-${id}` }, caption), tools);
const list = (items) => el("dl", { class: "facts" }, items.map(([label, cell]) => el("div", {}, el("dt", { dir: "auto" }, label),
  el("dd", {}, cellOf(cell), cell.copy && copyButton(cell.text, label)))));
// A closed section; its content is built when it opens.
function fold(id, label, content) {
  const details = el("details", { id }, el("summary", {}, label));
  details.fill = () => details.append(content());
  return details;
}
const makeScroll = (text) => { text.classList.add("long"); text.tabIndex = 0; };
const scrollAttributes = (canScroll, name) => canScroll ? { tabindex: "0", role: "group", "aria-labelledby": name } : {};

// A timeline is drawn beside the other blocks where there is room.
function drawBlocks(blocks, serial) {
  const drawn = blocks.map((block, index) => [block, drawBlock(block, `${serial}-${index}`)]);
  const isTimeline = ([block]) => block.kind === "timeline";
  const nodes = (pairs) => pairs.map(([, node]) => node);
  return el("div", { class: "blocks" },
    el("div", {}, nodes(drawn.filter((pair) => !isTimeline(pair)))), nodes(drawn.filter(isTimeline)));
}

// Groups consecutive events of one moment under one time.
function byMoment(events) {
  const moments = [];
  for (const event of events) {
    if (moments.at(-1)?.[0].iso === event.iso) moments.at(-1).push(event);
    else moments.push([event]);
  }
  return moments;
}

const drawMoment = (events, id) => el("li", {}, el("time", { datetime: events[0].iso, title: events[0].exact_time }, events[0].when),
  events.map((event, index) => drawEvent(event, `${id}-${index}`)));

function drawEvent({ title, tone, icon: name, text, change, tags }, id) {
  const names = tags?.items ?? [], rest = names.slice(FIRST_NAMES);
  return el("div", { class: `event ${tone}` }, el("span", { class: "dot" }, name && icon(name)), el("div", {},
    el("p", { class: "title", dir: "auto" }, title),
    text && textSpan("text muted", text),
    change && el("p", { class: "change muted" }, el("bdi", {}, change[0]), " → ", el("bdi", {}, change[1])),
    names.length > 0 && el("p", { class: "tags" }, names.slice(0, FIRST_NAMES).map(tag)),
    rest.length > 0 && fold(`names-${id}`, `and ${(rest.length + tags.more).toLocaleString("en")} more`,
      () => el("p", { class: "tags" }, rest.map(tag), tags.more > 0 && el("span", { class: "more" }, `and ${tags.more.toLocaleString("en")} more`)))));
}
const loading = () => el("div", { class: "loading", role: "status" }, el("span", { class: "unseen" }, "Loading…"),
  el("i", {}), el("i", {}), el("i", {}));

// ---- curves, focus -------------------------------------------------------------------------------------------------

// A curve from zero to the largest value; null is a gap.
function curve(values, title) {
  const largest = Math.max(1, ...values), step = 100 / Math.max(1, values.length - 1);
  const path = values.map((value, index) => value == null ? "" :
    `${index && values[index - 1] != null ? "L" : "M"}${(index * step).toFixed(1)} ${(19 - 18 * value / largest).toFixed(1)}`).join("");
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 100 20", class: "course", preserveAspectRatio: "none", role: "img", "aria-label": title })) svg.setAttribute(key, value);
  svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("d", path);
  return svg;
}

// Saves focus, caret and scroll positions; the returned function restores them.
const isInSight = (element) => { const { top, bottom } = element.getBoundingClientRect(); return bottom > 0 && top < innerHeight; };
function saveFocus(root) {
  const tree = root.getRootNode();
  const active = root.contains(tree.activeElement) ? tree.activeElement : null;
  const caret = active?.type === "search" ? [active.selectionStart, active.selectionEnd] : null;
  const scrolled = [...root.querySelectorAll(".scroll")].filter((box) => box.scrollTop).map((box) => [box.id, box.scrollTop]);
  const wasInSight = active && isInSight(active);
  return () => {
    for (const [id, top] of scrolled) tree.getElementById(id)?.scrollTo(0, top);
    if (wasInSight && active.isConnected && !isInSight(active)) active.closest("tr")?.scrollIntoView({ block: "nearest" });
    if (!active || tree.activeElement === active) return;
    const target = tree.getElementById(active.id) ?? root;
    target.focus({ preventScroll: true });
    if (caret && target.type === "search") target.setSelectionRange(...caret);
  };
}
