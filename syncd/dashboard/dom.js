// Elements are made of text and attributes only: nothing here, or in any other module, parses HTML.

/** Make an element. Attributes that are functions are listeners, `true` means present, `null`, `undefined` and `false` absent. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...nodes(children));
  return element;
}

/** Flatten children; what is null or false is left out. */
function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/** Replace an element's children. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Say something for a moment; screen readers read it. */
export function toast(text, kind = "good") {
  const shown = h("div", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "bad" ? 12000 : 5000);
}

/** Ask before something that cannot be undone; resolves to whether to do it. */
export function confirmed(title, text, action, kind = "danger") {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "ask", "aria-label": title, onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      h("h2", null, title), h("p", null, text),
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => dialog.close("no") }, "Keep as it is"),
        h("button", { type: "button", class: kind, onclick: () => dialog.close("yes") }, action)));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Ask for a word; resolves to it, or to null. */
export function asked(title, label, action) {
  return new Promise((resolve) => {
    const input = h("input", { required: true, spellcheck: "false", autocomplete: "off" });
    const send = (event) => { event.preventDefault(); dialog.close("yes"); };
    const dialog = h("dialog", { "aria-label": title, onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes" ? input.value.trim() : null); } },
      h("form", { onsubmit: send }, h("h2", null, title), field(label, input),
        h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close("no") }, "Leave it"), h("button", { class: "primary" }, action))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A button that does something once at a time, and says what went wrong. */
export function button(label, work, attributes = {}) {
  const element = h("button", { type: "button", ...attributes, onclick: async () => {
    element.disabled = true;
    try { await work(); } catch (error) { toast(error.message, "bad"); } finally { element.disabled = false; }
  } }, label);
  return element;
}

/** A table with a caption for screen readers. `columns` are headings; a heading that starts with "#" is of numbers. */
export function table(caption, columns, rows, empty) {
  const heads = columns.map((name) => h("th", { scope: "col", class: name.startsWith("#") ? "number" : null }, name.replace("#", "")));
  const body = h("tbody", null, rows.length ? rows : h("tr", null, h("td", { class: "empty", colspan: columns.length }, empty)));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", null, h("caption", { class: "unseen" }, caption), h("thead", null, h("tr", null, heads)), body));
}

/** A row of a table: cells are nodes, texts, or [text, class]. */
export function row(...cells) {
  return h("tr", null, cells.map((cell) => (Array.isArray(cell) ? h("td", { class: cell[1] }, cell[0]) : h("td", null, cell))));
}

export function badge(text, kind) {
  return h("span", { class: `badge ${kind}` }, text);
}

/** What a page is, with what can be done on it. */
export function heading(title, subtitle, ...actions) {
  return h("div", { class: "heading" },
    h("div", null, h("h1", { tabindex: -1 }, title), subtitle ? h("p", { class: "quiet" }, subtitle) : null),
    h("div", { class: "actions" }, actions));
}

export function section(title, ...children) {
  return h("section", { class: "card" }, h("h2", null, title), children);
}

/** Buttons to the pages before and after; lists are never loaded whole. */
export function pager(offset, size, got, go) {
  if (offset === 0 && got < size) return null;
  return steps(got ? `${(offset + 1).toLocaleString("en")}–${(offset + got).toLocaleString("en")}` : "nothing more",
    offset === 0 ? null : () => go(Math.max(0, offset - size)), got < size ? null : () => go(offset + size));
}

/** The same for a list whose pages are not counted: where one is, and what goes back and further, if anything does. */
export function steps(where, back, further) {
  const step = (go) => () => { isStepping = true; return go(); };
  return h("nav", { class: "pager", "aria-label": "Parts of the list" },
    h("button", { type: "button", disabled: !back, onclick: step(back) }, "← Back"),
    h("span", { class: "quiet" }, where),
    h("button", { type: "button", disabled: !further, onclick: step(further) }, "Further →"));
}

/** Whether somebody has asked for another page of a list, which is not shown yet. */
let isStepping = false;

/** Put the focus on the first entry of a page of a list that was stepped to, where whoever has no mouse goes on; return whether there was one. */
export function landed(place) {
  const first = isStepping ? place.querySelector("tbody tr, .chunk") : null;
  isStepping = false;
  if (!first) return false;
  first.tabIndex = -1;
  first.focus();
  return true;
}

/** A labelled input, select or textarea. */
export function field(label, input, help) {
  input.id ||= `f${field.made = (field.made ?? 0) + 1}`;
  if (help) input.setAttribute("aria-describedby", `${input.id}-help`);
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input,
    help ? h("p", { class: "help", id: `${input.id}-help` }, help) : null);
}

export function select(options, value, attributes = {}) {
  return h("select", attributes, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
}

export function link(url, ...children) {
  return /^https?:\/\//i.test(url) ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, children) : h("span", null, children);
}
