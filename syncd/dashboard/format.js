// Numbers, times and states in words.

export const count = (value) => (value ?? 0).toLocaleString("en");

export const some = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export const percent = (share) => `${Math.floor(share * 100)} %`;

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 360) / 10} h`;
  return `${Math.round(seconds / 8640) / 10} days`;
}

export function ago(moment) {
  if (!moment) return "–";
  const seconds = (Date.now() - Date.parse(moment)) / 1000;
  if (seconds < 0) return `in ${duration(-seconds)}`;
  return seconds < 2 ? "just now" : `${duration(seconds)} ago`;
}

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; size >= 1000 && unit < units.length - 1; unit++) size /= 1000;
  return `${size < 10 && unit ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** The name of a run's state. */
export const stateOf = (job) => (typeof job.status === "string" ? job.status : Object.keys(job.status)[0]);

export const isUnfinished = (job) => ["pending", "processing"].includes(stateOf(job));

const STATE_KINDS = { pending: "wait", processing: "busy", complete: "good", failed: "bad", cancelled: "plain" };

export function stateWords(job) {
  const state = stateOf(job);
  if (isUnfinished(job) && job.note) return ["waiting", "late"];
  if (state === "complete" && job.incomplete) return ["incomplete", "late"];
  if (state === "complete" && job.counts?.failed) return ["complete, with failures", "late"];
  return [state === "processing" ? "running" : state, STATE_KINDS[state]];
}

export function tookOf(job) {
  if (stateOf(job) === "complete") return duration(job.status.complete.duration_ms / 1000);
  return stateOf(job) === "processing" && job.started_at ? duration((Date.now() - Date.parse(job.started_at)) / 1000) : "–";
}

export function countWords({ indexed, deleted, skipped, failed, unchanged, held_deletes }) {
  const parts = [[indexed, "indexed"], [deleted, "deleted"], [skipped, "skipped"], [failed, "failed"], [held_deletes, "deletes held"]];
  const said = parts.filter(([number]) => number).map(([number, word]) => `${count(number)} ${word}`);
  return said.join(" · ") || (unchanged ? `${count(unchanged)} unchanged` : "nothing yet");
}

const TYPE_WORDS = {
  github: "GitHub repository", git: "Git repository", s3: "S3 bucket", gcs: "Google Cloud Storage", azure_blob: "Azure Blob Storage",
  web_scrape: "Website", folder: "Folder", file_upload: "Uploaded files",
};

export const typeWords = (type) => TYPE_WORDS[type] ?? type.replaceAll("_", " ");

/** A source's type: the one field of it that bears a type's name and is filled. */
export const typeOf = (source) => Object.keys(source).find((name) => name in TYPE_WORDS) ??
  Object.keys(source).find((name) => source[name] && typeof source[name] === "object" && !SHARED.has(name)) ?? "source";

const SHARED = new Set(["embedding", "embedding_model", "chunking", "metadata", "status", "watch_state", "freshness"]);

export function placeOf(source) {
  const type = typeOf(source);
  const own = source[type] ?? {};
  return own.repository ?? own.url ?? own.starting_url ?? own.path ??
    (own.bucket_name && `${own.bucket_name}${own.path_prefix ? `/${own.path_prefix}` : ""}`) ??
    (own.container_name && `${own.account_name}/${own.container_name}`) ?? typeWords(type);
}

export const nameOf = (source) => source.name ?? placeOf(source);

export function collectionOf(source) {
  const own = source[typeOf(source)] ?? {};
  return source.collection_name ?? own.watch?.target_collection_name ?? own.schedule?.target_collection_name ?? own.collection_name ??
    (source.metadata?.collection_name || null);
}

/** Spans in code points as pieces of a text: [piece, is it in a span]. */
export function pieces(text, spans) {
  const points = Array.from(text);
  const found = [];
  let at = 0;
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    found.push([points.slice(at, start).join(""), false], [points.slice(start, end).join(""), true]);
    at = end;
  }
  found.push([points.slice(at).join(""), false]);
  return found.filter(([piece]) => piece);
}
