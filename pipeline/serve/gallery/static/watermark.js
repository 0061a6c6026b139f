// Reads the mark in a picture's pixels, here in the browser: `pipeline/mark/watermark.py` says how it was put there.

import { at } from "./places.js";

const GRID = 256;
const BLOCK = 8;
const SIDE = GRID / BLOCK;
const FREQUENCIES = [[0, 2], [1, 1], [2, 0], [0, 3], [1, 2], [2, 1], [3, 0], [2, 2]];
const STEP = 14 * 256; // in parts of a level
const UNIT = 1 << 14;
const CODE_BITS = 96;
const GAINS = [1, 0.98, 1.02, 0.96, 1.04, 0.94, 1.06, 0.92, 1.08, 0.9, 1.1, 0.88, 1.12];
const DOUBTFUL = 6;
const CLEAREST = 4;
const CUT = 0.05;
const SIDES = [256, 320, 384, 512, 640, 768, 800, 1000, 1024, 1080, 1200, 1280, 1500, 1536, 1600, 1920, 2000, 2048, 3000, 4096];

const WAVES = FREQUENCIES.map(([down, across]) => Float64Array.from({ length: BLOCK * BLOCK }, (_, at) => wave(down, at >> 3) * wave(across, at & 7)));
const TURNS = turns();

/** The mark of a picture, whole or cut, as { collection: "5f3a9c12", token, cut }; null where there is none. */
export async function markOf(picture) {
  const places = await (known ??= read());
  const sums = integral(picture);
  const { width, height } = picture;
  const whole = decodedAt(places, cells(sums, width, height, width, height, 0, 0));
  if (whole) return { ...whole, cut: false };
  for (const side of SIDES) {
    if (Math.min(width, height) < side * (1 - CUT) - 1 || Math.max(width, height) > side || Math.min(width, height) >= side) continue;
    const found = await cutFrom(places, sums, width, height, side);
    if (found) return { ...found, cut: true };
  }
  return null;
}

async function cutFrom(places, sums, width, height, side) {
  const pace = Math.max(1, Math.floor(side / (2 * GRID)));
  let heard = [];
  for (let down = 0; down <= side - height; down += pace) {
    for (let across = 0; across <= side - width; across += pace) {
      const grid = cells(sums, width, height, side, side, down, across);
      heard.push({ grid, strength: votes(places, frequencies(grid), 1).reduce((sum, vote) => sum + Math.abs(vote), 0) });
    }
    heard = heard.sort((one, other) => other.strength - one.strength).slice(0, CLEAREST);
    await new Promise((resolve) => setTimeout(resolve)); // the page stays alive
  }
  for (const { grid } of heard) {
    const found = decodedAt(places, grid);
    if (found) return found;
  }
  return null;
}

// ── pixels ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Sums of all luminance above and to the left of each corner: (height + 1) × (width + 1). */
function integral({ data, width, height }) {
  const wide = width + 1;
  const sums = new Float64Array(wide * (height + 1));
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0, row = 0; x < width; x++, from += 4) {
      row += 77 * data[from] + 150 * data[from + 1] + 29 * data[from + 2];
      sums[(y + 1) * wide + x + 1] = sums[y * wide + x + 1] + row;
    }
  }
  return sums;
}

/** The mean luminance of each cell of a grid over `wholeWidth` × `wholeHeight` pixels, of which the picture is a part. */
function cells(sums, width, height, wholeWidth, wholeHeight, down, across) {
  const wide = width + 1;
  const rows = edges(height, wholeHeight, down);
  const columns = edges(width, wholeWidth, across);
  const corners = new Float64Array((GRID + 1) * (GRID + 1));
  for (let i = 0; i <= GRID; i++) {
    const above = rows.whole[i] * wide;
    const below = Math.min(rows.whole[i] + 1, height) * wide;
    for (let j = 0; j <= GRID; j++) {
      const left = columns.whole[j];
      const right = Math.min(left + 1, width);
      const top = sums[above + left] * (1 - columns.part[j]) + sums[above + right] * columns.part[j];
      const bottom = sums[below + left] * (1 - columns.part[j]) + sums[below + right] * columns.part[j];
      corners[i * (GRID + 1) + j] = top * (1 - rows.part[i]) + bottom * rows.part[i];
    }
  }
  const area = (wholeWidth / GRID) * (wholeHeight / GRID);
  const grid = new Float64Array(GRID * GRID);
  for (let i = 0; i < GRID; i++) {
    for (let j = 0; j < GRID; j++) {
      const corner = i * (GRID + 1) + j;
      grid[i * GRID + j] = (corners[corner + GRID + 2] - corners[corner + GRID + 1] - corners[corner + 1] + corners[corner]) / area;
    }
  }
  return grid;
}

