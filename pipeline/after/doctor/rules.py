"""The rules by which wallets and marketplaces decide whether and how they show a token, applied to what was seen.

Where each is written stands beside it. MetaMask's are those of its source, MetaMask/core, in `assets-controllers/src`:
NftController.ts, assetsUtil.ts, Standards/NftStandards/ERC721/ERC721Standard.ts. OpenSea's are those of its documents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from pipeline.after.doctor.finding import Finding, State, worst
from pipeline.after.doctor.token import File, Seen, broken_svg, image_data, ipfs_root, is_animated_webp
from pipeline.base.errors import BadArgument
from pipeline.base.media import BY_SUFFIX, DECODERS, MEDIA, sniffed
from pipeline.base.pictures import BadPicture, measure
from pipeline.base.records import DisplayType

Answer = tuple[State, str, str]  # state, what was found, what to do

METAMASK, MOBILE, OPENSEA = "MetaMask extension", "MetaMask mobile", "OpenSea"
STANDARDS = "standards"

SHOWN_BY_BROWSERS = frozenset(media.type for media in MEDIA if media.seen and media.kind in ("picture", "drawing"))
ANIMATION_SUFFIXES = frozenset(
    media.suffix[1:] for media in MEDIA if media.seen and media.kind not in ("picture", "drawing")
)
MUCH_MEDIA = 200 << 20  # bytes, advised by OpenSea; its limit is token.MOST_MEDIA
MOST_SECONDS = 1e11  # of a date: the year 5138, which milliseconds of today are far beyond
ADVISED_SIDE = 3_000  # pixels, by OpenSea
DISPLAY_TYPES = get_args(DisplayType)
_SVG, _MEND_SVG = "image/svg+xml", "write it as XML: in an image a browser repairs nothing"

_CORE = "MetaMask/core assets-controllers/src/"
_MEDIA = "docs.opensea.io/docs/media-and-traits"


@dataclass(frozen=True, slots=True)
class Rule:
    subject: str
    name: str
    apply: Callable[[Seen], Answer]
    source: str


def judge(seen: Seen) -> list[Finding]:
    """A finding for every rule, in the order of the table; then one for each wallet whose rules nobody publishes."""
    findings = []
    for rule in RULES:
        findings.append(Finding(rule.subject, rule.name, *rule.apply(seen), rule.source))
    return findings


def verdicts(findings: list[Finding]) -> dict[str, str]:
    """For each viewer one sentence: will show it, may, will not, or not predictable; and why."""
    by_viewer: dict[str, list[Finding]] = {}
    for finding in findings:
        by_viewer.setdefault(finding.subject, []).append(finding)
    return {viewer: _verdict(viewer, mine) for viewer, mine in by_viewer.items()}


def _verdict(viewer: str, findings: list[Finding]) -> str:
    state = worst(findings)
    reasons = "; ".join(f"{finding.rule}: {finding.found}" for finding in findings if finding.state == state)
    if state == "ok":
        return "all are kept" if viewer == STANDARDS else "will show it"
    if state == "unknown":
        return f"not predictable ({reasons})"
    if viewer == STANDARDS:
        return f"broken ({reasons})" if state == "failed" else f"kept, but {reasons}"
    return f"will not show it ({reasons})" if state == "failed" else f"may show it ({reasons})"


# ── standards ────────────────────────────────────────────────────────────────────────────────────────────────


def _erc165(seen: Seen) -> Answer:
    if seen.answers["ERC-165"] is None:
        return "failed", "supportsInterface gives no usable answer", "every ERC-721 contract implements ERC-165"
    if not seen.answers["ERC-165"] or seen.answers["none"]:
        return "failed", "supportsInterface is not true for 0x01ffc9a7 and false for 0xffffffff", "correct the contract"
    return "ok", "supportsInterface answers as it should", ""


def _interface(name: str, missing: State, why: str) -> Callable[[Seen], Answer]:
    def rule(seen: Seen) -> Answer:
        if seen.answers[name]:
            return "ok", f"{name} is announced", ""
        return missing, f"supportsInterface does not announce {name}", why

    return rule


def _updates(seen: Seen) -> Answer:
    """An event without the id is a fault for certain; an id without the event may be a proxy's, whose code is elsewhere."""
    emits = seen.emits("MetadataUpdate") or seen.emits("BatchMetadataUpdate")
    if emits and not seen.answers["ERC-4906"]:
        return (
            "failed",
            "its code has an event of ERC-4906, and 0x49064906 is not announced",
            "indexers look for the id",
        )
    if not emits and seen.answers["ERC-4906"]:
        return (
            "warning",
            "0x49064906 is announced, and no event of it stands in the code",
            "a proxy's may stand elsewhere",
        )
    return ("ok", "events and id agree", "") if emits else ("warning", "no change of metadata is announced", "")


