// Sources: all of them with how fresh they are, one of them with what can be done, and new ones.

import { get, post, sources } from "./api.js";
import { asked, badge, button, fill, h, heading, link, pager, row, section, table, toast } from "./dom.js";
import { ago, collectionOf, duration, nameOf, placeOf, stateOf, stateWords, typeOf, typeWords } from "./format.js";
import { follow } from "./live.js";
import { runRow } from "./runs.js";
import { show as addSource } from "./add_source.js";
import { show as upload } from "./upload.js";

const PAGE = 50;
const OF_OBJECTS = new Set(["s3", "gcs", "azure_blob"]);

export async function show(context) {
  const [first] = context.rest;
  if (first === "add") return addSource(context);
  if (first === "upload") return upload(context);
  return first ? one(context, first) : list(context);
}

async function list({ values, signal }) {
  const offset = Number(values.get("offset") ?? 0);
  const found = await get("sources", { limit: PAGE, offset });
  const rows = new Map();
  const draw = (source) => {
    const before = rows.get(source.id);
    const next = sourceRow(source, (changed) => draw(changed).querySelector("[data-pause]").focus());
    if (before) {
      // What was heard of its runs since the list was loaded.
      next.querySelector("[data-latest]").replaceWith(before.querySelector("[data-latest]"));
      before.replaceWith(next);
    }
    rows.set(source.id, next);
    return next;
  };
  found.forEach(draw);
  // A run that ends changes what is said of its source.
  follow(signal, async (changed) => {
    for (const id of new Set(changed.map((job) => job.source_id))) {
      if (!rows.has(id)) continue;
      const before = rows.get(id);
      const job = changed.findLast((it) => it.source_id === id);
      const state = before.querySelector("[data-latest]");
      const [words, kind] = stateWords(job);
      fill(state, badge(words, kind));
    }
  });
  return [
    heading("Sources", "Places whose documents are kept in collections.",
      h("a", { class: "button", href: "#/sources/upload" }, "Upload files"), h("a", { class: "button primary", href: "#/sources/add" }, "Add a source")),
    h("section", { class: "card" },
      table("Sources", ["Source", "Collection", "Watch", "Freshness", "Next run", "Latest run", "#Actions"], [...rows.values()], "No sources yet."),
      pager(offset, PAGE, found.length, (next) => { location.hash = `#/sources?offset=${next}`; })),
  ];
}

function sourceRow(source, redraw) {
  const type = typeOf(source);
  return row(
    [[h("a", { href: `#/sources/${source.id}` }, nameOf(source)), h("span", { class: "sub" }, source.name ? `${typeWords(type)}, ${placeOf(source)}` : typeWords(type)),
      source.problem ? h("span", { class: "sub problem" }, source.problem) : null], null],
    [[collectionOf(source) ?? "–", h("span", { class: "sub" }, source.database_name)], null],
    [watchBadge(source), "tight"],
    [freshness(source), "tight"],
    [nextRun(source), "tight"],
    [h("span", { "data-latest": true }, latest(source)), "tight"],
    [[type === "file_upload" ? null : button("Sync now", () => sync(source), { class: "small", "aria-label": `Sync ${nameOf(source)} now` }), " ",
      button(pauseWord(source), async () => redraw(await control(source)), { class: "small", "aria-label": `${pauseWord(source)} ${nameOf(source)}`, "data-pause": true })], "number tight"],
  );
}

function latest(source) {
  if (stateOf(source) !== "complete") return badge(...stateWords(source));
  return [badge("complete", "good"), h("span", { class: "sub" }, ago(source.status.complete.finished_at))];
}

function watchBadge(source) {
  const { watch_state: watch, freshness: fresh } = source;
  if (source.paused_at) return badge("paused", "late");
  if (watch?.state === "failing") return badge("failing", "bad");
  if (fresh?.late) return badge("late", "late");
  return watch ? badge("watching", "good") : badge("on request", "plain");
}

function freshness({ freshness: fresh }) {
  if (!fresh) return "–";
  return [fresh.behind_s ? `behind by ${duration(fresh.behind_s)}` : "in step",
    fresh.p95_s === null ? null : h("span", { class: "sub", title: "of the latest documents, from change to searchable" }, `95 % within ${duration(fresh.p95_s)}`)];
}

/** When a source is looked at next, as far as that can be told. */
function nextRun(source) {
  const own = source[typeOf(source)] ?? {};
  if (source.paused_at) return "when it is resumed";
  if (source.watch_state?.next_try_at) return ago(source.watch_state.next_try_at);
  if (source.next_run_at) return ago(source.next_run_at);
  if (own.watch) return typeOf(source) === "folder" ? "at once" : `every ${duration(own.watch.interval_s)}`;
  return source.watch_state ? "when it changes" : "on request";
}

const pauseWord = (source) => (source.paused_at ? "Resume" : "Pause");

/** Pause a source, or go on with it; resolves to what it is then. */
async function control({ paused_at: paused, ...source }) {
  const now = await post(`sources/${source.id}/${paused ? "resume" : "pause"}`);
  toast(paused ? "Resumed." : "Paused.");
  return { ...source, ...now };
}

async function rename(source, again) {
  const name = await asked(`Rename ${nameOf(source)}`, "What is it to be called?", "Rename");
  if (!name) return;
  await post(`sources/${source.id}/edit`, { name });
  await sources(true);
  toast("Renamed.");
  again();
}

