"""A lost ledger, written anew: the chain says what was minted, its content says what it is, and both must agree.

Content is that of the workspace's CARs; what they lack comes back through a gateway, where one is named. A token whose
metadata names a generator was drawn; any other token's image existed before.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection as Group
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.after.verify.content import with_gateways
from pipeline.art.artworks import is_intact
from pipeline.art.formats import look
from pipeline.art.recovered import Maker, maker_of, words_of
from pipeline.base.cid import CID, IpfsUri
from pipeline.base.errors import BadArgument, ContentMissing, Corrupt
from pipeline.base.files import sync_folder, write_whole
from pipeline.base.limits import IMAGE_BYTES, MAX_SEED
from pipeline.base.media import IMAGES, MOVING
from pipeline.base.metadata import check_collection_metadata, check_token_metadata
from pipeline.base.observer import Observer
from pipeline.base.records import Address, Animation, Artwork, Attribute, Pin, TokenWords
from pipeline.base.workspace import Server, Workspace
from pipeline.flow.connection import chain_url, kind_here, reach
from pipeline.flow.plan import arguments_of
from pipeline.ledger import Collection, Ledger, NewCollection, RunPlan
from pipeline.ledger.copy import copy_ledger
from pipeline.ledger.journal import MinedIn
from pipeline.ledger.rebuild import write_batch, write_collection, write_run
from pipeline.mint.collection import Collection as Contract
from pipeline.mint.collection import parsed_address
from pipeline.mint.compile import matches_source
from pipeline.mint.indexer import sync
from pipeline.mint.watcher import finalize, first_block_with
from pipeline.pin.fetch import fetch
from pipeline.pin.store import CarStore
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.mint.chain import Chain

PINNER = "embedded"  # the CARs of the workspace: nothing else was asked


@dataclass(frozen=True, slots=True)
class Repaired:
    """A collection that the ledger knows again."""

    collection: str
    contract: str
    chain_id: int
    tokens: int
    batches: int
    owners: int
    block_number: int
    seed: int
    seed_is_new: bool  # the collection's own is on no chain, and was not given
    attempts_unknown: int  # drawings whose attempt that seed alone tells


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch as the contract keeps it, and what its first document says of how it was made."""

    tokens: range
    metadata: CID
    images: CID
    maker: Maker


def repair(workspace: Workspace, config: Settings, contracts: Sequence[str], observer: Observer) -> list[Repaired]:
    """Write the workspace's ledger from contracts and their content; what was rebuilt of each.

    The ledger appears when it is complete; an interrupted call leaves none. Image files that are missing are written
    again, and so are CARs, from the setting `gateway`. Raises BadArgument where there is a ledger, no contract of ours,
    or two of one name; ContentMissing, GatewayUnavailable, DigestMismatch, Corrupt or BadJson.
    """
    addresses = [parsed_address(contract, "--contract") for contract in dict.fromkeys(contracts)]
    if config.art.seed is not None and len(addresses) > 1:
        raise BadArgument(name="--seed", value=config.art.seed, expected="one --contract: each has a seed of its own")
    kind = kind_here(workspace, config)
    with workspace.lock(), chain_url(config, workspace, kind) as url:
        _must_be_absent(workspace)
        chain = reach(url)
        for address in addresses:
            _must_be_ours(chain, address)
        with _fresh_ledger(workspace) as ledger:
            reports = [_rebuild(ledger, workspace, config, chain, kind, address, observer) for address in addresses]
            finalize(ledger, chain)
            ledger.check()
    return reports