def _collection_uri(seen: Seen) -> Answer:
    if seen.contract_uri is None:
        return "warning", "there is no contractURI()", "marketplaces ask the owner for name and picture by hand"
    if not seen.emits("ContractURIUpdated"):
        return "warning", "its code has no event ContractURIUpdated() without arguments", "indexers miss its changes"
    return "ok", seen.contract_uri or "contractURI() is empty", ""


def _transfer(seen: Seen) -> Answer:
    if not seen.minted:
        return (
            "warning",
            "no Transfer event of its mint was found",
            "no indexer sees it, if the node looked far enough back",
        )
    return "ok", "the mint's Transfer event is there", ""


def _unknown_token(seen: Seen) -> Answer:
    if seen.knows_unlikely_token:
        return "warning", "tokenURI answers for a token that cannot be there", "ERC-721: it throws for such a token"
    return "ok", "tokenURI refuses a token that is not there", ""


def _exists(seen: Seen) -> Answer:
    if seen.owner is None:
        return "failed", f"token {seen.token_id} has no owner", "check the token id and the address"
    return "ok", f"token {seen.token_id} belongs to {seen.owner}", ""


def _uri_form(seen: Seen) -> Answer:
    uri = seen.metadata.uri
    if not uri:
        return "failed", f"tokenURI({seen.token_id}) gives nothing", "nobody can find the metadata"
    if uri.startswith("ipfs://ipfs/"):
        return "warning", f"{uri}: one ipfs/ too many", "write ipfs://<CID>/<path>"
    if seen.metadata.scheme == "ipfs":
        return "ok" if not any(c in uri for c in "?#") else "warning", uri, ""
    if seen.metadata.scheme == "data":
        return "ok", "the metadata stands in the contract itself", ""
    return "warning", f"{uri}: what it leads to can change or vanish", "ipfs://<CID>/<path> names the content itself"


def _schema(seen: Seen) -> Answer:
    if not seen.metadata.looked:
        return "warning", "not looked at: it is on a server that a stranger chose", ""
    if seen.problem:
        return "failed", seen.problem, "the metadata is a JSON object in UTF-8"
    if seen.schema:
        return "warning", seen.schema, "name and image are texts; attributes have a value each"
    return "ok", f"{len(seen.metadata.data or b''):,} bytes, every field in form", ""


def _kind(seen: Seen) -> Answer:
    """Gateways take the Content-Type from the suffix, or from the first bytes where there is none."""
    for file in (seen.metadata, seen.image):
        named = BY_SUFFIX.get(f".{file.suffix}")
        expected = named.type if named and named.kind in ("picture", "drawing", "document") else ""
        if file.data is not None and expected and file.kind and expected != file.kind:
            return "warning", f"{file.uri} ends in .{file.suffix} and is {file.kind}", "name the file by what it is"
    suffixes = [f".{file.suffix}" if file.suffix else "no suffix" for file in (seen.metadata, seen.image) if file.uri]
    return "ok", f"{' and '.join(suffixes)}: gateways will name the type rightly", ""


# ── MetaMask ─────────────────────────────────────────────────────────────────────────────────────────────────


def _metamask_asks(seen: Seen) -> Answer:
    if not seen.answers["ERC-721 Metadata"]:
        return "failed", "0x5b5e139f is not announced, so tokenURI is not asked", "announce it in supportsInterface"
    return "ok", "0x5b5e139f is announced, so tokenURI is asked", ""


def _metamask_uri(seen: Seen) -> Answer:
    """ipfs:// goes to the user's gateway, by its CID as version 1; all else needs the setting for media of strangers."""
    file = seen.metadata
    if file.scheme == "ipfs":
        return _metamask_cid(file)
    if file.scheme in ("http", "https", "data"):
        return "warning", f"{file.scheme}: is read only with the setting «Display NFT media»", "store it as ipfs://"
    return "failed", f"{file.uri!r} is not fetched", "store it as ipfs://"


