"""One token, seen as a wallet sees it: what the contract answers, what it emits, and what its URI leads to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, unquote_to_bytes

from pipeline.after.verify.walk import Content
from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument, NoSuch, PipelineError, RpcError, RpcUnavailable
from pipeline.base.media import sniffed
from pipeline.base.metadata import canonical_json, check_token_metadata
from pipeline.base.records import ZERO_ADDRESS
from pipeline.base.untrusted import parse_json
from pipeline.mint.chain import checksummed
from pipeline.mint.collection import word
from pipeline.pin.http import Caps, HttpFault, request

if TYPE_CHECKING:
    from pipeline.base.records import Address
    from pipeline.mint.chain import Chain
    from pipeline.mint.collection import Collection as Contract

# ERC-165 ids, each from the specification it is named by.
INTERFACES = {
    "ERC-165": "01ffc9a7",
    "ERC-721": "80ac58cd",
    "ERC-721 Metadata": "5b5e139f",
    "ERC-2981": "2a55205a",
    "ERC-4906": "49064906",
    "none": "ffffffff",  # ERC-165: must be false
}
EVENTS = {
    "MetadataUpdate": "MetadataUpdate(uint256)",
    "BatchMetadataUpdate": "BatchMetadataUpdate(uint256,uint256)",
    "ContractURIUpdated": "ContractURIUpdated()",
}
UNLIKELY_TOKEN = 2**256 - 1
BROWSER_ORIGIN = "https://example.org"  # of the request that asks whether any page may read the answer
MOST_DOCUMENT = 8 << 20  # bytes: a wallet has no limit, and a picture may stand in the document
MOST_MEDIA = 300 << 20  # bytes: OpenSea's limit for media (docs.opensea.io/docs/media-and-traits)
_FIELDS = frozenset(
    ("name", "description", "image", "animation_url", "external_url", "youtube_url", "background_color", "attributes")
)
_BASE64 = re.compile(r"; *base64$", re.IGNORECASE)
_CUT = " (its data: URI is cut at #, which has to be written %23)"
_NO_BREAKS = str.maketrans("", "", "\t\n\r")  # a URL's parser drops them
REACH_S = 20.0  # nobody waits longer for a picture


@dataclass(slots=True)
class File:
    """What a URI leads to: its bytes, or why there are none. `looked` is False where it was not even asked for."""

    uri: str
    data: bytes | None = None
    failure: str = ""
    looked: bool = True

    @property
    def scheme(self) -> str:
        return self.uri.partition(":")[0].lower() if ":" in self.uri else ""

    @property
    def kind(self) -> str:
        """The MIME type by its first bytes."""
        return sniffed(self.data) if self.data is not None else ""

    @property
    def suffix(self) -> str:
        """The file name's ending, in lower case, without its dot; "" where there is none."""
        name = without_query(self.uri).rpartition("/")[2] if self.scheme in ("ipfs", "http", "https", "ar") else ""
        return name.rpartition(".")[2].lower() if "." in name else ""


@dataclass(frozen=True, slots=True)
class Reached:
    """What a gateway answered to a plain GET, as wallets send it."""

    url: str
    failure: str
    same_bytes: bool
    kind: str  # Content-Type
    any_origin: bool  # whether pages of every origin may read it (CORS)


@dataclass(slots=True)
class Seen:
    """All that the rules are applied to."""

    chain_id: int
    is_local: bool
    address: str
    token_id: int
    code: bytes
    answers: dict[str, bool | None]  # by the names of INTERFACES; None: no usable answer
    owner: Address | None
    knows_unlikely_token: bool
    contract_uri: str | None
    minted: bool  # whether its Transfer event from the zero address was found
    metadata: File
    document: dict[str, Any] = field(default_factory=dict)
    problem: str = ""  # of the document: why it is not one
    schema: str = ""  # the first rule of the schema that it breaks
    image: File = field(default_factory=lambda: File(""))
    reached: tuple[Reached, ...] = ()
    gateway: str = ""

    def emits(self, event: str) -> bool:
        """Whether the code holds the event's topic: a contract that emits it must."""
        from eth_utils.crypto import keccak

        return keccak(text=EVENTS[event]) in self.code


