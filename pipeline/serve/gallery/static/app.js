// Which page is shown: / the show · /lino a collection, with its search · /lino/7 a token · /lino/about how it was made · /owner/0x… · /detect whose a picture is · /docs.

import { el } from "./dom.js";
import { shelf, collections, numberOf } from "./shelf.js";
import { IN_FOLDER, collectionAt, docsAt, front, isOurs, placeOf, tokenAt } from "./places.js";
import { CollectionView } from "./collection.js";
import { FrontView } from "./front.js";
import { AboutView } from "./about.js";
import { OwnerView } from "./owner.js";
import { openToken } from "./token.js";

const LOOK_AGAIN_MS = 3000; // while there is no collection yet
const LOOK_NOW_AND_THEN_MS = 20000; // for new collections, and tokens of a run, on the front page

const view = document.getElementById("view");
const trail = document.getElementById("trail");
const SHOW = document.querySelector('meta[name="application-name"]')?.content || "Gallery";
let collection = null; // the open CollectionView: hidden while a token is shown, so that going back is at once
let token = null;
let other = null; // the open view of another kind
let places = new Map(); // where each search was scrolled to
let turn = 0; // counts navigations: an answer to an earlier one is dropped

async function navigate() {
  const mine = ++turn;
  const place = placeOf(location);
  if (place.kind !== "token") leaveToken();
  view.setAttribute("aria-busy", "true");
  try {
    if (location.hash.startsWith("#/")) await followOldAddress();
    else if (place.kind === "front") await showFront(mine);
    else if (place.kind === "collection") await showCollection(mine, place);
    else if (place.kind === "about") await showAbout(mine, place.slug);
    else if (place.kind === "token") await showToken(mine, place);
    else if (place.kind === "owner") await showOwner(mine, place.owner);
    else if (place.kind === "detect") await showDetect(mine);
    else if (place.kind === "docs" && !IN_FOLDER) await showDocs(mine);
    else throw nothingHere("There is no page at this address.");
  } catch (error) {
    if (mine === turn) broken(error);
  } finally {
    if (mine === turn) view.setAttribute("aria-busy", "false");
  }
}

function nothingHere(sentence) {
  return Object.assign(new Error(sentence), { status: 404 });
}

/** Addresses were #/1?trait=… and #/1/token/7 before they were /lino/7: such links still lead there. */
async function followOldAddress() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [id, kind, tokenId] = path.split("/");
  const found = (await collections()).find((one) => String(one.id) === id);
  if (id && !found) throw nothingHere(`There is no collection ${id.slice(0, 40)} here.`);
  const page = found ? collectionAt(found.slug, query ? `?${query}` : "") : front();
  history.replaceState(null, "", found && kind === "token" && /^[1-9][0-9]*$/.test(tokenId) ? tokenAt(found.slug, tokenId) : page);
  await navigate();
}

/** All collections; a single one is shown itself. */
async function showFront(mine) {
  const found = await collections();
  if (mine !== turn) return;
  if (found.length === 1) {
    history.replaceState(null, "", collectionAt(found[0].slug));
    await showCollection(mine, { slug: found[0].slug, query: "" });
    return;
  }
  close();
  title(SHOW);
  tell(); // its headline says where one is
  other = new FrontView(SHOW, found);
  view.replaceChildren(other.element);
  scrollTo({ top: places.get(location.pathname) ?? 0, behavior: "instant" });
  if (!IN_FOLDER) lookAgain(mine, found);
}

/** Show the front page anew when there is something new, as long as it is open and seen. */
function lookAgain(mine, found) {
  const look = async () => {
    if (mine !== turn) return;
    const now = document.hidden ? found : await collections().catch(() => found);
    if (mine !== turn) return;
    if (JSON.stringify(now) === JSON.stringify(found)) return lookAgain(mine, found);
    places.set(location.pathname, scrollY);
    navigate();
  };
  setTimeout(look, found.length ? LOOK_NOW_AND_THEN_MS : LOOK_AGAIN_MS);
}

async function openCollection(mine, slug) {
  if (collection && (collection.about.slug === slug || collection.slug === slug)) return true;
  const id = await numberOf(slug);
  if (id === null) throw nothingHere(`There is no collection called “${slug.slice(0, 60)}” here.`);
  const about = await shelf.collection(id);
  if (mine !== turn) return false;
  close();
  collection = new CollectionView(about);
  collection.slug = slug; // as it was asked for: an older address may have another word for it
  view.replaceChildren(collection.element);
  collection.follow();
  return true;
}

async function showCollection(mine, { slug, query }) {
  const came = collection === null;
  if (!(await openCollection(mine, slug))) return;
  const { about } = collection;
  title(about.artist ? `${about.name} by ${about.artist}` : about.name);
  tell(el("a", { href: front(), class: "show" }, SHOW), el("span", { "aria-current": "page" }, about.name));
  collection.element.hidden = false;
  collection.grid.layOut();
  const shown = collectionAt(about.slug, query ? `?${query}` : "");
  const opened = collection.opened !== shown;
  collection.opened = shown;
  if (opened) await collection.open(query);
  if (mine !== turn) return;
  if (places.has(shown)) scrollTo({ top: places.get(shown), behavior: "instant" });
  else if (came) scrollTo({ top: 0, behavior: "instant" });
}

