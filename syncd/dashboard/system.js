// The daemon's insides: what is wrong, what waits, and which parts were restarted.

import { get, sources } from "./api.js";
import { badge, fill, h, heading, landed, pager, row, section, table } from "./dom.js";
import { ago, count, nameOf, some } from "./format.js";
import { every } from "./live.js";
import { verdict } from "./overview.js";

const EVERY_MS = 10000;
const LETTERS = 100;
const KINDS = { running: "good", finished: "plain", starting: "busy", waiting: "wait", restarting: "bad", degraded: "bad", stopped: "bad" };

export async function show({ signal, session }) {
  const names = await sources(true);
  const [held, letters] = await Promise.all([get("held-deletes"), session.databases ? [] : get("dead-letters", { limit: LETTERS })]);
  const place = h("div", { class: "stack" });
  let known = "";
  const draw = async () => {
    const status = await get("status");
    // What has not changed is not said again by screen readers.
    if (known === (known = JSON.stringify(status))) return;
    fill(place, parts(status, names));
  };
  await draw();
  every(signal, EVERY_MS, draw);
  return [
    heading("System", "Health, queues and the parts of the daemon."), place,
    section("Held deletes",
      table("Runs that hold deletes", ["Source", "Collection", "#Documents", "#Decide"], held.map((it) => row(
        names.has(it.source_id) ? nameOf(names.get(it.source_id)) : "a source that is gone", `${it.database_name} / ${it.collection_name}`, [count(it.documents), "number"],
        [h("a", { href: `#/runs/${it.invocation_id}`, "aria-label": `Look at ${some(it.documents, "held delete")}` }, "Look at them"), "number"])), "No deletes are held back.")),
    session.databases ? null : section("Dead letters", lettersTable(letters)),
  ].filter(Boolean);
}

function lettersTable(letters) {
  const size = 20;
  const place = h("div", { class: "stack" });
  const draw = (offset) => {
    const part = letters.slice(offset, offset + size);
    fill(place, table("Messages that could not be processed", ["Reason", "Message", "#Received", "Last"], part.map((it) => row(
      h("span", { class: "problem" }, it.reason), [[h("details", null, h("summary", null, it.message_id), h("pre", null, it.body)), h("span", { class: "sub" }, it.queue_url)], null],
      [count(it.receives), "number"], [ago(it.at), "tight"])), "No message had to be set aside."), pager(offset, size, part.length, draw));
    landed(place);
  };
  draw(0);
  return place;
}

function parts(status, names) {
  const queues = status.queues ?? [];
  const elsewhere = (name) => status.models_elsewhere?.[name]?.length ?? 0;
  const models = Object.entries(status.models ?? {}).map(([name, dimensions]) => row(name, [badge("in use", "good"), "tight"], [`${count(dimensions)} dimensions${elsewhere(name) ? `, ${count(elsewhere(name))} servers or workers` : ""}`, "number"]));
  const waiting = Object.entries(status.models_waiting ?? {}).map(([name, reason]) => row(name, [badge("waiting", "late"), "tight"], h("span", { class: "warn" }, reason)));
  return [
    verdict(status, names),
    h("div", { class: "columns" },
      section("What waits in memory", table("Mailboxes", ["Part", "#Waiting", "#Room", "#Served"], (status.mailboxes ?? []).map((it) => row(it.name, [count(it.waiting), "number"], [count(it.capacity), "number"], [count(it.served), "number"])), "Nothing is reported.")),
      section("Models", table("Models", ["Model", "State", "#"], [...models, ...waiting], "None is loaded yet; a run or a search loads one."))),
    status.queues ? section("Event queues", queues.length ? queues.map((queue) => h("div", { class: "stack" }, h("h3", null, queue.queue_url),
      h("dl", { class: "facts" }, Object.entries(queue).filter(([name, value]) => name !== "queue_url" && value !== null && value !== "").map(([name, value]) => [h("dt", null, name.replaceAll("_", " ")), h("dd", null, typeof value === "number" ? count(value) : String(value))]))))
      : h("p", { class: "quiet" }, "No source has a queue.")) : null,
    status.actors ? section("Parts of the daemon", h("ul", { class: "tree" }, status.actors.map(actor))) : null,
  ];
}

function actor(it) {
  return h("li", null, badge(it.state, KINDS[it.state] ?? "plain"), " ", it.name,
    it.restarts ? h("span", { class: "warn" }, ` restarted ${it.restarts === 1 ? "once" : `${it.restarts} times`}`) : null,
    it.error ? h("span", { class: "sub problem" }, ` ${it.error}`) : null,
    it.children?.length ? h("ul", null, it.children.map(actor)) : null);
}