def look(contract: Contract, token_id: int, content: Content, gateway: str | None) -> Seen:
    """Gather what there is to see of a token; through `gateway` by plain GETs as well, where one is given.

    What a stranger's URI leads to on a server is not asked for. Raises BadArgument where there is no contract, NoSuch
    where the contract knows no such token, RpcUnavailable for a chain that gives no answer.
    """
    chain, address = contract.chain, contract.address
    code = chain.code(address)
    if not code:
        raise BadArgument(name="contract", value=address, expected=f"one on chain {chain.chain_id}: there is no code")
    uri, owner = _asked(chain, address, "tokenURI(uint256)", word(token_id), "string"), _owner(chain, address, token_id)
    if not uri and owner is None:
        raise NoSuch(
            what=f"token {token_id} in {address}: neither ownerOf nor tokenURI knows it",
            hint="of a collection of this workspace, the verb owners lists all tokens",
        )
    seen = Seen(
        chain_id=chain.chain_id,
        is_local=chain.is_local,
        address=address,
        token_id=token_id,
        code=code,
        answers={name: _supports(chain, address, bytes.fromhex(digits)) for name, digits in INTERFACES.items()},
        owner=owner,
        knows_unlikely_token=_asked(chain, address, "tokenURI(uint256)", word(UNLIKELY_TOKEN), "string") is not None,
        contract_uri=_asked(chain, address, "contractURI()", b"", "string"),
        minted=_minted(contract, token_id),
        metadata=_file(content, uri or "", MOST_DOCUMENT),
        gateway=gateway or "",
    )
    _read_document(seen)
    seen.image = _file(content, _image_uri(seen.document), MOST_MEDIA)
    if gateway:
        seen.reached = tuple(_reached(gateway, file) for file in (seen.metadata, seen.image) if file.data is not None)
    return seen


def is_animated_webp(data: bytes) -> bool:
    """Whether a WebP has the animation flag of its VP8X chunk (Google's WebP container specification)."""
    return data[:4] == b"RIFF" and data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 2)


def broken_svg(data: bytes, uri: str = "") -> str:
    """Why no browser shows an SVG as an image; "" where one does. A page would repair it, an <img> does not."""
    from xml.parsers import expat

    try:
        expat.ParserCreate().Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        return f"the SVG is not well-formed: {error}{_CUT if _is_cut(uri) else ''}"
    return ""


def gateway_url(gateway: str, uri: str) -> str:
    """Where a wallet asks for an ipfs:// URI by the path form (MetaMask/core assetsUtil.ts, getFormattedIpfsUrl).

    Raises ValueError for a path that steps up: a stranger must not choose what else of that server is asked for.
    """
    path = _without_prefix(without_query(uri))
    if {".", ".."} & set(unquote(path).split("/")):
        raise ValueError(f"{uri!r} has a path that steps up")
    return f"{gateway.rstrip('/')}/ipfs/{quote(path, safe='/%')}"


def without_query(uri: str) -> str:
    """A URI up to its `?` or `#`, which browsers take for the beginning of something else."""
    return re.split(r"[?#]", uri, maxsplit=1)[0]


def ipfs_root(uri: str) -> CID:
    """The CID of an ipfs:// URI; a stray `ipfs/` is stepped over, as MetaMask does. Raises BadArgument."""
    return CID.parse(_without_prefix(without_query(uri)).partition("/")[0])


# ── the chain ────────────────────────────────────────────────────────────────────────────────────────────────


def _asked(chain: Chain, address: Address, signature: str, arguments: bytes, kind: str) -> Any:
    """What a stranger's contract answers; None for a revert and for what does not decode."""
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError
    from eth_utils.abi import function_signature_to_4byte_selector

    try:
        answer = chain.call(address, function_signature_to_4byte_selector(signature) + arguments)
        return decode([kind], answer)[0]
    except (RpcError, DecodingError, UnicodeDecodeError, OverflowError):
        return None


def _supports(chain: Chain, address: Address, interface: bytes) -> bool | None:
    answer: bool | None = _asked(chain, address, "supportsInterface(bytes4)", interface.ljust(32, b"\0"), "bool")
    return answer


def _owner(chain: Chain, address: Address, token_id: int) -> Address | None:
    owner = _asked(chain, address, "ownerOf(uint256)", word(token_id), "address")
    found = None if owner is None else checksummed(owner)
    return None if found == ZERO_ADDRESS else found