function edges(length, whole, offset) {
  const found = { whole: new Int32Array(GRID + 1), part: new Float64Array(GRID + 1) };
  for (let i = 0; i <= GRID; i++) {
    const edge = Math.min(Math.max((i * whole) / GRID - offset, 0), length);
    found.whole[i] = Math.floor(edge);
    found.part[i] = edge - found.whole[i];
  }
  return found;
}

// ── bits ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The chosen cosine frequencies of each block, block by block. */
function frequencies(grid) {
  const found = new Float64Array(SIDE * SIDE * WAVES.length);
  for (let block = 0, to = 0; block < SIDE * SIDE; block++) {
    const corner = Math.floor(block / SIDE) * BLOCK * GRID + (block % SIDE) * BLOCK;
    for (const waves of WAVES) {
      let sum = 0;
      for (let at = 0; at < BLOCK * BLOCK; at++) sum += grid[corner + (at >> 3) * GRID + (at & 7)] * waves[at];
      found[to++] = sum;
    }
  }
  return found;
}

function votes({ bits, dither }, found, gain) {
  const said = new Float64Array(CODE_BITS);
  for (let at = 0; at < found.length; at++) said[bits[at]] += Math.cos(2 * Math.PI * (found[at] / gain / STEP - dither[at] / UNIT));
  return said;
}

function decodedAt(places, grid) {
  const found = frequencies(grid);
  for (const gain of GAINS) {
    const mark = decoded(votes(places, found, gain));
    if (mark) return mark;
  }
  return null;
}

/** The mark whose sum is right, once at most two of the bits that say least are turned. */
function decoded(said) {
  const doubtful = [...said.keys()].sort((one, other) => Math.abs(said[one]) - Math.abs(said[other])).slice(0, DOUBTFUL);
  for (const turned of TURNS) {
    const code = new Uint8Array(CODE_BITS / 8);
    for (let bit = 0; bit < CODE_BITS; bit++) {
      const one = said[bit] < 0 !== turned.some((place) => doubtful[place] === bit);
      if (one) code[bit >> 3] |= 0x80 >> (bit & 7);
    }
    const view = new DataView(code.buffer);
    if (crc32(code.subarray(0, 8)) === view.getUint32(8)) return { collection: view.getUint32(0).toString(16).padStart(8, "0"), token: view.getUint32(4) };
  }
  return null;
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function turns() {
  const all = [...Array(DOUBTFUL).keys()];
  return [[], ...all.map((one) => [one]), ...all.flatMap((one) => all.filter((other) => other > one).map((other) => [one, other]))];
}

function wave(k, at) {
  return Math.sqrt((k === 0 ? 1 : 2) / BLOCK) * Math.cos(((2 * at + 1) * k * Math.PI) / (2 * BLOCK));
}

let known = null;

/** Where each bit stands, and how far its lattice is moved there: as the server's own code has them. */
async function read() {
  const data = new DataView(await (await fetch(at("/gallery/places.bin"))).arrayBuffer());
  const count = SIDE * SIDE * FREQUENCIES.length;
  return {
    bits: Uint8Array.from({ length: count }, (_, place) => data.getUint8(place)),
    dither: Uint16Array.from({ length: count }, (_, place) => data.getUint16(count + 2 * place, true)),
  };
}
