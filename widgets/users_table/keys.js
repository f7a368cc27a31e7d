// Actions by a key, such as 1 for the first: on the marked rows or, without any, on the focused one.
// They are posted, so that they do not depend on the page: each at once, and what still waits, when the page
// is left. A row shows that its action is being saved, then that it is saved, until the server draws it again.

const RETRY_MS = 3000;
const REDRAW_MS = 1500; // after the last action
const MAX_TRIES = 4;
const MAX_KEPT_BYTES = 60_000; // that browsers still send from a page that is left

// Of all lists, as a list can be left while its actions are being saved.
const waiting = [], sent = [];
let isAway = false;

addEventListener("pagehide", () => post(true));
addEventListener("beforeunload", (event) => { if (isAway) event.preventDefault(); });

const unsaved = (view) => [...sent, ...waiting].filter((each) => each.view === view);

export function actOn(view, keys, [action, label], rows) {
  waiting.push({ id: `${Date.now()} ${Math.random()}`, view, keys, action, label, rows });
  if (!sent.length) post();
}

async function post(isLeft = false) {
  const batch = waiting.splice(0);
  if (!batch.length) return;
  sent.push(...batch);
  draw(batch);
  const body = JSON.stringify(batch.map(({ id, keys, action, rows }) => ({ ...keys.fields, id, action, rows })));
  try {
    const answer = await fetch(batch[0].keys.to, { method: "POST", body, keepalive: isLeft || body.length < MAX_KEPT_BYTES });
    if (answer.status >= 500) throw new Error(`${answer.status}`);
    end(batch, answer.ok ? await answer.json() : Array(batch.length).fill((await answer.text()).slice(0, 200)));
  } catch {
    forget(batch);
    waiting.unshift(...batch);
    isAway = true;
    draw(batch);
    setTimeout(post, RETRY_MS);
  }
}

function end(batch, problems) {
  isAway = false;
  forget(batch);
  batch.forEach(({ view, rows, action, label }, index) => {
    if (problems[index]) view.problems.push(problems[index]);
    for (const id of rows) showIn(view, id, action, ...(problems[index] ? ["Not saved", "bad", "alert"] : [label, "good", "check"]));
  });
  draw(batch);
  for (const view of new Set(batch.map((each) => each.view))) drawAgain(view);
  post();
}

const forget = (batch) => { for (const each of batch) sent.splice(sent.indexOf(each), 1); };
const draw = (batch) => { for (const view of new Set(batch.map((each) => each.view))) view.drawMarks(view); };

// The server draws the page when nothing more comes for a while. A page that it has lost asks again.
function drawAgain(view, tries = MAX_TRIES) {
  const { component } = view;
  clearTimeout(view.drawsAgain);
  view.drawsAgain = setTimeout(() => {
    if (unsaved(view).length || !view.table.isConnected || (tries < MAX_TRIES && view.component !== component)) return;
    if (isAiming(view)) return drawAgain(view, tries);
    view.component.setTriggerValue("done", true);
    if (tries > 1) drawAgain(view, tries - 1);
  }, tries < MAX_TRIES ? RETRY_MS : REDRAW_MS);
}

// Decided rows can leave the list, and then another row would come under the pointer.
const isAiming = ({ body }) => matchMedia("(hover: hover)").matches && body.querySelector(".choice:hover");

export function drawUnsaved(view) {
  for (const { rows, action, label } of unsaved(view)) for (const id of rows) showIn(view, id, action, `${label}…`, "ongoing", "spinner");
}

function showIn(view, id, action, text, tone, icon) {
  const entry = view.rows.get(id), { columns, marks } = view.component.data;
  const place = columns.findIndex(({ key }) => key === marks?.keys?.shown_in);
  if (!entry || place < 0) return;
  entry.drawn = null; // the server's next drawing replaces it
  const value = entry.row.cells[place + 1].querySelector(".value"), buttons = value.querySelectorAll("[data-choice]");
  if (!buttons.length) value.replaceChildren(...view.cellOf({ kind: "mark", text, tone, icon }).filter(Boolean));
  for (const button of buttons) {
    const isChosen = button.dataset.choice === action;
    button.setAttribute("aria-pressed", String(isChosen && tone !== "bad"));
    button.toggleAttribute("data-saving", isChosen && tone === "ongoing");
    button.title = isChosen ? text : "";
  }
}

// What the bar says: how many are being saved, that the server does not answer, and why some were not taken.
export function saidOf(view) {
  const count = unsaved(view).reduce((sum, { rows }) => sum + rows.length, 0), problems = [...new Set(view.problems)];
  const saving = count > 0 && (isAway ? `${count.toLocaleString("en")} not saved yet: Rollcall does not answer. Leave this page open.` : `Saving ${count.toLocaleString("en")}…`);
  return [saving, ...problems].filter(Boolean).join(" ");
}
