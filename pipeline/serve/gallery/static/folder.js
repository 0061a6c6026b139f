// The questions that the service answers, answered from files: a show that lies in a folder has nobody to ask.

import { json } from "./api.js";

const OWNER = /^0x[0-9a-f]{3,40}$/i; // from three digits on a word is taken for an address
const ID = /^#?[0-9]{1,18}$/;

const indexes = new Map(); // collection -> promise of its columns

function columns(id) {
  if (!indexes.has(id)) indexes.set(id, json(`/data/${id}/index.json`));
  return indexes.get(id);
}

export const folder = {
  collections: () => json("/data/collections.json"),
  collection: (id) => json(`/data/${id}/collection.json`),
  transparency: (id) => json(`/data/${id}/transparency.json`),

  async token(id, tokenId) {
    try {
      return await json(`/data/${id}/tokens/${tokenId}.json`);
    } catch (error) {
      if (error.status === 404) error.message = `There is no token ${tokenId} here.`;
      throw error;
    }
  },

  async index(id, query) {
    const all = await columns(id);
    return chosen(all, ordered(all, left(all, query), query.sort));
  },

  async facets(id, query) {
    const all = await columns(id);
    return { total: left(all, query).length, traits: all.traits.map((trait) => facet(all, trait, query)) };
  },

  async holdings(owner) {
    const held = [];
    for (const collection of await folder.collections()) {
      const all = await columns(collection.id);
      const found = left(all, { q: "", owner, traits: new Map() });
      if (!found.length) continue;
      const about = await folder.collection(collection.id);
      const page = about.chain.explorer && `${about.chain.explorer}/address/${owner}`;
      held.push({ collection, tokens: chosen(all, found), size: about.size, page });
    }
    return { owner, total: held.reduce((sum, one) => sum + one.tokens.total, 0), collections: held };
  },
};

/** The places of the tokens that a query leaves. */
function left(all, { q, owner, traits }) {
  const conditions = [...traits].map(([trait, values]) => having(all, trait, values));
  if (owner) conditions.push(ownedBy(all, owner));
  for (const word of q.split(/\s+/).filter(Boolean)) conditions.push(fitting(all, word));
  const places = all.token_ids.map((_, place) => place);
  return places.filter((place) => conditions.every((found) => found.has(place)));
}

function having(all, trait, values) {
  const of = all.traits.find((one) => one.trait_type === trait)?.values ?? [];
  return new Set(of.filter(({ value }) => values.has(String(value))).flatMap(({ tokens }) => tokens));
}

function ownedBy(all, start) {
  const wanted = new Set(all.owners.flatMap((owner, place) => (owner.toLowerCase().startsWith(start.toLowerCase()) ? [place] : [])));
  return new Set(all.owner.flatMap((owner, place) => (wanted.has(owner) ? [place] : [])));
}

/** The tokens that a word of a search fits: an id, the start of an owner, part of a value or of a name. */
function fitting(all, word) {
  if (ID.test(word)) return new Set([all.token_ids.indexOf(Number(word.replace("#", "")))]);
  if (OWNER.test(word)) return ownedBy(all, word);
  const part = word.toLowerCase();
  const valued = all.traits.flatMap(({ values }) => values.filter(({ value }) => String(value).toLowerCase().includes(part)).flatMap(({ tokens }) => tokens));
  const named = all.names.flatMap((name, place) => (name.toLowerCase().includes(part) ? [place] : []));
  return new Set([...valued, ...named]);
}

function ordered(all, places, sort) {
  if (sort === "-id") return places.toReversed();
  if (sort === "rank") return places.toSorted((one, another) => (all.ranks[one] || Infinity) - (all.ranks[another] || Infinity) || one - another);
  return places;
}

function chosen(all, places) {
  const pick = (column) => (column.length ? places.map((place) => column[place]) : []);
  return { total: places.length, token_ids: pick(all.token_ids), ranks: pick(all.ranks), versions: pick(all.versions), names: pick(all.names) };
}

/** A trait's values with what choosing each would leave: those that leave something first, the most frequent first. */
function facet(all, { trait_type, values }, query) {
  const others = new Map([...query.traits].filter(([trait]) => trait !== trait_type));
  const rest = new Set(left(all, { ...query, traits: others }));
  const counted = values.map(({ value, tokens }) => ({ value, count: tokens.filter((place) => rest.has(place)).length, total: tokens.length }));
  counted.sort((one, another) => !one.count - !another.count || another.total - one.total || compared(String(one.value), String(another.value)));
  return { trait_type, values: counted };
}

const compared = (one, another) => (one < another ? -1 : one > another ? 1 : 0);
