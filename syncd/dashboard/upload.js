// Files that are dropped or chosen: each becomes a run of its own.

import { call } from "./api.js";
import { badge, field, fill, h, heading, section } from "./dom.js";
import { bytes } from "./format.js";

export async function show({ session }) {
  const database = h("input", { value: session.databases?.[0] ?? "default_database", required: true, spellcheck: "false" });
  const collection = h("input", { value: "files", required: true, spellcheck: "false" });
  const listed = h("ul", { class: "hits", "aria-live": "polite" });
  const chosen = h("input", { type: "file", multiple: true, id: "files", onchange: () => take(chosen.files) });
  const zone = h("div", { class: "drop", id: "drop",
    ondragover: (event) => { event.preventDefault(); zone.classList.add("over"); },
    ondragleave: () => zone.classList.remove("over"),
    ondrop: (event) => { event.preventDefault(); zone.classList.remove("over"); take(event.dataTransfer.files); } },
  h("label", { for: "files" }, "Drop files here, or choose them"), chosen,
  h("p", { class: "help" }, "Up to 200 MB each: PDF, Office, HTML, Markdown, mails, pictures, code and more."));

  let queue = Promise.resolve();
  const take = (files) => {
    for (const file of files) {
      const state = h("span", null, badge("waits", "wait"));
      listed.append(h("li", { class: "hit" }, h("p", null, h("strong", null, file.name), " ", h("span", { class: "quiet" }, bytes(file.size)), " ", state)));
      // One after the other: the daemon takes few at once.
      queue = queue.then(() => send(file, state));
    }
  };
  const send = async (file, state) => {
    fill(state, badge("uploading", "busy"));
    const form = new FormData();
    form.append("database_name", database.value);
    form.append("collection_name", collection.value);
    form.append("file", file, file.name);
    try {
      const { invocation_id } = await call("POST", "add-file", form, { headers: { "x-upload-content-length": String(file.size) } });
      fill(state, badge("uploaded", "good"), " ", h("a", { href: `#/runs/${invocation_id}` }, "its run"));
    } catch (error) {
      fill(state, badge("refused", "bad"), " ", h("span", { class: "problem" }, error.message));
    }
  };
  return [
    heading("Upload files", "They are kept and indexed as they are; a file of the same name replaces the one before."),
    section("Where to", h("div", { class: "inline" }, field("Database", database), field("Collection", collection))),
    zone, listed,
  ];
}
