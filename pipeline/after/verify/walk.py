"""One token, from the chain back to its pixels: each link of the way, told as soon as it is known."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.after.verify.steps import Step
from pipeline.base.cid import CID, IpfsUri
from pipeline.base.errors import MissingExtra, PipelineError
from pipeline.base.limits import DOCUMENT_BYTES, IMAGE_BYTES
from pipeline.base.metadata import check_token_metadata
from pipeline.mark.credential import is_png, is_signed, read
from pipeline.mint.compile import matches_source

if TYPE_CHECKING:
    from pipeline.after.verify.pixels import Redraw
    from pipeline.base.records import Address
    from pipeline.mint.collection import Collection as Contract


class Content(Protocol):
    """Whoever gives a file back by the CID of a directory and the path below it; its blocks are hashed on the way."""

    def read(self, root: CID, path: str, limit: int, /) -> bytes:
        """The file, of at most `limit` bytes. Raises PipelineError for what is missing, too large or not what the CID says."""
        ...


class Source:
    """Where tokens are verified from: their contract on a chain, a giver of content, and what draws images again."""

    def __init__(self, contract: Contract, content: Content, redraw: Redraw | None = None) -> None:
        self.contract = contract
        self.content = content
        self.redraw = redraw
        self._code: bytes | None = None
        self._ahead: dict[int, tuple[Address | None, str | None]] = {}

    def look_ahead(self, token_ids: Sequence[int]) -> None:
        """Ask the chain for owner and URI of many tokens at once; `verify_token` of these asks no more."""
        owners, uris = self.contract.owners_of(token_ids), self.contract.token_uris(token_ids)
        self._ahead = dict(zip(token_ids, zip(owners, uris, strict=True), strict=True))

    def code(self) -> bytes:
        if self._code is None:
            self._code = self.contract.chain.code(self.contract.address)
        return self._code

    def owner(self, token_id: int) -> Address | None:
        return self._ahead[token_id][0] if token_id in self._ahead else self.contract.owners_of([token_id])[0]

    def token_uri(self, token_id: int) -> str | None:
        return self._ahead[token_id][1] if token_id in self._ahead else self.contract.token_uris([token_id])[0]


@dataclass(frozen=True, slots=True)
class Holder:
    """The contract that a token is of."""

    chain_id: int
    contract: str


@dataclass(slots=True)
class Found:
    """A token on its way back: what the steps so far have found of it."""

    token_id: int
    uri: str = ""
    holder: Holder | None = None
    document: dict[str, Any] = field(default_factory=dict)
    image: bytes = b""


def verify_token(source: Source, token_id: int) -> Iterator[Step]:
    """Yield a Step for each link of the way, in order, as soon as it is known.

    contract → owner → token URI → metadata → image → digest → pixels (only where the source can draw). A step that
    nothing can be followed from is the last one. Raises nothing that a chain or a giver of content can cause.
    """
    contract = source.contract
    found = Found(token_id, holder=Holder(contract.chain.chain_id, contract.address))
    way = (
        ("contract", partial(_contract, source)),
        ("owner", partial(_owner, source, found)),
        ("token URI", partial(_token_uri, source, found)),
    )
    if (yield from _walk(way)):
        yield from follow_uri(source.content, found, source.redraw)


def follow_uri(content: Content, found: Found, redraw: Redraw | None = None) -> Iterator[Step]:
    """Yield the steps behind a token's URI: metadata → image → digest → pixels. `found` holds what they led to."""
    way: list[tuple[str, _Look]] = [
        ("metadata", partial(_metadata, content, found)),
        ("image", partial(_image, content, found)),
        ("digest", partial(_digest, found)),
    ]
    if not (yield from _walk(way)):
        return
    way.clear()
    if is_png(found.image) and is_signed(found.image):
        way.append(("credential", partial(_credential, found)))
    if redraw is not None:
        way.append(("pixels", lambda: redraw.compare(found.document, found.image)))
    yield from _walk(way)


_Look = Callable[[], tuple[bool | None, str]]


