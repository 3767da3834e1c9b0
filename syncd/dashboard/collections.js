// Collections, and the documents of one.

import { get, query, sources } from "./api.js";
import { badge, fill, h, heading, landed, pager, row, section, select, steps, table, toast } from "./dom.js";
import { ago, count, nameOf, percent } from "./format.js";

const PAGE = 50;
const BLOATED = 2;
const STAGES = { written: "good", prepared: "busy", skipped: "plain", failed: "bad" };

export async function show(context) {
  const [database, name] = context.rest;
  return name ? one(context, database, name) : list(context);
}

async function list({ values }) {
  const offset = Number(values.get("offset") ?? 0);
  const found = await get("collections", { limit: PAGE, offset });
  const rows = found.map((it) => row(
    [[h("a", { href: pathOf(it) }, it.collection_name), h("span", { class: "sub" }, it.database_name)], null],
    [count(it.indexed), "number"], [it.failed ? h("span", { class: "problem" }, count(it.failed)) : "0", "number"], [count(it.skipped), "number"], [count(it.chunks), "number"],
    [[percent(it.embedded_share), it.embedded_share < 1 ? h("meter", { min: 0, max: 1, value: it.embedded_share, "aria-label": `share embedded of ${it.collection_name}` }) : null], "number"],
    [it.bloat > BLOATED ? badge(`× ${it.bloat}`, "late") : `× ${it.bloat}`, "number"],
    [it.filled === null ? badge("whole", "good") : badge(`being filled: ${percent(it.filled)}`, "late"), "tight"],
    [h("a", { href: `#/search?collection=${encodeURIComponent(it.collection_name)}&database=${encodeURIComponent(it.database_name)}`, "aria-label": `Search ${it.collection_name}` }, "Search"), "number"],
  ));
  return [
    heading("Collections", "What syncd keeps in Chroma. Bloat is how many times the space of its rows a collection needs there."),
    h("section", { class: "card" },
      table("Collections", ["Collection", "#Documents", "#Failed", "#Skipped", "#Chunks", "#Embedded", "#Bloat", "State", "#Search"], rows, "No collections yet. They are made by the first run of a source."),
      pager(offset, PAGE, found.length, (next) => { location.hash = `#/collections?offset=${next}`; })),
  ];
}

const pathOf = (it) => `#/collections/${encodeURIComponent(it.database_name)}/${encodeURIComponent(it.collection_name)}`;

async function one({ values, signal }, database, name) {
  const names = await sources();
  const place = h("div", { class: "stack" });
  const wanted = {
    stage: values.get("stage") ?? "", source_id: values.get("source") ?? "", prefix: values.get("prefix") ?? "",
    from_key: values.get("from") ?? "", offset: Number(values.get("offset") ?? 0),
  };
  const before = [];
  const draw = async (changed) => {
    Object.assign(wanted, changed);
    const found = await get("documents", { database_name: database, collection_name: name, limit: PAGE, ...wanted });
    if (signal.aborted) return;
    // Whoever looks at a document comes back to where they were.
    history.replaceState(null, "", query(pathOf({ database_name: database, collection_name: name }), {
      stage: wanted.stage, source: wanted.source_id, prefix: wanted.prefix, from: wanted.from_key, offset: wanted.offset || null,
    }));
    const again = (next) => draw(next).catch((error) => toast(error.message, "bad"));
    const narrow = (next) => { before.length = 0; again({ ...next, from_key: "", offset: 0 }); };
    fill(place, section("Documents",
      h("div", { class: "inline" },
        h("div", { class: "field wide" }, h("label", { for: "prefix" }, "Key begins with"),
          h("input", { id: "prefix", type: "search", value: wanted.prefix, placeholder: "docs/", spellcheck: "false", autocomplete: "off", onchange: (event) => narrow({ prefix: event.target.value }) })),
        h("div", { class: "field" }, h("label", { for: "stage" }, "Stage"),
          select([["", "any stage"], ["written", "written"], ["prepared", "waiting for vectors"], ["skipped", "skipped"], ["failed", "failed"]], wanted.stage,
            { id: "stage", onchange: (event) => narrow({ stage: event.target.value }) })),
        h("div", { class: "field" }, h("label", { for: "of" }, "Source"),
          select([["", "any source"], ...[...names.values()].map((it) => [it.id, nameOf(it)])], wanted.source_id,
            { id: "of", onchange: (event) => narrow({ source_id: event.target.value }) }))),
      table("Documents", ["Stage", "Document", "Source", "#Chunks", "Since"], found.map((it) => documentRow(it, names, { database, collection: name })), "None."),
      documentSteps(wanted, before, found, again)));
    landed(place);
  };
  await draw({});
  return [
    heading(name, `in database ${database}`,
      h("a", { class: "button primary", href: `#/search?collection=${encodeURIComponent(name)}&database=${encodeURIComponent(database)}` }, "Search it")),
    place,
  ];
}

function documentRow(it, names, place) {
  return row(
    [badge(it.stage, STAGES[it.stage]), "tight"],
    [[it.chunks ? h("a", { href: documentPath({ ...place, key: it.key, source: it.source_id }) }, it.key) : it.key, it.reason ? h("span", { class: "sub" }, it.reason) : null], null],
    names.has(it.source_id) ? h("a", { href: `#/sources/${it.source_id}` }, nameOf(names.get(it.source_id))) : "a source that is gone",
    [count(it.chunks), "number"], [ago(it.at), "tight"],
  );
}

/** The pages before and after a page of documents. One goes on from the last key, past its rows that were shown; `before` has where the pages before began. */
function documentSteps(wanted, before, found, again) {
  const { from_key, offset } = wanted;
  const isFirst = !from_key && !offset;
  if (isFirst && found.length < PAGE) return null;
  const further = () => {
    const last = found.at(-1).key;
    before.push({ from_key, offset });
    again({ from_key: last, offset: found.filter((it) => it.key === last).length + (last === from_key ? offset : 0) });
  };
  const first = before.length * PAGE;
  const isCounted = isFirst || (before.length && !before[0].from_key && !before[0].offset);
  return steps(!found.length ? "nothing more" : isCounted ? `${count(first + 1)}–${count(first + found.length)}` : `from ${found[0].key}`,
    isFirst ? null : () => again(before.pop() ?? { from_key: "", offset: 0 }), found.length < PAGE ? null : further);
}

/** Where a document is shown. */
export function documentPath(place) {
  return query("#/document", place);
}
