// How the daemon is, in words, and what it is doing.

import { get, sources } from "./api.js";
import { fill, h, heading, section, table } from "./dom.js";
import { count, isUnfinished, nameOf, percent, some } from "./format.js";
import { every, follow, runs } from "./live.js";
import { runRow } from "./runs.js";

const LATEST = 8;
const EVERY_MS = 15000;

export async function show({ signal }) {
  let names = new Map();
  const health = h("div", { class: "stack" });
  let known = "";
  const look = async () => {
    const [status, found] = await Promise.all([get("status"), sources(true)]);
    names = found;
    // What has not changed is not said again by screen readers.
    const shown = JSON.stringify([status.problems, status.degraded, status.source_problems, status.collections, status.chroma, status.models, names.size]);
    if (known === (known = shown)) return;
    fill(health, verdict(status, names), tiles(status, names));
  };
  await look();
  every(signal, EVERY_MS, look);
  const working = h("div");
  const latest = h("div");
  const draw = () => {
    const all = [...runs.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at));
    const unfinished = all.filter(isUnfinished);
    const columns = ["State", "Source", "Collection", "Asked for", "#Took", "Documents"];
    fill(working, unfinished.length ? section(unfinished.length === 1 ? "One run is under way or waits" : `${count(unfinished.length)} runs are under way or wait`,
      table("Unfinished runs", columns, unfinished.slice(0, LATEST).map((job) => runRow(job, names)), "")) : null);
    fill(latest, section("Latest runs", table("Latest runs", columns, all.filter((job) => !isUnfinished(job)).slice(0, LATEST).map((job) => runRow(job, names)),
      names.size ? "No runs yet." : "No sources yet: add one, and its first run shows up here."), h("p", null, h("a", { href: "#/runs" }, "All runs"))));
  };
  draw();
  follow(signal, draw);
  return [
    heading("Overview", "What is in step, and what is not.", h("a", { class: "button primary", href: "#/sources/add" }, "Add a source")),
    health, working, latest,
  ];
}

/** What is wrong in a sentence each; or that nothing is. */
export function verdict(status, names) {
  const problems = (status.problems ?? []).map((text) => h("li", null, text));
  const troubled = (status.source_problems ?? []).map((it) => h("li", null,
    h("a", { href: `#/sources/${it.source_id}` }, names.has(it.source_id) ? nameOf(names.get(it.source_id)) : it.name ?? "a source"), `: ${it.problem}`));
  const degraded = (status.degraded ?? []).map((text) => h("li", null, text));
  const filling = (status.collections ?? []).filter((it) => it.filled !== null)
    .map((it) => h("li", null, `${it.collection_name} is being filled from the store: ${percent(it.filled)}`));
  const found = [...problems, ...degraded, ...troubled, ...filling];
  if (!found.length) return h("div", { class: "verdict" }, h("span", { "aria-hidden": "true" }, "✓"), h("p", null, names.size ? "All is well. Every source is in step, as far as it is watched." : "All is well, and there is nothing to do yet."));
  return h("div", { class: `verdict ${problems.length ? "bad" : "late"}`, role: "alert" }, h("span", { "aria-hidden": "true" }, "!"),
    h("div", null, h("p", null, problems.length ? "The daemon cannot work as it should:" : "It works, and this needs a look:"), h("ul", null, found)));
}

function tiles(status, names) {
  const collections = status.collections;
  const chunks = collections?.reduce((sum, it) => sum + it.chunks, 0);
  const failing = [...names.values()].filter((it) => it.watch_state?.state === "failing").length;
  const late = [...names.values()].filter((it) => it.freshness?.late).length;
  const models = status.models && typeof status.models === "object" ? Object.keys(status.models) : [];
  const shown = [
    ["Sources", count(names.size), failing || late ? `${failing} failing, ${late} late` : "none failing or late"],
    collections ? ["Collections", count(collections.length), some(chunks, "chunk")] : null,
    ["Models in use", count(models.length), models.map((name) => name.split("/").at(-1)).join(", ") || "none loaded yet"],
    ["Chroma", status.chroma?.away ? "away" : "there", status.chroma?.away ?? "and answers"],
  ];
  return h("dl", { class: "tiles" }, shown.filter(Boolean).map(([name, value, more]) => h("div", { class: "tile" }, h("dt", null, name), h("dd", null, value, h("small", null, more)))));
}