def _metamask_cid(file: File) -> Answer:
    try:
        cid = ipfs_root(file.uri)
    except BadArgument as error:
        return "failed", f"its CID cannot be parsed: {error}", "one wrong letter breaks the whole display"
    known = "" if cid.version == 1 else ", which is rewritten as version 1"
    return "ok", f"the CID can be parsed{known}", ""


def _metamask_document(seen: Seen) -> Answer:
    """Only `image` (else `image_url`), `name` and `description` are read."""
    if not seen.metadata.looked:
        return "warning", "not looked at: it is on a server", ""
    if seen.problem:
        return "failed", seen.problem, "without JSON there is neither a name nor a picture"
    if not seen.image.uri:
        drawn = "; its image_data is not read" if image_data(seen.document) else ""
        return "failed", f"neither image nor image_url is a text{drawn}", "name the image in the metadata"
    if not isinstance(seen.document.get("name"), str):
        return "warning", "there is no name: the token id is shown alone", "give it a name"
    return "ok", f"name {seen.document['name']!r}, image {seen.image.uri}", ""


def _metamask_image(seen: Seen) -> Answer:
    file = seen.image
    if not file.uri or not file.looked:
        state: State = "failed" if not file.uri or file.scheme not in ("http", "https") else "warning"
        found = f"{file.uri}: on a server, not looked at" if file.uri else "there is no image"
        return state, found, "store it as ipfs://"
    if file.scheme == "ipfs" and (answer := _metamask_cid(file))[0] != "ok":
        return answer
    if file.data is None:
        return "failed", file.failure, "the verb verify tells what is missing where"
    if file.kind not in SHOWN_BY_BROWSERS:
        return "failed", f"no browser shows {file.kind or 'these bytes'} as an image", "use PNG or JPEG"
    if file.kind == _SVG and (broken := broken_svg(file.data, file.uri)):
        return "failed", broken, _MEND_SVG
    if is_animated_webp(file.data):
        return (
            "warning",
            "an animated WebP was reported to show as a white square",
            "PNG or JPEG; motion in animation_url",
        )
    return "ok", f"{file.kind}, {len(file.data):,} bytes", ""


def _metamask_reach(seen: Seen) -> Answer:
    """The default gateway is dweb.link, which cannot see a node that only runs here."""
    if not seen.reached:
        if "ipfs" not in (seen.metadata.scheme, seen.image.scheme):
            return "ok", "no gateway is needed", ""
        advice = "try the wallet's: --gateway https://dweb.link; for a devnet, set the wallet's gateway to a local one"
        return "warning", "no gateway was tried", advice
    for reached in seen.reached:
        if reached.failure:
            return "failed", f"{reached.url}: {reached.failure}", "pin it where this gateway can find it"
        if not reached.same_bytes:
            return "failed", f"{reached.url} gives other bytes than the CID stands for", "use another gateway"
        if not reached.any_origin:
            return "warning", f"{reached.url} does not let pages of others read it (CORS)", "galleries will not load it"
    return "ok", f"{len(seen.reached)} of {len(seen.reached)} files came, with the right bytes", ""


def _metamask_chain(seen: Seen) -> Answer:
    """NFTs are detected by themselves on mainnet; elsewhere somebody adds them."""
    if seen.chain_id == 1:
        return "ok", "mainnet: tokens are detected by themselves", ""
    return (
        "warning",
        f"chain {seen.chain_id} is not searched for tokens",
        "import it by hand, or by «add to wallet» (EIP-747) with the owner's account selected on this chain",
    )


def _mobile(seen: Seen) -> Answer:
    if seen.chain_id == 1:
        return "ok", "the rules of the extension, and mainnet", ""
    return (
        "warning",
        "wallet_watchAsset does not take NFTs here, and images on testnets are reported missing",
        "import by hand",
    )


# ── OpenSea ──────────────────────────────────────────────────────────────────────────────────────────────────


def _opensea_chain(seen: Seen) -> Answer:
    if seen.is_local:
        return (
            "warning",
            f"chain {seen.chain_id} runs on this machine alone: no service can see it",
            "mint on a public chain",
        )
    return "ok", f"chain {seen.chain_id} is not a private one of this machine", ""


