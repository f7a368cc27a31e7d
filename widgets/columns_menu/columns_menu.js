// A menu of columns: check boxes to choose them, dragged or moved by keys into order.
// The chosen columns stand first, in their order. All data becomes text nodes or inert attributes.

const FEW = 12; // columns that need no search
const menus = new WeakMap(); // root element -> menu that survives a redraw

export default function draw(component) {
  const root = component.parentElement.querySelector(".columns-menu");
  const menu = menus.get(root) ?? createMenu(root);
  menu.component = component;
  const { chosen, groups, isDefault } = component.data;
  if (!menu.isChanged) menu.chosen = chosen.map(([name]) => name); // else the reader is ahead of the server
  menu.labels = new Map([...groups.flatMap(([, columns]) => columns), ...chosen]);
  menu.groups = groups;
  menu.reset.disabled = isDefault;
  drawItems(menu);
}

function createMenu(root) {
  const menu = { root, items: new Map(), chosen: [], isChanged: false };
  const id = "columns-popover";
  menu.button = el("button", { type: "button", class: "opener", "aria-haspopup": "dialog", "aria-expanded": "false" }, icon("M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10"), el("span", {}, "Columns"));
  menu.search = el("input", { type: "search", placeholder: "Search columns", "aria-label": "Search columns", autocomplete: "off", maxlength: 200 });
  menu.list = el("ul", { class: "chosen", role: "list", "aria-label": "Shown columns, in order" });
  menu.others = el("div", { class: "others" });
  menu.reset = el("button", { type: "button", class: "reset" }, "Usual columns");
  menu.status = el("span", { class: "unseen", role: "status" });
  menu.popover = el("div", { id, popover: "auto", role: "dialog", "aria-label": "Columns" },
    el("p", { class: "hint" }, "On the page and in downloads. Drag to order, or use the arrow keys on a handle."),
    menu.search, menu.list, menu.others, menu.reset, menu.status);
  root.replaceChildren(menu.button, menu.popover);
  menu.button.popoverTargetElement = menu.popover;
  menu.popover.addEventListener("toggle", (event) => handleToggle(menu, event.newState === "open"));
  menu.popover.addEventListener("change", (event) => { if (event.target.name) choose(menu, event.target.name, event.target.checked); });
  menu.search.addEventListener("input", () => drawItems(menu));
  menu.reset.addEventListener("click", () => { menu.isChanged = false; send(menu, []); });
  menu.list.addEventListener("keydown", (event) => handleKey(menu, event));
  menu.list.addEventListener("pointerdown", (event) => startDrag(menu, event));
  menus.set(root, menu);
  return menu;
}

function handleToggle(menu, isOpen) {
  menu.button.setAttribute("aria-expanded", String(isOpen));
  menu.component.setStateValue("open", isOpen);
  if (!isOpen) return void (menu.isChanged = false);
  const { bottom, right, left } = menu.button.getBoundingClientRect();
  const { style } = menu.popover;
  style.top = `${bottom + 4}px`;
  style.left = `${Math.max(8, Math.min(left, right - menu.popover.offsetWidth))}px`;
  style.maxHeight = `calc(100dvh - ${bottom + 20}px)`;
  menu.search.value = "";
  drawItems(menu);
  (menu.popover.querySelector("input:not([hidden])"))?.focus();
}

// ---- choice and order ----------------------------------------------------------------------------------------------

function choose(menu, name, isChosen) {
  const others = menu.chosen.filter((other) => other !== name);
  change(menu, isChosen ? [...others, name] : others);
}

function change(menu, chosen) {
  menu.chosen = chosen;
  menu.isChanged = true;
  drawItems(menu);
  send(menu, chosen);
}

const send = (menu, chosen) => menu.component.setTriggerValue("columns", chosen);

