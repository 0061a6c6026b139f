"""What flows through the pipeline: TokenSpec → Artwork → PinnedBatch → MintedBatch. Frozen, and nothing else passes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NewType

from pipeline.base.cid import CID

Address = NewType("Address", str)  # 0x and 40 hex digits with EIP-55 checksum
ZERO_ADDRESS = Address("0x" + "0" * 40)  # no account's: what is minted comes from it


def hex_data(data: bytes) -> str:
    """Bytes as chains and explorers write them."""
    return "0x" + data.hex()


DisplayType = Literal["number", "boost_number", "boost_percentage", "date"]
TokenState = Literal["planned", "generated", "sealed", "live", "mined", "final"]
PinState = Literal["proved", "claimed", "failed"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
JOB_UNENDED: tuple[JobState, ...] = ("queued", "running")

Determinism = Literal["A", "B", "C"]
"""How far an image can be drawn again: A, byte for byte (a CPU and the same build); B, to a level or two (another kind
of device); C, not by us (a generator of others, or a file that existed): the image itself is what counts."""

NOTHING = "none"  # of a fingerprint: there is no such thing


@dataclass(frozen=True, slots=True)
class Attribute:
    """One trait in the form of OpenSea's `attributes`: numbers are numbers, text has no `display_type`."""

    trait_type: str
    value: str | int | float
    display_type: DisplayType | None = None
    max_value: int | float | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What it takes, beside the seed, to draw an image again."""

    model: str  # name of the generator
    weights_sha256: str  # hex digest of the weights file
    renderer: str  # id of the drawing code; changes whenever pixels of the same seed would
    encoder: str  # id of the file encoder and its settings; changes whenever bytes of the same pixels would
    size: int  # width and height in pixels


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a run records of its art source: whatever gives the same of each gives the same pictures."""

    model: str  # name of the generator, or of what stands for one
    weights_sha256: str  # hex digest of the weights file, or of all that the pictures come from
    renderer: str  # NOTHING where pictures cannot be drawn again
    encoder: str
    size: int
    device: str = NOTHING
    dtype: str = NOTHING
    threads: int = 1


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """A token as planned, before anything is drawn."""

    token_id: int
    seed: int  # 0 to limits.MAX_SEED
    recipient: Address
    attempt: int = 0  # the seed is the hash of the collection's seed, the token id and this
    plan: str = ""  # what the art source planned of it, in words of its own


@dataclass(frozen=True, slots=True)
class TokenWords:
    """What a token says of itself beside image and traits. Empty: the collection's words, or nothing."""

    name: str = ""
    description: str = ""
    external_url: str = ""
    background_color: str = ""
    youtube_url: str = ""
    animation_url: str = ""  # where no file of ours is one
    drawn_from: tuple[tuple[str, str | int], ...] = ()  # beside seed and provenance: a token's parents, a block's hash


@dataclass(frozen=True, slots=True)
class Animation:
    """A file that moves beside a token's image, and becomes its animation_url: the image's name with this suffix."""

    suffix: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """An image that existed before its run, as it was when the run was planned."""

    source: Path
    sha256: bytes
    suffix: str  # of the image's name in its directory, such as `.jpg`
    pixel_sha256: bytes  # of the first frame; of the file where there are no pixels
    phash: int | None = None
    blank: bool = False
    name: str = ""  # the token's own; empty: the collection's, with the token id
    description: str = ""
    attributes: tuple[Attribute, ...] = ()
    external_url: str = ""  # empty: the collection's
    background_color: str = ""
    youtube_url: str = ""
    animation: Path | None = None  # a file that becomes animation_url; `source` is its still
    animation_sha256: bytes | None = None
    animation_url: str = ""  # where no file of ours is one

    @property
    def words(self) -> TokenWords:
        return TokenWords(
            self.name,
            self.description,
            self.external_url,
            self.background_color,
            self.youtube_url,
            self.animation_url,
        )

    @property
    def moving(self) -> Animation | None:
        """Its animation as a token has it."""
        if self.animation is None or self.animation_sha256 is None:
            return None
        return Animation(self.animation.suffix.lower(), self.animation_sha256)


@dataclass(frozen=True, slots=True)
class Artwork:
    """A token with its picture: the image lies at `path`, complete and synced to disk."""

    token_id: int
    seed: int
    path: Path
    image_sha256: bytes  # of the file
    pixel_sha256: bytes  # of the decoded pixels, row by row, RGB
    image_bytes: int
    attributes: tuple[Attribute, ...]
    attempt: int = 0  # the one that the gate let through
    phash: int | None = None  # perceptual hash, 63 bits; None where there are no pixels to hash
    determinism: Determinism = "A"
    words: TokenWords = TokenWords()
    animation: Animation | None = None

    @property
    def files(self) -> dict[Path, bytes]:
        """Every file of the token, with its digest."""
        beside = {self.path.with_suffix(self.animation.suffix): self.animation.sha256} if self.animation else {}
        return {self.path: self.image_sha256, **beside}


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The unit of pinning and minting: tokens `start` to `start + quantity - 1`."""

    id: int  # ledger key
    start: int  # first token id
    quantity: int

    @property
    def token_ids(self) -> range:
        return range(self.start, self.start + self.quantity)


@dataclass(frozen=True, slots=True)
class PinnedRoot:
    """A DAG that is stored as one CAR: `car_sha256` is the digest of that file."""

    cid: CID
    blocks: int
    block_bytes: int  # sum of block sizes, without CAR framing
    car_sha256: bytes


@dataclass(frozen=True, slots=True)
class Pin:
    """How one root stands at one place: read back, said to be there, or not there for a reason."""

    root: CID
    place: str  # name of the pinner
    state: PinState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PinnedBatch:
    """A batch whose two roots are stored, read back and pinned in as many places as the run asked for."""

    plan: BatchPlan
    images: PinnedRoot
    metadata: PinnedRoot
    pins: tuple[Pin, ...] = ()  # of both roots; empty where they were recorded before


@dataclass(frozen=True, slots=True)
class MintedBatch:
    """A batch whose tokens are on the chain at the depth that was asked for."""

    plan: BatchPlan
    metadata_root: CID
    tx_hash: bytes | None  # None: found on the chain by its digest, its transaction is not known
    block_number: int
