// Forms made of the API's own schemas, so that a new source type or setting needs no line here.

import { field, h, select } from "./dom.js";

/** Follow references, and take null out of what may be null. */
export function resolved(schema, document) {
  if (schema.$ref) return resolved({ ...document.components.schemas[schema.$ref.split("/").at(-1)], ...without(schema, "$ref") }, document);
  const options = schema.anyOf?.filter((option) => option.type !== "null");
  return options?.length === 1 ? resolved({ ...options[0], ...without(schema, "anyOf"), isNullable: true }, document) : schema;
}

function without(schema, name) {
  const { [name]: _, ...rest } = schema;
  return rest;
}

const words = (name) => name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase()).replace(/ s$/, " (seconds)").replace(/\burl\b/i, "URL");
/** What keeps a source in step, or says where it goes, is asked for with what is required. */
const EARLY = new Set(["watch", "schedule", "collection_name", "auto_sync"]);
const isSecret = (name) => /secret|token|credential$|_key$/.test(name);

/** Return the fields of an object's schema, and what reads their values: what was not filled in is left out. Required ones come first. */
export function fieldsOf(schema, document, path = "") {
  const required = new Set(schema.required ?? []);
  const made = Object.entries(schema.properties ?? {}).map(([name, given]) => {
    const inner = resolved(given, document);
    return { name, isRequired: required.has(name), ...fieldOf(name, inner, document, `${path}${name}`, required.has(name)) };
  });
  const read = () => {
    const values = {};
    for (const { name, value } of made) {
      const found = value();
      if (found !== undefined) values[name] = found;
    }
    return values;
  };
  const [first, more] = [made.filter((it) => it.isRequired || EARLY.has(it.name)), made.filter((it) => !it.isRequired && !EARLY.has(it.name))];
  const optional = more.length ? first.length ? h("details", null, h("summary", null, "More settings"), h("div", { class: "stack" }, more.map((it) => it.node))) : more.map((it) => it.node) : null;
  return { nodes: [first.map((it) => it.node), optional], read };
}

function fieldOf(name, schema, document, path, isRequired) {
  const label = words(name);
  const help = schema.description?.replaceAll("`", "");
  const common = { name: path, required: isRequired };
  if (schema.properties) return objectField(label, help, schema, document, path, isRequired);
  if (schema.enum) {
    const input = select([...(isRequired ? [] : [["", "as usual"]]), ...schema.enum.map((it) => [it, it])], isRequired ? schema.enum[0] : "", common);
    return { node: field(label, input, help), value: () => input.value || undefined };
  }
  if (schema.type === "boolean") {
    const input = select([["", "as usual"], ["true", "yes"], ["false", "no"]], "", { name: path });
    return { node: field(label, input, help), value: () => (input.value ? input.value === "true" : undefined) };
  }
  if (schema.type === "integer" || schema.type === "number") {
    const lowest = schema.minimum ?? schema.exclusiveMinimum;
    const input = h("input", { ...common, type: "number", step: schema.type === "integer" ? 1 : "any", min: lowest, max: schema.maximum, placeholder: schema.default });
    return { node: field(label, input, help), value: () => (input.value === "" ? undefined : Number(input.value)) };
  }
  if (schema.type === "array" && resolved(schema.items ?? {}, document).type === "string") {
    const input = h("textarea", { ...common, spellcheck: "false" });
    const lines = () => input.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return { node: field(`${label} (one a line)`, input, help), value: () => (lines().length ? lines() : undefined) };
  }
  if (schema.type === "string") {
    const kind = isSecret(name) ? "password" : "text";
    const input = h("input", { ...common, type: kind, maxlength: schema.maxLength, autocomplete: kind === "password" ? "new-password" : "off", spellcheck: "false" });
    return { node: field(label, input, help), value: () => input.value.trim() || undefined };
  }
  const input = h("textarea", { ...common, spellcheck: "false" });
  return { node: field(`${label} (JSON)`, input, help), value: () => (input.value.trim() ? JSON.parse(input.value) : undefined) };
}

/** Something with parts: given only when it is switched on, unless it is required. */
function objectField(label, help, schema, document, path, isRequired) {
  const inner = fieldsOf(schema, document, `${path}.`);
  const inside = h("div", { class: "stack" }, inner.nodes);
  if (isRequired) return { node: h("fieldset", null, h("legend", null, label), inside), value: inner.read };
  const id = `on-${path}`;
  const isUsual = path === "watch";
  const on = h("input", { type: "checkbox", id, checked: isUsual, onchange: () => show() });
  const box = h("fieldset", { disabled: !isUsual, hidden: !isUsual }, h("legend", null, label), inside);
  const show = () => { box.hidden = box.disabled = !on.checked; };
  return {
    node: h("div", { class: "stack" }, h("div", { class: "check" }, on, h("label", { for: id }, label, help ? h("span", { class: "help" }, ` – ${help}`) : null)), box),
    value: () => (on.checked ? inner.read() : undefined),
  };
}
