// A new source of any type: the types, and what each needs, are what the API says of itself.

import { description, post, sources } from "./api.js";
import { field, fill, h, heading, select, toast } from "./dom.js";
import { typeWords } from "./format.js";
import { fieldsOf, resolved } from "./form.js";

const SHARED = ["database_name", "embedding", "embedding_model", "chunking", "name"];

export async function show({ session, values }) {
  const document = await description();
  const schema = document.components.schemas.CreateSourcePayload;
  const types = Object.keys(schema.properties).filter((name) => !SHARED.includes(name) && name !== "file_upload");
  const chosen = types.includes(values.get("type")) ? values.get("type") : types[0];
  const kind = select(types.map((name) => [name, typeWords(name)]), chosen, { id: "type", onchange: () => draw() });
  const databases = session.databases ?? ["default_database"];
  const database = h("input", { id: "database", value: databases[0], required: true, spellcheck: "false", list: "databases" });
  const name = h("input", { id: "name", spellcheck: "false", maxlength: 100, placeholder: "none" });
  const place = h("div", { class: "stack" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  let own = null;

  const draw = () => {
    const type = resolved(schema.properties[kind.value], document);
    own = fieldsOf(type, document);
    fill(place, h("p", { class: "help" }, type.description.replaceAll("`", "")), own.nodes);
  };

  const shared = fieldsOf({ properties: Object.fromEntries(["embedding", "chunking"].map((name) => [name, schema.properties[name]])) }, document);
  const send = async (event) => {
    event.preventDefault();
    const submit = event.submitter;
    problem.hidden = true;
    submit.disabled = true;
    try {
      const made = await post("sources", { database_name: database.value, ...(name.value ? { name: name.value } : {}), ...shared.read(), [kind.value]: own.read() });
      await sources(true);
      toast(made.notice ?? "The source is there.");
      location.hash = `#/sources/${made.source_id}`;
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    } finally {
      submit.disabled = false;
    }
  };
  draw();
  return [
    heading("Add a source", "Its documents are parsed, embedded and written to a collection, and from then on kept equal to it."),
    h("form", { class: "card stack", id: "add-source", onsubmit: send },
      h("div", { class: "inline" }, field("Type", kind), field("Database", database), field("Name", name), h("datalist", { id: "databases" }, databases.map((name) => h("option", { value: name })))),
      place,
      h("details", null, h("summary", null, `Embedding and chunking (usual: ${session.default_model})`), h("div", { class: "stack" }, shared.nodes)),
      problem,
      h("div", { class: "actions" }, h("button", { class: "primary" }, "Add the source"), h("a", { class: "button", href: "#/sources" }, "Leave it"))),
    h("p", { class: "quiet" }, "Files are not a place: ", h("a", { href: "#/sources/upload" }, "upload them"), "."),
  ];
}
