// Runs: all of them, page by page, the latest as they change; and one of them with its documents.

import { get, post, call, sources } from "./api.js";
import { badge, button, confirmed, fill, h, heading, landed, pager, row, section, select, steps, table, toast } from "./dom.js";
import { ago, count, countWords, duration, isUnfinished, nameOf, some, stateOf, stateWords, tookOf } from "./format.js";
import { follow } from "./live.js";

const PAGE = 50;
const STATES = [["", "any state"], ["pending", "pending"], ["processing", "running"], ["complete", "complete"], ["failed", "failed"], ["cancelled", "cancelled"]];

export async function show(context) {
  return context.rest[0] ? one(context, context.rest[0]) : list(context);
}

async function list({ values, signal }) {
  const wanted = { source_id: values.get("source"), status: values.get("state"), limit: PAGE, after: values.get("after") };
  const names = await sources();
  const found = await get("invocations", wanted);
  const go = (changed) => {
    const next = { source: wanted.source_id, state: wanted.status, ...changed };
    location.hash = `#/runs?${new URLSearchParams(Object.entries(next).filter(([, value]) => value))}`;
  };
  const rows = new Map(found.map((job) => [job.id, runRow(job, names)]));
  const whole = table("Runs", ["State", "Source", "Collection", "Asked for", "#Took", "Documents"], [...rows.values()], "No runs yet. Add a source, and sync it.");
  const body = whole.querySelector("tbody");
  follow(signal, (changed) => {
    for (const job of changed) {
      const fits = (!wanted.source_id || job.source_id === wanted.source_id) && (!wanted.status || stateOf(job) === wanted.status);
      const before = rows.get(job.id);
      if (before) {
        rows.set(job.id, runRow(job, names));
        before.replaceWith(rows.get(job.id));
      } else if (fits && !wanted.after && !(Date.parse(job.created_at) < Date.parse(found.at(-1)?.created_at))) {
        if (!rows.size) body.replaceChildren();
        rows.set(job.id, runRow(job, names, true));
        body.prepend(rows.get(job.id));
        if (body.rows.length > PAGE) body.rows[PAGE].remove();
      }
    }
  });
  const source = names.get(wanted.source_id);
  return [
    heading("Runs", source ? `of ${nameOf(source)}` : "Each run brings one collection in step with one source."),
    h("div", { class: "inline" },
      h("div", { class: "field" }, h("label", { for: "state" }, "State"),
        select(STATES, wanted.status ?? "", { id: "state", onchange: (event) => go({ state: event.target.value }) })),
      h("div", { class: "field" }, h("label", { for: "source" }, "Source"),
        select([["", "any source"], ...[...names.values()].map((it) => [it.id, nameOf(it)])], wanted.source_id ?? "",
          { id: "source", onchange: (event) => go({ source: event.target.value }) }))),
    h("section", { class: "card" }, whole, runSteps(wanted.after, found, go)),
  ];
}

/** Of pages that were stepped to, behind which run the page before begins; pages are called by the run that they begin behind. */
const pageBefore = new Map();

/** The pages before and after the page of runs that begins behind the run `after`. */
function runSteps(after, found, go) {
  if (!after && found.length < PAGE) return null;
  const further = () => { pageBefore.set(found.at(-1).id, after); go({ after: found.at(-1).id }); };
  let begin = after;
  let first = 1;
  for (; begin && pageBefore.has(begin); first += PAGE) begin = pageBefore.get(begin);
  const where = begin ? `asked for ${ago(found[0]?.created_at)} and before` : `${count(first)}–${count(first + found.length - 1)}`;
  return steps(found.length ? where : "nothing more", after ? () => go({ after: pageBefore.get(after) }) : null, found.length < PAGE ? null : further);
}