def _minted(contract: Contract, token_id: int) -> bool:
    try:
        return contract.mint_log(token_id, 0) is not None
    except RpcUnavailable:  # events of a stranger's contract may have any form
        return False


# ── the content ──────────────────────────────────────────────────────────────────────────────────────────────


def _file(content: Content, uri: str, limit: int) -> File:
    """Read what a URI leads to, by hash or out of the URI itself; nothing is asked of a server that it names."""
    file = File(uri)
    try:
        if file.scheme == "data":
            file.data = _inline(uri, limit)
        elif file.scheme == "ipfs":
            path = _without_prefix(without_query(uri)).partition("/")[2]
            file.data = content.read(ipfs_root(uri), unquote_to_bytes(path).decode(errors="surrogateescape"), limit)
        else:
            file.looked = False
    except (PipelineError, ValueError) as error:
        file.failure = str(error)
    return file


def _inline(uri: str, limit: int) -> bytes:
    """The bytes of a data: URI as browsers take them (WHATWG Fetch, "data: URL processor"; Infra, "forgiving-base64
    decode"): white space and missing `=` are no fault, and everything after `#` is cut. Raises ValueError.
    """
    address = uri.partition("#")[0].translate(_NO_BREAKS)
    head, comma, body = address.partition(",")
    if not comma or len(body) > 2 * limit:
        raise ValueError("it is no data: URI of a size to be shown")
    if not _BASE64.search(head):
        return unquote_to_bytes(body)
    digits = b"".join(unquote_to_bytes(body).split())
    if len(digits) % 4 == 0:
        digits = digits[:-2] + digits[-2:].rstrip(b"=")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("its base64 is broken") from error


def _read_document(seen: Seen) -> None:
    """Read the metadata as a wallet's `(await fetch(uri)).json()` does."""
    if seen.metadata.data is None:
        seen.problem = seen.metadata.failure
        return
    try:
        document = parse_json(seen.metadata.data.decode("utf-8-sig", "replace"), parse_int=_as_wallets_read)
    except ValueError as error:
        seen.problem = f"the document is not JSON: {error}{_CUT if _is_cut(seen.metadata.uri) else ''}"
        return
    if not isinstance(document, dict):
        seen.problem = "it is JSON, and no object"
        return
    seen.document = document
    seen.schema = _schema(document)


def _schema(document: dict[str, Any]) -> str:
    """The first rule of the schema that a document's known fields break. Other fields are nobody's business."""
    known = {key: value for key, value in document.items() if key in _FIELDS}
    try:
        check_token_metadata(canonical_json(known), "the document")
    except (PipelineError, ValueError, TypeError) as error:
        return str(error)
    return ""


def _as_wallets_read(digits: str) -> int | float:
    return int(digits) if len(digits) < 17 else float(digits)


def _is_cut(uri: str) -> bool:
    return uri.lower().startswith("data:") and "#" in uri


def _image_uri(document: dict[str, Any]) -> str:
    """`image`, and where there is no such field `image_url`: as MetaMask chooses (NftController.ts)."""
    value = document.get("image", document.get("image_url"))
    return value.strip() if isinstance(value, str) else ""


def image_data(document: dict[str, Any]) -> str:
    """The SVG in the document itself, which OpenSea draws where there is no `image`; "" for none."""
    value = document.get("image_data")
    return value if isinstance(value, str) and not document.get("image") else ""


def _without_prefix(uri: str) -> str:
    return uri.removeprefix("ipfs://").removeprefix("ipfs/")


def _reached(gateway: str, file: File) -> Reached:
    if file.scheme != "ipfs":
        return Reached("", "", True, file.kind, True)
    try:
        url = gateway_url(gateway, file.uri)
    except ValueError as error:
        return Reached(file.uri, str(error), False, "", False)
    caps = Caps(whole_s=REACH_S, stall_s=REACH_S, max_bytes=MOST_MEDIA)
    try:
        with request("GET", url, headers={"Origin": BROWSER_ORIGIN}, caps=caps) as answer:
            body = answer.read_all()
            headers = answer.headers
    except HttpFault as fault:
        return Reached(url, fault.reason, False, "", False)
    same = file.data is not None and hashlib.sha256(body).digest() == hashlib.sha256(file.data).digest()
    origin = headers.get("Access-Control-Allow-Origin") or ""
    return Reached(url, "", same, headers.get("Content-Type") or "", origin in ("*", BROWSER_ORIGIN))
