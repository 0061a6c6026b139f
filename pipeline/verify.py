"""From the chain back to the pixels: every link of the way, checked by what it hashes to and not by what we remember."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.cid import CID
from pipeline.config import Config
from pipeline.connection import open_chain
from pipeline.errors import PipelineError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plans import Collection, Plans, Token
from pipeline.records import BatchPlan
from pipeline.report import reading
from pipeline.run import Observer
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.mint.collection import Collection as Contract
    from pipeline.pin.car import Car
    from pipeline.pin.store import CarStore

MAX_READ = 64 << 20  # bytes of one image or document
SHOWN = 3  # failures named in a check's detail; the rest are counted


@dataclass(frozen=True, slots=True)
class Check:
    """One claim: whether it holds, and what was found."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a verification, in the order of the way back."""

    collection: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, "collection": self.collection, "checks": [asdict(check) for check in self.checks]}


def verify(workspace: Workspace, config: Config, name: str | None, observer: Observer) -> Report:
    """Check a collection of this workspace: ledger, chain, contract, owners, token URIs, CARs, metadata, images.

    What fails is in the report. Raises PipelineError only for what makes checking impossible, such as no collection of
    that name or a chain that gives no answer.
    """
    with reading(workspace, name) as (ledger, collection):
        tallies = [
            _check_ledger(ledger),
            *_check_chain(workspace, config, ledger, collection, observer),
            *_check_content(workspace, ledger, collection, observer),
        ]
    return Report(collection.name, tuple(tally.check() for tally in tallies))


@dataclass(slots=True)
class _Tally:
    """Counts what one check looked at, and what it found wrong."""

    name: str
    unit: str
    passed: int = 0
    failures: list[str] = field(default_factory=list)

    def expect(self, got: object, expected: object, what: str) -> None:
        if got == expected:
            self.passed += 1
        else:
            self.failures.append(f"{what} is {got}, expected {expected}")

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """What the block raises is a failure, and the checking goes on behind it."""
        try:
            yield
        except PipelineError as error:
            self.failures.append(f"{what}: {error}")

    def check(self) -> Check:
        if not self.failures:
            return Check(self.name, self.passed > 0, f"{self.passed:,} {self.unit}")
        more = len(self.failures) - SHOWN
        told = "; ".join(self.failures[:SHOWN]) + (f"; and {more:,} more" if more > 0 else "")
        return Check(self.name, False, told)


def _check_ledger(ledger: Ledger) -> _Tally:
    tally = _Tally("ledger", "events chained; plans and sealed batches are as they were written")
    with tally.guarded("ledger"):
        ledger.check_integrity()
        Plans(ledger).check()
        count = ledger.row("SELECT count(*) AS n FROM event")
        tally.passed = count["n"] if count else 0
    return tally


def _check_chain(
    workspace: Workspace, config: Config, ledger: Ledger, collection: Collection, observer: Observer
) -> list[_Tally]:
    """What the contract says, against what was planned: code, supply, digests, owners, token URIs."""
    from pipeline.mint.collection import Collection as Contract
    from pipeline.mint.compile import matches_source

    code = _Tally("contract", "contract with the code of this version's source")
    supply = _Tally("supply", "total supply equals the tokens minted")
    digests = _Tally("digests", "batches committed on the chain to their metadata directory")
    uris = _Tally("token URIs", "token URIs lead to that directory")
    owners = _Tally("owners", "tokens have an owner")
    if collection.contract is None:
        code.failures.append("the contract is not deployed yet")
        return [code]
    with open_chain(config, workspace, collection) as chain:
        contract = Contract(chain, collection.contract)
        code.expect(matches_source(chain.code(collection.contract)), True, "the code's match with its source")
        if code.failures:
            return [code]
        state = contract.state()
        minted = [batch for batch in Plans(ledger).roots(collection.id) if batch[0].start <= state.total_supply]
        total = sum(plan.quantity for plan, _, _ in minted)
        supply.expect(state.total_supply, total, "total supply")
        for plan, _, metadata in minted:
            _check_batch(contract, plan, metadata, digests, uris, owners)
            observer.progress("verify", owners.passed, total)
    return [code, supply, digests, uris, owners]


def _check_batch(
    contract: Contract, plan: BatchPlan, metadata: CID, digests: _Tally, uris: _Tally, owners: _Tally
) -> None:
    from pipeline.mint.collection import OnChainBatch

    ids = list(plan.token_ids)
    digests.expect(
        contract.batch_of(plan.start),
        OnChainBatch(ids[0], ids[-1], metadata.digest),
        f"the batch of token {plan.start}",
    )
    for token_id, uri in zip(ids, contract.token_uris(ids), strict=True):
        uris.expect(uri, f"ipfs://{metadata}/{token_id}.json", f"the URI of token {token_id}")
    for token_id, owner in zip(ids, contract.owners_of(ids), strict=True):
        owners.expect(owner is not None, True, f"token {token_id}: its having an owner")


def _check_content(workspace: Workspace, ledger: Ledger, collection: Collection, observer: Observer) -> list[_Tally]:
    """What the CARs hold: sound blocks, metadata that says what was planned, images that hash to what it says."""
    from pipeline.pin.store import CarStore

    store = CarStore(workspace.cars)
    cars = _Tally("CARs", "CARs with every block and every link")
    metadata = _Tally("metadata", "documents that say what was planned")
    images = _Tally("images", "images that hash to what their metadata says")
    files = _Tally("files", "image files as they were drawn")
    plans = Plans(ledger)
    for root in plans.collection_roots(collection.id):
        with cars.guarded(str(root)):
            store.verify(root)
            cars.passed += 1
    total = sum(plans.counts(collection.id).values())
    for plan, images_root, metadata_root in plans.roots(collection.id):
        tokens = list(plans.tokens(collection.id, plan.start, plan.quantity))
        with images.guarded(f"images of tokens from {plan.start}"):
            _check_documents(store, tokens, images_root, metadata_root, metadata, images)
        for token in tokens:
            path = workspace.image(collection.id, token.token_id)
            got = hashlib.sha256(path.read_bytes()).digest() if path.exists() else None
            files.expect(got == token.image_sha256, True, f"{path}: its match with the ledger")
        observer.progress("verify", files.passed + len(files.failures), total)
    return [cars, metadata, images, files]


def _check_documents(
    store: CarStore, tokens: list[Token], images_root: CID, metadata_root: CID, metadata: _Tally, images: _Tally
) -> None:
    """Read a batch as a collector would: each document, and the image that it names."""
    from pipeline.pin import unixfs
    from pipeline.pin.metadata import check_token_metadata

    def read(car: Car, root: CID, path: str) -> bytes:
        return unixfs.read_bytes(unixfs.resolve(root, path, car.get_block), car.get_block, MAX_READ)

    with store.open(metadata_root) as metadata_car, store.open(images_root) as images_car:
        for token in tokens:
            what = f"metadata of token {token.token_id}"
            with metadata.guarded(what):
                document = check_token_metadata(read(metadata_car, metadata_root, f"{token.token_id}.json"), what)
                found = (document["image"], document["generator"]["seed"])
                metadata.expect(found, (token.image, token.seed), f"image and seed in the {what}")
                image = read(images_car, images_root, f"{token.token_id}.png")
                digest = hashlib.sha256(image).hexdigest()
                images.expect(digest, document["image_sha256"], f"the digest of image {token.token_id}")
