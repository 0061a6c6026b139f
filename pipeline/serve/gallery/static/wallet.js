// Add to wallet: EIP-6963 finds the wallets, EIP-1193 talks to one, EIP-3326 and EIP-3085 take it to the chain, EIP-747
// asks it to show the token. What a wallet cannot do is said in words before and after.

import { el, shortHex } from "./dom.js";

const ETHER = { name: "Ether", symbol: "ETH", decimals: 18 };
const ANNOUNCED_MS = 250; // wallets announce themselves at once; a slow extension gets this long
const DECLINED = 4001; // EIP-1193
const UNKNOWN_CHAIN = 4902; // EIP-3085, as wallets use it
const PENDING = -32002;
const UNSUPPORTED = new Set([4200, -32601, -32602, -32004]);

/** Wallets whose makers say that they do not take ERC-721 tokens by EIP-747. */
const CANNOT = {
  "com.coinbase.wallet": "Coinbase Wallet answers that it does not support adding ERC-721 tokens.",
  "com.brave.wallet": "Brave Wallet answers that it does not support adding ERC-721 tokens.",
  "app.rainbow": "Rainbow shows what its own index knows; a token cannot be added by hand.",
};

/** Every wallet in this browser, by EIP-6963; `{info, provider}` each. */
export function discovered() {
  return new Promise((resolve) => {
    const found = new Map();
    const heard = ({ detail }) => {
      if (detail?.info?.uuid && typeof detail.provider?.request === "function") found.set(detail.info.uuid, detail);
    };
    addEventListener("eip6963:announceProvider", heard);
    dispatchEvent(new Event("eip6963:requestProvider"));
    setTimeout(() => {
      removeEventListener("eip6963:announceProvider", heard);
      resolve([...found.values()]);
    }, ANNOUNCED_MS);
  });
}

export class WalletPanel {
  constructor(about, token) {
    this.about = about;
    this.token = token;
    this.button = el("button", { type: "button", disabled: !token.owner || !about.contract, onclick: () => this.begin() }, "Add to wallet");
    this.words = el("div", { class: "words", role: "status", "aria-live": "polite" });
    this.choice = el("div", { class: "wallets" });
    this.element = el("section", { class: "wallet" }, this.button, this.choice, this.words);
    if (!token.owner) this.tell("A wallet can show it when it is minted.");
  }

  tell(...sentences) {
    this.words.replaceChildren(...sentences.filter(Boolean).map((sentence) => el("p", {}, sentence)));
  }

  async begin() {
    this.choice.replaceChildren();
    this.tell("Looking for wallets…");
    const wallets = await discovered();
    if (wallets.length === 0) this.tell(...noWallet(this.about.chain));
    else if (wallets.length === 1) await this.add(wallets[0]);
    else this.offer(wallets);
  }

  offer(wallets) {
    this.tell("Which wallet?");
    this.choice.replaceChildren(
      ...wallets.map((wallet) =>
        el(
          "button",
          { type: "button", onclick: () => this.add(wallet) },
          isImage(wallet.info.icon) && el("img", { src: wallet.info.icon, alt: "", width: 20, height: 20 }),
          String(wallet.info.name),
        ),
      ),
    );
  }

  async add({ info, provider }) {
    this.choice.replaceChildren();
    this.button.disabled = true;
    const name = String(info.name);
    try {
      this.tell(`${name} asks you to connect…`, CANNOT[info.rdns]);
      const [account] = await provider.request({ method: "eth_requestAccounts" });
      this.tell(`${name} goes to ${this.about.chain.name}…`);
      await goTo(provider, this.about.chain);
      if (!same(account, this.token.owner)) this.notYours(name, account);
      else if (await watch(provider, this.about.contract, this.token.token_id)) this.added(name);
      else this.tell(`${name} did not add the token and did not say why.`, CANNOT[info.rdns]);
    } catch (error) {
      this.tell(...refusal(name, error, this.about.chain), CANNOT[info.rdns]);
    } finally {
      this.button.disabled = false;
    }
  }

  notYours(name, account) {
    this.tell(
      `The account that ${name} has chosen, ${account ? shortHex(account) : "none"}, does not own this token: ${shortHex(this.token.owner)} does. A wallet shows a token only to its owner.`,
      "Choose that account in the wallet and try again.",
    );
  }

  added(name) {
    this.tell(`${name} has added ${this.token.name}.`, onDevnet(this.about.chain) && "It may show no picture: wallets read content through a public gateway, and what is pinned on this machine alone cannot be found there. This page shows it whole.");
  }
}

async function goTo(provider, chain) {
  const chainId = `0x${chain.chain_id.toString(16)}`;
  if (same(await provider.request({ method: "eth_chainId" }), chainId)) return;
  try {
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
  } catch (error) {
    if (codeOf(error) !== UNKNOWN_CHAIN || !chain.rpc_url) throw error;
    const added = { chainId, chainName: `${chain.name} (${chain.chain_id})`, nativeCurrency: ETHER, rpcUrls: [chain.rpc_url] };
    if (chain.explorer) added.blockExplorerUrls = [chain.explorer];
    await provider.request({ method: "wallet_addEthereumChain", params: [added] });
    // EIP-3085 leaves open whether the new chain is chosen as well.
    if (!same(await provider.request({ method: "eth_chainId" }), chainId)) {
      await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId }] });
    }
  }
}

function watch(provider, address, tokenId) {
  const options = { address, tokenId: String(tokenId) };
  return provider.request({ method: "wallet_watchAsset", params: { type: "ERC721", options } });
}

/** What a wallet's error means, and what to do. Only codes are trusted; a wallet's own words are shown as a quotation. */
function refusal(name, error, chain) {
  const code = codeOf(error);
  if (code === DECLINED) return [`You declined in ${name}. Nothing was changed.`];
  if (code === PENDING) return [`${name} still waits for an answer to an earlier question: open it and answer.`];
  if (code === UNKNOWN_CHAIN) return [`${name} does not know chain ${chain.chain_id}. Add ${chain.name} in the wallet's settings, with an RPC URL of your own, and try again.`];
  if (UNSUPPORTED.has(code)) return [`${name} cannot add ERC-721 tokens.`, onDevnet(chain) ? devnetWords : "It may find the token by itself."];
  return [`${name} could not do it.`, error?.message ? `It said: “${String(error.message).slice(0, 200)}”` : null];
}

/** A wallet's error code; MetaMask's phone app wraps the one that counts. */
function codeOf(error) {
  return error?.data?.originalError?.code ?? error?.code;
}

const devnetWords = "This collection lives on a devnet on this machine. Of the wallets known to us only MetaMask's browser extension shows tokens of such a chain.";

function noWallet(chain) {
  const first = "No wallet in this browser answered.";
  if (onDevnet(chain)) return [first, devnetWords, "MetaMask on a phone, Coinbase Wallet, Rainbow, Brave Wallet and marketplaces cannot see it."];
  return [first, "Open this page in a browser with a wallet extension, or import the token in your wallet by contract address and id."];
}

const onDevnet = (chain) => chain.worth === "devnet";
const same = (one, other) => String(one ?? "").toLowerCase() === String(other ?? "").toLowerCase();
const isImage = (icon) => typeof icon === "string" && /^data:image\/(png|svg\+xml|webp|jpeg|gif)[;,]/.test(icon);
