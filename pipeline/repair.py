"""A lost ledger, written anew: the chain says what was minted, its content says what it is, and both must agree.

Content is that of the workspace's CARs; what they lack comes back through a gateway, where one is named.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cid import CID
from pipeline.config import Config
from pipeline.connection import chain_url, kind_here, reach
from pipeline.errors import BadArgument, ContentMissing, Corrupt
from pipeline.files import sync_folder, write_whole
from pipeline.generate.seeds import attempt_of
from pipeline.generate.stage import determinism_by
from pipeline.ledger.journal import MinedIn
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.owners import Owners
from pipeline.ledger.plans import Plans
from pipeline.ledger.rebuild import write_batch, write_collection, write_run
from pipeline.planning import arguments_of
from pipeline.records import MAX_SEED, Address, Artwork, Attribute, Pin, Provenance
from pipeline.run import Observer
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.mint.chain import Chain
    from pipeline.mint.collection import Collection as Contract
    from pipeline.pin.store import CarStore

PINNER = "embedded"  # the CARs of the workspace: nothing else was asked
MAX_IMAGE = 64 << 20  # bytes, as in verifying


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch as the contract keeps it, and what its first document says of how it was made."""

    tokens: range
    metadata: CID
    images: CID
    provenance: Provenance


def repair(workspace: Workspace, config: Config, contract: str, observer: Observer) -> dict[str, Any]:
    """Write the workspace's ledger from a contract and its content; what was rebuilt, as plain values.

    The ledger appears when it is complete; an interrupted call leaves none. Image files that are missing are written
    again, and so are CARs, from the setting `gateway`. Raises BadArgument where there is a ledger, or no contract of
    ours; ContentMissing, GatewayUnavailable, DigestMismatch, Corrupt or BadJson.
    """
    from pipeline.mint.collection import Collection, parsed_address
    from pipeline.mint.compile import matches_source
    from pipeline.mint.indexer import sync
    from pipeline.mint.watcher import finalize
    from pipeline.pin.store import CarStore

    address = parsed_address(contract, "--contract")
    kind = kind_here(workspace, config)
    with workspace.lock(), chain_url(config, workspace, kind) as url:
        _must_be_absent(workspace)
        chain = reach(url)
        if not matches_source(chain.code(address)):
            raise BadArgument(name="--contract", value=address, expected=f"a contract of ours on {chain.rpc.shown}")
        on_chain, store = Collection(chain, address), CarStore(workspace.cars)
        batches, info = _found(on_chain, store, config["gateway"])
        with _fresh_ledger(workspace) as ledger:
            settings = _settings(workspace, config, on_chain, store, batches, info)
            key = _write_collection(ledger, settings, on_chain, kind)
            if info is not None:
                cover = _cover_of(store, info)
                pins = [Pin(root, PINNER, "proved") for root in (cover, info)]
                Plans(ledger).set_info(key, store.verify(cover), store.verify(info), pins)
            block_number = sync(ledger, chain, key)
            _write_runs(ledger, workspace, config, key, batches, store, chain, observer)
            finalize(ledger, chain)
            Plans(ledger).check()
            owners = Owners(ledger).tokens_by_owner(key)
    return {
        "collection": settings["name"],
        "contract": address,
        "chain_id": chain.chain_id,
        "tokens": sum(len(batch.tokens) for batch in batches),
        "batches": len(batches),
        "owners": len(owners),
        "block_number": block_number,
        "seed": settings["seed"],
        "seed_is_new": config["seed"] == "",
    }


def _must_be_absent(workspace: Workspace) -> None:
    """A ledger that is there is never touched; a log without its ledger would be read into the new one."""
    for suffix in ("", "-wal", "-shm"):
        path = Path(f"{workspace.ledger}{suffix}")
        if path.exists():
            raise BadArgument(
                name="--workspace",
                value=str(workspace.folder),
                expected=f"one without {path.name}",
                hint="repair never overwrites a ledger: move ledger.sqlite* elsewhere first",
            )


