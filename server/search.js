// The search that opens from every page: by its button, with Ctrl K, and with "/" where the page has no
// search box of its own. It follows each letter, and lists accounts by person. widgets/search_button.py
// draws the button for who may see accounts. All data becomes text nodes.
globalThis.rollcallSearch ??= (() => {
  const button = () => document.querySelector(".search-button");
  const el = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.flat().filter(Boolean));
    return element;
  };
  const input = el("input", { type: "search", role: "combobox", "aria-label": "Search all accounts", "aria-expanded": "true", "aria-autocomplete": "list",
    "aria-controls": "search-results", autocomplete: "off", spellcheck: "false", maxlength: "200" });
  const results = el("div", { id: "search-results", role: "listbox", "aria-label": "Accounts by person" });
  const status = el("p", { role: "status" });
  const dialog = el("dialog", { class: "search", "aria-label": "Search" }, input, results, status);
  let asking, wanted = "", shown = "", onAnswer;

  function open() {
    if (dialog.open) return;
    if (!dialog.isConnected) document.body.append(dialog);
    input.placeholder = button().dataset.hint;
    dialog.showModal();
    input.select();
    ask();
  }

  async function ask() {
    wanted = input.value.trim();
    onAnswer = undefined;
    asking?.abort();
    if (!wanted) return draw({ people: [] });
    asking = new AbortController();
    const { signal } = asking;
    try {
      const answer = await fetch(`search?${new URLSearchParams({ q: wanted })}`, { signal });
      if (answer.ok && answer.headers.get("Content-Type").includes("json")) draw(await answer.json());
      else say((await answer.text()).slice(0, 200));
    } catch (error) {
      if (!signal.aborted) say("Rollcall does not answer. Try again.");
    }
  }

  const say = (text) => { results.replaceChildren(); status.textContent = text; };

  function draw({ people, accounts, address }) {
    results.replaceChildren(...people.flatMap(drawPerson), ...(accounts ? [option(address, "all", [el("span", {}, allText(accounts))])] : []));
    status.textContent = wanted && !accounts ? "No accounts match." : "";
    results.scrollTop = 0;
    choose(options()[0]);
    shown = wanted;
    onAnswer?.();
    onAnswer = undefined;
  }

  const allText = (count) => count === 1 ? "Show 1 account in Users" : `Show all ${count.toLocaleString("en")} accounts in Users`;

  // A person with one account is one line. With several, each has a line below the person's.
  function drawPerson({ name, email, address, accounts, count }) {
    if (count === 1) return [accountLine(accounts[0], name || accounts[0].username, name ? email || accounts[0].username : "")];
    const more = count - accounts.length;
    return [option(address, "person", [el("bdi", { class: "name" }, name), el("bdi", { class: "muted" }, email), el("span", { class: "end" }, `${count} accounts`)]),
      ...accounts.map((account) => accountLine(account, account.username, "", "nested")),
      ...(more > 0 ? [option(address, "nested muted", [el("span", {}, `${more} more`)])] : [])];
  }

  const accountLine = ({ app, state, phase, matched, address }, title, subtitle, kind = "") => option(address, kind, [
    el("bdi", { class: "name" }, title), subtitle && el("bdi", { class: "muted" }, subtitle), ...matched.filter((text) => text !== title && text !== subtitle).map((text) => el("bdi", { class: "matched" }, text)),
    el("span", { class: "end" }, el("bdi", {}, app), el("span", { class: `state ${phase}` }, state))]);

  function option(address, kind, children) {
    const link = el("a", { href: address, class: kind, role: "option", tabindex: "-1", id: `search-${results.dataset.serial = Number(results.dataset.serial ?? 0) + 1}` }, children);
    link.addEventListener("pointermove", () => choose(link));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      dialog.close();
      // Streamlit opens an address as it does after Back: without a reload.
      history.pushState(null, "", new URL(address, location.href));
      dispatchEvent(new PopStateEvent("popstate"));
    });
    return link;
  }

  const options = () => [...results.children];
  function choose(link) {
    for (const other of options()) other.setAttribute("aria-selected", String(other === link));
    if (link) input.setAttribute("aria-activedescendant", link.id);
    else input.removeAttribute("aria-activedescendant");
    link?.scrollIntoView({ block: "nearest" });
  }

  input.addEventListener("input", ask);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation(); // Streamlit and the table have keys of their own
    const chosen = options().findIndex((link) => link.ariaSelected === "true");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options().length) choose(options().at((chosen + step) % options().length));
    else if (event.key === "Enter") follow(event);
    else return;
    event.preventDefault();
  });
  // Who types and presses Enter at once means what the list shows next.
  function follow({ ctrlKey, metaKey }) {
    if (shown !== wanted) return onAnswer = () => follow({ ctrlKey, metaKey });
    options().find((link) => link.ariaSelected === "true")?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ctrlKey, metaKey }));
  }
  document.addEventListener("click", (event) => { if (event.target.closest(".search-button")) open(); });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.composedPath()[0].matches?.("input, textarea, select, [contenteditable]");
    const isChord = event.ctrlKey || event.metaKey;
    const isSlash = event.key === "/" && !isChord && !isTyping, isK = event.key.toLowerCase() === "k" && isChord;
    const box = isSlash && document.querySelector(".st-key-q input");
    if (!box && !(isK || isSlash) || !box && !button()) return;
    event.preventDefault();
    if (box) box.focus(), box.select();
    else open();
  });
  return true;
})();
