// Where the show's documents come from: a service that answers questions, or files that answer the same ones.

import { json, queryString } from "./api.js";
import { IN_FOLDER } from "./places.js";

/** The service's own routes. Each answer is a document of its OpenAPI. */
const service = {
  collections: (signal) => json("/v1/collections", signal),
  collection: (id, signal) => json(`/v1/collections/${id}`, signal),
  index: (id, query, signal) => json(`/v1/collections/${id}/index${queryString(query)}`, signal),
  facets: (id, query, signal) => json(`/v1/collections/${id}/facets${queryString({ ...query, sort: "id" })}`, signal),
  token: (id, tokenId) => json(`/v1/collections/${id}/tokens/${tokenId}`),
  transparency: (id) => json(`/v1/collections/${id}/transparency`),
  holdings: (owner) => json(`/v1/owners/${owner}`),
};

export const shelf = IN_FOLDER ? (await import("./folder.js")).folder : service;

const known = new Map(); // slug -> id: the page that was opened names its own

const opened = document.querySelector('meta[name="collection"]')?.content.split(" ");
if (opened) known.set(opened[1], opened[0]);

/** Every collection, the newest first. */
export async function collections() {
  const found = await shelf.collections();
  for (const one of found) known.set(one.slug, one.id);
  return found;
}

/** The number of the collection that an address names by a word, or null. A number is taken as well. */
export async function numberOf(slug) {
  if (known.has(slug)) return known.get(slug);
  const found = await collections();
  if (known.has(slug)) return known.get(slug);
  const [, number] = slug.match(/(?:^|-)([0-9]+)$/) ?? [];
  return found.find((one) => String(one.id) === number)?.id ?? null;
}