@contextmanager
def _fresh_ledger(workspace: Workspace) -> Iterator[Ledger]:
    """A new ledger beside its place, moved there when the block ends well."""
    partial = workspace.folder / "ledger.rebuilding.sqlite"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{partial}{suffix}").unlink(missing_ok=True)
    with Ledger(partial) as ledger:
        yield ledger
    os.rename(partial, workspace.ledger)
    sync_folder(workspace.folder)


# ── what the chain commits to ────────────────────────────────────────────────────────────────────────────────


def _found(contract: Contract, store: CarStore, gateway: str) -> tuple[list[_Batch], CID | None]:
    """Every batch with its roots, and the root of collection.json. Raises ContentMissing with all that is not here."""
    missing: dict[CID, None] = {}

    def is_here(root: CID) -> bool:
        if not _brought(store, root, gateway):
            missing[root] = None
        return root not in missing

    uri = contract.state().contract_uri
    info = CID.parse(uri.removeprefix("ipfs://").split("/", 1)[0]) if uri else None
    if info is not None and is_here(info):
        is_here(_cover_of(store, info))
    batches, token_id = [], 1
    while (on_chain := contract.batch_of(token_id)) is not None:
        tokens, metadata = range(on_chain.start, on_chain.end + 1), CID.dag_pb(on_chain.digest)
        token_id = on_chain.end + 1
        if is_here(metadata):
            document = _document(store, metadata, tokens.start)
            batches.append(_Batch(tokens, metadata, _image_root(document), _provenance(document)))
            is_here(batches[-1].images)
    if missing:
        raise ContentMissing(folder=store.folder, roots=", ".join(map(str, missing)))
    return batches, info


def _brought(store: CarStore, root: CID, gateway: str) -> bool:
    """Whether the store has this root, once the gateway was asked for what is missing; each CAR stays when it is whole."""
    from pipeline.pin.fetch import fetch

    if not store.path(root).exists() and gateway:
        store.restore(root, lambda put: fetch(root, gateway, put=put))
    return store.path(root).exists()


def _document(store: CarStore, metadata: CID, token_id: int) -> dict[str, Any]:
    """A token's document. Raises Corrupt for one that does not tell how the token was made."""
    from pipeline.pin.metadata import check_token_metadata

    what = f"metadata of token {token_id}"
    document = check_token_metadata(store.read(metadata, f"{token_id}.json"), what)
    made = document.get("generator")
    if not isinstance(made, dict) or not {"model", "weights_sha256", "renderer", "encoder", "seed", "size"} <= set(
        made
    ):
        raise Corrupt(what=what, reason="it does not say how the token was drawn")
    return document


def _image_root(document: dict[str, Any]) -> CID:
    return CID.parse(str(document["image"]).removeprefix("ipfs://").split("/", 1)[0])


def _provenance(document: dict[str, Any]) -> Provenance:
    made = document["generator"]
    return Provenance(made["model"], made["weights_sha256"], made["renderer"], made["encoder"], made["size"])


def _collection_document(store: CarStore, info: CID) -> dict[str, Any]:
    from pipeline.pin.metadata import check_collection_metadata

    return check_collection_metadata(store.read(info, "collection.json"))


def _cover_of(store: CarStore, info: CID) -> CID:
    return _image_root(_collection_document(store, info))


# ── what is written ──────────────────────────────────────────────────────────────────────────────────────────


def _settings(
    workspace: Workspace, config: Config, contract: Contract, store: CarStore, batches: list[_Batch], info: CID | None
) -> dict[str, Any]:
    """The collection's row: the contract's own words, and for the rest those of collection.json."""
    state, document = contract.state(), _collection_document(store, info) if info is not None else {}
    receiver, bps = contract.royalty()
    return {
        "id": _key(workspace, store, batches),
        "name": state.name,
        "symbol": state.symbol,
        "description": document.get("description", ""),
        "external_url": document.get("external_link", ""),
        "royalty_bps": bps,
        "royalty_receiver": receiver,
        "max_supply": state.max_supply,
        "owner": state.owner,
        "seed": _seed(config, store, batches),
    }


