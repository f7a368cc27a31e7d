// Keyboard and mouse fixes for Streamlit; installed once per tab.
globalThis.rollcallInput ??= (() => {
  // Streamlit keeps the focus on the button that opens a popover, and appends the content to the end of
  // the page: keyboard users would have to tab through the whole table. So a key that opens a popover
  // moves the focus into it, and Tab on its last element moves the focus back to the button.
  const MAX_FRAMES = 120; // until the popover is open
  const FOCUSABLE = "a[href], button, input, select, textarea, [tabindex]";
  let opener;

  function focusPopover(frames) {
    const body = document.querySelector("[data-testid=stPopoverBody]");
    if (!body && frames) requestAnimationFrame(() => focusPopover(frames - 1));
    if (!body) return;
    body.tabIndex = -1;
    body.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    const body = event.target.closest("[data-testid=stPopoverBody]");
    const button = event.target.closest("[data-testid=stPopoverButton][aria-expanded=false]");
    if (button && (event.key === "Enter" || event.key === " ")) {
      opener = button;
      requestAnimationFrame(() => focusPopover(MAX_FRAMES));
    } else if (body && event.key === "Tab" && opener?.isConnected) {
      const elements = [...body.querySelectorAll(FOCUSABLE)].filter((element) => element.tabIndex >= 0 && !element.disabled);
      const ends = event.shiftKey ? [elements[0], body] : [elements.at(-1)];
      if (!ends.includes(event.target)) return;
      event.preventDefault();
      opener.focus();
    }
  }, true);

  // A click on a chart opens another page. The second click of a double click would arrive while that
  // page is drawn, and Streamlit would return to the old page and show it empty.
  document.addEventListener("mousedown", (event) => {
    if (event.detail > 1 && event.target.closest(".js-plotly-plot")) event.stopPropagation();
  }, true);
  return true;
})();
