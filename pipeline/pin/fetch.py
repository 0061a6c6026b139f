"""Getting content back through somebody's gateway, and believing nothing of it but its hashes.

    GET <gateway>/ipfs/<cid>?format=car             all blocks in one answer
    GET <gateway>/ipfs/<cid>?format=raw             one block, where a gateway does not speak CAR
    GET <gateway>/ipfs/<cid>/<path>?format=car      the blocks that lead to one file, and its own

Every block is hashed and every link followed, so a gateway can withhold content and cannot change it. It may be slow,
cut, endless, or lead elsewhere: time, bytes and blocks have limits, and redirects lead to public addresses only.

Source: specs.ipfs.tech/http-gateways/trustless-gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from pipeline.base.cid import CID, IDENTITY
from pipeline.base.errors import BadCar, DigestMismatch, GatewayUnavailable, PinError
from pipeline.base.limits import BLOCK_BYTES, FILE_BYTES
from pipeline.base.records import PinnedRoot
from pipeline.base.secrets import shown_url
from pipeline.base.web import plain_url
from pipeline.pin import unixfs
from pipeline.pin.car import CarCut, CarReader, check_car
from pipeline.pin.http import Answer, Caps, HttpFault, request
from pipeline.pin.unixfs import BadDag, NotInDag, Put

_CAR = "application/vnd.ipld.car"
_RAW = "application/vnd.ipld.raw"
_NO_CAR = frozenset({400, 404, 406, 415, 501})  # what gateways say to a format that they do not have
_FRAMING = 64  # bytes per block of a CAR, at most: a length, and a CID


@dataclass(frozen=True, slots=True)
class Limits:
    """What fetching one root may cost at most."""

    max_bytes: int = 4 << 30
    max_blocks: int = 1_000_000
    whole_s: float = 600.0
    stall_s: float = 30.0  # between two packets

    @classmethod
    def of(cls, root: PinnedRoot, whole_s: float = 600.0) -> Limits:
        """What a known root needs, and no byte more; `dups=y` in a CAR is not needed, so not paid for."""
        return cls(root.block_bytes + _FRAMING * (root.blocks + 4), root.blocks, whole_s)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole DAG that a gateway gave: how many blocks, and bytes in them."""

    cid: CID
    blocks: int
    block_bytes: int


def fetch(root: CID, gateway: str, limits: Limits | None = None, put: Put | None = None) -> Fetched:
    """Get every block of `root` from the gateway at the URL `gateway`; each new one is handed to `put` once hashed.

    All blocks have been handed over only when this returns. Raises BadArgument for what is no URL; DigestMismatch for
    other content than was asked for, or more of it than the limits allow; GatewayUnavailable (try again, or elsewhere)
    where it is missing, incomplete, or not given in time.
    """
    source = _Gateway(gateway, limits or Limits(), root)
    try:
        return source.whole_dag(put or (lambda cid, block: None))
    except _NoCar:
        return source.walk(put or (lambda cid, block: None))


def read_back(root: PinnedRoot, gateway: str, whole_s: float = 600.0) -> str:
    """Prove that all of a root comes back through a gateway, and say what came. Raises as `fetch` does."""
    found = fetch(root.cid, gateway, Limits.of(root, whole_s))
    if (found.blocks, found.block_bytes) != (root.blocks, root.block_bytes):
        raise DigestMismatch(
            where=shown_url(gateway),
            got=f"{found.blocks} blocks of {found.block_bytes} bytes",
            expected=f"{root.cid} with {root.blocks} blocks of {root.block_bytes} bytes",
        )
    return f"{found.blocks:,} blocks of {found.block_bytes:,} bytes came back through {shown_url(gateway)}, each hashed"


def fetch_file(root: CID, path: str, gateway: str, limits: Limits | None = None) -> bytes:
    """Get one file below `root`, and only the blocks that lead to it. Raises as `fetch` does, and NotInDag."""
    limits = limits or Limits(max_bytes=FILE_BYTES, whole_s=120.0)
    source = _Gateway(gateway, limits, root)
    blocks: dict[CID, bytes] = {}
    try:
        get_block = source.car_below(path, blocks)
    except _NoCar:
        get_block = source.block
    try:
        return unixfs.read_bytes(unixfs.resolve(root, path, get_block), get_block, limits.max_bytes)
    except NotInDag:
        raise
    except BadDag as error:
        raise source.mismatch(str(error)) from error