def _opensea_uri(seen: Seen) -> Answer:
    scheme = seen.metadata.scheme
    if scheme in ("ipfs", "https", "ar", "web3") or seen.metadata.uri.lower().startswith("data:application/json"):
        return "ok", f"{scheme}: is read", ""
    if scheme == "http":
        return "warning", "http: without TLS may be refused", "use ipfs:// or https://"
    return "failed", f"{seen.metadata.uri!r} is not read", "use ipfs:// or https://"


def _opensea_document(seen: Seen) -> Answer:
    if not seen.metadata.looked:
        return "warning", "not looked at: it is on a server", ""
    if seen.problem:
        return "failed", seen.problem, "the metadata is a JSON object"
    missing = [name for name in ("name", "image") if not isinstance(seen.document.get(name), str)]
    if "image" in missing and image_data(seen.document):
        missing.remove("image")
    if missing:
        return "failed", f"there is no {' and no '.join(missing)}", "both are needed"
    color = seen.document.get("background_color")
    if color is not None and not (
        isinstance(color, str) and len(color) == 6 and not set(color.lower()) - set("0123456789abcdef")
    ):
        return "warning", f"background_color {color!r} is not six hex digits without #", "it is ignored"
    return "ok", f"name {seen.document['name']!r}", ""


def _opensea_traits(seen: Seen) -> Answer:
    """Every attribute has a value; with a display_type it is a JSON number, and `date` counts seconds since 1970."""
    attributes = seen.document.get("attributes", [])
    if not isinstance(attributes, list) or not all(isinstance(entry, dict) for entry in attributes):
        return "warning", "attributes is not a list of objects", "no trait is shown"
    for entry in attributes:
        trait, value = entry.get("trait_type", "a trait"), entry.get("value")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return "warning", f"{trait!r} has no text or number as value", "that trait is not shown"
        if entry.get("display_type") in (None, "") or (entry["display_type"] == "string" and isinstance(value, str)):
            continue  # shown as without one
        if entry["display_type"] not in DISPLAY_TYPES:
            return (
                "warning",
                f"{trait!r} has display_type {entry['display_type']!r}",
                f"known: {', '.join(DISPLAY_TYPES)}",
            )
        if isinstance(value, str):
            return (
                "warning",
                f"{trait!r} says {value!r} as text, where its display_type wants a number",
                "write it bare",
            )
        if entry.get("display_type") == "date" and abs(value) > MOST_SECONDS:
            return "warning", f"{trait!r} is {value} seconds after 1970: milliseconds, it seems", "divide it by 1,000"
    return "ok", f"{len(attributes)} traits", ""


def _opensea_image(seen: Seen) -> Answer:
    file = seen.image
    if drawn := image_data(seen.document):
        svg = drawn.encode("utf-8", "replace")
        if sniffed(svg) != _SVG:
            return "failed", "image_data is no SVG", "name an image instead"
        if broken := broken_svg(svg):
            return "failed", broken, _MEND_SVG
        return "ok", f"an SVG in image_data, {len(drawn):,} characters", ""
    if not file.uri or not file.looked:
        return (
            ("warning" if file.uri else "failed"),
            file.uri and "on a server, not looked at" or "there is no image",
            "",
        )
    if file.data is None:
        return "failed", file.failure, "pin the image where OpenSea's gateways find it"
    if not file.kind.startswith("image/"):
        return "failed", f"{file.kind or 'these bytes'} is no image", "use PNG or JPEG"
    if file.kind == _SVG and (broken := broken_svg(file.data, file.uri)):
        return "failed", broken, _MEND_SVG
    width, height = _pixels(file.data)
    side = f"{width} by {height} pixels; {ADVISED_SIDE} are advised" if width else "size not told"
    found = f"{file.kind}, {len(file.data):,} bytes, {side}"
    return ("ok", found, "") if len(file.data) <= MUCH_MEDIA else ("warning", found, "keep it below 200 MB")


def _opensea_animation(seen: Seen) -> Answer:
    uri = seen.document.get("animation_url")
    if uri is None:
        return "ok", "none", ""
    suffix = File(uri).suffix if isinstance(uri, str) else ""
    if suffix not in ANIMATION_SUFFIXES:
        return "warning", f"{uri!r} has no suffix that is known", f"one of {', '.join(sorted(ANIMATION_SUFFIXES))}"
    return "ok", str(uri), ""


def _opensea_refresh(seen: Seen) -> Answer:
    if seen.answers["ERC-4906"]:
        return "ok", "changes are picked up from ERC-4906's events", ""
    return "warning", "changes are not picked up by themselves", "announce ERC-4906, or ask for a refresh by hand"


