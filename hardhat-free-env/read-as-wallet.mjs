// Read one token as wallets do, with the two libraries that they are written with: node read-as-wallet.mjs RPC CONTRACT ID GATEWAY
// Prints JSON: what ethers and viem found, and the metadata and image that the gateway gave for the token URI.

import { createHash } from "node:crypto";
import { Contract, JsonRpcProvider } from "ethers";
import { createPublicClient, http, parseAbi } from "viem";

const [rpc, address, id, gateway] = process.argv.slice(2);
const ABI = [
  "function name() view returns (string)",
  "function symbol() view returns (string)",
  "function supportsInterface(bytes4) view returns (bool)",
  "function tokenURI(uint256) view returns (string)",
  "function ownerOf(uint256) view returns (address)",
];
const INTERFACES = ["0x01ffc9a7", "0x80ac58cd", "0x5b5e139f", "0xffffffff"]; // ERC-165, ERC-721, its metadata, and none

async function withEthers() {
  const provider = new JsonRpcProvider(rpc);
  const contract = new Contract(address, ABI, provider);
  const found = await read((name, ...args) => contract[name](...args));
  provider.destroy();
  return found;
}

async function withViem() {
  const client = createPublicClient({ transport: http(rpc) });
  return read((functionName, ...args) => client.readContract({ address, abi: parseAbi(ABI), functionName, args }));
}

async function read(call) {
  return {
    name: await call("name"),
    symbol: await call("symbol"),
    interfaces: await Promise.all(INTERFACES.map((one) => call("supportsInterface", one))),
    tokenURI: await call("tokenURI", BigInt(id)),
    owner: await call("ownerOf", BigInt(id)),
  };
}

async function fetched(uri) {
  const response = await fetch(uri.replace("ipfs://", gateway));
  if (!response.ok) throw new Error(`${response.status} for ${uri}`);
  return { type: response.headers.get("content-type"), cors: response.headers.get("access-control-allow-origin"), bytes: Buffer.from(await response.arrayBuffer()) };
}

const ethers = await withEthers();
const document = await fetched(ethers.tokenURI);
const metadata = JSON.parse(document.bytes);
const image = await fetched(metadata.image);
console.log(
  JSON.stringify({
    ethers,
    viem: await withViem(),
    metadata,
    types: [document.type, image.type],
    cors: [document.cors, image.cors],
    image_sha256: createHash("sha256").update(image.bytes).digest("hex"),
  }),
);
