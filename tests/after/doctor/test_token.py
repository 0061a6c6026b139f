"""Tokens that are deliberately wrong, on a real Anvil: each must fail by the rule that it breaks, and say why."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from after.verify.conftest import Minted
from conftest import REPOSITORY, Pipeline
from nodes import anvil
from pin.test_fetch import Liar

from pipeline.after.doctor.finding import Finding
from pipeline.after.doctor.rules import METAMASK, MOBILE, OPENSEA, STANDARDS, judge, verdicts
from pipeline.after.doctor.token import INTERFACES, MOST_DOCUMENT, File, look
from pipeline.art.draw.encode import encode_png
from pipeline.base.errors import BadArgument, NoSuch
from pipeline.base.media import sniffed
from pipeline.base.records import Address
from pipeline.mint.chain import Chain, connect
from pipeline.mint.collection import Collection
from pipeline.mint.compile import SETTINGS, SOLC_VERSION
from pipeline.mint.programs import find_solc
from pipeline.pin.store import CarStore

ALL = tuple(name for name in INTERFACES if name != "none")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with anvil() as url:
        yield connect(url)


@pytest.fixture(scope="module")
def odd_token(chain: Chain) -> Callable[..., Address]:
    """Deploy a contract that gives this URI, announces these interfaces and has this owner."""
    import solcx
    from web3 import Web3

    source = REPOSITORY / "contracts" / "mocks" / "OddToken.sol"
    compiled = solcx.compile_standard(
        {"language": "Solidity", "sources": {"Odd": {"content": source.read_text()}}, "settings": SETTINGS},
        solc_binary=find_solc(SOLC_VERSION),
    )["contracts"]["Odd"]["OddToken"]
    w3 = Web3(Web3.HTTPProvider(chain.rpc._target))
    factory = w3.eth.contract(abi=compiled["abi"], bytecode=compiled["evm"]["bytecode"]["object"])

    def deploy(uri: str, announced: tuple[str, ...] = ALL, owner: str = w3.eth.accounts[0]) -> Address:
        ids = [bytes.fromhex(INTERFACES[name]) for name in announced]
        sent = factory.constructor(uri, ids, owner).transact({"from": w3.eth.accounts[0]})
        return Address(w3.eth.wait_for_transaction_receipt(sent)["contractAddress"] or "")

    return deploy


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def png() -> bytes:
    import numpy as np

    return encode_png(np.zeros((16, 16, 3), np.uint8))


def judged(chain: Chain, contract: Address, store: CarStore, gateway: str | None = None) -> list[Finding]:
    return judge(look(Collection(chain, contract), 1, store, gateway))


def found(findings: list[Finding], subject: str, rule: str) -> Finding:
    [finding] = [finding for finding in findings if (finding.subject, finding.rule) == (subject, rule)]
    return finding


def failing(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.subject, finding.rule) for finding in findings if finding.state == "failed"}


def stored(store: CarStore, document: Any, image: bytes | None = None, name: str = "1.json") -> str:
    """The URI of a document in the store; `IMAGE` in it becomes the URI of the image."""
    text = document if isinstance(document, str) else json.dumps(document)
    if image is not None:
        text = text.replace("IMAGE", f"ipfs://{store.put_directory([('1.png', image)]).cid}/1.png")
    return f"ipfs://{store.put_directory([(name, text.encode(errors='surrogatepass'))]).cid}/{name}"


GOOD = {"name": "One", "image": "IMAGE", "attributes": [{"trait_type": "Family", "value": "Lino"}]}


def test_a_good_token_of_anybody_breaks_nothing(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    findings = judged(chain, odd_token(stored(store, GOOD, png)), store)
    assert failing(findings) == set()
    assert found(findings, METAMASK, "metadata").found.startswith("name 'One', image ipfs://")
    assert found(findings, STANDARDS, "unknown token").state == "warning"  # the double answers for every id
    assert all(finding.source for finding in findings)


@pytest.mark.parametrize(
    ("missing", "broken"),
    [
        ("ERC-165", {(STANDARDS, "ERC-165")}),
        ("ERC-721", {(STANDARDS, "ERC-721")}),
        ("ERC-721 Metadata", {(STANDARDS, "metadata"), (METAMASK, "interface"), (MOBILE, "interface")}),
        ("ERC-4906", {(STANDARDS, "ERC-4906")}),
        ("ERC-2981", set()),
    ],
)
def test_an_interface_that_is_not_announced(
    chain: Chain,
    odd_token: Callable[..., Address],
    store: CarStore,
    png: bytes,
    missing: str,
    broken: set[tuple[str, str]],
) -> None:
    announced = tuple(name for name in ALL if name != missing)
    findings = judged(chain, odd_token(stored(store, GOOD, png), announced), store)
    assert failing(findings) == broken
    if missing == "ERC-2981":
        assert found(findings, STANDARDS, "royalty").state == "warning"
    if missing == "ERC-4906":
        assert found(findings, OPENSEA, "refresh").state == "warning"


def test_a_contract_that_announces_everything_is_no_erc165(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    findings = judged(chain, odd_token(stored(store, GOOD, png), (*ALL, "none")), store)
    assert failing(findings) == {(STANDARDS, "ERC-165")}


@pytest.mark.parametrize(
    ("uri", "states"),
    [
        ("", {"URI": "failed", METAMASK: "failed", OPENSEA: "failed"}),
        ("https://example.org/1.json", {"URI": "warning", METAMASK: "warning", OPENSEA: "ok"}),
        ("http://127.0.0.1:9/1.json", {"URI": "warning", METAMASK: "warning", OPENSEA: "warning"}),
        ("ipfs://bafynonsense/1.json", {"URI": "ok", METAMASK: "failed", OPENSEA: "ok"}),
        ("ipfs://QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH/1", {"URI": "ok", METAMASK: "ok", OPENSEA: "ok"}),
        ("ar://abc/1.json", {"URI": "warning", METAMASK: "failed", OPENSEA: "ok"}),
        ("1.json", {"URI": "warning", METAMASK: "failed", OPENSEA: "failed"}),
    ],
)
def test_forms_of_the_token_uri(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, uri: str, states: dict[str, str]
) -> None:
    findings = judged(chain, odd_token(uri), store)
    assert found(findings, STANDARDS, "URI").state == states["URI"]
    for viewer in (METAMASK, OPENSEA):
        assert found(findings, viewer, "token URI").state == states[viewer], found(findings, viewer, "token URI")


def test_a_stray_ipfs_in_the_uri_is_stepped_over_as_metamask_does(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    uri = stored(store, GOOD, png).replace("ipfs://", "ipfs://ipfs/")
    findings = judged(chain, odd_token(uri), store)
    assert failing(findings) == set() and found(findings, STANDARDS, "URI").state == "warning"


def test_metadata_in_the_contract_itself(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    document = {"name": "One", "image": "data:image/png;base64," + base64.b64encode(png).decode()}
    for uri in (
        "data:application/json;base64," + base64.b64encode(json.dumps(document).encode()).decode(),
        "data:application/json," + json.dumps(document),
    ):
        findings = judged(chain, odd_token(uri), store)
        assert failing(findings) == set()
        assert found(findings, METAMASK, "token URI").state == "warning"  # needs «Display NFT media»
    broken = judged(chain, odd_token("data:application/json;base64,!!!"), store)
    assert (METAMASK, "metadata") in failing(broken)


def test_what_a_wallets_fetch_reads_is_read(chain: Chain, odd_token: Callable[..., Address], store: CarStore) -> None:
    plain = '{"name":"One","image":"data:image/png;base64,iVBORw0KGgo","tokenId":' + "9" * 77 + "}"
    bare = base64.b64encode((plain + " " * (3 - len(plain) % 3 + 1)).encode()).decode()
    for uri in (
        f"data:application/json;utf8,{plain}",
        f"data:application/json;utf8,%EF%BB%BF{plain}",
        f"data:application/json; BASE64,{bare[:40]} {bare[40:].rstrip('=')}",
    ):
        findings = judged(chain, odd_token(uri), store)
        assert found(findings, METAMASK, "metadata").state == "ok", found(findings, METAMASK, "metadata")
        assert found(findings, STANDARDS, "schema").state == "ok"
    cut = judged(chain, odd_token('data:application/json;utf8,{"name":"Cat #1"}'), store)
    assert "cut at #" in found(cut, METAMASK, "metadata").found and (OPENSEA, "metadata") in failing(cut)


def test_a_document_may_hold_its_picture_and_one_without_end_is_told(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    """Beyond what we would mint, and read all the same; of more than MOST_DOCUMENT nothing is held."""
    held = {"name": "One", "image": "data:image/png;base64," + base64.b64encode(png).decode(), "note": "x" * (5 << 20)}
    assert failing(judged(chain, odd_token(stored(store, held)), store)) == set()
    endless = judged(chain, odd_token(stored(store, {**held, "note": "x" * MOST_DOCUMENT})), store)
    assert {(METAMASK, "metadata"), (OPENSEA, "metadata")} <= failing(endless)


def test_an_svg_in_the_document_is_opensea_s_alone(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore
) -> None:
    drawn = {"name": "One", "image_data": "<svg xmlns='http://www.w3.org/2000/svg'/>"}
    findings = judged(chain, odd_token(stored(store, drawn)), store)
    assert found(findings, OPENSEA, "image").state == found(findings, OPENSEA, "metadata").state == "ok"
    assert "image_data is not read" in found(findings, METAMASK, "metadata").found


@pytest.mark.parametrize("field", ["image", "image_data"])
def test_an_svg_that_no_browser_draws_is_told(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, field: str
) -> None:
    """In a data: URI everything after # is cut, and half an SVG is none; a page's parser would forgive, an image's does not."""
    svg = "<svg xmlns='http://www.w3.org/2000/svg'><rect fill='#f00'/></svg>"
    head = "data:image/svg+xml;utf8," if field == "image" else ""
    whole = svg.replace("#", "%23") if head else svg
    for text, state in ((whole, "ok"), (svg if head else svg[:-9], "failed")):
        image = found(
            judged(chain, odd_token(stored(store, {"name": "One", field: head + text})), store), OPENSEA, "image"
        )
        assert image.state == state, image
    assert "not well-formed" in image.found and ("%23" in image.found) == (field == "image")


