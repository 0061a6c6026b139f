"""What the ledger's main tables hold, as values: frozen, typed, and all that leaves this package of a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.base.cid import CID, IpfsUri
from pipeline.base.errors import Corrupt
from pipeline.base.limits import MAX_SEED
from pipeline.base.records import (
    ZERO_ADDRESS,
    Address,
    Animation,
    Attribute,
    BatchPlan,
    Determinism,
    Fingerprint,
    TokenWords,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KnownChain:
    """A chain that this workspace has worked with; `kind` is external, or the program of an embedded one."""

    id: int
    chain_id: int
    genesis_hash: bytes
    kind: str


NOWHERE = KnownChain(0, MAX_SEED, bytes(32), "external")  # of a collection whose chain nobody has chosen yet
UNDECIDED = ZERO_ADDRESS  # its owner, and who gets its tokens


@dataclass(frozen=True, slots=True)
class CoverFile:
    """The collection's own picture in the workspace, from the draw stage on."""

    sha256: bytes
    suffix: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection's settings, fixed when it is planned, and its place on the chain."""

    id: int
    name: str
    symbol: str
    description: str
    external_url: str
    royalty_bps: int
    royalty_receiver: Address
    max_supply: int
    owner: Address
    seed: int
    chain: KnownChain
    info_root: CID | None  # directory behind contractURI()
    cover_root: CID | None
    cover: CoverFile | None  # None: not drawn yet, or pinned by a version that did not keep it
    contract: Address | None  # known as soon as the deployment is signed
    state: str  # planned, live, mined or final
    tx_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    artist: str = ""
    statement: str = ""
    licence: str = ""

    @property
    def chain_id(self) -> int:
        return self.chain.chain_id

    @property
    def genesis_hash(self) -> bytes:
        return self.chain.genesis_hash

    @property
    def chain_kind(self) -> str:
        return self.chain.kind

    @property
    def is_placed(self) -> bool:
        """Whether chain and owner are decided: its pictures can be drawn before."""
        return (self.chain_id, self.genesis_hash) != (NOWHERE.chain_id, NOWHERE.genesis_hash)

    @property
    def known_chain_id(self) -> int | None:
        """The id of its chain, once that is decided."""
        return self.chain_id if self.is_placed else None

    @property
    def deployed_at(self) -> Address | None:
        """Its contract, once that is in a block as far as was seen."""
        return self.contract if self.state in ("mined", "final") else None


@dataclass(frozen=True, slots=True)
class NewCollection:
    """A collection's settings as they are planned, complete."""

    name: str
    symbol: str
    description: str
    external_url: str
    royalty_bps: int
    royalty_receiver: Address
    max_supply: int
    owner: Address
    seed: int
    artist: str = ""
    statement: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run as it is planned: what it was asked for, what its pictures come from, and which tokens it makes."""

    arguments: Mapping[str, Any]
    fingerprint: Fingerprint
    start: int
    count: int
    batch_size: int
    pinners: Sequence[str]
    rpc_url: str  # scheme, host and port only


@dataclass(frozen=True, slots=True)
class Run:
    """One call of `mint`: what it was asked for and with what it draws."""

    id: int
    collection: int
    arguments: dict[str, Any]
    model: str
    weights_sha256: str
    renderer: str
    encoder: str
    size: int
    device: str
    dtype: str
    threads: int
    duplicate_bits: int | None  # the gate compares hashes up to this distance; None: not at all
    start: int
    count: int
    batch_size: int
    pinners: tuple[str, ...]
    rpc_url: str
    state: str  # running, done or reported
    abandoned: bool  # `count` is what of it was minted, fewer than were asked for

    @property
    def job(self) -> str:
        """The service's job that asked for it; empty where a command did."""
        return str(self.arguments.get("job", ""))

    @property
    def is_placed(self) -> bool:
        """Whether its chain is decided: it can be drawn before."""
        return bool(self.rpc_url)


@dataclass(frozen=True, slots=True)
class Batch:
    """A range of tokens that is pinned and minted as one; `state` is planned, sealed, live, mined or final."""

    id: int
    collection: int
    run: int
    start: int
    quantity: int
    images_root: CID | None
    metadata_root: CID | None
    state: str
    tx_hash: bytes | None  # None when adopted from the chain without its transaction
    block_number: int | None
    block_hash: bytes | None

    @property
    def plan(self) -> BatchPlan:
        return BatchPlan(self.id, self.start, self.quantity)

    @property
    def content(self) -> CID:
        """Its metadata root, which the contract names; of a batch that is sealed."""
        assert self.metadata_root is not None, f"batch {self.id} is not sealed"
        return self.metadata_root

    @property
    def last(self) -> int:
        """Its last token id."""
        return self.start + self.quantity - 1

    @property
    def is_mined(self) -> bool:
        return self.state in ("mined", "final")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the ledger knows it; `state` is planned, generated, sealed, live, mined or final."""

    token_id: int
    seed: int | None  # None: its image existed before
    recipient: Address
    state: str
    suffix: str  # of its image's name
    words: TokenWords
    animation: Animation | None
    attempt: int
    image_sha256: bytes | None
    phash: int | None
    determinism: Determinism | None
    attributes: tuple[Attribute, ...]
    images_root: CID | None
    metadata_root: CID | None
    tx_hash: bytes | None
    block_number: int | None

    @property
    def token_uri(self) -> str | None:
        return str(IpfsUri(self.metadata_root, f"{self.token_id}.json")) if self.metadata_root else None

    @property
    def animation_uri(self) -> str | None:
        """Of the file that moves beside its image."""
        if self.animation is None or self.images_root is None:
            return None
        return str(IpfsUri(self.images_root, f"{self.token_id}{self.animation.suffix}"))

    @property
    def image(self) -> str | None:
        return str(IpfsUri(self.images_root, f"{self.token_id}{self.suffix}")) if self.images_root else None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a token's picture stands, in few words: there may be many."""

    token_id: int
    seed: int
    attempt: int
    plan: str  # what the art source planned, in words of its own
    is_open: bool  # not pinned yet: it may still become another
    image_sha256: bytes | None  # of what was drawn
    suffix: str


def address_or_none(value: str | None) -> Address | None:
    return Address(value) if value else None


def cid_or_none(value: str | None) -> CID | None:
    return CID.parse(value) if value else None


def attributes_of(text: str | None) -> tuple[Attribute, ...]:
    return parsed(text or "[]", lambda entries: tuple(Attribute(**entry) for entry in entries))


def parsed(text: str, make: Callable[[Any], T]) -> T:
    """What `make` makes of a column's JSON. Raises Corrupt for what this program never writes there: a flipped bit may
    leave JSON that is sound and means nothing."""
    try:
        return make(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Corrupt(what="a row of the ledger", reason=f"it does not hold what was written there: {error}") from error