_NOT_YET = frozenset({404, 412})  # new content can take minutes to be found
_ANOTHER = "another gateway may give it: `--gateway URL`"


class _NoCar(Exception):
    """The gateway does not speak CAR."""


class _Gateway:
    """One gateway, asked for one root."""

    def __init__(self, url: str, limits: Limits, root: CID) -> None:
        self._url = plain_url("gateway", url)
        self._limits = limits
        self._root = root
        self._where = shown_url(self._url)
        self._bytes_left = limits.max_bytes

    def whole_dag(self, put: Put) -> Fetched:
        """All blocks by one request."""
        with self._asked(f"{self._root}", "car", _CAR, self._limits.max_bytes) as answer:
            try:
                found = check_car(answer, self._where, self._limits.max_blocks, self._root, put)
            except CarCut as error:  # a CAR may end early with status 200: gateways find missing blocks too late
                raise self._unavailable(error.fields["reason"]) from error
            except BadCar as error:
                raise self.mismatch(error.fields["reason"]) from error
        return Fetched(found.cid, found.blocks, found.block_bytes)

    def walk(self, put: Put) -> Fetched:
        """All blocks, each by a request of its own."""
        blocks = size = 0
        try:
            for cid, block in unixfs.walk(self._root, self.block):
                if cid.hash == IDENTITY:
                    continue
                blocks, size = blocks + 1, size + len(block)
                if blocks > self._limits.max_blocks:
                    raise self.mismatch(f"more than {self._limits.max_blocks:,} blocks")
                put(cid, block)
        except BadDag as error:
            raise self.mismatch(str(error)) from error
        return Fetched(self._root, blocks, size)

    def block(self, cid: CID) -> bytes:
        """One block, hashed."""
        with self._asked(f"{cid}", "raw", _RAW, min(BLOCK_BYTES, self._bytes_left)) as answer:
            data = answer.read_all()
        if not cid.matches(data):
            raise self.mismatch(f"other bytes for block {cid}")
        self._bytes_left -= len(data)
        return data

    def car_below(self, path: str, blocks: dict[CID, bytes]) -> Callable[[CID], bytes]:
        """Fill `blocks` with what leads to the file at `path`; a block that is missing there is asked for singly."""
        place = f"{self._root}/{quote(path, safe='/', errors='surrogateescape')}"
        with self._asked(place, "car", _CAR, self._limits.max_bytes) as answer:
            try:
                for cid, _, block in CarReader(answer, self._where):
                    blocks[cid] = block
            except CarCut:
                pass  # what is missing is found out by reading
            except BadCar as error:
                raise self.mismatch(error.fields["reason"]) from error
        return lambda cid: blocks[cid] if cid in blocks else self.block(cid)

    @contextmanager
    def _asked(self, place: str, form: str, kind: str, max_bytes: int) -> Iterator[Answer]:
        caps = Caps(self._limits.whole_s, self._limits.stall_s, max_bytes)
        url = f"{self._url}/ipfs/{place}?format={form}"
        try:
            with request("GET", url, headers={"Accept": kind}, caps=caps) as answer:
                if form == "car" and kind not in (answer.headers.get("Content-Type") or ""):
                    raise _NoCar
                yield answer
        except HttpFault as fault:
            if form == "car" and fault.status in _NO_CAR:
                raise _NoCar from fault
            if not fault.retryable and not fault.status:
                raise self.mismatch(fault.reason) from fault
            if not fault.retryable and fault.status not in _NOT_YET:
                raise PinError(reason=f"{self._where} refuses {place}: {fault.reason}", hint=_ANOTHER) from fault
            raise self._unavailable(fault.reason, fault.wait_s, fault.within_s) from fault

    def mismatch(self, got: str) -> PinError:
        return DigestMismatch(where=self._where, got=got, expected=self._root)

    def _unavailable(self, reason: str, wait_s: float | None = None, within_s: float | None = None) -> PinError:
        hint = None if within_s is None else "nothing listens there: start it, or correct the gateway's address"
        fields = {"gateway": self._where, "cid": self._root, "reason": reason, "wait_s": wait_s, "within_s": within_s}
        return GatewayUnavailable(**fields, hint=hint)
