// Asks every few seconds whether anything was loaded since the page was drawn, and has it drawn again then;
// also where the server says that the session has ended, or that there is nothing to read: the page tells why.

const EVERY = 3000; // milliseconds
const IS_NEWS = [200, 401, 403, 503]; // statuses
const timers = new WeakMap(); // root element -> the timer of the page as it was drawn last

export default function follow({ data, parentElement: root, setTriggerValue }) {
  const timer = setInterval(async () => {
    const told = await lastChange();
    const isStillDrawn = timers.get(root) === timer;
    if (isStillDrawn && told !== undefined && told !== data.last_change) setTriggerValue("news", true);
  }, EVERY);
  clearInterval(timers.get(root));
  timers.set(root, timer);
  return () => {
    clearInterval(timer);
    if (timers.get(root) === timer) timers.delete(root);
  };
}

async function lastChange() {
  const answer = await fetch("last-change").catch(() => undefined); // the server is away: Streamlit says so
  const isFromRollcall = answer?.headers.get("Content-Type")?.startsWith("text/plain"); // not from a proxy
  return isFromRollcall && IS_NEWS.includes(answer.status) ? answer.text() : undefined;
}
