"""Which token a picture is of, by the marks in it: a signed credential, a watermark, and what ledger and chain say to them.

A credential names chain, contract and token. A watermark names a collection by 32 bits, which only who knows the
collection can tell: a ledger here, or the token's metadata.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.base.errors import BadArgument, PipelineError
from pipeline.base.files import read_regular
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.media import sniffed
from pipeline.base.pictures import BadPicture, decode, flat
from pipeline.base.secrets import shown_url
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import open_chain
from pipeline.ledger import Collection, Ledger
from pipeline.mark.credential import read
from pipeline.mark.watermark import find, find_cropped, number_of
from pipeline.mint.collection import Collection as Contract
from pipeline.pin.http import Caps, HttpFault, request
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNABLE = ("image/png", "image/jpeg", "image/webp")  # in which credentials are looked for
SIDES = (
    256,
    320,
    384,
    512,
    640,
    768,
    800,
    1000,
    1024,
    1080,
    1200,
    1280,
    1500,
    1536,
    1600,
    1920,
    2000,
    2048,
    3000,
    4096,
)
CUT = 0.05  # of a side, that may have been cut off

Known = Literal["this file", "a copy"]


@dataclass(frozen=True, slots=True)
class Signed:
    """The credential of a file."""

    is_sound: bool
    issuer: str
    reason: str  # why it is not sound
    token: str  # what it names: `chain:contract:id`; empty: none


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found in one file."""

    file: str
    kind: str  # media type; empty where it is no picture
    fault: str = ""  # why nothing could be looked for
    credential: Signed | None = None
    watermark: str | None = None  # written out
    strength: float | None = None  # of the watermark: 1 where every bit stands clearly
    cut: bool = False  # something was cut off since it was marked
    collection: str | None = None  # of this workspace, that the marks lead to
    contract: str | None = None
    chain_id: int | None = None
    token_id: int | None = None
    known: Known | None = None  # how the file stands to the one that the ledger has
    owner: str | None = None  # by the chain; None where it was not asked, or has no such token

    @property
    def is_marked(self) -> bool:
        return self.credential is not None or self.watermark is not None


def detect(places: Iterable[str], workspace: Workspace, config: Settings) -> Iterator[Detection]:
    """Look into files, folders and addresses, one Detection each picture. Raises BadArgument for what is not there."""
    known = _collections(workspace)
    for name, data in _contents(places):
        if isinstance(data, str):
            yield Detection(name, "", data)
            continue
        found = _looked_at(name, data, known)
        collection = next((one for one in known if one.name == found.collection), None)
        yield _asked(found, data, collection, workspace, config) if collection is not None else found


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────


def _contents(places: Iterable[str]) -> Iterator[tuple[str, bytes | str]]:
    """Name and content of every file, or why it has none."""
    for place in places:
        if "://" in place:
            yield shown_url(place), _fetched(place)
        elif (path := Path(place)).is_dir():
            for file in sorted(one for one in path.rglob("*") if one.is_file() and not one.is_symlink()):
                yield str(file), _read(file)
        elif path.exists():
            yield place, _read(path)
        else:
            raise BadArgument(name="FILE", value=place, expected="a picture, a folder of pictures, or an https address")


def _read(path: Path) -> bytes | str:
    try:
        return read_regular(path, IMAGE_BYTES)
    except OSError as error:
        return error.strerror or str(error)


def _fetched(url: str) -> bytes | str:
    """What an address leads to, beyond this machine and its networks: whoever gave it may want to look into them."""
    if not url.startswith(("https://", "http://")):
        raise BadArgument(name="URL", value=shown_url(url), expected="an https:// or http:// address")
    try:
        with request("GET", url, caps=Caps(max_bytes=IMAGE_BYTES, only_public=True)) as answer:
            return answer.read_all()
    except HttpFault as fault:
        return fault.reason


# ── marks ────────────────────────────────────────────────────────────────────────────────────────────────────


def _looked_at(name: str, data: bytes, known: list[Collection]) -> Detection:
    kind = sniffed(data)
    try:
        picture = flat(decode(data).image)
    except BadPicture as error:
        return Detection(name, "", error.reason)
    import numpy as np

    found = _by_credential(Detection(name, kind), data, known)
    return _by_watermark(found, np.asarray(picture), known)


def _by_credential(found: Detection, data: bytes, known: list[Collection]) -> Detection:
    credential = read(data, found.kind) if found.kind in SIGNABLE else None
    if credential is None:
        return found
    claims = credential.claims
    token = f"{claims.chain_id}:{claims.contract}:{claims.token_id}" if claims else ""
    found = replace(found, credential=Signed(credential.is_sound, credential.issuer, credential.reason, token))
    if claims is None or not credential.is_sound:
        return found
    place = (claims.chain_id, claims.contract)
    named = next((one for one in known if (one.known_chain_id, one.contract) == place), None)
    return replace(
        found,
        collection=named.name if named else None,
        contract=claims.contract,
        chain_id=claims.chain_id,
        token_id=claims.token_id,
    )


def _by_watermark(found: Detection, pixels: NDArray[np.uint8], known: list[Collection]) -> Detection:
    whole = find(pixels)
    mark = whole or next((cut for side in _sides(*pixels.shape[:2]) if (cut := find_cropped(pixels, side))), None)
    if mark is None:
        return found
    found = replace(found, watermark=str(mark.mark), strength=round(mark.strength, 3), cut=whole is None)
    if found.token_id is not None:
        return found  # a signature says more
    named = next((one for one in known if number_of(one.seed) == mark.mark.collection), None)
    return replace(
        found,
        collection=named.name if named else None,
        contract=named.contract if named else None,
        chain_id=named.known_chain_id if named else None,
        token_id=mark.mark.token_id,
    )


def _sides(height: int, width: int) -> list[int]:
    """How large a square picture may have been of which this is left."""
    longest, shortest = max(width, height), min(width, height)
    return [side for side in SIDES if shortest >= side * (1 - CUT) - 1 and longest <= side and shortest < side]


# ── what ledger and chain say ────────────────────────────────────────────────────────────────────────────────


def _collections(workspace: Workspace) -> list[Collection]:
    if not Ledger.exists(workspace.ledger):
        return []
    with Ledger(workspace.ledger, readonly=True) as ledger:
        return ledger.collections.all()


def _asked(found: Detection, data: bytes, collection: Collection, workspace: Workspace, config: Settings) -> Detection:
    """The same, with how the file stands to the ledger's, and who owns the token by the chain."""
    token_id = found.token_id
    assert token_id is not None, "a mark names a token"
    with Ledger(workspace.ledger, readonly=True) as ledger:
        token = ledger.tokens.get(collection.id, token_id)
    if token is None or token.image_sha256 is None:
        return found
    known: Known = "this file" if hashlib.sha256(data).digest() == token.image_sha256 else "a copy"
    found = replace(found, known=known)
    if collection.deployed_at is None:
        return found
    try:
        with open_chain(config, workspace, collection) as chain:
            (owner,) = Contract(chain, collection.deployed_at).owners_of([token_id])
    except PipelineError:  # what the marks say holds without the chain
        return found
    return replace(found, owner=owner)