def test_a_token_that_is_not_there_is_one_sentence(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore
) -> None:
    contract = odd_token("", owner="0x" + "00" * 20)
    with pytest.raises(NoSuch, match="there is no token 99 in 0x"):
        look(Collection(chain, contract), 99, store, None)


@pytest.mark.parametrize(
    ("document", "broken"),
    [
        ("not JSON", {(STANDARDS, "schema"), (METAMASK, "metadata"), (OPENSEA, "metadata")}),
        ("[1]", {(STANDARDS, "schema"), (METAMASK, "metadata"), (OPENSEA, "metadata")}),
        ("[" * 50_000, {(STANDARDS, "schema"), (METAMASK, "metadata"), (OPENSEA, "metadata")}),
        ({"name": "One"}, {(METAMASK, "metadata"), (METAMASK, "image"), (OPENSEA, "metadata"), (OPENSEA, "image")}),
        ({"name": "One", "image": 7}, {(METAMASK, "metadata"), (METAMASK, "image"), (OPENSEA, "metadata")}),
        ({"image": "IMAGE"}, {(OPENSEA, "metadata")}),
        ({"name": "One", "image_url": "IMAGE"}, {(OPENSEA, "metadata")}),
        ({"name": "One", "image": "1.png"}, {(METAMASK, "image"), (MOBILE, "image")}),
    ],
)
def test_documents_that_cannot_be_shown(
    chain: Chain,
    odd_token: Callable[..., Address],
    store: CarStore,
    png: bytes,
    document: Any,
    broken: set[tuple[str, str]],
) -> None:
    assert broken <= failing(judged(chain, odd_token(stored(store, document, png)), store))


