// Asks every few seconds whether the store has changed since the page was drawn, and draws it again then.
// The same where the session has ended or there is no store to read: the page then says why.

const EVERY = 3000; // milliseconds
const ANSWERS = [200, 401, 403, 503]; // statuses
const timers = new WeakMap(); // root element -> the timer of the page as drawn last

export default function follow({ data, parentElement: root, setTriggerValue }) {
  const timer = setInterval(async () => {
    const change = await lastChange();
    const isStillDrawn = timers.get(root) === timer;
    if (isStillDrawn && change !== undefined && change !== data.last_change) setTriggerValue("news", true);
  }, EVERY);
  clearInterval(timers.get(root));
  timers.set(root, timer);
  return () => {
    clearInterval(timer);
    if (timers.get(root) === timer) timers.delete(root);
  };
}

async function lastChange() {
  const answer = await fetch("last-change").catch(() => undefined); // without a server, Streamlit shows a message
  const isFromRollcall = answer?.headers.get("Content-Type")?.startsWith("text/plain"); // not from a proxy
  return isFromRollcall && ANSWERS.includes(answer.status) ? answer.text() : undefined;
}
