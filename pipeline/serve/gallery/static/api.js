// The only door to the server: JSON, server-sent events and images, with the read token where one is asked for.

import { IS_PUBLIC, at, decoded } from "./places.js";

const KEY = "read-token";

/** An answer that is an error: `message` is the server's sentence, `hint` its next step, `status` the HTTP status. */
export class Problem extends Error {
  constructor(status, detail, hint) {
    super(detail);
    this.status = status;
    this.hint = hint;
  }
}

const token = () => sessionStorage.getItem(KEY);

async function request(path, options = {}) {
  for (;;) {
    const sent = token();
    const headers = { Accept: "application/json", ...options.headers, ...(sent ? { Authorization: `Bearer ${sent}` } : {}) };
    let response;
    try {
      response = await fetch(at(path), { ...options, headers, credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "The gallery's server does not answer.", IS_PUBLIC ? "Try again in a while." : "Is `pipeline serve` still running?");
    }
    if (response.status !== 401) {
      if (!response.ok && response.status !== 304) throw await problemOf(response);
      return response;
    }
    if (token() === sent) await askForToken(sent !== null);
  }
}

async function problemOf(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // an error of something between us and the server, in words of its own
  }
  const detail = typeof said.error === "string" ? said.error : `The server answered ${response.status}.`;
  return new Problem(response.status, detail, typeof said.hint === "string" ? said.hint : "");
}

let asking = null;

/** Ask the person once, however many requests need it. */
function askForToken(refused) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("ask");
    document.getElementById("ask-refused").hidden = !refused;
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener(
      "close",
      () => {
        const field = document.getElementById("ask-token");
        sessionStorage.setItem(KEY, field.value.trim());
        field.value = "";
        asking = null;
        resolve();
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

export async function json(path, signal) {
  return (await request(path, { signal })).json();
}

/** Read server-sent events until the server ends them; `heard(name, data)` gets each. EventSource cannot send a token. */
export async function events(path, heard, signal) {
  const response = await request(path, { signal, headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    kept += value;
    const parts = kept.split("\n\n");
    kept = parts.pop();
    for (const part of parts) tell(part, heard);
  }
}

function tell(part, heard) {
  const fields = new Map(part.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
  if (fields.has("data")) heard(fields.get("event") ?? "message", JSON.parse(fields.get("data")));
}

/** Show the image at a path of this server. With a token it comes as a blob, since an <img> sends no header. */
export async function show(image, path) {
  image.dataset.path = path;
  if (!token()) {
    image.src = at(path);
    return;
  }
  try {
    const blob = await (await request(path, { headers: { Accept: "image/*" } })).blob();
    if (image.dataset.path !== path) return; // the cell shows another token by now
    const address = URL.createObjectURL(blob);
    const free = () => URL.revokeObjectURL(address);
    image.addEventListener("load", free, { once: true });
    image.addEventListener("error", free, { once: true });
    image.src = address;
  } catch {
    image.dispatchEvent(new Event("error"));
  }
}

/** An address of this server's that an element can load: the path itself, or with a token the file as a blob. */
export async function source(path) {
  if (!token()) return at(path);
  return URL.createObjectURL(await (await request(path, { headers: { Accept: "*/*" } })).blob());
}

/** Whether every request carries a token: what a browser asks for by itself, such as a frame, is refused then. */
export const locked = () => token() !== null;

/** The path of a token's picture in a size of the grid. In a folder a drawing is its own: its version says so. */
export function thumbnail(collection, id, version, width) {
  const [name, suffix] = version.split(".");
  return `/media/${collection}/${id}/${name}/${suffix ? `image.${suffix}` : `${width}.webp`}`;
}

/** The query string of a search: words, chosen trait values, an owner, an order. */
export function queryString(query) {
  const parameters = new URLSearchParams();
  if (query.q) parameters.set("q", query.q);
  if (query.owner) parameters.set("owner", query.owner);
  for (const [trait, values] of query.traits) {
    for (const value of values) parameters.append("trait", `${encodeURIComponent(trait)}:${encodeURIComponent(value)}`);
  }
  if (query.sort && query.sort !== "id") parameters.set("sort", query.sort);
  const text = parameters.toString();
  return text ? `?${text}` : "";
}

/** The search that a query string means; the reverse of `queryString`. */
export function parsedQuery(text) {
  const parameters = new URLSearchParams(text);
  const traits = new Map();
  for (const pair of parameters.getAll("trait")) {
    const [trait, value] = pair.split(":").map(decoded);
    if (value !== undefined) traits.set(trait, (traits.get(trait) ?? new Set()).add(value));
  }
  return { q: parameters.get("q") ?? "", owner: parameters.get("owner") ?? "", sort: parameters.get("sort") ?? "id", traits };
}

/** Ask the server to change something, with a token that may: what it answers. */
export async function send(path, body, headers = {}) {
  const told = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } };
  return (await request(path, { method: "POST", headers, ...told })).json();
}

/** The answer at a path if it is another than `tag` names, with its own tag; null where it is the same. */
export async function fresh(path, tag) {
  const response = await request(path, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  return response.status === 304 ? null : { tag: response.headers.get("ETag"), told: await response.json() };
}

/** Forget the token: the next request asks for another. */
export const forget = () => sessionStorage.removeItem(KEY);