@pytest.mark.parametrize(
    ("attribute", "why"),
    [
        ({"trait_type": "Lines"}, "no text or number"),
        ({"trait_type": "Lines", "value": True}, "no text or number"),
        ({"trait_type": "Lines", "value": "5", "display_type": "number"}, "as text"),
        ({"trait_type": "Lines", "value": 5, "display_type": "stars"}, "display_type 'stars'"),
        ({"trait_type": "Born", "value": 1_700_000_000_000, "display_type": "date"}, "milliseconds"),
    ],
)
def test_traits_that_are_not_shown(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes, attribute: Any, why: str
) -> None:
    findings = judged(chain, odd_token(stored(store, {**GOOD, "attributes": [attribute]}, png)), store)
    traits = found(findings, OPENSEA, "traits")
    assert traits.state == "warning" and why in traits.found


def test_images_that_are_none(chain: Chain, odd_token: Callable[..., Address], store: CarStore) -> None:
    findings = judged(chain, odd_token(stored(store, GOOD, b"<html>no picture</html>")), store)
    assert {(METAMASK, "image"), (OPENSEA, "image")} <= failing(findings)
    assert found(findings, STANDARDS, "suffix").state == "warning"  # .png, and it is HTML
    animated = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02" + bytes(30)
    findings = judged(chain, odd_token(stored(store, GOOD, animated)), store)
    assert "white square" in found(findings, METAMASK, "image").found


