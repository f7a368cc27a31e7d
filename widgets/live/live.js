// Checks every few seconds whether a snapshot was loaded since the page was drawn, and reruns the page if so.
// It also reruns the page when the session has ended or the store is closed: the page then explains why.
// A rerun ends the run of a press, which is then lost, and closes a dialog with what is typed there: both come first.

const INTERVAL = 3000; // milliseconds
const PRESS = 1000; // milliseconds until Streamlit says that a press runs, at most
const CHANGES = [200, 401, 403, 503]; // statuses that can mean a change
const COMES_FIRST = '[data-test-script-state="running"], [data-testid="stDialog"]';
const timers = new WeakMap(); // root element -> timer of the last draw
let pressedAt = -PRESS;
for (const press of ["click", "keydown"])
  document.addEventListener(press, () => { pressedAt = performance.now(); }, { capture: true });

export default function follow({ data, parentElement: root, setTriggerValue }) {
  const timer = setInterval(async () => {
    const change = await lastChange();
    const isCurrent = timers.get(root) === timer;
    if (isCurrent && canRerun() && change !== undefined && change !== data.last_change) setTriggerValue("update", true);
  }, INTERVAL);
  clearInterval(timers.get(root));
  timers.set(root, timer);
  return () => {
    clearInterval(timer);
    if (timers.get(root) === timer) timers.delete(root);
  };
}

function canRerun() {
  return performance.now() - pressedAt > PRESS && !document.querySelector(COMES_FIRST);
}

async function lastChange() {
  const response = await fetch("last-change").catch(() => undefined); // Streamlit reports a lost server
  const isFromRollcall = response?.headers.get("Content-Type")?.startsWith("text/plain"); // not from a proxy
  return isFromRollcall && CHANGES.includes(response.status) ? response.text() : undefined;
}