def _walk(way: Iterable[tuple[str, _Look]]) -> Generator[Step, None, bool]:
    """Yield a step for each look; in the end, tell whether nothing broke off."""
    for name, look in way:
        try:
            ok, detail = look()
        except PipelineError as error:
            yield Step(name, None if error.proves_nothing else False, str(error), error.proves_nothing)
            return False
        yield Step(name, ok, detail)
    return True


class _Broken(PipelineError):
    """Nothing can be followed from here."""


def _contract(source: Source) -> tuple[bool | None, str]:
    contract = source.contract
    if not source.code():
        raise _Broken(reason=f"there is no contract at {contract.address} on chain {contract.chain.chain_id}")
    if not matches_source(source.code()):
        return False, f"{contract.address} has other code than this version's source gives"
    return True, f"{contract.address} on chain {contract.chain.chain_id} has the code of this version's source"


def _owner(source: Source, found: Found) -> tuple[bool | None, str]:
    owner = source.owner(found.token_id)
    if owner is None:
        raise _Broken(reason=f"the contract has no token {found.token_id}")
    return True, f"token {found.token_id} belongs to {owner}"


def _token_uri(source: Source, found: Found) -> tuple[bool | None, str]:
    found.uri = source.token_uri(found.token_id) or ""
    ipfs_path(found.uri)
    return True, found.uri


def _metadata(content: Content, found: Found) -> tuple[bool | None, str]:
    root, path = ipfs_path(found.uri)
    data = content.read(root, path, DOCUMENT_BYTES)
    found.document = check_token_metadata(data, f"metadata of token {found.token_id}")
    return (
        True,
        f"{len(data):,} bytes below {root}, every block hashed; the schema holds for {found.document['name']!r}",
    )


def _image(content: Content, found: Found) -> tuple[bool | None, str]:
    root, path = ipfs_path(found.document["image"])
    found.image = content.read(root, path, IMAGE_BYTES)
    return True, f"{len(found.image):,} bytes below {root}, every block hashed"


def _digest(found: Found) -> tuple[bool | None, str]:
    stated = found.document.get("image_sha256")
    if stated is None:
        return None, "the metadata states no sha256 of the image"
    got = hashlib.sha256(found.image).hexdigest()
    if got != stated:
        return False, f"the image's sha256 is {got}, the metadata says {stated}"
    return True, f"sha256 {got}, as the metadata says"


def _credential(found: Found) -> tuple[bool | None, str]:
    """What the file says of itself, signed: a true credential of ours names this token."""
    try:
        credential = read(found.image)
    except MissingExtra as error:
        raise NotRead(reason=str(error)) from error
    if credential is None:
        return None, "a credential that cannot be read"
    by, claims = f"signed by {credential.issuer!r}", credential.claims
    if claims is None:
        return None, f"{by}; it names no token"
    if not credential.is_sound:
        return False, f"{by}, and the file is not what was signed: {credential.reason}"
    token = f"token {claims.token_id} of {claims.contract} on chain {claims.chain_id}"
    named = claims.token_id == found.token_id and found.holder in (None, Holder(claims.chain_id, claims.contract))
    return named, f"{by}; it names {token}" + ("" if named else ": this is a copy")


class NotRead(PipelineError):
    """A credential that cannot be read here."""

    proves_nothing = True
    sentence = "not read: {reason}"


def ipfs_path(uri: str) -> tuple[CID, str]:
    """The root and the path of an `ipfs://<CID>/<path>`; the path is percent-decoded.

    Raises PipelineError for every other form: what it leads to could not be verified.
    """
    from urllib.parse import unquote

    if not uri.startswith("ipfs://"):
        raise _Broken(reason=f"{uri!r} is no ipfs:// URI: what it leads to can change, so nothing can be verified")
    found = IpfsUri.parse(uri)
    return found.root, unquote(found.path, errors="surrogateescape")


def sample_of(total: int, sample: int | None) -> Sequence[int]:
    """Which of the numbers 1 to `total` to look at: all, or a sample with the first and the last among it, in order."""
    if sample is None or sample >= total:
        return range(1, total + 1)
    ends = [1, total][:sample]
    # From the system's entropy: whoever holds the content must not know beforehand what is asked for.
    return sorted([*ends, *random.SystemRandom().sample(range(2, total), sample - len(ends))])