def test_an_image_that_nobody_pinned(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    uri = stored(store, GOOD, png)
    image = json.loads(_document(store, uri))["image"]
    store.path(_root(image)).unlink()
    findings = judged(chain, odd_token(uri), store)
    assert {(METAMASK, "image"), (MOBILE, "image"), (OPENSEA, "image")} == failing(findings)
    assert "missing" in found(findings, OPENSEA, "image").found


def _root(uri: str) -> Any:
    from pipeline.base.cid import CID

    return CID.parse(uri.removeprefix("ipfs://").partition("/")[0])


def _document(store: CarStore, uri: str) -> bytes:
    return store.read(_root(uri), uri.rpartition("/")[2])


def test_names_without_suffix_are_no_fault_and_wrong_ones_are_told(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    bare = judged(chain, odd_token(stored(store, GOOD, png, name="1")), store)
    assert failing(bare) == set() and "no suffix" in found(bare, STANDARDS, "suffix").found
    wrong = judged(chain, odd_token(stored(store, GOOD, png, name="1.png")), store)
    assert found(wrong, STANDARDS, "suffix").state == "warning"


def test_what_a_stranger_wrote_cannot_act_on_a_terminal(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    evil = {**GOOD, "name": "\x1b[2J\u202eevil", "background_color": "\x07", "animation_url": "x\x1b]0;t\x07"}
    findings = judged(chain, odd_token(stored(store, evil, png)), store)
    text = "".join(f.found + f.advice for f in findings) + "".join(verdicts(findings).values())
    assert not any(character in text for character in "\x1b\x07\u202e")


def test_a_token_without_owner_and_an_address_without_code(
    chain: Chain, odd_token: Callable[..., Address], store: CarStore, png: bytes
) -> None:
    findings = judged(chain, odd_token(stored(store, GOOD, png), owner="0x" + "00" * 20), store)
    assert failing(findings) == {(STANDARDS, "token")}
    assert found(findings, STANDARDS, "Transfer").state == "warning"
    with pytest.raises(BadArgument, match="there is no code"):
        look(Collection(chain, Address("0x" + "11" * 20)), 1, store, None)


# ── the gateway that a wallet uses ───────────────────────────────────────────────────────────────────────────


def served(store: CarStore, *, origin: str = "*", lie: bool = False, status: int = 200) -> Callable[[Any], None]:
    def answer(handler: Any) -> None:
        body = _document(store, handler.path.replace("/ipfs/", "ipfs://"))
        handler.send_response(status)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.send_header("Access-Control-Allow-Origin", origin)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:-1] + b"!" if lie else body)

    return answer


@pytest.mark.parametrize(
    ("how", "state", "why"),
    [
        ({}, "ok", "2 of 2 files came"),
        ({"lie": True}, "failed", "other bytes"),
        ({"status": 504}, "failed", "HTTP 504"),
        ({"origin": "https://elsewhere.org"}, "warning", "CORS"),
    ],
)
def test_gateways_that_wallets_use(
    chain: Chain,
    odd_token: Callable[..., Address],
    store: CarStore,
    png: bytes,
    liar: Callable[..., Liar],
    how: dict[str, Any],
    state: str,
    why: str,
) -> None:
    contract = odd_token(stored(store, GOOD, png))
    reach = found(judged(chain, contract, store, liar(served(store, **how)).url), METAMASK, "gateway")
    assert (reach.state, why in reach.found) == (state, True), reach


def test_a_path_that_steps_up_is_not_asked_of_a_gateway(
    chain: Chain, odd_token: Callable[..., Address], liar: Callable[..., Liar], store: CarStore
) -> None:
    server = liar(lambda handler: handler.give(b"{}", "application/json"))

    class Anything:
        def read(self, root: Any, path: str, limit: int) -> bytes:
            return b'{"name":"One","image":"ipfs://QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH/%2e%2e/%2E%2e/admin"}'

    contract = odd_token("ipfs://QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH/../../admin")
    findings = judge(look(Collection(chain, contract), 1, Anything(), server.url))
    assert server.asked == [] and "steps up" in found(findings, METAMASK, "gateway").found


# ── the verb ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_our_own_tokens_will_be_shown_and_a_devnet_is_told(pipeline: Pipeline, original: Minted) -> None:
    ended = pipeline("doctor", "--token", "2", "--rpc-url", original.url, "--json", cwd=original.folder)
    assert ended.code == 0 and ended.json["ok"], ended.out + ended.err
    assert ended.json["verdicts"]["standards"] == "all are kept"
    assert "chain 31337" in ended.json["verdicts"]["OpenSea"]
    assert ended.json["verdicts"]["Rainbow"].startswith("not predictable")
    assert all(finding["source"] for finding in ended.json["findings"])
    table = pipeline("doctor", "--token", "2", "--rpc-url", original.url, cwd=original.folder)
    assert table.code == 0 and "verdict" in table.out and "✓" in table.out


def test_a_token_that_will_not_be_shown_ends_with_1(
    pipeline: Pipeline, chain: Chain, odd_token: Callable[..., Address], tmp_path: Path
) -> None:
    contract = odd_token("ipfs://bafynonsense/1.json")
    words = ("doctor", "--token", "1", "--contract", contract, "--rpc-url", chain.rpc._target)
    ended = pipeline(*words)
    assert ended.code == 1 and "✗" in ended.out and "will not show it" in ended.out, ended.out + ended.err


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ""),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "video/mp4"),
        (b'<?xml version="1.0"?>\n<svg/>', "image/svg+xml"),
        (b" \n<SVG>", "image/svg+xml"),
        (b"<!DOCTYPE html>", "text/html"),
        (b'{"a":1}', "application/json"),
        (b"", ""),
        (b"MZ", ""),
    ],
)
def test_types_are_told_by_their_first_bytes(data: bytes, kind: str) -> None:
    assert sniffed(data) == kind


def test_suffixes() -> None:
    assert File("ipfs://x/a.b/1.JSON").suffix == "json"
    assert File("https://x/1.mp4?w=1.5#t=2.0").suffix == "mp4"
    assert File("ipfs://x/1").suffix == "" and File("data:image/png;base64,a.b").suffix == ""