/** A run as a row of a table. */
export function runRow(job, names, isNew = false) {
  const [words, kind] = stateWords(job);
  const source = names.get(job.source_id);
  const made = row(
    [badge(words, kind), "tight"],
    h("a", { href: `#/runs/${job.id}` }, source ? nameOf(source) : "a source that is gone", h("span", { class: "unseen" }, `, run ${job.id}`)),
    job.metadata.collection_name,
    [h("time", { datetime: job.created_at, title: job.created_at }, ago(job.created_at)), "tight"],
    [tookOf(job), "number"],
    [[isUnfinished(job) ? progressWords(job) : countWords(job.counts), said(job)], null],
  );
  made.dataset.run = job.id;
  if (isNew) made.className = "new";
  return made;
}

/** Why a run waits, or failed, or could not see all of its source. */
function said(job) {
  if (stateOf(job) === "failed") return h("span", { class: "sub problem" }, job.status.failed.error);
  const text = job.note ?? job.incomplete;
  return text ? h("span", { class: "sub warn" }, text) : null;
}

function progressWords(job) {
  const parts = [countWords(job.counts)];
  if (job.tokens_per_s) parts.push(`${count(Math.round(job.tokens_per_s))} tokens/s`);
  if (job.eta_s !== null && job.eta_s !== undefined) parts.push(`about ${duration(job.eta_s)} left`);
  return parts.join(" · ");
}

async function one({ signal }, id) {
  const names = await sources();
  let job = await get(`invocations/${encodeURIComponent(id)}`);
  const head = h("div", { class: "stack" });
  const documents = h("div", { class: "stack" });
  const held = h("div", { class: "stack" });
  const draw = () => fill(head, head_of(job, names));
  draw();
  await Promise.all([drawDocuments(documents, job, { state: job.counts.failed ? "failed" : "", offset: 0 }), drawHeld(held, job)]);
  follow(signal, (changed) => {
    const next = changed.find((it) => it.id === id);
    if (!next) return;
    const wasUnfinished = isUnfinished(job);
    job = next;
    draw();
    if (wasUnfinished && !isUnfinished(job)) {
      drawDocuments(documents, job, { state: job.counts.failed ? "failed" : "", offset: 0 }).catch((error) => toast(error.message, "bad"));
      drawHeld(held, job).catch((error) => toast(error.message, "bad"));
    }
  });
  return [head, held, documents];
}

function head_of(job, names) {
  const [words, kind] = stateWords(job);
  const source = names.get(job.source_id);
  const { counts, stages } = job;
  const actions = [];
  if (isUnfinished(job)) actions.push(button("Cancel", () => cancel(job), { class: "danger" }));
  else if (!job.dry_run && (counts.failed || stateOf(job) === "failed")) actions.push(button(counts.failed ? "Retry failures" : "Retry", () => retry(job), { class: "primary" }));
  const tiles = [
    ["Found", counts.found], ["Indexed", counts.indexed], ["Unchanged", counts.unchanged], ["Deleted", counts.deleted],
    ["Skipped", counts.skipped], ["Failed", counts.failed], ["Chunks written", counts.chunks_written], ["Tokens", counts.tokens],
  ];
  const done = counts.indexed + counts.unchanged + counts.skipped + counts.failed;
  return [
    heading(source ? nameOf(source) : "A source that is gone", `into ${job.metadata.database_name} / ${job.metadata.collection_name}`, actions),
    h("p", null, badge(words, kind), " ", job.dry_run ? badge("dry run", "plain") : null, ` asked for ${ago(job.created_at)}, ${stateOf(job) === "processing" ? "running for" : "took"} ${tookOf(job)}`,
      job.attempts > 1 ? `, attempt ${job.attempts}` : "", job.next_try_at ? `, next try ${ago(job.next_try_at)}` : ""),
    stateOf(job) === "failed" ? h("p", { class: "problem", role: "alert" }, job.status.failed.error) : null,
    job.note ? h("p", { class: "warn" }, job.note) : null,
    job.incomplete ? h("p", { class: "warn" }, job.incomplete) : null,
    isUnfinished(job) ? section("Progress",
      h("progress", { max: Math.max(counts.found, 1), value: Math.min(done, counts.found), "aria-label": "documents done of those found" }),
      h("dl", { class: "facts" },
        fact("Done", `${count(done)} of ${some(counts.found, "document")} found so far`),
        stages ? [fact("Waiting for vectors", `${some(stages.prepared, "document")}, ${stages.estimated ? "about " : ""}${some(stages.tokens_left, "token")}`),
          fact("Waiting to be written", some(stages.embedded, "document"))] : null,
        fact("Speed", job.tokens_per_s ? `${count(Math.round(job.tokens_per_s))} tokens/s` : "–"),
        fact("Time left", duration(job.eta_s)),
        Object.entries(job.source_progress ?? {}).map(([name, value]) => fact(name.replaceAll("_", " "), count(Math.round(value * 10) / 10))))) : null,
    h("dl", { class: "tiles" }, tiles.map(([name, value]) => h("div", { class: "tile" }, h("dt", null, name), h("dd", null, count(value))))),
  ];
}

