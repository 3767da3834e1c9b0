// The frame: which page is shown, who is logged in.

import { ApiError, call, get, onLoggedOut } from "./api.js";
import { fill, h, heading, landed, toast } from "./dom.js";
import { listen } from "./live.js";
import * as access from "./access.js";
import * as collections from "./collections.js";
import * as document_ from "./document.js";
import * as overview from "./overview.js";
import * as runs from "./runs.js";
import * as search from "./search.js";
import * as sources from "./sources.js";
import * as system from "./system.js";

const PAGES = [
  ["", "Overview", overview],
  ["sources", "Sources", sources],
  ["runs", "Runs", runs],
  ["search", "Search", search],
  ["collections", "Collections", collections],
  ["system", "System", system],
  ["access", "Access", access],
];
const UNLISTED = [["document", "Document", document_]];

const main = document.getElementById("main");
let shown = new AbortController();
let session = null;

/** Ask for a token until one is good. Whoever asks meanwhile waits for the same. */
let asking = null;
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("login");
    const token = document.getElementById("login-token");
    const problem = document.getElementById("login-problem");
    const form = document.getElementById("login-form");
    if (session) document.getElementById("login-why").textContent = "Your session has ended. Log in again to go on where you were.";
    const refuse = (event) => event.preventDefault();
    const send = async (event) => {
      event.preventDefault();
      problem.hidden = true;
      try {
        await call("POST", "session", { token: token.value.trim() }, { isLogin: true });
      } catch (error) {
        problem.textContent = error instanceof ApiError ? error.message : String(error);
        problem.hidden = false;
        token.select();
        return;
      }
      token.value = "";
      dialog.removeEventListener("cancel", refuse);
      form.removeEventListener("submit", send);
      dialog.close();
      asking = null;
      resolve();
      start();
    };
    dialog.addEventListener("cancel", refuse);
    form.addEventListener("submit", send);
    dialog.showModal();
    token.focus();
  });
  return asking;
}

/** Show the page that the address names. */
async function show() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decoded);
  const page = [...PAGES, ...UNLISTED].find(([key]) => key === name);
  shown.abort();
  const controller = shown = new AbortController();
  for (const anchor of document.querySelectorAll("#nav a")) {
    anchor.dataset.page === name ? anchor.setAttribute("aria-current", "page") : anchor.removeAttribute("aria-current");
  }
  document.title = page ? `${page[1]} · syncd` : "syncd";
  main.setAttribute("aria-busy", "true");
  try {
    if (!page) throw new Error("There is no such page.");
    const view = await page[2].show({
      rest, values: new URLSearchParams(search), signal: controller.signal, session, again: () => show(),
    });
    if (!controller.signal.aborted) fill(main, view);
  } catch (error) {
    if (controller.signal.aborted) return;
    fill(main, heading("That did not work"), h("p", { class: "problem", role: "alert" }, error.message),
      h("p", null, h("button", { type: "button", onclick: () => show() }, "Try again")));
  }
  if (controller.signal.aborted) return;
  main.removeAttribute("aria-busy");
  scrollTo(0, 0);
  if (!landed(main)) main.querySelector("h1")?.focus({ preventScroll: true });
}

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

/** Show who is logged in. */
async function start() {
  session = await get("session");
  const scope = session.databases ? `databases: ${session.databases.join(", ")}` : "all databases";
  fill(document.getElementById("who"),
    h("p", { class: "live", id: "live" }, "connecting"),
    h("p", { title: scope }, session.name, session.access === "read" ? " (may only read)" : null),
    h("p", { class: "quiet" }, `syncd ${session.version} · `, h("a", { href: "/docs" }, "API")),
    h("button", { type: "button", class: "plain", onclick: logOut }, "Log out"));
}

async function logOut() {
  try { await call("DELETE", "session", undefined, { isLogin: true }); } catch (error) {
    if (error.status !== 401) return toast(error.message, "bad");
  }
  location.hash = "#/";
  location.reload();
}

function connected(is) {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = is ? "live" : "reconnecting";
  live.className = is ? "live on" : "live";
}

fill(document.getElementById("nav"), PAGES.map(([key, label]) => h("a", { href: `#/${key}`, "data-page": key }, label)));
onLoggedOut(askForToken);
addEventListener("hashchange", () => show());
start().then(() => { show(); listen(connected); }).catch((error) => toast(error.message, "bad"));
