"""The pin stage: artworks and their documents become two directories, stored and proven to read back.

images/    1.png  2.png  …        one CAR, one root; 3.jpg and 3.mp4 where such files existed before
metadata/  1.json 2.json …        one CAR, one root; each document names its image below the images root
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.base.cid import CID
from pipeline.base.metadata import check_token_metadata
from pipeline.base.records import Artwork, BatchPlan, Pin, PinnedBatch, PinnedRoot
from pipeline.pin.places import Places
from pipeline.pin.store import CarStore, KnownFile, Source


def pin(
    batches: Iterable[tuple[BatchPlan, Sequence[Artwork]]],
    describe: Callable[[Artwork, CID], bytes],
    store: CarStore,
    places: Places,
    label: str,
) -> Iterator[PinnedBatch]:
    """Yield a PinnedBatch per batch, in order, once both roots read back from enough places.

    `describe(artwork, images_root)` gives the document of a token; the root comes as version 1, which gateways can put
    into a host name, whatever the profile. Pinning the same bytes twice is free. Images are
    hashed again on the way and documents checked, before anything leaves the machine. `label` names the pins.

    Raises Corrupt for an image that is not as it was drawn, BadJson for a document that wallets would refuse, and after
    a few tries what a pinner raised.
    """
    for plan, artworks in batches:
        if [artwork.token_id for artwork in artworks] != list(plan.token_ids):
            raise ValueError(f"batch {plan.id} wants tokens {plan.token_ids}, in order, each once")
        images = store.put_directory(entry for artwork in artworks for entry in _files(artwork))
        metadata = store.put_directory(
            (f"{artwork.token_id}.json", _document(artwork, CID.dag_pb(images.cid.digest), describe))
            for artwork in artworks
        )
        tokens = f"{label} {plan.start}-{plan.start + plan.quantity - 1}"
        # Images first: no document may point to an image that is nowhere yet.
        pins = places.pin(store.path(images.cid), images, f"{tokens} images")
        pins += places.pin(store.path(metadata.cid), metadata, f"{tokens} metadata")
        yield PinnedBatch(plan, images, metadata, pins)


def pin_directory(
    entries: Iterable[tuple[str, Source]], label: str, store: CarStore, places: Places
) -> tuple[PinnedRoot, tuple[Pin, ...]]:
    """Store one directory; return its root and who has it, once it reads back from enough places. Twice is free."""
    root = store.put_directory(entries)
    return root, places.pin(store.path(root.cid), root, label)


def _files(artwork: Artwork) -> Iterator[tuple[str, KnownFile]]:
    for path, sha256 in artwork.files.items():
        yield f"{artwork.token_id}{path.suffix}", KnownFile(path, sha256)


def _document(artwork: Artwork, images: CID, describe: Callable[[Artwork, CID], bytes]) -> bytes:
    data = describe(artwork, images)
    check_token_metadata(data, f"metadata of token {artwork.token_id}")
    return data
