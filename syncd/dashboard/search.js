// The same question asked three ways, side by side.

import { get, post } from "./api.js";
import { badge, field, fill, h, heading, link, select } from "./dom.js";
import { pieces, some } from "./format.js";
import { documentPath } from "./collections.js";

const WAYS = [["sparse", "By words"], ["dense", "By meaning"], ["hybrid", "Both"]];
const SHOWN_CHARACTERS = 700;

export async function show({ values, signal }) {
  const collections = await get("collections", { limit: 1000 });
  const key = (it) => JSON.stringify([it.database_name, it.collection_name]);
  const given = JSON.stringify([values.get("database") ?? "default_database", values.get("collection")]);
  const chosen = collections.some((it) => key(it) === given) ? given : collections.length ? key(collections[0]) : "";
  const text = h("input", { id: "query", type: "search", required: true, value: values.get("q") ?? "", placeholder: "What are you looking for?", spellcheck: "false" });
  const collection = select(collections.map((it) => [key(it), `${it.collection_name}${it.database_name === "default_database" ? "" : ` (${it.database_name})`}`]), chosen, { id: "collection" });
  const path = h("input", { value: values.get("path") ?? "", placeholder: "docs/ or *.md", spellcheck: "false" });
  const language = h("input", { value: values.get("language") ?? "", placeholder: "python", spellcheck: "false" });
  const content = select([["", "anything"], ["code", "code"], ["docs", "documentation"], ["config", "configuration"]], values.get("content") ?? "");
  const after = h("input", { type: "date", value: values.get("after") ?? "" });
  const limit = select([["5", "5 each"], ["10", "10 each"], ["25", "25 each"]], values.get("limit") ?? "10");
  const columns = h("div", { class: "threes", "aria-live": "polite" });

  const ask = (event) => {
    event.preventDefault();
    if (!collection.value) return;
    const [database, name] = JSON.parse(collection.value);
    const said = { q: text.value, database, collection: name, path: path.value, language: language.value, content: content.value, after: after.value, limit: limit.value };
    const next = `#/search?${new URLSearchParams(Object.entries(said).filter(([, value]) => value))}`;
    if (next === location.hash) answer();
    else { history.replaceState(null, "", next); answer(); }
  };
  const answer = async () => {
    const [database_name, collection_name] = JSON.parse(collection.value);
    const question = {
      query: text.value, database_name, collection_name, limit: Number(limit.value), path: path.value || null,
      languages: language.value ? [language.value] : null, content: content.value || null, modified_after: after.value ? `${after.value}T00:00:00Z` : null,
    };
    fill(columns, WAYS.map(([mode, title]) => {
      const place = h("section", { class: "card", "aria-busy": "true" }, h("h2", null, title), h("p", { class: "quiet" }, "Searching…"));
      post("search", { ...question, mode }).then(
        (found) => { if (!signal.aborted) fill(place, answered(title, found, database_name)); },
        (error) => fill(place, h("h2", null, title), h("p", { class: "problem", role: "alert" }, error.message)),
      ).finally(() => place.removeAttribute("aria-busy"));
      return place;
    }));
  };
  if (text.value && collection.value) answer();
  return [
    heading("Search", "By words, by meaning, and both, side by side."),
    collections.length ? h("form", { class: "card stack", role: "search", onsubmit: ask },
      h("div", { class: "inline" }, h("div", { class: "field wide" }, h("label", { for: "query" }, "Question"), text), field("Collection", collection), h("button", { class: "primary" }, "Search")),
      h("details", { open: Boolean(path.value || language.value || content.value || after.value) }, h("summary", null, "Filters"),
        h("div", { class: "inline" }, field("Path", path), field("Language", language), field("Content", content), field("Changed since", after), field("Hits", limit))))
      : h("p", { class: "card" }, "There is no collection to search yet."),
    columns,
  ];
}

function answered(title, found, database) {
  return [
    h("h2", null, title, " ", h("span", { class: "quiet" }, some(found.hits.length, "hit"))),
    found.notices.map((notice) => h("p", { class: "warn" }, notice)),
    found.hits.length ? h("ol", { class: "hits" }, found.hits.map((hit) => shownHit(hit, database))) : h("p", { class: "quiet" }, "Nothing found."),
  ];
}

function shownHit(hit, database) {
  const { metadata } = hit;
  const text = h("pre");
  const draw = (isWhole) => {
    let left = isWhole ? Infinity : SHOWN_CHARACTERS;
    const cut = pieces(hit.text, hit.highlights).map(([piece, isFound]) => {
      const shown = piece.slice(0, Math.max(0, left));
      left -= piece.length;
      return shown && (isFound ? h("mark", null, shown) : shown);
    });
    fill(text, cut.filter(Boolean), !isWhole && left < 0 ? "…" : null);
    return left < 0;
  };
  const isCut = draw(false);
  const more = isCut ? h("button", { type: "button", class: "small", onclick: () => { draw(true); more.remove(); } }, "Show all of it") : null;
  const ranks = [["words", hit.sparse_rank], ["meaning", hit.dense_rank]].filter(([, rank]) => rank).map(([name, rank]) => badge(`${name} #${rank}`, "plain"));
  const where = documentPath({ database, collection: hit.collection_name, key: metadata.key, source: metadata.source_id, chunk: metadata.chunk_index });
  return h("li", { class: "hit" },
    h("h3", null, metadata.key ? h("a", { href: where }, metadata.key) : hit.id),
    h("p", { class: "quiet" }, placeWords(metadata), metadata.heading_path ? ` · ${metadata.heading_path}` : "", metadata.symbol ? ` · ${metadata.symbol}` : ""),
    text, more,
    h("p", { class: "actions" }, ranks, badge(`score ${Number(hit.score.toPrecision(3))}`, "plain"), hit.stage === "written" ? null : badge(hit.stage, "busy"),
      typeof metadata.url === "string" ? link(metadata.url, "Open the place") : null));
}

/** The place of a chunk in its document, in words. */
export function placeWords({ page, last_page: last, page_label: label, start_line: first, end_line: end }) {
  if (page) return label ? String(label) : last && last !== page ? `pages ${page}–${last}` : `page ${page}`;
  return first ? (first === end ? `line ${first}` : `lines ${first}–${end}`) : "";
}
