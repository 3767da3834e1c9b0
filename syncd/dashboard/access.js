// Who may ask, and the keys that sources use. Secrets are shown once, when they are made, or never.

import { call, get, post, sources } from "./api.js";
import { badge, button, confirmed, field, fill, h, heading, row, section, select, table, toast } from "./dom.js";
import { ago, nameOf } from "./format.js";

const PARTS = {
  aws: [["aws_access_key_id", "Access key id"], ["aws_secret_access_key", "Secret access key"]],
  azure_blob: [["credential", "Account key, SAS token or connection string"]],
  gcs: [["service_account_key", "Service account key (JSON)"]],
  git: [["token", "Token"]],
};

export async function show({ session }) {
  const isAdmin = session.databases === null;
  const tokens = h("div", { class: "stack" });
  const credentials = h("div", { class: "stack" });
  await Promise.all([isAdmin ? drawTokens(tokens) : null, drawCredentials(credentials)]);
  return [
    heading("Access", "Tokens of those who ask syncd, and credentials with which syncd asks others."),
    isAdmin ? tokens : section("Tokens", h("p", { class: "quiet" }, "Only a token that covers every database may see and make tokens.")),
    credentials,
  ];
}

async function drawTokens(place, made = null) {
  const found = await get("tokens");
  const name = h("input", { required: true, maxlength: 200, autocomplete: "off", spellcheck: "false" });
  const databases = h("input", { autocomplete: "off", spellcheck: "false", placeholder: "team-a, team-b" });
  const access = select([["write", "read and write"], ["read", "read only"]], "read");
  const days = h("input", { type: "number", min: 1, max: 3650, placeholder: "never" });
  const create = async (event) => {
    event.preventDefault();
    const given = databases.value.split(",").map((it) => it.trim()).filter(Boolean);
    const body = { name: name.value, databases: given.length ? given : null, access: access.value,
      ...(days.value ? { expires_at: new Date(Date.now() + Number(days.value) * 86400000).toISOString() } : {}) };
    if (!given.length && !await confirmed("A token for every database?", "It administers syncd if it may write.", "Make it", "primary")) return;
    try { await drawTokens(place, (await post("tokens", body)).token); } catch (error) { toast(error.message, "bad"); }
  };
  const rows = found.map((it) => row(
    it.name, it.databases ? it.databases.join(", ") : "all, and administration", [badge(it.access === "read" ? "reads" : "writes", "plain"), "tight"], [it.expires_at ? ago(it.expires_at) : "never", "tight"],
    [button("Revoke", async () => {
      if (!await confirmed(`Revoke ${it.name}?`, "It is useless at once, and so are sessions that began with it.", "Revoke")) return;
      await call("DELETE", `tokens/${encodeURIComponent(it.id)}`);
      toast("Revoked.");
      await drawTokens(place);
    }, { class: "small danger", "aria-label": `Revoke ${it.name}` }), "number"]));
  fill(place, section("Tokens", made ? secret(made) : null, table("Tokens", ["Name", "Databases", "Access", "Expires", "#Revoke"], rows, "None."),
    h("form", { onsubmit: create, class: "inline", "aria-label": "New token" }, field("Name", name), field("Databases (empty: all)", databases), field("Access", access), field("Days", days), h("button", { class: "primary" }, "Make a token"))));
}

/** A new token, which no other answer ever contains. */
function secret(token) {
  const shown = h("div", { class: "secret", role: "status" }, h("strong", null, "Copy the new token now. It is not shown again."), h("code", null, token),
    h("div", { class: "actions" },
      button("Copy", async () => { await navigator.clipboard.writeText(token); toast("Copied."); }),
      h("button", { type: "button", onclick: () => shown.remove() }, "I have it")));
  return shown;
}

async function drawCredentials(place) {
  const [found, names] = await Promise.all([get("credentials"), sources()]);
  const rows = found.map((it) => row(
    `${it.id}`, it.kind, it.database_name, it.sources.length ? it.sources.map((id) => (names.has(id) ? nameOf(names.get(id)) : id)).join(", ") : "none", [ago(it.stored_at), "tight"],
    [h("span", { class: "actions" }, h("button", { type: "button", class: "small", "aria-label": `Replace credential ${it.id}`, onclick: () => rotate(it, place) }, "Replace"),
      it.sources.length ? null : button("Delete", async () => {
        if (!await confirmed("Delete this credential?", "No source uses it.", "Delete")) return;
        await call("DELETE", `credentials/${it.id}`);
        await drawCredentials(place);
      }, { class: "small danger", "aria-label": `Delete credential ${it.id}` })), "number"]));
  fill(place, section("Credentials", table("Credentials", ["Id", "Kind", "Database", "Used by", "Stored", "#Change"], rows, "None is stored. A source that is added with a key stores it, encrypted.")));
}

function rotate(credential, place) {
  const inputs = (PARTS[credential.kind] ?? []).map(([name, label]) => [name, label, h("input", { type: "password", required: true, autocomplete: "new-password" })]);
  const send = async (event) => {
    event.preventDefault();
    try {
      await post(`credentials/${credential.id}/rotate`, Object.fromEntries(inputs.map(([name, , input]) => [name, input.value])));
      dialog.close();
      toast("Replaced; its sources use it from their next request on.");
      await drawCredentials(place);
    } catch (error) { toast(error.message, "bad"); }
  };
  const dialog = h("dialog", { "aria-label": `Replace credential ${credential.id}`, onclose: () => dialog.remove() },
    h("form", { onsubmit: send }, h("h2", null, `Replace credential ${credential.id}`), inputs.map(([, label, input]) => field(label, input)),
      h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close() }, "Leave it"), h("button", { class: "primary" }, "Replace"))));
  document.body.append(dialog);
  dialog.showModal();
}
