// Addresses of the show's own pages, wherever the show lies: at the root of a host, or in a folder of one.

/** Whether this is a folder of files, without a server that knows more than their names. */
export const IN_FOLDER = "folder" in document.documentElement.dataset;

/** Whether strangers look: they are told nothing of commands that somebody else could give. */
export const IS_PUBLIC = IN_FOLDER || document.querySelector('meta[name="audience"]')?.content === "public";

const ROOT = new URL("..", import.meta.url); // this file is in gallery/, which is at the root
const END = IN_FOLDER ? "/" : ""; // there each page is a folder with an index.html

/** The address of something that the show's documents name by a path such as /media/… */
export const at = (path) => new URL(path.replace(/^\//, ""), ROOT).href;

export const front = () => ROOT.pathname;
export const collectionAt = (slug, query = "") => `${ROOT.pathname}${encodeURIComponent(slug)}${END}${query}`;
export const tokenAt = (slug, id) => `${ROOT.pathname}${encodeURIComponent(slug)}/${id}${END}`;
export const ownerAt = (address) => `${ROOT.pathname}owner/${address}${END}`;
export const aboutAt = (slug) => `${ROOT.pathname}${encodeURIComponent(slug)}/about${END}`;
export const detectAt = () => `${ROOT.pathname}detect${END}`;
export const docsAt = () => `${ROOT.pathname}docs${END}`;

/** What an address is of: `kind` is front, collection, about, token, owner, detect, docs or nothing. */
export function placeOf({ pathname, search }) {
  const [first = "", second = "", more] = pathname.slice(ROOT.pathname.length).replace(/(^|\/)(index\.html)?$/, "").split("/").map(decoded);
  const place = { slug: first, query: search.slice(1) };
  if (more !== undefined) return { ...place, kind: "nothing" };
  if (!first) return { ...place, kind: "front" };
  if (first === "docs" && !second) return { ...place, kind: "docs" };
  if (first === "detect" && !second) return { ...place, kind: "detect" };
  if (first === "owner") return /^0x[0-9a-fA-F]{40}$/.test(second) ? { ...place, kind: "owner", owner: second } : { ...place, kind: "nothing" };
  if (!second) return { ...place, kind: "collection" };
  if (second === "about") return { ...place, kind: "about" };
  return /^[1-9][0-9]{0,15}$/.test(second) ? { ...place, kind: "token", id: second } : { ...place, kind: "nothing" };
}

/** Whether a link leads to a page of the show, which needs no loading. */
export function isOurs(link) {
  return link.origin === location.origin && link.pathname.startsWith(ROOT.pathname) && !link.hasAttribute("download") && !link.target && !/^(media|gallery|v1|data)\//.test(link.pathname.slice(ROOT.pathname.length));
}

export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