async function showToken(mine, { slug, id }) {
  if (!(await openCollection(mine, slug))) return;
  const back = collection.opened ?? collectionAt(collection.about.slug);
  const opened = await openToken(collection.about, id, neighbours(Number(id)), back, go);
  if (mine !== turn) return;
  leaveToken();
  token = opened;
  const { about } = collection;
  title(token.token.name);
  tell(el("a", { href: front(), class: "show" }, SHOW), el("a", { href: back }, about.name), el("span", { "aria-current": "page" }, `#${token.token.token_id}`));
  if (!collection.element.hidden && collection.opened) places.set(collection.opened, scrollY);
  collection.element.hidden = true;
  view.append(token.element);
  scrollTo({ top: 0, behavior: "instant" });
  view.focus({ preventScroll: true });
}

async function showAbout(mine, slug) {
  const id = await numberOf(slug);
  if (id === null) throw nothingHere(`There is no collection called “${slug.slice(0, 60)}” here.`);
  const [about, told] = await Promise.all([shelf.collection(id), shelf.transparency(id)]);
  if (mine !== turn) return;
  close();
  other = new AboutView(about, told);
  title(`How ${about.name} was made`);
  tell(el("a", { href: front(), class: "show" }, SHOW), el("a", { href: collectionAt(about.slug) }, about.name), el("span", { "aria-current": "page" }, "How it was made"));
  view.replaceChildren(other.element);
  scrollTo({ top: 0, behavior: "instant" });
}

async function showOwner(mine, owner) {
  const found = await shelf.holdings(owner);
  if (mine !== turn) return;
  close();
  other = new OwnerView(found, SHOW);
  title(`Collected by ${owner.slice(0, 6)}…${owner.slice(-4)}`);
  tell(el("a", { href: front(), class: "show" }, SHOW), el("span", { "aria-current": "page" }, "Collector"));
  view.replaceChildren(other.element);
  other.layOut();
  scrollTo({ top: 0, behavior: "instant" });
}

async function showDetect(mine) {
  const { DetectView } = await import("./detect.js");
  if (mine !== turn) return;
  close();
  other = new DetectView();
  title(`Whose is it? · ${SHOW}`);
  tell(el("a", { href: front(), class: "show" }, SHOW), el("span", { "aria-current": "page" }, "Whose is it?"));
  view.replaceChildren(other.element);
}

async function showDocs(mine) {
  const { DocsView } = await import("./docs.js");
  const opened = await DocsView.open();
  if (mine !== turn) return;
  close();
  other = opened;
  title(`API · ${SHOW}`);
  tell(el("a", { href: front(), class: "show" }, SHOW), el("span", { "aria-current": "page" }, "API"));
  view.replaceChildren(other.element);
  other.goTo(location.hash);
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
  other?.destroy?.();
  collection = other = null;
}

function broken(error) {
  close();
  const missing = error.status === 404;
  title(missing ? `Not here · ${SHOW}` : SHOW);
  tell(el("a", { href: front(), class: "show" }, SHOW));
  const words = missing ? sentence(error.message) : [error.message, error.hint];
  view.replaceChildren(
    el(
      "div",
      { class: "empty tall", role: "alert" },
      el("p", { class: "huge", "aria-hidden": "true" }, missing ? "Nothing hangs here." : "Out of order."),
      ...[words].flat().filter(Boolean).map((one) => el("p", {}, one)),
      el("p", { class: "ways" }, el("a", { href: front(), class: "button" }, "To the front page"), !missing && el("button", { type: "button", onclick: navigate }, "Try again")),
    ),
  );
}

/** What a server says, as a sentence. */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
const title = (text) => (document.title = text);
const tell = (...steps) => trail.replaceChildren(...steps);

/** Open another page of the show without loading it. */
function go(address) {
  if (collection && !collection.element.hidden && collection.opened) places.set(collection.opened, scrollY);
  if (other) places.set(location.pathname, scrollY);
  history.pushState(null, "", address);
  navigate();
}

function onClick(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (!isOurs(link) || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  go(link.href);
}

function onKey(event) {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (event.key === "Escape" && typing?.type === "search") return typing.blur();
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (token?.large.isOpen) return token.large.onKey(event);
  if (typing) return;
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

const docsLink = document.getElementById("docs-link");
if (docsLink) docsLink.href = docsAt(); // a folder has none
const icon = document.querySelector('link[rel="icon"]');
icon.href = icon.href; // whole: browsers ask for it again, from wherever a page is by then
history.scrollRestoration = "manual";
addEventListener("popstate", navigate);
addEventListener("click", onClick);
addEventListener("keydown", onKey);
document.getElementById("keys-button").addEventListener("click", () => document.getElementById("keys").showModal());
navigate();
