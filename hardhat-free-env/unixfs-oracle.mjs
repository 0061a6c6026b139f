// Answers which root the JavaScript importer gives: one JSON question per line in, one JSON answer per line out.
//
//   {"profile": "unixfs-v1-2025", "files": [["a/b.txt", "<base64>"], …], "folder": true}  →  {"cid": "bafy…"}

import { createInterface } from 'node:readline'
import { BlackHoleBlockstore } from 'blockstore-core/black-hole'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { importer } from 'ipfs-unixfs-importer'

const PROFILES = {
  'unixfs-v1-2025': () => ({ profile: 'unixfs-v1-2025' }),
  'unixfs-v0-2015': () => ({ profile: 'unixfs-v0-2015' }),
  'kubo-cidv1': () => ({
    cidVersion: 1,
    rawLeaves: true,
    chunker: fixedSize({ chunkSize: 256 * 1024 }),
    layout: balanced({ maxChildrenPerNode: 174 }),
    shardSplitStrategy: 'links-bytes'
  })
}

async function answer ({ profile, files, folder }) {
  const source = files.map(([path, data]) => ({
    path: folder ? `root/${path}` : undefined,
    content: Buffer.from(data, 'base64')
  }))
  let last
  for await (const entry of importer(source, new BlackHoleBlockstore(), PROFILES[profile]())) {
    last = entry
  }
  return { cid: last.cid.toString() }
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line)).catch(error => ({ error: String(error) }))
  process.stdout.write(JSON.stringify(reply) + '\n')
}
