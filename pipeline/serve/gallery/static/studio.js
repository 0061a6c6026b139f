// The studio: tokens that are not pinned yet, looked at and changed. Every edit is staged at the server before it is shown.

import { Problem, forget, fresh, json, send, show } from "./api.js";
import { bar, el, number, plural, say } from "./dom.js";

const PAGE = 50;
const LOOK_MS = 2000; // between two questions whether somebody else staged something
const FILTERS = [
  ["", "All"],
  ["unmarked", "Undecided"],
  ["approved", "Approved"],
  ["rejected", "Rejected"],
  ["changed", "Changed"],
];
const SIGNS = { approved: "✓", rejected: "✕" };
const DOING = { approve: "approved", reject: "rejected", clear: "cleared", reroll: "rerolled", swap: "swapped", place: "placed", choose: "chosen", count: "count", lock: "locks", level: "evened out" };

const at = (id) => document.getElementById(id);
let collection = 0;
let look = null; // as the server told it
let tag = null;
let tokens = []; // of this page
let total = 0;
let offset = 0;
let seen = 0; // the version at which this page is shown: whoever changed a token of it since is not overruled unseen
let here = 0; // the place of the chosen one on this page
let filter = { mark: "", layer: "", value: "" };
let swapping = null; // the token that waits for another
let opened = new Set(); // layers of the table that are unfolded
let queue = Promise.resolve(); // edits, one after the other: none is lost, none overtakes another

const base = () => `/v1/studio/${collection}`;
const picture = (token, width) => `${base()}/tokens/${token.token_id}/${token.key}/${width}.webp`;
const chosen = () => tokens[here];

// ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

async function open() {
  const [, , word] = location.pathname.split("/");
  const known = await json("/v1/collections");
  const found = word ? known.find((one) => one.slug === word || String(one.id) === word) : known[0];
  if (!found) throw new Problem(404, word ? `There is no collection called “${word.slice(0, 60)}” here.` : "There is no collection here yet.", "pipeline mint --count 50 --stop-after generate draws one and waits");
  collection = found.id;
  history.replaceState(null, "", `/studio/${found.slug}`);
  await refresh(true);
  await turn(0, 0);
  at("view").setAttribute("aria-busy", "false");
  setTimeout(watch, LOOK_MS);
}

/** Ask whether anything is other than it was; show it where it is. */
async function refresh(always = false) {
  const answer = await fresh(base(), always ? null : tag);
  if (answer === null) return false;
  tag = answer.tag;
  look = answer.told;
  drawAround();
  return true;
}

async function watch() {
  try {
    const version = look.version;
    if (!document.hidden && (await refresh()) && (look.version !== version || look.drawing.is_running || look.undrawn !== undefined)) await page(false);
  } catch (error) {
    tell(error);
  }
  setTimeout(watch, look?.drawing.is_running ? LOOK_MS / 4 : LOOK_MS);
}

/** Ask for the tokens of this page, and show them; what is the same keeps its picture. */
async function page(focus = true) {
  const query = new URLSearchParams({ offset: String(offset), limit: String(PAGE) });
  for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
  const answer = await json(`${base()}/tokens?${query}`);
  tokens = answer.tokens;
  seen = answer.version;
  total = answer.total;
  here = Math.max(0, Math.min(here, tokens.length - 1));
  drawGrid(focus);
  drawToken();
}

async function turn(to, place) {
  offset = Math.max(0, to);
  here = place;
  await page();
}

// ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Stage an edit behind all that were begun before it. */
function edit(kind, fields = {}, sentence = "") {
  queue = queue.then(async () => {
    try {
      const answer = await send(`${base()}/edits`, { kind, seen, ...fields });
      look = answer.studio;
      const touched = new Map(answer.tokens.map((token) => [token.token_id, token]));
      tokens = tokens.map((token) => touched.get(token.token_id) ?? token);
      if (look.version === seen + 1 && kind !== "undo") seen = look.version;
      else await page(false); // others staged something in between
      await refresh(true);
      for (const token of tokens) if (touched.has(token.token_id)) drawPlate(token);
      drawToken();
      say(sentence || `${DOING[kind] ?? kind}: ${answer.tokens.length ? answer.tokens.slice(0, 6).map((one) => `#${one.token_id}`).join(", ") + (answer.tokens.length > 6 ? " …" : "") : "staged"}`);
    } catch (error) {
      tell(error);
      if (error.status === 412) {
        await refresh(true);
        await page(false);
      }
    }
  });
  return queue;
}

function mark(kind) {
  const token = chosen();
  if (!token || !canChange(token)) return;
  edit(kind, { tokens: [token.token_id] });
  if (kind !== "clear") move(1);
}

function reroll(ids) {
  if (!ids.length) return say("nothing is rejected");
  edit("reroll", { tokens: ids }, look.is_arranged ? "" : `${plural(ids.length, "token")} drawn again by the commit`);
}

function toggleLock(layer) {
  const token = chosen();
  if (!token || !canChange(token)) return;
  const locked = new Set(token.locked);
  locked.has(layer) ? locked.delete(layer) : locked.add(layer);
  edit("lock", { tokens: [token.token_id], layers: [...locked] }, locked.has(layer) ? `${layer} stays` : `${layer} is free`);
}

function lockAll() {
  const token = chosen();
  if (!token || !canChange(token)) return;
  const all = Object.keys(token.cells);
  edit("lock", { tokens: [token.token_id], layers: token.locked.length ? [] : all }, token.locked.length ? "no trait is locked" : "all traits are locked");
}

function swap() {
  const token = chosen();
  if (!token || !canChange(token)) return;
  if (!look.is_arranged) return say("tokens that are drawn have no places to swap");
  if (swapping === null) {
    swapping = token.token_id;
    drawPlate(token);
    return say(`#${token.token_id} waits: choose another token and press S, or Esc`);
  }
  const first = swapping;
  endSwap();
  if (first !== token.token_id) edit("swap", { tokens: [first, token.token_id] });
}

function endSwap() {
  const was = swapping;
  swapping = null;
  for (const token of tokens) if (token.token_id === was) drawPlate(token);
}

async function place() {
  const token = chosen();
  if (!token || !canChange(token)) return;
  if (!look.singles.length) return say("this collection has no one-of-ones");
  const name = await ask({ title: `A one-of-one as #${token.token_id}`, words: "Where it stands now the two change places.", name: "Picture", choices: look.singles, yes: "Place it" });
  if (name) edit("place", { tokens: [token.token_id], value: name });
}

async function commit() {
  if (!look.edits.length) return say("nothing is staged");
  const again = look.is_arranged ? look.changed : look.rejected;
  const yes = await ask({ title: `Commit version ${look.version}?`, words: `${plural(look.edits.length, "edit")} by ${[...new Set(look.edits.map((one) => one.author))].join(", ")}. ${again ? `${plural(again, "token")} will be drawn anew, and no other.` : "No picture changes."}`, yes: "Commit" });
  if (yes === null) return;
  try {
    const done = await send(`${base()}/commits`, undefined, { "If-Match": tag });
    await refresh(true);
    await page(false);
    say(`committed: ${plural(done.changed.length + done.redrawn.length, "token")} planned otherwise`);
  } catch (error) {
    tell(error);
    await refresh(true);
    await page(false);
  }
}

async function exported() {
  const told = await json(`${base()}/export`);
  const link = el("a", { download: `${look.collection}-studio-${look.version}.json` });
  const address = URL.createObjectURL(new Blob([JSON.stringify(told, null, 2)], { type: "application/json" }));
  link.setAttribute("href", address);
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function canChange(token) {
  if (look.closed) say(`read-only: ${look.closed}`);
  else if (!token.is_open) say(`#${token.token_id} is pinned, and its content is fixed`);
  return !look.closed && token.is_open;
}

// ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────

function drawAround() {
  at("title").textContent = look.collection;
  document.title = `${look.collection} · Studio`;
  const { drawing } = look;
  const parts = [`version ${look.version}`, `${number(look.approved)} approved`, `${number(look.rejected)} rejected`, `${number(look.changed)} changed`];
  if (drawing.is_running) parts.push(`drawing ${number(drawing.done)} of ${number(drawing.total || look.total)}`);
  else if (drawing.problem) parts.push(`not drawn: ${drawing.problem}`);
  at("state").textContent = parts.join(" · ");
  at("closed").hidden = !look.closed;
  at("closed").textContent = look.closed ? `Read-only: ${look.closed}.` : "";
  const off = look.counted.filter((one) => one.wanted !== one.there);
  at("undo").disabled = !look.edits.length || Boolean(look.closed);
  at("level").disabled = Boolean(look.closed) || !(off.length || look.rules.some((rule) => rule.count));
  at("level").hidden = !look.is_arranged;
  at("commit").disabled = !look.edits.length || Boolean(look.closed);
  drawFilters();
  drawCounts(off);
  drawRules();
  drawEdits();
}

function drawFilters() {
  const numbers = { "": look.total, approved: look.approved, rejected: look.rejected, changed: look.changed, unmarked: look.total - look.approved - look.rejected };
  const buttons = FILTERS.map(([markOf, words]) =>
    el("button", { type: "button", "aria-pressed": String(filter.mark === markOf && !filter.layer), onclick: () => filterBy({ mark: markOf, layer: "", value: "" }) }, `${words} `, el("span", { class: "muted" }, number(numbers[markOf]))),
  );
  if (filter.layer) buttons.push(el("button", { type: "button", class: "value", "aria-label": `no longer only ${filter.layer}: ${filter.value}`, onclick: () => filterBy({ mark: "", layer: "", value: "" }) }, `${filter.layer}: ${filter.value} ×`));
  at("filters").replaceChildren(...buttons);
}

function filterBy(wanted) {
  filter = wanted;
  drawFilters();
  return turn(0, 0).catch(tell);
}

function drawGrid(focus) {
  const old = new Map([...at("grid").children].map((plate) => [plate.dataset.key, plate]));
  const plates = tokens.map((token, place_) => plateOf(token, place_, old.get(`${token.token_id} ${token.key}`)));
  if (!plates.length) plates.push(el("p", { class: "none" }, "No token is like this."));
  at("grid").replaceChildren(...plates);
  at("place").textContent = total ? `${number(offset + 1)} – ${number(offset + tokens.length)} of ${number(total)}` : "";
  at("before").disabled = offset === 0;
  at("after").disabled = offset + PAGE >= total;
  if (focus && !document.activeElement?.closest("dialog, input, select, .side")) at("grid").children[here]?.focus?.({ preventScroll: false });
}

/** A token's cell; its picture is kept from the cell that it had before where it is the same one. */
function plateOf(token, place_, before) {
  const image = before?.querySelector("img") ?? el("img", { alt: "", loading: "lazy", onload: (event) => event.target.classList.add("there"), onerror: (event) => event.target.classList.remove("there") });
  if (!before) show(image, picture(token, 320));
  const words = [`token ${token.token_id}`, token.mark, token.is_changed && "changed", token.single, ...Object.entries(token.cells).map(([layer, value]) => `${layer} ${value}`)].filter(Boolean).join(", ");
  return el(
    "button",
    {
      type: "button",
      role: "option",
      class: ["plate", token.mark, token.is_changed && "changed", !token.is_open && "sealed", swapping === token.token_id && "swapping", place_ === here && "here"].filter(Boolean).join(" "),
      tabindex: place_ === here ? "0" : "-1",
      "aria-label": words,
      "aria-selected": String(place_ === here),
      data: { key: `${token.token_id} ${token.key}`, place: String(place_) },
      onclick: () => choose(place_),
    },
    el("span", { class: "pic" }, image),
    el("span", { class: "line" }, el("span", {}, `#${token.token_id}`), el("span", { class: "sign", "aria-hidden": "true" }, token.single ? "★ " : "", SIGNS[token.mark] ?? "")),
  );
}

function drawPlate(token) {
  const place_ = tokens.findIndex((one) => one.token_id === token.token_id);
  const before = at("grid").children[place_];
  if (!before) return;
  const held = before === document.activeElement;
  const same = before.dataset.key === `${token.token_id} ${token.key}`;
  const now = plateOf(token, place_, same ? before : undefined);
  before.replaceWith(now);
  if (held) now.focus({ preventScroll: true });
}

function choose(place_) {
  const was = here;
  here = place_;
  for (const place of [was, here]) if (tokens[place]) drawPlate(tokens[place]);
  at("grid").children[here]?.focus({ preventScroll: false });
  drawToken();
}

function drawToken() {
  const token = chosen();
  if (!token) return at("token").replaceChildren();
  const card = at("token");
  const kept = card.querySelector("img");
  const image = kept?.dataset.of === `${token.token_id} ${token.key}` ? kept : el("img", { alt: `Token ${token.token_id}`, data: { of: `${token.token_id} ${token.key}` } });
  if (image !== kept) show(image, picture(token, 640));
  const values = new Map(look.layers.map((one) => [one.layer, one.values]));
  const open_ = token.is_open && !look.closed;
  const rows = Object.entries(token.cells).map(([layer, value], place_) => {
    const locked = token.locked.includes(layer);
    const choice = values.has(layer) && open_ ? el("select", { "aria-label": layer, onchange: (event) => pick(token, layer, event.target.value) }, values.get(layer).map((one) => el("option", { value: one, selected: one === value }, one))) : el("span", {}, value);
    return el(
      "li",
      {},
      el("span", { class: "number", "aria-hidden": "true" }, place_ < 9 ? String(place_ + 1) : ""),
      el("span", { class: "layer", title: layer }, layer),
      choice,
      values.has(layer) && open_ ? el("button", { type: "button", class: "lock", "aria-pressed": String(locked), "aria-label": `${layer} ${locked ? "is locked" : "is free"}`, title: locked ? "stays in a reroll" : "may change in a reroll", onclick: () => toggleLock(layer) }, padlock(locked)) : el("span"),
    );
  });
  const act = (words, key, deed, hide = false) => !hide && el("button", { type: "button", disabled: !open_, onclick: deed }, `${words} `, el("kbd", {}, key));
  card.replaceChildren(
    el("button", { type: "button", class: "pic", "aria-label": "the picture, large", onclick: enlarge }, image),
    el("div", { class: "head" }, el("p", { class: "big" }, token.single || `#${token.token_id}`), el("p", { class: `small ${token.mark === "approved" ? "good" : token.mark === "rejected" ? "bad" : "muted"}` }, [token.single && `#${token.token_id}`, token.mark || (token.is_changed ? "changed" : token.is_open ? "" : "pinned")].filter(Boolean).join(" · "))),
    el("button", { type: "button", class: "fold", "aria-expanded": String(card.classList.contains("unfolded")), onclick: (event) => event.target.setAttribute("aria-expanded", String(card.classList.toggle("unfolded"))) }, "Traits"),
    el("ul", { class: "traits" }, rows),
    el("div", { class: "acts" }, act("Approve", "A", () => mark("approve")), act("Reject", "X", () => mark("reject")), act("Clear", "C", () => mark("clear")), act(look.is_arranged ? "Reroll" : "Redraw", "R", () => reroll([token.token_id])), act(swapping === null ? "Swap" : "Swap here", "S", swap, !look.is_arranged), act("Place", "P", place, !look.is_arranged || !look.singles.length)),
  );
}

function pick(token, layer, value) {
  edit("choose", { tokens: [token.token_id], layers: [layer], value }).then(drawToken);
}

function padlock(locked) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  for (const shape of ["M3.5 7.5h9v6.5h-9z", locked ? "M5 7.5V5a3 3 0 0 1 6 0v2.5" : "M5 7.5V5a3 3 0 0 1 5.8-1.1"]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", shape);
    svg.append(path);
  }
  return svg;
}

/** The table: how often each value is wanted and there. A layer with a value that is off stands open. */
function drawCounts(off) {
  const typing = document.activeElement?.closest("#counts input") ? document.activeElement.dataset.of : null;
  if (typing) return; // the person is in it: it is drawn anew when that is done
  const byLayer = Map.groupBy(look.counted, (one) => one.layer);
  const parts = [...byLayer].map(([layer, values]) => {
    const wrong = values.filter((one) => one.wanted !== one.there).length;
    const most = Math.max(1, ...values.map((one) => Math.max(one.there, one.wanted)));
    const table = el("table", {}, el("tbody", {}, values.map((one) => countRow(one, most))));
    const details = el("details", { open: opened.has(layer) || wrong > 0, ontoggle: (event) => (event.target.open ? opened.add(layer) : opened.delete(layer)) }, el("summary", {}, el("span", { class: "layer" }, layer), el("span", { class: wrong ? "over small" : "muted small" }, wrong ? `${wrong} off` : "holds")), table);
    return details;
  });
  at("counts").hidden = !parts.length;
  at("counts").replaceChildren(el("h2", {}, "Counts", el("span", { class: "muted" }, off.length ? `${off.length} of ${look.counted.length} values off` : "every count holds")), ...parts);
}

function countRow(one, most) {
  const over = one.there - one.wanted;
  const input = el("input", {
    inputmode: "numeric",
    value: one.wanted,
    "aria-label": `how often ${one.layer} ${one.value} is wanted`,
    data: { of: `${one.layer}\n${one.value}` },
    disabled: Boolean(look.closed),
    onkeydown: (event) => {
      if (event.key === "Enter") event.target.blur();
      if (event.key === "Escape") {
        event.target.value = one.wanted;
        event.target.blur();
      }
    },
    onchange: (event) => {
      const wanted = Number(event.target.value);
      if (!Number.isInteger(wanted) || wanted < 0 || event.target.value.trim() === "") {
        event.target.value = one.wanted;
        return say("a count is a whole number");
      }
      edit("count", { layers: [one.layer], value: one.value, wanted }, `${one.layer} ${one.value}: ${number(wanted)} wanted`).then(() => {
        event.target.value = one.wanted;
        document.activeElement === event.target && event.target.blur();
        drawAround();
      });
    },
  });
  return el(
    "tr",
    { class: over > 0 ? "more" : over < 0 ? "less" : "" },
    el("td", { class: "who" }, el("button", { type: "button", class: "pick", title: `only tokens with ${one.value}`, onclick: () => filterBy({ mark: "", layer: one.layer, value: one.value }) }, one.value)),
    el("td", { class: "share" }, bar(one.there / most)),
    el("td", { class: "has" }, `${number(one.there)} / `, input),
    el("td", { class: `off ${over > 0 ? "over" : over < 0 ? "under" : ""}` }, over > 0 ? `+${number(over)}` : over < 0 ? `−${number(-over)}` : ""),
  );
}

function drawRules() {
  at("rules").hidden = !look.rules.length;
  const broken = look.rules.filter((rule) => rule.count).length;
  at("rules").replaceChildren(
    el("h2", {}, "Rules", el("span", { class: "muted" }, broken ? `${broken} broken` : "all hold")),
    el("ul", {}, look.rules.map((rule) => el("li", {}, el("span", { class: `sign ${rule.count ? "bad" : "good"}`, "aria-label": rule.count ? "broken" : "holds" }, rule.count ? "✕" : "✓"), el("span", {}, rule.rule.replace(/^rule \d+ \((.*)\)$/, "$1"), rule.count ? el("span", { class: "bad" }, ` broken by ${rule.broken.slice(0, 6).map((id) => `#${id}`).join(", ")}`) : "")))),
  );
}

function drawEdits() {
  at("edits").replaceChildren(
    el("h2", {}, "Staged", el("span", { class: "muted" }, look.edits.length ? plural(look.edits.length, "edit") : "nothing")),
    el("ul", {}, [...look.edits].reverse().slice(0, 30).map((one) => el("li", {}, el("span", { class: "number" }, one.version), el("span", {}, `${DOING[one.kind] ?? one.kind} `, el("span", { class: "muted" }, one.tokens.slice(0, 4).map((id) => `#${id}`).join(" "), one.count > 4 ? ` and ${number(one.count - 4)} more` : "")), el("span", { class: "muted" }, one.author)))),
  );
}

function enlarge() {
  const token = chosen();
  if (!token) return;
  at("large-image").alt = `Token ${token.token_id}`;
  show(at("large-image"), picture(token, 1280));
  at("large").showModal();
}

// ── asking a person ──────────────────────────────────────────────────────────────────────────────────────────

/** A question with a field or without; null where it was closed, else what was entered. */
function ask({ title, words, name = "", choices = null, yes }) {
  const dialog = at("choose");
  at("choose-title").textContent = title;
  at("choose-words").textContent = words;
  at("choose-label").hidden = !name;
  at("choose-name").textContent = name;
  at("choose-yes").textContent = yes;
  at("choose-value").value = choices?.length === 1 ? choices[0] : "";
  at("choose-value").required = Boolean(name);
  at("choose-list").replaceChildren(...(choices ?? []).map((one) => el("option", { value: one })));
  dialog.returnValue = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? at("choose-value").value : null), { once: true });
    dialog.showModal();
    (name ? at("choose-value") : at("choose-yes")).focus();
  });
}

async function goTo() {
  const id = Number(await ask({ title: "Go to a token", words: "", name: "Token id", yes: "Go" }));
  if (!Number.isInteger(id) || id < 1) return;
  filter = { mark: "", layer: "", value: "" };
  drawFilters();
  await turn(Math.floor((id - 1) / PAGE) * PAGE, (id - 1) % PAGE);
}

function tell(error) {
  if (error.status === 403) {
    forget();
    say(`${error.message}. ${error.hint}`);
    return;
  }
  say([error.message, error.hint].filter(Boolean).join(". "));
  if (!look) at("grid").replaceChildren(el("p", { class: "none", role: "alert" }, error.message, el("br"), el("span", { class: "small" }, error.hint ?? "")));
}

// ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

const columns = () => getComputedStyle(at("grid")).gridTemplateColumns.split(" ").length;

/** Go so many tokens on; past the end of the page on to the next one. */
function move(by) {
  const to = here + by;
  if (to >= 0 && to < tokens.length) return choose(to);
  if (to < 0 && offset > 0) return turn(offset - PAGE, Math.max(0, PAGE + to)).catch(tell);
  if (to >= tokens.length && offset + PAGE < total) return turn(offset + PAGE, Math.max(0, to - PAGE)).catch(tell);
}

const KEYS = {
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
  ArrowUp: () => move(-columns()),
  ArrowDown: () => move(columns()),
  Home: () => choose(0),
  End: () => choose(tokens.length - 1),
  PageUp: () => offset > 0 && turn(offset - PAGE, here).catch(tell),
  PageDown: () => offset + PAGE < total && turn(offset + PAGE, here).catch(tell),
  a: () => mark("approve"),
  x: () => mark("reject"),
  c: () => mark("clear"),
  r: () => chosen() && canChange(chosen()) && reroll([chosen().token_id]),
  R: async () => {
    const found = await json(`${base()}/tokens?mark=rejected&limit=500`);
    reroll(found.tokens.map((token) => token.token_id));
  },
  l: lockAll,
  s: swap,
  p: place,
  e: () => edit("level"),
  u: () => edit("undo", {}, "taken back"),
  g: goTo,
  f: () => {
    const place_ = FILTERS.findIndex(([markOf]) => markOf === filter.mark);
    filterBy({ mark: FILTERS[(place_ + 1) % FILTERS.length][0], layer: "", value: "" });
  },
  Escape: endSwap,
  Enter: enlarge,
  "?": () => at("keys").showModal(),
};

function onKey(event) {
  if (at("large").open && event.key !== "Tab") return at("large").close();
  if (event.target.closest("input, select, textarea, dialog")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") return commit();
  if (event.ctrlKey || event.metaKey || event.altKey || !look) return;
  const inSide = event.target.closest("a, .side button, .bench button, .filters button, summary");
  if (inSide && (event.key === "Enter" || event.key.startsWith("Arrow"))) return;
  const layer = /^[1-9]$/.test(event.key) && Object.keys(chosen()?.cells ?? {})[Number(event.key) - 1];
  const deed = layer && look.is_arranged ? () => toggleLock(layer) : KEYS[event.key];
  if (!deed) return;
  event.preventDefault();
  deed();
}

addEventListener("keydown", onKey);
addEventListener("beforeunload", (event) => {
  if (at("counts").contains(document.activeElement) && document.activeElement.matches("input")) event.preventDefault();
});
at("undo").addEventListener("click", () => KEYS.u());
at("level").addEventListener("click", () => KEYS.e());
at("commit").addEventListener("click", commit);
at("export").addEventListener("click", () => exported().catch(tell));
at("keys-button").addEventListener("click", () => at("keys").showModal());
at("before").addEventListener("click", () => turn(offset - PAGE, 0).catch(tell));
at("after").addEventListener("click", () => turn(offset + PAGE, 0).catch(tell));
at("large").addEventListener("click", () => at("large").close());
open().catch(tell);