function handleKey(menu, event) {
  const name = event.target.closest(".handle")?.dataset.of, place = menu.chosen.indexOf(name), last = menu.chosen.length - 1;
  const target = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: last }[event.key];
  if (place < 0 || target === undefined) return;
  event.preventDefault();
  if (target >= 0 && target <= last && target !== place) {
    change(menu, moved(menu.chosen, place, target));
    menu.items.get(name).handle.focus();
  }
  menu.status.textContent = `${menu.labels.get(name)}: ${menu.chosen.indexOf(name) + 1} of ${last + 1}`;
}

function moved(names, from, to) {
  const rest = names.filter((_, index) => index !== from);
  return [...rest.slice(0, to), names[from], ...rest.slice(to)];
}

// The list follows the pointer; the order is sent when the handle is let go.
function startDrag(menu, event) {
  const handle = event.target.closest(".handle"), before = menu.chosen;
  if (!handle || event.button) return;
  event.preventDefault();
  handle.focus();
  handle.setPointerCapture(event.pointerId);
  const item = menu.items.get(handle.dataset.of).item, ended = new AbortController();
  item.classList.add("dragged");
  const follow = ({ clientY }) => {
    const others = [...menu.list.children].filter((other) => other !== item && !other.hidden);
    const next = others.find((other) => { const { top, height } = other.getBoundingClientRect(); return clientY < top + height / 2; });
    if (item.nextElementSibling !== (next ?? null)) menu.list.insertBefore(item, next ?? null);
  };
  const end = () => {
    ended.abort();
    item.classList.remove("dragged");
    const chosen = [...menu.list.children].map((child) => child.dataset.name);
    if (chosen.join("\n") !== before.join("\n")) change(menu, chosen);
  };
  handle.addEventListener("pointermove", follow, { signal: ended.signal });
  for (const type of ["pointerup", "pointercancel"]) handle.addEventListener(type, end, { signal: ended.signal });
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function drawItems(menu) {
  const wanted = searchKey(menu.search.value.trim()), { chosen, labels } = menu;
  const isFound = (name) => searchKey(labels.get(name) ?? name).includes(wanted);
  const focused = menu.root.getRootNode().activeElement;
  for (const name of labels.keys()) if (!menu.items.has(name)) menu.items.set(name, createItem(name, labels.get(name)));
  for (const [name, { item, box, handle }] of menu.items) {
    const isChosen = chosen.includes(name);
    box.checked = isChosen;
    box.disabled = isChosen && chosen.length === 1;
    handle.hidden = !isChosen;
    item.hidden = !isFound(name);
  }
  setChildren(menu.list, chosen.filter((name) => menu.items.has(name)).map((name) => menu.items.get(name).item));
  setChildren(menu.others, menu.groups.flatMap(([heading, columns]) => {
    const rest = columns.map(([name]) => name).filter((name) => !chosen.includes(name)), found = rest.filter(isFound);
    if (!found.length) return [];
    return [el("p", { class: "heading" }, heading), el("ul", { role: "list", "aria-label": heading }, rest.map((name) => menu.items.get(name).item))];
  }));
  menu.search.hidden = labels.size <= FEW;
  if (focused && focused !== menu.root.getRootNode().activeElement && focused.isConnected) focused.focus();
}

function createItem(name, label) {
  const box = el("input", { type: "checkbox", name });
  const handle = el("button", { type: "button", class: "handle", "data-of": name, "aria-label": `Move ${label}`, title: "Drag, or use the arrow keys" }, icon("M6 3.5v.01M10 3.5v.01M6 8v.01M10 8v.01M6 12.5v.01M10 12.5v.01"));
  return { box, handle, item: el("li", { "data-name": name }, el("label", {}, box, el("span", { dir: "auto", title: label }, label)), handle) };
}

// Ignores case and accents.
const searchKey = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function setChildren(parent, nodes) {
  const kept = new Set(nodes);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  nodes.forEach((node, index) => { if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null); });
}

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.flat(2).filter(Boolean)); // strings become text nodes
  return element;
}

function icon(path) {
  const NAMESPACE = "http://www.w3.org/2000/svg", svg = document.createElementNS(NAMESPACE, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" })) svg.setAttribute(key, value);
  svg.appendChild(document.createElementNS(NAMESPACE, "path")).setAttribute("d", path);
  return svg;
}
