"""The pin stage: artworks and their documents become two directories, stored and proven to read back.

images/    1.png  2.png  …        one CAR, one root
metadata/  1.json 2.json …        one CAR, one root; each document names its image below the images root
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.cid import CID
from pipeline.errors import PinnerUnavailable
from pipeline.pin import Pinner
from pipeline.pin.metadata import check_token_metadata
from pipeline.pin.store import CarStore, KnownFile, Source
from pipeline.records import Artwork, BatchPlan, PinnedBatch, PinnedRoot

log = logging.getLogger(__name__)

ATTEMPTS = 5  # about half a minute in all: longer outages are for the caller to wait out
FIRST_PAUSE_S = 1.0


def pin(
    batches: Iterable[tuple[BatchPlan, Sequence[Artwork]]],
    describe: Callable[[Artwork, CID], bytes],
    store: CarStore,
    pinners: Sequence[Pinner],
    label: str,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[PinnedBatch]:
    """Yield a PinnedBatch per batch, in order, once both roots read back from every pinner.

    `describe(artwork, images_root)` gives the document of a token; the root comes as version 1, which gateways can put
    into a host name, whatever the profile. Pinning the same bytes twice is free. Images are
    hashed again on the way and documents checked, before anything leaves the machine. `label` names the pins.

    Raises Corrupt for an image that is not as it was drawn, BadJson for a document that wallets would refuse, and after
    a few tries what the pinner raised.
    """
    for plan, artworks in batches:
        if [artwork.token_id for artwork in artworks] != list(plan.token_ids):
            raise ValueError(f"batch {plan.id} wants tokens {plan.token_ids}, in order, each once")
        images = store.put_directory(
            (f"{artwork.token_id}.png", KnownFile(artwork.path, artwork.image_sha256)) for artwork in artworks
        )
        metadata = store.put_directory(
            (f"{artwork.token_id}.json", _document(artwork, CID.dag_pb(images.cid.digest), describe))
            for artwork in artworks
        )
        tokens = f"{label} {plan.start}-{plan.start + plan.quantity - 1}"
        # Images first everywhere: no document may point to an image that is nowhere yet.
        for root, what in ((images, "images"), (metadata, "metadata")):
            _pin(root, f"{tokens} {what}", store, pinners, pause)
        yield PinnedBatch(plan, images, metadata)


def pin_directory(
    entries: Iterable[tuple[str, Source]],
    label: str,
    store: CarStore,
    pinners: Sequence[Pinner],
    pause: Callable[[float], None] = time.sleep,
) -> PinnedRoot:
    """Store one directory and return its root once it reads back from every pinner. Doing it twice is free."""
    root = store.put_directory(entries)
    _pin(root, label, store, pinners, pause)
    return root


def _document(artwork: Artwork, images: CID, describe: Callable[[Artwork, CID], bytes]) -> bytes:
    data = describe(artwork, images)
    check_token_metadata(data, f"metadata of token {artwork.token_id}")
    return data


def _pin(
    root: PinnedRoot, name: str, store: CarStore, pinners: Sequence[Pinner], pause: Callable[[float], None]
) -> None:
    for pinner in pinners:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                pinner.pin(store.path(root.cid), root, name)
                break
            except PinnerUnavailable as error:
                if attempt == ATTEMPTS:
                    raise
                # Doubling, and jittered: runs that failed together must not come back together.
                wait_s = FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                log.warning("%s; trying again in %.1f s", error, wait_s)
                pause(wait_s)
