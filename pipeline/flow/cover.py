"""A collection's own picture and metadata: what contractURI() leads to (ERC-7572)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.art.artworks import is_intact
from pipeline.art.cover import read_cover
from pipeline.art.source import ArtSource, Work
from pipeline.base.cid import IpfsUri
from pipeline.base.files import write_whole
from pipeline.base.metadata import collection_metadata
from pipeline.base.records import Pin, PinnedRoot
from pipeline.ledger import Collection, CoverFile
from pipeline.pin.stage import pin_directory
from pipeline.pin.store import KnownFile

if TYPE_CHECKING:
    from pipeline.pin.places import Places
    from pipeline.pin.store import CarStore


def ensure_cover(source: ArtSource, work: Work) -> CoverFile:
    """The cover as a file of the workspace: that of an earlier process, the one that was given, or the source's own.

    Once it is there nothing has to draw it any more. Raises BadArgument for a file that is no cover.
    """
    collection, given = work.collection, work.run.arguments["cover"]
    known = collection.cover
    if known is not None and is_intact(work.workspace.cover(collection.id, known.suffix), known.sha256):
        return known
    cover = read_cover(Path(given), "--cover") if given else source.cover(work)
    write_whole(work.workspace.cover(collection.id, cover.suffix), cover.data)
    made = CoverFile(hashlib.sha256(cover.data).digest(), cover.suffix)
    work.ledger.collections.set_cover(collection.id, made)
    return made


def pin_info(
    collection: Collection, cover: CoverFile, path: Path, store: CarStore, places: Places
) -> tuple[PinnedRoot, PinnedRoot, tuple[Pin, ...]]:
    """Pin the cover, whose file is at `path`, and `collection.json`; return both roots, and who has them.

    The same collection gives the same roots, so doing it again after a crash changes nothing.
    """
    name = f"cover{cover.suffix}"
    images, pins = pin_directory([(name, KnownFile(path, cover.sha256))], f"{collection.name} cover", store, places)
    document = collection_metadata(
        name=collection.name,
        symbol=collection.symbol,
        description=collection.description,
        image=str(IpfsUri(images.cid, name)),
        external_url=collection.external_url,
        artist=collection.artist,
        statement=collection.statement,
        licence=collection.licence,
    )
    info, more = pin_directory([("collection.json", document)], f"{collection.name} collection", store, places)
    return images, info, pins + more
