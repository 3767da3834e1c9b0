// Requests to the daemon. The session's cookie goes along by itself; no script can read it.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let logIn = null;

/** Say what asks for a login, and resolves once there is one. */
export function onLoggedOut(ask) {
  logIn = ask;
}

/** Send a request and return the answer's JSON. Without a session it waits for the login and is sent again: the page stays as it is. */
export async function call(method, path, body, options = {}) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(`/api/v1/${path}`, {
        method, credentials: "same-origin", cache: "no-store", redirect: "error", ...options,
        ...(body instanceof FormData ? { body } : body === undefined ? {} :
          { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "The daemon does not answer. Is it running?");
    }
    if (answer.status === 401 && !options.isLogin) {
      await logIn();
      continue;
    }
    const text = await answer.text();
    let value = null;
    try { value = text ? JSON.parse(text) : null; } catch { /* what is no JSON comes from something in between */ }
    if (answer.ok) return value;
    throw new ApiError(answer.status, value?.message ?? `the answer was ${answer.status} ${answer.statusText}`);
  }
}

export const get = (path, values) => call("GET", query(path, values));
export const post = (path, body = {}) => call("POST", path, body);

/** A path with a query string of the values that are given. */
export function query(path, values = {}) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

let known = null;

/** The sources by id, the newest thousand: as they were asked for last, for their names, or as they are. */
export function sources(anew = false) {
  if (anew) known = null;
  known ??= get("sources", { limit: 1000 }).then((found) => new Map(found.map((source) => [source.id, source])))
    .catch((error) => { known = null; throw error; });
  return known;
}

let described = null;

/** The API's own description. */
export function description() {
  described ??= fetch("/openapi.json").then((answer) => answer.json()).catch((error) => { described = null; throw error; });
  return described;
}