def _rebuild(
    ledger: Ledger,
    workspace: Workspace,
    config: Settings,
    chain: Chain,
    kind: str,
    address: Address,
    observer: Observer,
) -> Repaired:
    """Enter one collection with all its batches."""
    on_chain, store = Contract(chain, address), CarStore(workspace.cars)
    batches, info = _found(on_chain, store, config.pin.gateway)
    settings = _settings(config, on_chain, store, batches, info)
    if ledger.collections.named(settings.name) is not None:
        raise BadArgument(name="--contract", value=address, expected=f"one collection called {settings.name!r}")
    free = _key(workspace, store, batches, [one.id for one in ledger.collections.all()])
    key = _write_collection(ledger, settings, free, on_chain, kind)
    if info is not None:
        cover = _cover_of(store, info)
        pins = [Pin(root, PINNER, "proved") for root in (cover, info)]
        ledger.collections.set_info(key, store.verify(cover), store.verify(info), pins)
    block_number = sync(ledger, chain, key)
    unknown = _write_runs(ledger, workspace, config, key, batches, store, chain, observer)
    return Repaired(
        collection=settings.name,
        contract=address,
        chain_id=chain.chain_id,
        tokens=sum(len(batch.tokens) for batch in batches),
        batches=len(batches),
        owners=len(ledger.owners.tokens_by_owner(key)),
        block_number=block_number,
        seed=settings.seed,
        seed_is_new=config.art.seed is None,
        attempts_unknown=unknown,
    )


def _must_be_ours(chain: Chain, address: Address) -> None:
    if not matches_source(chain.code(address)):
        raise BadArgument(name="--contract", value=address, expected=f"a contract of ours on {chain.rpc.shown}")


def _must_be_absent(workspace: Workspace) -> None:
    """A ledger that is there is never touched; a log without its ledger would be read into the new one."""
    if isinstance(workspace.ledger, Server):
        if Ledger.exists(workspace.ledger):
            raise BadArgument(
                name="--ledger",
                value=str(workspace.ledger),
                expected="a database without a ledger",
                hint="repair never overwrites a ledger: drop its tables first, or give another database",
            )
        return
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
        if isinstance(workspace.ledger, Server):
            with Ledger(workspace.ledger) as target:
                copy_ledger(ledger, target)
    if isinstance(workspace.ledger, Server):
        partial.unlink()
        return
    partial.rename(workspace.ledger)
    sync_folder(workspace.folder)


# ── what the chain commits to ────────────────────────────────────────────────────────────────────────────────


def _found(contract: Contract, store: CarStore, gateway: str) -> tuple[list[_Batch], CID | None]:
    """Every batch with its roots, and the root of collection.json. Raises ContentMissing with all that is not here."""
    missing: dict[CID, None] = {}
    patience = with_gateways()

    def is_here(root: CID) -> bool:
        if not patience.call(lambda: _brought(store, root, gateway)):
            missing[root] = None
        return root not in missing

    uri = contract.state().contract_uri
    info = IpfsUri.parse(uri).root if uri else None
    if info is not None and is_here(info):
        is_here(_cover_of(store, info))
    batches, token_id = [], 1
    while (on_chain := contract.batch_of(token_id)) is not None:
        tokens, metadata = range(on_chain.start, on_chain.end + 1), CID.dag_pb(on_chain.digest)
        token_id = on_chain.end + 1
        if is_here(metadata):
            document = _document(store, metadata, tokens.start)
            batches.append(_Batch(tokens, metadata, _image_root(document), _maker(document, tokens.start)))
            is_here(batches[-1].images)
    if missing:
        raise ContentMissing(folder=store.folder, roots=", ".join(map(str, missing)))
    return batches, info


def _brought(store: CarStore, root: CID, gateway: str) -> bool:
    """Whether the store has this root, once the gateway was asked for what is missing; each CAR stays when it is whole."""
    if not store.path(root).exists() and gateway:
        store.restore(root, lambda put: fetch(root, gateway, put=put))
    return store.path(root).exists()


def _document(store: CarStore, metadata: CID, token_id: int) -> dict[str, Any]:
    """A token's document. Raises Corrupt for one that does not tell which image it is of, or half of how it was drawn."""
    what = f"metadata of token {token_id}"
    document = check_token_metadata(store.read(metadata, f"{token_id}.json"), what)
    image = PurePosixPath(document["image"])
    digest = document.get("image_sha256")
    states_its_image = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
    if image.stem != str(token_id) or image.suffix not in IMAGES or not states_its_image:
        raise Corrupt(what=what, reason="it does not name an image of ours")
    return document