def _pixels(data: bytes) -> tuple[int, int]:
    """Width and height, read from the header alone; zeros where Pillow knows no such image."""
    try:
        head = measure(data, (*DECODERS, "BMP"))
    except BadPicture:
        return 0, 0
    return head.width, head.height


# ── others ───────────────────────────────────────────────────────────────────────────────────────────────────


def _rainbow(seen: Seen) -> Answer:
    return "unknown", "it shows what an indexer knows: what OpenSea shows, it is likely to show", ""


def _coinbase(seen: Seen) -> Answer:
    return "unknown", "it shows what an indexer knows; wallet_watchAsset was answered with «ERC721 not supported»", ""


RULES: tuple[Rule, ...] = (
    Rule(STANDARDS, "token", _exists, "ERC-721: ownerOf"),
    Rule(STANDARDS, "ERC-165", _erc165, "ERC-165"),
    Rule(STANDARDS, "ERC-721", _interface("ERC-721", "failed", "wallets will not take it for one"), "ERC-721"),
    Rule(STANDARDS, "metadata", _interface("ERC-721 Metadata", "failed", "announce 0x5b5e139f"), "ERC-721"),
    Rule(STANDARDS, "royalty", _interface("ERC-2981", "warning", "no marketplace will ask for royalties"), "ERC-2981"),
    Rule(STANDARDS, "ERC-4906", _updates, "ERC-4906"),
    Rule(STANDARDS, "ERC-7572", _collection_uri, "ERC-7572"),
    Rule(STANDARDS, "Transfer", _transfer, "ERC-721: events"),
    Rule(STANDARDS, "unknown token", _unknown_token, "ERC-721: tokenURI"),
    Rule(STANDARDS, "URI", _uri_form, "docs.ipfs.tech: address IPFS on the web"),
    Rule(STANDARDS, "schema", _schema, f"ERC-721 metadata schema; {_MEDIA}"),
    Rule(STANDARDS, "suffix", _kind, "specs.ipfs.tech: path gateway, Content-Type"),
    Rule(METAMASK, "interface", _metamask_asks, _CORE + "Standards/NftStandards/ERC721/ERC721Standard.ts: getTokenURI"),
    Rule(METAMASK, "token URI", _metamask_uri, _CORE + "NftController.ts: #getNftInformationFromTokenURI"),
    Rule(METAMASK, "metadata", _metamask_document, _CORE + "NftController.ts: #getNftInformationFromTokenURI"),
    Rule(METAMASK, "image", _metamask_image, _CORE + "assetsUtil.ts: getFormattedIpfsUrl; metamask-extension#22671"),
    Rule(METAMASK, "gateway", _metamask_reach, _CORE + "assetsUtil.ts: getFormattedIpfsUrl"),
    Rule(METAMASK, "chain", _metamask_chain, "docs.metamask.io: display NFTs; " + _CORE + "NftController.ts: watchNft"),
    Rule(MOBILE, "interface", _metamask_asks, _CORE + "Standards/NftStandards/ERC721/ERC721Standard.ts: getTokenURI"),
    Rule(MOBILE, "token URI", _metamask_uri, _CORE + "NftController.ts"),
    Rule(MOBILE, "image", _metamask_image, _CORE + "assetsUtil.ts"),
    Rule(MOBILE, "adding", _mobile, "docs.metamask.io: display NFTs; metamask-mobile#14577"),
    Rule(OPENSEA, "chain", _opensea_chain, "docs.opensea.io"),
    Rule(OPENSEA, "token URI", _opensea_uri, "docs.opensea.io/docs/metadata-storage"),
    Rule(OPENSEA, "metadata", _opensea_document, _MEDIA),
    Rule(OPENSEA, "traits", _opensea_traits, _MEDIA),
    Rule(OPENSEA, "image", _opensea_image, _MEDIA),
    Rule(OPENSEA, "animation", _opensea_animation, _MEDIA),
    Rule(OPENSEA, "refresh", _opensea_refresh, "docs.opensea.io/docs/updating-metadata; ERC-4906"),
    Rule("Rainbow", "published rules", _rainbow, "rainbow-me/rainbow#4479"),
    Rule("Coinbase Wallet", "published rules", _coinbase, "coinbase/coinbase-wallet-sdk#1112"),
)