const fact = (name, value) => [h("dt", null, name), h("dd", null, value)];

async function cancel(job) {
  if (!await confirmed("Cancel this run?", "What it has indexed stays.", "Cancel the run")) return;
  await call("PUT", `invocations/${job.id}`);
  toast("The run is cancelled.");
}

async function retry(job, keys) {
  const { invocation_id } = await post(`invocations/${job.id}/retry`, keys ? { keys } : {});
  toast("Asked for; this is the new run.");
  location.hash = `#/runs/${invocation_id}`;
}

async function drawDocuments(place, job, wanted) {
  const found = await get(`invocations/${job.id}/documents`, { state: wanted.state, limit: PAGE, offset: wanted.offset });
  const again = (changed) => drawDocuments(place, job, { ...wanted, ...changed }).catch((error) => toast(error.message, "bad"));
  const kinds = { indexed: "good", failed: "bad", skipped: "plain", deleted: "plain" };
  const rows = found.map((it) => row(
    [badge(it.state, kinds[it.state]), "tight"],
    [[it.key, it.reason ? h("span", { class: "sub" }, it.reason) : null,
      it.next_try_at ? h("span", { class: "sub" }, `tried ${some(it.attempts, "time")}, again ${ago(it.next_try_at)}`) : null], null],
    [it.chunks ? count(it.chunks) : "", "number"],
    [it.state === "failed" && !isUnfinished(job) ? button("Retry", () => retry(job, [it.key]), { class: "small", "aria-label": `Retry ${it.key}` }) : "", "number"],
  ));
  fill(place, section("Documents",
    h("div", { class: "inline" }, h("div", { class: "field" }, h("label", { for: "outcome" }, "Outcome"),
      select([["", "any outcome"], ["failed", "failed"], ["skipped", "skipped"], ["indexed", "indexed"], ["deleted", "deleted"]], wanted.state,
        { id: "outcome", onchange: (event) => again({ state: event.target.value, offset: 0 }) }))),
    table("Documents of this run", ["Outcome", "Document", "#Chunks", "#Retry"], rows, "None. Unchanged documents are not listed."),
    pager(wanted.offset, PAGE, found.length, (offset) => again({ offset }))));
  landed(place);
}

async function drawHeld(place, job, offset = 0) {
  if (!job.counts.held_deletes || isUnfinished(job)) return fill(place);
  const found = await get(`invocations/${job.id}/held-deletes`, { limit: PAGE, offset });
  if (!found.length && offset === 0) return fill(place);
  const decide = async (what, words) => {
    await post(`invocations/${job.id}/${what}`);
    toast(words);
    fill(place);
  };
  fill(place, section("Deletes that wait for your word",
    h("p", { class: "warn" }, "This run would have deleted suspiciously many documents, so it deleted none of these."),
    table("Held deletes", ["Document"], found.map((it) => row(it.key)), "None"),
    pager(offset, PAGE, found.length, (next) => drawHeld(place, job, next).catch((error) => toast(error.message, "bad"))),
    h("div", { class: "actions" },
      button("Keep the documents", () => decide("discard-deletes", "The documents stay.")),
      button("Delete them", async () => {
        if (await confirmed("Delete these documents?", "They are deleted from the collection.", "Delete them")) await decide("confirm-deletes", "They are being deleted.");
      }, { class: "danger" }))));
  landed(place);
}
