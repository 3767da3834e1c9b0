// The API's description for people, from the document that programs read.

import { description } from "./api.js";
import { badge, fill, h, heading, row, table } from "./dom.js";

const KINDS = { get: "good", post: "busy", put: "late", delete: "bad" };
const main = document.getElementById("main");

const slug = (name) => name.toLowerCase().replace(/\W+/g, "-");

function operations(document) {
  return Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
}

/** A schema's type in words; names of schemas are links. */
function typeWords(schema) {
  if (!schema || !Object.keys(schema).length) return "anything";
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    return h("a", { href: `#schema-${slug(name)}` }, name);
  }
  const options = schema.anyOf ?? schema.oneOf?.filter((it) => it.type || it.$ref);
  if (options?.length) return options.flatMap((option, index) => [index ? " or " : "", typeWords(option)]);
  if (schema.enum) return schema.enum.map((it) => JSON.stringify(it)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return ["array of ", typeWords(schema.items)];
  if (schema.type === "object" && schema.additionalProperties && typeof schema.additionalProperties === "object") return ["map of ", typeWords(schema.additionalProperties)];
  return schema.format ? `${schema.type} (${schema.format})` : schema.type ?? "anything";
}

const LIMITS = ["minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems", "pattern", "default"];

function limitWords(schema) {
  const own = [schema, ...(schema.anyOf ?? [])];
  return LIMITS.flatMap((name) => own.filter((it) => it[name] !== undefined && it[name] !== null).map((it) => `${name} ${JSON.stringify(it[name])}`)).join(", ");
}

function fields(name, schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([key, inner]) => row(
    [[h("code", null, key), required.has(key) ? h("span", { class: "sub" }, "required") : null], null], [typeWords(inner), null],
    [[inner.description ?? "", h("span", { class: "sub" }, limitWords(inner))], null]));
  return table(`Fields of ${name}`, ["Field", "Type", "Meaning"], rows, "An empty object.");
}

/** What is made when it is first opened: the whole document is thousands of rows. */
function folded(attributes, summary, make) {
  const inside = h("div", { class: "stack" });
  return h("details", { class: "card", ...attributes, ontoggle: () => { if (!inside.hasChildNodes()) fill(inside, make()); } }, h("summary", null, summary), inside);
}

function shownOperation({ path, method, operation }) {
  const summary = [badge(method.toUpperCase(), KINDS[method] ?? "plain"), " ", h("code", null, path), " ", h("span", { class: "quiet" }, operation.summary)];
  return folded({ id: operation.operationId, "data-words": `${path} ${operation.summary} ${operation.operationId}`.toLowerCase() }, summary, () => inside(operation));
}

function inside(operation) {
  const parameters = (operation.parameters ?? []).map((it) => row([[h("code", null, it.name), h("span", { class: "sub" }, `${it.in}${it.required ? ", required" : ""}`)], null], [typeWords(it.schema), null], [[it.description ?? it.schema?.description ?? "", h("span", { class: "sub" }, limitWords(it.schema ?? {}))], null]));
  const bodies = Object.entries(operation.requestBody?.content ?? {});
  const answers = Object.entries(operation.responses).map(([status, answer]) => row([status, "tight"], answer.description, [Object.values(answer.content ?? {}).map((it) => typeWords(it.schema)), null]));
  const security = operation.security ? operation.security.some((it) => !Object.keys(it).length) ? "A token, or on loopback none." : "A token in the header x-chroma-token." : "No token is needed.";
  return [
    h("p", null, operation.description), h("p", { class: "quiet" }, security),
    parameters.length ? table(`Parameters of ${operation.operationId}`, ["Parameter", "Type", "Meaning"], parameters, "") : null,
    bodies.map(([type, body]) => h("div", null, h("p", null, "Body: ", h("code", null, type), " ", body.schema.$ref ? typeWords(body.schema) : null), body.schema.properties ? fields("the body", body.schema) : null)),
    table(`Answers of ${operation.operationId}`, ["Status", "Meaning", "Body"], answers, ""),
  ];
}

async function show() {
  const document_ = await description();
  const byTag = grouped(operations(document_));
  const filter = h("input", { id: "filter", type: "search", placeholder: "search, /tokens, …", oninput: () => {
    for (const one of main.querySelectorAll("details[data-words]")) one.hidden = !one.dataset.words.includes(filter.value.trim().toLowerCase());
  } });
  const schemas = Object.entries(document_.components.schemas).map(([name, schema]) => folded({ id: `schema-${slug(name)}` }, h("code", null, name),
    () => [h("p", null, schema.description ?? ""), schema.properties ? fields(name, schema) : h("p", null, typeWords(schema))]));
  fill(main, heading(`The API of ${document_.info.title}`, `Version ${document_.info.version}. ${document_.info.description}`),
    h("div", { class: "field" }, h("label", { for: "filter" }, "Show only"), filter),
    [...byTag].map(([tag, found]) => [h("h2", { id: slug(tag) }, tag), found.map(shownOperation)]), h("h2", { id: "schemas" }, "Schemas"), schemas);
  fill(document.getElementById("nav"), [...byTag.keys(), "Schemas"].map((tag) => h("a", { href: `#${slug(tag)}` }, tag)));
  open();
}

function grouped(found) {
  const groups = new Map();
  for (const it of found) groups.set(it.operation.tags[0], [...(groups.get(it.operation.tags[0]) ?? []), it]);
  return groups;
}

/** Open what the address names. */
function open() {
  const named = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!named) return;
  if (named.tagName === "DETAILS") named.open = true;
  named.scrollIntoView();
}

addEventListener("hashchange", open);
show().catch((error) => fill(main, heading("That did not work"), h("p", { class: "problem", role: "alert" }, error.message)));
