// Marked rows: their boxes, ranges by shift, and a bar of what can be done with them.
// Marks survive another page and order; they are dropped, and the bar says so, when the list is another one.
// Rows of other pages are known by what the table was sent for them when they were marked.

import { el, icon, putOnClipboard } from "./dom.js";
import { actOn, drawUnsaved, saidOf } from "./keys.js";

export const keysOfMarks = [["x", "Mark the row"], ["Shift  x", "Mark all rows up to this one"], ["m", "What to do with the marked rows"], ["Esc", "Clear the marks, with no row open"]];
const PLACES = 1000; // more than a page has rows

export function createMarks(view, openRows) {
  view.marks = { scope: null, all: false, rows: new Map(), total: null, last: null, note: "" };
  Object.assign(view, { openRows, drawMarks, problems: [] });
  view.bar = el("div", { class: "bar-of-marks", role: "region", "aria-label": "Marked rows", hidden: true });
  view.said = el("p", { class: "unseen", role: "status" });
  view.bar.addEventListener("click", (event) => {
    const { column, label, action } = event.target.closest("button")?.dataset ?? {};
    if (column) copyMarked(view, column, label);
    else if (action) {
      view.marks.isUsed = true;
      view.component.setTriggerValue("marked", [action, view.marks.all ? "all" : [...view.marks.rows.keys()]]);
    }
    if (column || event.target.closest("a")) event.target.closest("[popover]").hidePopover();
  });
}

const options = (view) => view.component.data.marks;
const count = (view) => (view.marks.all ? view.marks.total : view.marks.rows.size);
const isMarked = (view, entry) => view.marks.all || view.marks.rows.has(entry.id);
const number = (value) => value.toLocaleString("en");
const counted = (value, noun) => `${number(value)} ${value === 1 ? noun : `${noun}s`}`;

// ---- marking -------------------------------------------------------------------------------------------------------

export const rowBox = (entry, label) => markArea(entry.box = el("input", { type: "checkbox", class: "mark-box", id: `mark-${entry.serial}`, "aria-label": `Mark ${label}` }));
export const headBox = (view) => markArea(view.headBox = el("input", { type: "checkbox", class: "mark-box", id: "mark-page", "aria-label": "Mark all rows of this page" }));
const markArea = (box) => el("label", { class: "mark-area" }, box); // as large as a finger needs

// A press on a box: of a row, or of the page.
export function clickBox(view, entry, isRange) {
  (entry?.box ?? view.headBox).focus({ preventScroll: true });
  if (entry) markRow(view, entry, isRange);
  else {
    const entries = [...view.rows.values()], isWhole = entries.every((each) => isMarked(view, each));
    if (view.marks.all) clearMarks(view);
    else setMarks(view, entries, !isWhole);
  }
}

// The keys of actions, such as 1 for the first: for the list of keys.
export const keysOfActions = ({ actions }) => actions.filter(([, , key]) => key).map(([, label, key]) => [key, `${label}: the marked rows or this one`]);

// Returns whether the key was one of the marks; `next` if it also leads to the next row.
export function markByKey(view, event, entry) {
  if (!options(view)) return false;
  const action = options(view).actions.find(([, , key]) => key === event.key);
  if (action) return actByKey(view, action, entry);
  if (event.key.toLowerCase() === "x" && entry) markRow(view, entry, event.shiftKey);
  else if (event.key === "m" && !view.bar.hidden) [...view.bar.querySelectorAll("button:enabled")].find((each) => each.checkVisibility()).focus();
  else if (event.key === "Escape" && !view.open.size && !view.bar.hidden && !view.bar.querySelector(":popover-open")) clearMarks(view);
  else return false;
  return true;
}

// On the marked rows, or on this one. Without a name to decide under, and for a whole list, the server asks first.
function actByKey(view, action, entry) {
  const { marks } = view, { keys } = options(view), isOne = !count(view);
  if (isOne) return entry && actOnRow(view, action[0], entry) ? "next" : true;
  if (!keys || marks.all) view.component.setTriggerValue("marked", [action[0], marks.all ? "all" : [...marks.rows.keys()]]);
  else {
    actOn(view, keys, action, [...marks.rows.keys()]);
    clearMarks(view);
  }
  return true;
}