/** Ask for a run over all of a source. */
async function sync(source) {
  const collection = collectionOf(source) ?? await asked(`Sync ${nameOf(source)}`, "Into which collection?", "Sync");
  if (!collection) return;
  const { invocation_id } = await post(`sources/${source.id}/invocations`,
    { target_collection_name: collection, ...(OF_OBJECTS.has(typeOf(source)) ? { backfill: true } : {}) });
  toast("Asked for.");
  location.hash = `#/runs/${invocation_id}`;
}

async function one(context, id) {
  const [source, names] = await Promise.all([get(`sources/${encodeURIComponent(id)}`), sources(true)]);
  const listed = { ...names.get(id), ...source };
  const type = typeOf(source);
  const found = await get("invocations", { source_id: id, limit: 10 });
  const collection = collectionOf(listed);
  const rows = new Map(found.map((job) => [job.id, runRow(job, names)]));
  const whole = table("Runs of this source", ["State", "Source", "Collection", "Asked for", "#Took", "Documents"], [...rows.values()], "It was never run.");
  follow(context.signal, (changed) => {
    for (const job of changed.filter((it) => it.source_id === id)) {
      const next = runRow(job, names, !rows.has(job.id));
      if (rows.has(job.id)) rows.get(job.id).replaceWith(next);
      else { if (!rows.size) whole.querySelector("tbody").replaceChildren(); whole.querySelector("tbody").prepend(next); }
      rows.set(job.id, next);
    }
  });
  return [
    heading(nameOf(source), `${typeWords(type)} in database ${source.database_name}`,
      type === "file_upload" ? h("a", { class: "button primary", href: "#/sources/upload" }, "Upload files") : button("Sync now", () => sync(listed), { class: "primary" }),
      collection ? h("a", { class: "button", href: `#/collections/${encodeURIComponent(source.database_name)}/${encodeURIComponent(collection)}?source=${id}` }, "Documents") : null,
      button(pauseWord(source), async () => { await control(source); context.again(); }),
      source.declared ? null : button("Rename…", () => rename(source, context.again)),
      source.declared ? null : button("Remove…", () => remove(source), { class: "danger" })),
    source.paused_at ? h("div", { class: "verdict late" }, `Paused ${ago(source.paused_at)}: what is asked of it, and what changes, is kept until it is resumed.`) : null,
    source.watch_state?.state === "failing" ? h("div", { class: "verdict late", role: "alert" }, `Failing since ${ago(source.watch_state.failing_since)}: ${source.watch_state.reason}`) : null,
    source.problem ? h("div", { class: "verdict bad", role: "alert" }, source.problem) : null,
    source.notice ? h("div", { class: "verdict late" }, source.notice) : null,
    h("div", { class: "columns" },
      section("Freshness", h("dl", { class: "facts" },
        fact("Watch", watchBadge(source)), fact("Now", freshness(source)), fact("Next run", nextRun(listed)),
        fact("Half of all changes", source.freshness ? duration(source.freshness.p50_s) : "–"), fact("99 %", source.freshness ? duration(source.freshness.p99_s) : "–"))),
      section("Settings", h("dl", { class: "facts" },
        Object.entries(source[type] ?? {}).filter(([, value]) => value !== null).map(([name, value]) => fact(name.replaceAll("_", " "), shownValue(value))),
        fact("model", source.embedding_model.model), fact("chunking", `${source.chunking.type}, up to ${source.chunking.max_size_bytes} bytes`), fact("id", h("code", null, source.id))),
      source.declared ? h("p", { class: "help" }, "It is declared in the configuration file, and is changed and removed there.") : null)),
    section("Runs", whole, h("p", null, h("a", { href: `#/runs?source=${id}` }, "All runs of this source"))),
  ].filter(Boolean);
}

const fact = (name, value) => [h("dt", null, name), h("dd", null, value)];

function shownValue(value) {
  if (typeof value === "string") return link(value, value);
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "object") return Object.entries(value).filter(([, it]) => it !== null).map(([name, it]) => `${name.replaceAll("_", " ")} ${it}`).join(", ");
  return String(value);
}

/** Ask what is to become of a source's documents, and remove it. */
function remove(source) {
  return new Promise((resolve) => {
    const purge = h("input", { type: "radio", name: "documents", value: "purge", id: "purge" });
    const keep = h("input", { type: "radio", name: "documents", value: "keep", id: "keep", checked: true });
    const dialog = h("dialog", { class: "ask", "aria-labelledby": "remove-title", onclose: async () => {
      dialog.remove();
      try {
        if (dialog.returnValue === "yes") {
          await post(`sources/${source.id}/remove`, { documents: purge.checked ? "purge" : "keep" });
          toast(purge.checked ? "Removed; its documents are being deleted." : "Removed; its documents stay.");
          location.hash = "#/sources";
        }
      } catch (error) { toast(error.message, "bad"); }
      resolve();
    } },
    h("h2", { id: "remove-title" }, `Remove ${nameOf(source)}?`),
    h("div", { class: "check" }, keep, h("label", { for: "keep" }, "Keep its documents: a new source in the same place takes them over")),
    h("div", { class: "check" }, purge, h("label", { for: "purge" }, "Delete its documents from all collections")),
    h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close("no") }, "Leave it"),
      h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, "Remove")));
    document.body.append(dialog);
    dialog.showModal();
  });
}
