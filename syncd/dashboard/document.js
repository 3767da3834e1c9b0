// A document as it was cut: each chunk a band over its text.

import { get } from "./api.js";
import { h, heading, link, pager, section } from "./dom.js";
import { placeWords } from "./search.js";
import { documentPath } from "./collections.js";

const PAGE = 50;

export async function show({ values, signal }) {
  const place = Object.fromEntries(["database", "collection", "key", "source"].map((name) => [name, values.get(name) ?? undefined]));
  const wanted = values.has("chunk") ? Number(values.get("chunk")) : null;
  const offset = values.has("offset") ? Number(values.get("offset")) : Math.floor((wanted ?? 0) / PAGE) * PAGE;
  const found = await get("documents/chunks", {
    database_name: place.database, collection_name: place.collection, key: place.key, source_id: place.source, limit: PAGE, offset,
  });
  const total = found[0]?.metadata.chunk_count;
  const bands = found.map((chunk) => band(chunk, chunk.metadata.chunk_index === wanted));
  const url = found.find((it) => typeof it.metadata.url === "string")?.metadata.url;
  requestAnimationFrame(() => { if (!signal.aborted) document.querySelector(".chunk.here")?.scrollIntoView({ block: "center" }); });
  return [
    heading(place.key ?? "A document", `in ${place.database} / ${place.collection}${total ? `, cut into ${total === 1 ? "one chunk" : `${total} chunks`}` : ""}`,
      url ? h("span", { class: "button" }, link(url.split("#")[0], "Open the original")) : null),
    section("Chunks over the text", bands.length ? h("div", { class: "chunks" }, bands) : h("p", { class: "quiet" }, "It has no text."),
      pager(offset, PAGE, found.length, (next) => { location.hash = documentPath({ ...place, offset: next }); })),
  ];
}

function band(chunk, isWanted) {
  const { metadata } = chunk;
  return h("article", { class: isWanted ? "chunk here" : "chunk", "aria-label": `chunk ${metadata.chunk_index + 1}` },
    h("div", null, h("strong", null, `Chunk ${metadata.chunk_index + 1}`), h("span", null, placeWords(metadata)),
      metadata.heading_path ? h("span", null, metadata.heading_path) : null, metadata.symbol ? h("code", null, metadata.symbol) : null,
      metadata.language ? h("span", null, metadata.language) : null),
    h("pre", null, chunk.text));
}