def _maker(document: dict[str, Any], token_id: int) -> Maker:
    return maker_of(document, f"metadata of token {token_id}")


def _image_root(document: dict[str, Any]) -> CID:
    return IpfsUri.parse(str(document["image"])).root


def _collection_document(store: CarStore, info: CID) -> dict[str, Any]:
    return check_collection_metadata(store.read(info, "collection.json"))


def _cover_of(store: CarStore, info: CID) -> CID:
    return _image_root(_collection_document(store, info))


# ── what is written ──────────────────────────────────────────────────────────────────────────────────────────


def _settings(
    config: Settings,
    contract: Contract,
    store: CarStore,
    batches: list[_Batch],
    info: CID | None,
) -> NewCollection:
    """The collection's row: the contract's own words, and for the rest those of collection.json."""
    state, document = contract.state(), _collection_document(store, info) if info is not None else {}
    receiver, bps = contract.royalty()
    return NewCollection(
        name=state.name,
        symbol=state.symbol,
        description=document.get("description", ""),
        external_url=document.get("external_link", ""),
        royalty_bps=bps,
        royalty_receiver=receiver,
        max_supply=state.max_supply,
        owner=state.owner,
        seed=_seed(config, store, batches),
        artist=document.get("artist", ""),
        statement=document.get("statement", ""),
        licence=document.get("license", ""),
    )


def _key(workspace: Workspace, store: CarStore, batches: list[_Batch], taken: Group[int]) -> int:
    """The key under which the image files lie, so that they are found again, or the first that is free."""
    first = _document(store, batches[0].metadata, 1) if batches else None

    def is_another(key: int) -> bool:
        if first is None:
            return False
        path = workspace.image(key, 1, PurePosixPath(first["image"]).suffix)
        return path.exists() and not is_intact(path, bytes.fromhex(first["image_sha256"]))

    key = 1
    while key in taken or is_another(key):
        key += 1
    return key


def _seed(config: Settings, store: CarStore, batches: list[_Batch]) -> int:
    """The collection's seed is on no chain: the one that was given, if it leads to a drawing, or a new one."""
    if config.art.seed is None:
        return secrets.randbelow(MAX_SEED + 1)
    seed = config.art.seed
    for batch in batches:
        token_id = batch.tokens.start
        _, attempt = batch.maker.seed_of(_document(store, batch.metadata, token_id), seed, token_id)
        if attempt is None:
            raise BadArgument(name="--seed", value=seed, expected=f"the seed that token {token_id} was drawn from")
        if batch.maker.provenance:
            break
    return seed


def _write_collection(ledger: Ledger, new: NewCollection, key: int, contract: Contract, kind: str) -> int:
    chain = contract.chain
    where = first_block_with(chain, contract.address)
    return write_collection(ledger, new, key, (chain.chain_id, chain.genesis_hash, kind), contract.address, where)


def _write_runs(
    ledger: Ledger,
    workspace: Workspace,
    config: Settings,
    key: int,
    batches: list[_Batch],
    store: CarStore,
    chain: Chain,
    observer: Observer,
) -> int:
    """One run for all neighbouring batches that were made alike, then each of them.

    Returns how many drawings are of an attempt that is not known: it follows from the collection's seed alone.
    """
    mints, collection, unknown = ledger.owners.mints(key), ledger.collections.get(key), 0
    for maker, alike in groupby(batches, key=lambda batch: batch.maker):
        group = list(alike)
        quantities = [len(batch.tokens) for batch in group]
        arguments = arguments_of(config, sum(quantities)) | maker.arguments
        plan = RunPlan(
            arguments=arguments,
            fingerprint=maker.fingerprint(_digests(group, store), config.art.size),
            start=group[0].tokens.start,
            count=sum(quantities),
            batch_size=max(quantities),
            pinners=(PINNER,),
            rpc_url=chain.rpc.shown,
        )
        run = write_run(ledger, key, plan)
        for batch in group:
            recipients = [Address(mints[token_id].recipient) for token_id in batch.tokens]
            last = mints[batch.tokens[-1]]
            where = MinedIn(last.block_number, last.block_hash, last.tx_hash)
            rebuild = _Rebuild(workspace, collection, batch, store, config.art.seed is not None)
            artworks = [rebuild.artwork(token_id) for token_id in batch.tokens]
            unknown += rebuild.unknown
            roots = store.verify(batch.images), store.verify(batch.metadata)
            found = maker.found(artworks)
            write_batch(ledger, run, key, collection.name, artworks, recipients, roots, where, PINNER, found)
            observer.progress("repair", batch.tokens.stop - 1, batches[-1].tokens.stop - 1)
    return unknown