// By a key or a button of the row, whatever is marked. Returns whether it is done at once.
export function actOnRow(view, name, entry) {
  const { keys, actions } = options(view);
  if (keys) actOn(view, keys, actions.find(([each]) => each === name), [entry.id]);
  else view.component.setTriggerValue("marked", [name, [entry.id]]);
  return Boolean(keys);
}

function markRow(view, entry, isRange) {
  const entries = [...view.rows.values()], mark = !isMarked(view, entry);
  const place = entries.indexOf(entry), from = isRange ? entries.findIndex(({ id }) => id === view.marks.last) : -1;
  const range = from < 0 ? [entry] : entries.slice(Math.min(from, place), Math.max(from, place) + 1);
  setMarks(view, range, from < 0 ? mark : true);
  view.marks.last = entry.id;
}

function setMarks(view, entries, mark) {
  const { marks } = view, { most } = options(view);
  if (marks.all) { // all but these: of the other pages nothing is known, so the marks are those of this page
    marks.all = false;
    for (const each of view.rows.values()) marks.rows.set(each.id, each);
  }
  Object.assign(marks, { note: "", isUsed: false });
  for (const { id, link, texts } of entries) {
    if (!mark) marks.rows.delete(id);
    else if (marks.rows.size < most || marks.rows.has(id)) marks.rows.set(id, { link, texts });
    else marks.note = `At most ${counted(most, "row")} can be marked one by one.`;
  }
  drawMarks(view);
}

function markAll(view) {
  Object.assign(view.marks, { all: true, note: "" });
  view.marks.rows.clear();
  drawMarks(view);
  view.headBox.focus({ preventScroll: true });
}

export function clearMarks(view, note = "") {
  const hadFocus = view.bar.contains(view.bar.getRootNode().activeElement);
  view.marks.rows.clear();
  view.problems = [];
  Object.assign(view.marks, { all: false, last: null, isUsed: false, note });
  drawMarks(view);
  if (hadFocus) view.headBox.focus({ preventScroll: true });
}

// ---- the bar -------------------------------------------------------------------------------------------------------

export function drawMarks(view) {
  const { marks } = view, data = options(view);
  if (!data) return;
  if (marks.scope !== data.scope) {
    const dropped = count(view);
    Object.assign(marks, { scope: data.scope, total: null });
    if (dropped) return clearMarks(view, marks.isUsed ? "" : `Marks cleared (${number(dropped)}): the list has changed.`);
  }
  marks.total = data.total ?? marks.total;
  drawBoxes(view);
  drawUnsaved(view);
  drawBar(view);
}

function drawBoxes(view) {
  const entries = [...view.rows.values()], page = Number(view.component.data.page) || 0;
  let here = 0;
  entries.forEach((entry, index) => {
    const marked = isMarked(view, entry), known = view.marks.rows.get(entry.id);
    entry.box.checked = marked;
    entry.row.classList.toggle("marked", marked);
    if (known) Object.assign(known, { link: entry.link, texts: entry.texts, place: PLACES * page + index });
    here += marked;
  });
  view.headBox.checked = here > 0 && here === entries.length;
  view.headBox.indeterminate = here > 0 && here < entries.length;
  view.headBox.disabled = !entries.length;
}

function drawBar(view) {
  const { marks, bar } = view, data = options(view), marked = count(view);
  const offersAll = !marks.all && view.headBox.checked && (marks.total ?? Infinity) > marks.rows.size;
  if ((offersAll || marks.all) && data.total == null && marks.asked !== data) { // counted when it is wanted
    marks.asked = data;
    view.component.setTriggerValue("total", true);
  }
  const note = [marks.note, saidOf(view)].filter(Boolean).join(" ");
  bar.hidden = !marked && !note;
  view.said.textContent = [marked > 0 && `${number(marked)} marked.`, note].filter(Boolean).join(" ");
  const focused = bar.getRootNode().activeElement?.id;
  bar.replaceChildren(
    el("p", {}, marked > 0 && el("strong", {}, `${number(marked)} marked`), note && el("span", { class: "said" }, note)),
    ...(offersAll && marks.total ? [button("mark-all", `Select all ${number(marks.total)} that match`, () => markAll(view), { class: "link" })] : []),
    ...(marked && !view.headBox.checked ? [button("mark-whole-page", "Whole page", () => setMarks(view, [...view.rows.values()], true), { class: "link narrow" })] : []),
    ...(marked ? barActions(view, data) : []),
    button("clear-marks", marked ? "Clear" : "Close", () => clearMarks(view)),
  );
  if (focused && bar.getRootNode().activeElement?.id !== focused) bar.querySelector(`#${focused}`)?.focus({ preventScroll: true });
}

