// Runs as they change: one stream while the page is looked at.

import { get } from "./api.js";

const AGAIN_MS = 3000;
const KEPT = 500;

export const runs = new Map();
const listeners = new Set();
let stream = null;
let timer = 0;

/** Hear of changed runs (jobs, and whether they are all that there are) until `signal` is aborted. */
export function follow(signal, heard) {
  listeners.add(heard);
  signal.addEventListener("abort", () => listeners.delete(heard));
}

/** Begin to listen, and stop while nobody looks: browsers allow few connections to a host. */
export function listen(onState) {
  const connect = () => {
    clearTimeout(timer);
    stream?.close();
    stream = null;
    if (document.hidden) return;
    stream = new EventSource("/api/v1/events");
    stream.onopen = () => onState(true);
    stream.addEventListener("runs", (event) => { runs.clear(); take(event, true); });
    stream.addEventListener("changed", (event) => take(event, false));
    stream.onerror = async () => {
      onState(false);
      if (stream?.readyState !== EventSource.CLOSED) return;
      clearTimeout(timer);
      // Asks for a login if that is what is missing.
      try { await get("session"); } catch { /* said by what is shown */ }
      timer = setTimeout(connect, AGAIN_MS);
    };
  };
  document.addEventListener("visibilitychange", connect);
  connect();
}

function take(event, isWhole) {
  const changed = JSON.parse(event.data);
  for (const job of changed) {
    runs.delete(job.id);
    runs.set(job.id, job);
  }
  for (const id of [...runs.keys()].slice(0, Math.max(0, runs.size - KEPT))) runs.delete(id);
  for (const heard of [...listeners]) heard(changed, isWhole);
}

/** Do something again and again while the page is looked at and `signal` is not aborted. What fails is tried again. */
export function every(signal, milliseconds, work) {
  const timer = setInterval(() => { if (!document.hidden) work().catch(() => {}); }, milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer));
}