def _key(workspace: Workspace, store: CarStore, batches: list[_Batch]) -> int:
    """The key under which the image files lie, so that they are found again, or the first that is free."""
    key = 1
    if batches:
        digest = _document(store, batches[0].metadata, 1)["image_sha256"]
        while (path := workspace.image(key, 1)).exists() and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            key += 1
    return key


def _seed(config: Config, store: CarStore, batches: list[_Batch]) -> int:
    """The collection's seed is on no chain: the one that was given, if it leads to token 1, or a new one."""
    if config["seed"] == "":
        return secrets.randbelow(MAX_SEED + 1)
    seed = int(config["seed"])
    if batches and attempt_of(seed, 1, _document(store, batches[0].metadata, 1)["generator"]["seed"]) is None:
        raise BadArgument(name="--seed", value=seed, expected="the seed that token 1 was drawn from")
    return seed


def _write_collection(ledger: Ledger, settings: dict[str, Any], contract: Contract, kind: str) -> int:
    from pipeline.mint.watcher import first_block_with

    chain = contract.chain
    where = first_block_with(chain, contract.address)
    return write_collection(ledger, settings, (chain.chain_id, chain.genesis_hash, kind), contract.address, where)


def _write_runs(
    ledger: Ledger,
    workspace: Workspace,
    config: Config,
    key: int,
    batches: list[_Batch],
    store: CarStore,
    chain: Chain,
    observer: Observer,
) -> None:
    """One run for all neighbouring batches that were made alike, then each of them."""
    mints = Owners(ledger).mints(key)
    name = Plans(ledger).collection_by_id(key).name
    for provenance, alike in groupby(batches, key=lambda batch: batch.provenance):
        group = list(alike)
        quantities = [len(batch.tokens) for batch in group]
        arguments = arguments_of(config, sum(quantities))
        start = group[0].tokens.start
        run = write_run(ledger, key, arguments, provenance, quantities, start, PINNER, chain.rpc.shown)
        for batch in group:
            recipients = [Address(mints[token_id].recipient) for token_id in batch.tokens]
            last = mints[batch.tokens[-1]]
            where = MinedIn(last.block_number, last.block_hash, last.tx_hash)
            artworks = [_artwork(workspace, key, batch, token_id, store) for token_id in batch.tokens]
            roots = store.verify(batch.images), store.verify(batch.metadata)
            write_batch(ledger, run, key, name, artworks, recipients, roots, where, PINNER)
            observer.progress("repair", batch.tokens.stop - 1, batches[-1].tokens.stop - 1)


def _artwork(workspace: Workspace, key: int, batch: _Batch, token_id: int, store: CarStore) -> Artwork:
    """A token's row from its document and its image, which must hash to what the document says."""
    import numpy as np
    from PIL import Image

    from pipeline.generate import phash

    document = _document(store, batch.metadata, token_id)
    png = store.read(batch.images, f"{token_id}.png", MAX_IMAGE)
    digest = hashlib.sha256(png).digest()
    if digest.hex() != document["image_sha256"] or _image_root(document) != batch.images:
        raise Corrupt(what=f"image of token {token_id}", reason="its metadata is of another image")
    size = batch.provenance.size
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        if image.size != (size, size):  # before a pixel is decoded
            raise Corrupt(what=f"image of token {token_id}", reason=f"it is not {size} pixels wide and high")
        pixels = np.asarray(image.convert("RGB"))
    path = workspace.image(key, token_id)
    if not path.exists() or path.read_bytes() != png:
        write_whole(path, png)
    return Artwork(
        token_id=token_id,
        seed=document["generator"]["seed"],
        path=path,
        image_sha256=digest,
        pixel_sha256=hashlib.sha256(pixels.tobytes()).digest(),
        image_bytes=len(png),
        attributes=tuple(Attribute(**attribute) for attribute in document["attributes"]),
        phash=phash(pixels),
        determinism=determinism_by(batch.provenance.renderer),
    )
