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
    opener = document.querySelector("[data-testid=stPopoverButton][aria-expanded=true]") ?? opener;
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
  // A page can ask to open another one by drawing a link for it (go_to in widgets/address.py): a link
  // leaves one entry in the browser's history, where st.switch_page leaves two.
  new MutationObserver(() => document.querySelector(".st-key-go:not([data-opened]) a")?.closest(".st-key-go")
    .toggleAttribute("data-opened", true) && document.querySelector(".st-key-go a").click())
    .observe(document.body, { childList: true, subtree: true });

  // Back, Forward and a reload return to where the reader was on the page. Streamlit scrolls an element
  // of its own, so the browser does not keep the place.
  const MAX_WAIT = 8000; // milliseconds until the page is as long as it was
  const main = () => document.querySelector("[data-testid=stMain]");
  let shown = location.href, isRestoring = false;
  const placeKey = () => `rollcall-place ${shown}`;
  const keepPlace = () => { if (!isRestoring) sessionStorage.setItem(placeKey(), String(main()?.scrollTop ?? 0)); };
  const [pushState, replaceState] = [history.pushState, history.replaceState].map((change) => change.bind(history));
  history.replaceState = (...entry) => {
    replaceState(...entry);
    shown = location.href;
  };
  history.pushState = (...entry) => {
    // Letters of one search are one step back.
    const [from, to] = [location.search, new URL(entry[2], location.href).search].map((text) => new URLSearchParams(text));
    const isSearching = from.get("q") && to.get("q") && document.activeElement?.closest(".st-key-q");
    if (isSearching) return history.replaceState(...entry);
    if (new URL(entry[2], location.href).pathname === location.pathname) keepPlace(); // else the click kept it
    pushState(...entry);
    shown = location.href;
  };
  function returnToPlace() {
    const place = Number(sessionStorage.getItem(placeKey())), started = performance.now();
    const hasMoved = new AbortController();
    for (const type of ["wheel", "touchstart", "keydown", "mousedown"]) addEventListener(type, () => hasMoved.abort(), { capture: true, signal: hasMoved.signal });
    isRestoring = true;
    (function restore() {
      isRestoring = !hasMoved.signal.aborted && performance.now() - started < MAX_WAIT;
      if (!isRestoring) return hasMoved.abort();
      const area = main();
      if (area && area.scrollHeight - area.clientHeight >= place) area.scrollTop = place;
      requestAnimationFrame(restore);
    })();
  }
  document.addEventListener("click", (event) => { if (event.target.closest("a")) keepPlace(); }, true);
  addEventListener("pagehide", keepPlace);
  addEventListener("popstate", () => {
    keepPlace();
    shown = location.href;
    returnToPlace();
  });
  if (performance.getEntriesByType("navigation")[0]?.type !== "navigate") returnToPlace();
  // The picture of a chart has its title, filter and date, which stand beside it on the page, and the
  // color behind it. Plotly copies the layout at the click.
  const TITLE_HEIGHT = 52; // pixels, as in widgets/health/charts.py
  document.addEventListener("click", (event) => {
    const layout = event.target.closest(".modebar-btn")?.closest(".js-plotly-plot")?.layout;
    if (!layout?.meta) return;
    const { title, margin, paper_bgcolor, font } = layout, { subtitle } = layout.meta;
    Object.assign(layout, {
      title: { text: `<b>${layout.meta.title}</b>`, subtitle: { text: subtitle }, x: 0, xanchor: "left", y: 1, yanchor: "top", pad: { t: 8, l: 8 } },
      margin: { ...margin, t: margin.t + TITLE_HEIGHT, l: margin.l + 12 }, paper_bgcolor: getComputedStyle(document.querySelector(".stApp")).backgroundColor,
      font: { ...font, family: "sans-serif" }, // a picture has no fonts of the page
    });
    setTimeout(() => Object.assign(layout, { title, margin, paper_bgcolor, font }));
  }, true);

  // Charts below the fold are drawn when they come near, or once the browser is idle, so that printing by
  // the browser's own menu finds them. Streamlit draws no chart without a width, and look/health.css gives
  // it none before.
  const IDLE_AFTER = 3000; // milliseconds without a new chart
  const frames = (state) => document.querySelectorAll(`[data-testid=stFullScreenFrame]:not([data-${state}])`);
  const drawAll = () => frames("near").forEach((frame) => frame.toggleAttribute("data-near", true));
  const nearness = new IntersectionObserver(
    (entries) => entries.forEach(({ target, isIntersecting }) => isIntersecting && target.toggleAttribute("data-near", true)),
    { rootMargin: "200px", scrollMargin: "200px" },
  );
  let idle;
  new MutationObserver(() => {
    const added = frames("awaited");
    if (!added.length) return;
    for (const frame of added) frame.toggleAttribute("data-awaited", true), nearness.observe(frame);
    clearTimeout(idle);
    idle = setTimeout(() => (globalThis.requestIdleCallback ?? setTimeout)(drawAll), IDLE_AFTER);
  }).observe(document.body, { childList: true, subtree: true });

  // Paper. Charts have a width in pixels, so they would be cut at the edge of the card. Report shows the
  // page in the width of the paper, and prints once the charts are drawn again. Printing by the browser's
  // own menu cannot wait: there each chart is scaled to its card.
  const page = document.documentElement;
  const charts = () => [...document.querySelectorAll(".js-plotly-plot")];
  const cardWidth = (chart) => chart.closest("[data-testid=stPlotlyChart]")?.clientWidth ?? chart.clientWidth;
  const drawnWidth = (chart) => chart.querySelector("svg.main-svg")?.clientWidth ?? 0;
  const isFitting = (chart) => Math.abs(drawnWidth(chart) - cardWidth(chart)) < 2;

  addEventListener("beforeprint", () => {
    page.classList.add("print");
    for (const chart of charts()) if (!isFitting(chart)) chart.style.zoom = cardWidth(chart) / drawnWidth(chart);
  });
  addEventListener("afterprint", () => {
    page.classList.remove("print");
    for (const chart of charts()) chart.style.zoom = "";
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".st-key-report button")) return;
    event.stopPropagation();
    page.classList.add("print");
    drawAll();
    const started = performance.now();
    (function printWhenDrawn() {
      const isDrawn = !document.querySelector("[data-testid=stSkeleton]") &&
        [...document.querySelectorAll("[data-testid=stFullScreenFrame]")].every((frame) => frame.querySelector("svg.main-svg, canvas")) &&
        charts().every(isFitting);
      if (isDrawn || performance.now() - started > MAX_WAIT) requestAnimationFrame(() => print());
      else requestAnimationFrame(printWhenDrawn);
    })();
  }, true);
  // The pages, the presets and the banner are one stop each for Tab: arrow keys move within them.
  const GROUPS = "[data-testid=stTopNav], .st-key-presets, .st-key-sample";
  document.addEventListener("keydown", (event) => {
    const group = event.target.closest?.(GROUPS), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!group || (event.key !== "Tab" && !step)) return;
    const items = [...group.querySelectorAll("a[href], button")].filter((item) => !item.disabled && item.checkVisibility());
    const others = items.filter((item) => item !== event.target);
    if (step) {
      event.preventDefault();
      items.at((items.indexOf(event.target) + step) % items.length)?.focus();
    } else {
      const before = others.map((item) => [item, item.getAttribute("tabindex")]);
      for (const [item] of before) item.tabIndex = -1;
      setTimeout(() => { for (const [item, value] of before) value === null ? item.removeAttribute("tabindex") : item.setAttribute("tabindex", value); });
    }
  }, true);
  // A link that copies itself, and a button that copies a text.
  document.addEventListener("click", (event) => {
    const copier = event.target.closest("a.copy-link, .copy-text");
    if (!copier || event.ctrlKey || event.metaKey || !navigator.clipboard) return;
    event.preventDefault();
    navigator.clipboard.writeText(copier.dataset.copy ?? copier.href).then(() => copier.toggleAttribute("data-copied", true));
  });
  // A filter that was chosen from a menu opens by itself.
  for (const type of ["pointerup", "keydown"]) document.addEventListener(type, (event) => {
    const isChosen = event.target.closest("[role=menuitem]") && [undefined, "Enter", " "].includes(event.key);
    if (isChosen) requestAnimationFrame(() => focusPopover(MAX_FRAMES));
  }, true);
  return true;
})();
