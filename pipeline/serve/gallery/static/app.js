// Where the page is: #/ all collections · #/1 one, with its search · #/1/token/7 one of its tokens.

import { el, number, plural } from "./dom.js";
import { json, show } from "./api.js";
import { CollectionView } from "./collection.js";
import { openToken } from "./token.js";

const LOOK_AGAIN_MS = 3000; // while there is no collection yet

const view = document.getElementById("view");
const trail = document.getElementById("trail");
let collection = null; // the open CollectionView: hidden while a token is shown, so that going back is at once
let token = null;
let places = new Map(); // where each search was scrolled to
let turn = 0; // counts navigations: an answer to an earlier one is dropped

async function navigate() {
  const mine = ++turn;
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [id, kind, tokenId] = path.split("/");
  if (kind !== "token") leaveToken();
  view.setAttribute("aria-busy", "true");
  try {
    if (!id) await home(mine);
    else if (kind === "token" && /^[0-9]+$/.test(tokenId)) await showToken(mine, id, tokenId);
    else await showCollection(mine, id, query);
  } catch (error) {
    if (mine === turn) broken(error);
  } finally {
    if (mine === turn) view.setAttribute("aria-busy", "false");
  }
}

/** All collections; a single one is shown itself. */
async function home(mine) {
  const found = await json("/v1/collections");
  if (mine !== turn) return;
  if (found.length === 1) {
    history.replaceState(null, "", `#/${found[0].id}`);
    await showCollection(mine, found[0].id, "");
    return;
  }
  close();
  title("Collections");
  trail.replaceChildren(el("span", {}, "Collections"));
  view.replaceChildren(found.length ? el("div", { class: "shelf" }, found.map(card)) : nothingYet());
  if (!found.length) setTimeout(() => mine === turn && navigate(), LOOK_AGAIN_MS);
}

function card(found) {
  const picture = el("span", { class: "picture" });
  if (found.cover) {
    const image = el("img", { alt: "", loading: "lazy" });
    show(image, found.cover);
    picture.append(image);
  }
  const { minted, planned } = found.progress;
  const supply = minted === planned ? plural(minted, "token") : `${number(minted)} of ${plural(planned, "token")}`;
  return el("a", { href: `#/${found.id}`, class: "card" }, picture, el("strong", {}, found.name), el("span", { class: "muted" }, `${supply} on ${found.chain.name}`));
}

function nothingYet() {
  return el(
    "div",
    { class: "empty tall" },
    el("p", { class: "big" }, "Nothing here yet."),
    el("p", {}, "This command makes a collection, and this page shows it as it grows:"),
    el("p", {}, el("code", {}, "pipeline mint --count 50")),
  );
}

async function openCollection(mine, id) {
  if (collection && String(collection.about.id) === String(id)) return true;
  const about = await json(`/v1/collections/${encodeURIComponent(id)}`);
  if (mine !== turn) return false;
  close();
  collection = new CollectionView(about);
  view.replaceChildren(collection.element);
  collection.follow();
  return true;
}

async function showCollection(mine, id, query) {
  if (!(await openCollection(mine, id))) return;
  const { about } = collection;
  title(about.name);
  trail.replaceChildren(el("a", { href: "#/" , class: "up" }, "Gallery"), el("span", { "aria-current": "page" }, about.name));
  collection.element.hidden = false;
  collection.grid.layOut();
  const shown = `#/${id}${query ? `?${query}` : ""}`;
  const opened = collection.opened !== shown;
  collection.opened = shown;
  if (opened) await collection.open(query);
  if (mine === turn && places.has(shown)) scrollTo({ top: places.get(shown), behavior: "instant" });
}

async function showToken(mine, id, tokenId) {
  if (!(await openCollection(mine, id))) return;
  const back = collection.opened ?? `#/${collection.about.id}`;
  const opened = await openToken(collection.about, tokenId, neighbours(Number(tokenId)), back);
  if (mine !== turn) return;
  leaveToken();
  token = opened;
  const { about } = collection;
  title(token.token.name);
  trail.replaceChildren(el("a", { href: back }, "← ", about.name), el("span", { "aria-current": "page" }, `#${token.token.token_id}`));
  if (!collection.element.hidden && collection.opened) places.set(collection.opened, scrollY);
  collection.element.hidden = true;
  view.append(token.element);
  scrollTo({ top: 0, behavior: "instant" });
  view.focus({ preventScroll: true });
}

/** The tokens around one in the search that is open. */
function neighbours(id) {
  const ids = collection.grid.index.token_ids;
  const place = ids.indexOf(id);
  return place < 0 ? null : { before: ids[place - 1], behind: ids[place + 1] };
}

function leaveToken() {
  const id = token?.token.token_id;
  token?.destroy();
  token?.element.remove();
  token = null;
  if (id && collection) {
    const place = collection.grid.index.token_ids.indexOf(id);
    if (place >= 0) requestAnimationFrame(() => collection?.grid.cells.get(place)?.focus({ preventScroll: true }));
  }
}

function close() {
  leaveToken();
  collection?.destroy();
  collection = null;
  places = new Map();
}

function broken(error) {
  close();
  title("Gallery");
  trail.replaceChildren(el("a", { href: "#/" }, "Gallery"));
  const again = el("button", { type: "button", onclick: navigate }, "Try again");
  view.replaceChildren(el("div", { class: "empty tall", role: "alert" }, el("p", { class: "big" }, error.message), error.hint ? el("p", {}, error.hint) : "", again));
}

const title = (text) => (document.title = text);

function onKey(event) {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (event.key === "Escape" && typing?.type === "search") return typing.blur();
  if (typing || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "?") document.getElementById("keys").showModal();
  else if (token) token.onKey(event);
  else if (event.key === "/" && collection) {
    event.preventDefault();
    collection.search.focus();
  } else if (event.key.startsWith("Arrow") && collection && !event.target.closest(".cell, button, a, summary")) {
    event.preventDefault();
    collection.grid.focus(collection.grid.current);
  }
}

history.scrollRestoration = "manual";
addEventListener("hashchange", navigate);
addEventListener("keydown", onKey);
document.getElementById("keys-button").addEventListener("click", () => document.getElementById("keys").showModal());
navigate();
