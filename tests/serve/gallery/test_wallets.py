"""Add to wallet, against wallets that announce themselves as real ones do and read the chain of a real Anvil."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import REPOSITORY
from galleries import Served
from playwright.sync_api import Page, expect

from pipeline.base.workspace import Workspace
from pipeline.pin.gateway import gateway_app, serve_gateway

OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
STRANGER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

# A wallet with the rules of MetaMask's extension (docs.metamask.io, "Display tokens"; MetaMask/core NftController): chains
# it was not told of are error 4902, a chain is added only when its node has that chain id, and a token only when the
# chosen account owns it on the chosen chain. What it reads it reads from the chain, by `toTheChain`.
WALLET = """
(({ name, rdns, account, refuse, chains }) => {
  const asked = (window.asked ??= []);
  const known = new Set(chains ?? ['0x1']);
  let chain = '0x1';
  const fail = (code, message) => { throw Object.assign(new Error(message), { code }); };
  const call = async (to, data) => toTheChain('eth_call', [{ to, data }, 'latest']);
  const word = (value) => BigInt(value).toString(16).padStart(64, '0');
  const wallet = {
    eth_chainId: () => chain,
    eth_requestAccounts: () => [account],
    wallet_switchEthereumChain: ([{ chainId }]) => {
      if (!known.has(chainId)) fail(4902, `Unrecognized chain ID "${chainId}"`);
      chain = chainId;
      return null;
    },
    wallet_addEthereumChain: async ([{ chainId, rpcUrls, chainName, nativeCurrency }]) => {
      if (!/^https:|^http:\\/\\/(localhost|127\\.0\\.0\\.1)[:/]/.test(rpcUrls[0])) fail(-32602, 'expected an https URL');
      if (!chainName || nativeCurrency.decimals !== 18 || !/^[A-Z]{2,6}$/.test(nativeCurrency.symbol)) fail(-32602, 'bad currency');
      if (await toTheChain('eth_chainId', []) !== chainId) fail(-32602, 'the node has another chain id');
      known.add(chainId);
      return null;
    },
    wallet_watchAsset: async ({ type, options }) => {
      if (type !== 'ERC721') fail(-32602, `Asset of type ${type} not supported`);
      if (!/^\\d+$/.test(options.tokenId)) fail(-32602, 'tokenId must be a decimal string');
      const erc721 = await call(options.address, '0x01ffc9a7' + '80ac58cd'.padEnd(64, '0'));
      if (BigInt(erc721) !== 1n) fail(-32602, 'not an ERC-721 contract');
      const owner = '0x' + (await call(options.address, '0x6352211e' + word(options.tokenId))).slice(-40);
      if (owner.toLowerCase() !== account.toLowerCase()) fail(-32602, 'Suggested NFT is not owned by the selected account');
      return true;
    },
  };
  const provider = {
    request: async ({ method, params }) => {
      asked.push({ name, method, params });
      if (refuse?.[method]) fail(...refuse[method]);
      return wallet[method](params);
    },
  };
  const info = Object.freeze({ uuid: crypto.randomUUID?.() ?? name, name, rdns, icon: 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg"/>' });
  const announce = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
  addEventListener('eip6963:requestProvider', announce);
  announce();
})(%s);
"""


def wallet(name: str = "Fox", rdns: str = "io.metamask", account: str = OWNER, **options: Any) -> str:
    return WALLET % json.dumps({"name": name, "rdns": rdns, "account": account, **options})


@pytest.fixture
def token_page(served: Served, chain: str, open_page: Any) -> Callable[..., Page]:
    """The page of token 3 in a browser with these wallets."""

    def to_the_chain(method: str, params: list[Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(chain, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["result"]

    def opened(*wallets: str) -> Page:
        page: Page = open_page(f"{served.url}/lino/3", init="".join(wallets), expose=to_the_chain)
        page.get_by_role("button", name="Add to wallet").click()
        return page

    return opened


def _asked(page: Page) -> list[str]:
    methods: list[str] = page.evaluate("window.asked.map(one => one.method)")
    return methods


def test_a_wallet_learns_the_chain_and_shows_the_token(token_page: Any, served: Served, chain: str) -> None:
    page = token_page(wallet())
    expect(page.locator(".wallet .words")).to_contain_text("Fox has added Lino #3.")
    expect(page.locator(".wallet .words")).to_contain_text("It may show no picture")
    methods = _asked(page)
    assert methods[0] == "eth_requestAccounts" and methods[-1] == "wallet_watchAsset"
    assert methods.index("wallet_switchEthereumChain") < methods.index("wallet_addEthereumChain")
    added, watched = (
        page.evaluate("m => window.asked.find(one => one.method === m).params", method)
        for method in ("wallet_addEthereumChain", "wallet_watchAsset")
    )
    assert (added[0]["chainId"], added[0]["rpcUrls"]) == ("0x7a69", [chain])
    contract = httpx.get(f"{served.url}/v1/collections/1").json()["contract"]
    assert watched == {"type": "ERC721", "options": {"address": contract, "tokenId": "3"}}


def test_a_wallet_that_knows_the_chain_is_only_switched(token_page: Any) -> None:
    page = token_page(wallet(chains=["0x1", "0x7a69"]))
    expect(page.locator(".wallet .words")).to_contain_text("Fox has added Lino #3.")
    assert "wallet_addEthereumChain" not in _asked(page)


def test_among_several_wallets_the_person_chooses(token_page: Any) -> None:
    page = token_page(wallet("One"), wallet("Two", "xyz.two"))
    expect(page.locator(".wallets button")).to_have_count(2)
    page.get_by_role("button", name="Two").click()
    expect(page.locator(".wallet .words")).to_contain_text("Two has added Lino #3.")
    assert page.evaluate("window.asked.every(one => one.name === 'Two')")


def test_without_a_wallet_it_is_said_which_one_could(token_page: Any) -> None:
    page = token_page()
    words = page.locator(".wallet .words")
    expect(words).to_contain_text("No wallet in this browser answered.")
    expect(words).to_contain_text("only MetaMask's browser extension")
    expect(words).to_contain_text(
        "MetaMask on a phone, Coinbase Wallet, Rainbow, Brave Wallet and marketplaces cannot see it"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"refuse": {"eth_requestAccounts": [4001, "no"]}}, "You declined in Fox. Nothing was changed."),
        ({"refuse": {"wallet_addEthereumChain": [4001, "no"]}}, "You declined in Fox."),
        ({"refuse": {"eth_requestAccounts": [-32002, "pending"]}}, "still waits for an answer to an earlier question"),
        ({"account": STRANGER}, "0x7099…79C8, does not own this token: 0xf39F…2266 does."),
        ({"refuse": {"wallet_watchAsset": [-32601, "no such method"]}}, "Fox cannot add ERC-721 tokens."),
        (
            {
                "rdns": "com.coinbase.wallet",
                "refuse": {"wallet_watchAsset": [-32602, "Asset of type 'ERC721' not supported"]},
            },
            "Coinbase Wallet answers that it does not support adding ERC-721 tokens.",
        ),
        (
            {"refuse": {"wallet_watchAsset": [-1, "<img src=x onerror=alert(1)>"]}},
            "It said: “<img src=x onerror=alert(1)>”",
        ),
    ],
)
def test_what_a_wallet_will_not_do_is_told_in_words(token_page: Any, options: dict[str, Any], told: str) -> None:
    page = token_page(wallet(**options))
    expect(page.locator(".wallet .words")).to_contain_text(told)
    if options.get("account") == STRANGER:
        assert "wallet_watchAsset" not in _asked(page)
    expect(page.get_by_role("button", name="Add to wallet")).to_be_enabled()


def test_ethers_and_viem_read_the_contract_and_our_gateway_as_wallets_do(
    minted: Workspace, served: Served, chain: str
) -> None:
    token = httpx.get(f"{served.url}/v1/collections/1/tokens/3").json()
    contract = httpx.get(f"{served.url}/v1/collections/1").json()["contract"]
    node = shutil.which("node")
    assert node, "Node.js is missing: run scripts/test, which installs it"
    with serve_gateway(gateway_app(minted.cars, []), 0) as gateway:
        script = REPOSITORY / "hardhat-free-env" / "read-as-wallet.mjs"
        words = [node, str(script), chain, contract, "3", f"{gateway}/ipfs/"]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (
        found["ethers"]
        == found["viem"]
        == {
            "name": "Lino",
            "symbol": "LINO",
            "interfaces": [True, True, True, False],
            "tokenURI": token["token_uri"],
            "owner": OWNER,
        }
    )
    assert found["metadata"]["name"] == "Lino #3" and found["metadata"]["image"] == token["image_uri"]
    assert found["image_sha256"] == found["metadata"]["image_sha256"] == token["image_sha256"]
    assert found["types"] == ["application/json", "image/png"] and found["cors"] == ["*", "*"]