def _digests(group: list[_Batch], store: CarStore) -> Iterator[bytes]:
    """Of all images of batches, as their documents state them."""
    for batch in group:
        for token_id in batch.tokens:
            yield bytes.fromhex(_document(store, batch.metadata, token_id)["image_sha256"])


class _Rebuild:
    """The tokens of one batch as rows, from their documents and images, which must hash to what the documents say."""

    def __init__(
        self, workspace: Workspace, collection: Collection, batch: _Batch, store: CarStore, seed_is_known: bool
    ) -> None:
        self._workspace, self._collection, self._batch, self._store = workspace, collection, batch, store
        self._seed_is_known = seed_is_known
        self.unknown = 0  # drawings whose attempt the collection's seed does not tell

    def artwork(self, token_id: int) -> Artwork:
        """The row of a token; its files are written again where they are missing or changed."""
        document, maker = _document(self._store, self._batch.metadata, token_id), self._batch.maker
        what = f"image of token {token_id}"
        if _maker(document, token_id) != maker:
            raise Corrupt(what=f"metadata of token {token_id}", reason="it was made in another way than its batch")
        suffix = PurePosixPath(document["image"]).suffix
        data = self._store.read(self._batch.images, f"{token_id}{suffix}", IMAGE_BYTES)
        digest = hashlib.sha256(data).digest()
        if digest.hex() != document["image_sha256"] or _image_root(document) != self._batch.images:
            raise Corrupt(what=what, reason="its metadata is of another image")
        path = self._workspace.image(self._collection.id, token_id, suffix)
        maker.must_measure(data, what)
        try:
            seen = look(path, data, is_minted=True)
        except BadArgument as error:
            raise Corrupt(what=what, reason=f"it is not {error.fields['expected']}") from error
        _write(path, data)
        seed, attempt = maker.seed_of(document, self._collection.seed, token_id)
        self.unknown += not self._seed_is_known or attempt is None
        words, animation = self._words(token_id, document, path)
        return Artwork(
            token_id=token_id,
            seed=seed,
            path=path,
            image_sha256=digest,
            pixel_sha256=seen.pixel_sha256,
            image_bytes=len(data),
            attributes=tuple(Attribute(**attribute) for attribute in document.get("attributes", ())),
            attempt=attempt or 0 if self._seed_is_known else 0,
            phash=seen.phash,
            determinism=maker.determinism,
            words=words,
            animation=animation,
        )

    def _words(self, token_id: int, document: dict[str, Any], path: Path) -> tuple[TokenWords, Animation | None]:
        """What a token says beside its picture, and the file that moves beside it, which is written again."""
        common = {
            "name": f"{self._collection.name} #{token_id}",
            "description": self._collection.description,
            "external_url": self._collection.external_url,
        }
        words = words_of(document, common)
        prefix = f"{str(document['image']).rpartition('/')[0]}/{token_id}."
        suffix = PurePosixPath(words.animation_url).suffix
        if not (words.animation_url.startswith(prefix) and suffix in MOVING):
            return words, None
        data = self._store.read(self._batch.images, f"{token_id}{suffix}", IMAGE_BYTES)
        _write(path.with_suffix(suffix), data)
        return replace(words, animation_url=""), Animation(suffix, hashlib.sha256(data).digest())


def _write(path: Path, data: bytes) -> None:
    if not is_intact(path, hashlib.sha256(data).digest()):
        write_whole(path, data)
