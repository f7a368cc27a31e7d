// What keyboard and mouse need beyond Streamlit; once in a tab, however often the page is drawn.
globalThis.rollcallInput ??= (() => {
  // Streamlit leaves the focus on the button that opens a popover, and puts the content at the end of
  // the page: a keyboard would have to walk through the whole table to get there. So the focus goes in
  // with who opens it by a key, and comes back to the button behind the last thing in it.
  const LOOKS = 120; // frames in which it may open
  const FOCUSABLE = "a[href], button, input, select, textarea, [tabindex]";
  let opener;

  function enter(looks) {
    const body = document.querySelector("[data-testid=stPopoverBody]");
    if (!body && looks) requestAnimationFrame(() => enter(looks - 1));
    if (!body) return;
    body.tabIndex = -1;
    body.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    const body = event.target.closest("[data-testid=stPopoverBody]");
    const button = event.target.closest("[data-testid=stPopoverButton][aria-expanded=false]");
    if (button && (event.key === "Enter" || event.key === " ")) {
      opener = button;
      requestAnimationFrame(() => enter(LOOKS));
    } else if (body && event.key === "Tab" && opener?.isConnected) {
      const inside = [...body.querySelectorAll(FOCUSABLE)].filter((each) => each.tabIndex >= 0 && !each.disabled);
      const last = event.shiftKey ? [inside[0], body] : [inside.at(-1)];
      if (!last.includes(event.target)) return;
      event.preventDefault();
      opener.focus();
    }
  }, true);

  // A mark of a chart leads to another page. The second half of a double click would come while that
  // is being drawn, and Streamlit would go back for it, and leave an empty page.
  document.addEventListener("mousedown", (event) => {
    if (event.detail > 1 && event.target.closest(".js-plotly-plot")) event.stopPropagation();
  }, true);
  return true;
})();