const button = (id, label, press, attributes = {}) => {
  const made = el("button", { type: "button", id, ...attributes }, label);
  if (press) made.addEventListener("click", press);
  return made;
};

function barActions(view, { copies, files, actions, list, most_at_once }) {
  const { marks } = view, marked = count(view), isLong = marks.all && marked > most_at_once;
  const limit = isLong ? `At most ${number(most_at_once)} at once.` : "";
  const openable = [...view.rows.values()].filter((entry) => isMarked(view, entry) && !view.open.has(entry.id)).map(({ id }) => id);
  return [
    ...(copies.length && (list || !marks.all) ? [menu("copy-marked", "Copy", limit, copies.map(([label, column]) => el("button", { type: "button", "data-column": column, "data-label": label }, label)))] : []),
    ...(files.length ? [menu("download-marked", "Download", "", files.map(([label, whole, part]) => el("a", { href: marks.all ? whole : `${part}&marked=${[...marks.rows.values()].map(({ link }) => link).join(",")}`, download: true }, label)))] : []),
    ...(view.component.data.opens === "details" ? [button("open-marked", "Open", () => { view.openRows(openable); drawMarks(view); }, { title: "Open the marked rows of this page", disabled: !openable.length })] : []),
    ...actions.map(([name, label]) => button(`do-${name}`, label, null, { "data-action": name, disabled: isLong, title: limit || null })),
  ].flat();
}

// A button, and above it a list of choices.
function menu(id, label, limit, choices) {
  const list = el("div", { popover: "auto", class: "choices" }, choices);
  const opener = el("button", { type: "button", id, "aria-expanded": "false", disabled: Boolean(limit), title: limit || null }, label, icon("fold"));
  opener.popoverTargetElement = list;
  list.addEventListener("toggle", ({ newState }) => {
    opener.setAttribute("aria-expanded", String(newState === "open"));
    const { left, top } = opener.getBoundingClientRect();
    list.style.left = `${Math.max(8, Math.min(left, innerWidth - list.offsetWidth - 8))}px`;
    list.style.bottom = `${innerHeight - top + 4}px`;
    if (newState === "open") list.firstElementChild.focus();
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!step) return;
    event.preventDefault();
    event.target[step]?.focus();
  });
  return [opener, list];
}

// ---- copying -------------------------------------------------------------------------------------------------------

async function copyMarked(view, column, label) {
  const { marks } = view, rows = [...marks.rows.values()].sort((one, other) => one.place - other.place);
  const gathered = marks.all ? textsOfList(options(view).list, column) : Promise.resolve(rows.map(({ texts }) => texts[column]));
  const filled = gathered.then((texts) => texts.filter(Boolean));
  marks.note = "Copying…";
  drawMarks(view);
  try {
    await putOnClipboard(filled.then((texts) => texts.join("\n")));
    const all = (await gathered).length, found = (await filled).length;
    const noun = label[0].toLowerCase() + label.slice(1, -1);
    marks.note = `Copied ${counted(found, noun)}.${all > found ? ` ${counted(all - found, "row")} without.` : ""}`;
  } catch { marks.note = "Nothing was copied. Try again, or download a file."; }
  drawMarks(view);
}

async function textsOfList(address, column) {
  const response = await fetch(`${address}&columns=${column}`);
  if (!response.ok) throw new Error(String(response.status));
  return (await response.json()).map((row) => row[column]);
}
