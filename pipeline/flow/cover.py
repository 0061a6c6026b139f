"""A collection's own picture and metadata: what contractURI() leads to (ERC-7572)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument
from pipeline.base.files import write_whole
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.media import DECODERS, suffix_of
from pipeline.base.pictures import BadPicture, decode, plain_bytes
from pipeline.base.records import Pin, PinnedRoot, TokenSpec
from pipeline.base.seeds import token_seed
from pipeline.base.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.art.draw import Generator
    from pipeline.ledger import Collection
    from pipeline.pin.places import Places
    from pipeline.pin.store import CarStore

COVER_ID = 0  # token ids begin at 1, so seed 0 of a collection is free for its cover


def read_cover(path: Path) -> tuple[bytes, str]:
    """The bytes of a cover image and the suffix that its content asks for.

    Raises BadArgument for a file that is missing, no plain file, too large, or no sound PNG, JPEG, WebP or GIF.
    """
    try:
        data = plain_bytes(path, IMAGE_BYTES)
        seen = decode(data, DECODERS, every_frame=True)
    except BadPicture as error:
        expected = f"a PNG, JPEG, WebP or GIF file ({error.reason})"
        raise BadArgument(name="--cover", value=str(path), expected=expected) from error
    return data, suffix_of(seen.format)


def pin_info(
    collection: Collection,
    cover: str,
    size: int,
    generator: Generator | None,
    workspace: Workspace,
    store: CarStore,
    places: Places,
) -> tuple[PinnedRoot, PinnedRoot, tuple[Pin, ...]]:
    """Pin the cover (`cover` names a file; empty: drawn here) and `collection.json`; return both roots, and who has them.

    The same collection gives the same roots, so doing it again after a crash changes nothing.
    """
    from pipeline.pin.metadata import collection_metadata
    from pipeline.pin.stage import pin_directory

    if cover:
        data, suffix = read_cover(Path(cover))
        path = workspace.cover(collection.id, suffix)
        write_whole(path, data)
    else:
        assert generator is not None, "where nothing is drawn the cover is a file"
        path = workspace.cover(collection.id, ".png")
        _draw(collection, size, generator, path)
    images, pins = pin_directory([(f"cover{path.suffix}", path)], f"{collection.name} cover", store, places)
    document = collection_metadata(
        name=collection.name,
        symbol=collection.symbol,
        description=collection.description,
        image=f"ipfs://{images.cid}/cover{path.suffix}",
        external_url=collection.external_url,
    )
    info, more = pin_directory([("collection.json", document)], f"{collection.name} collection", store, places)
    return images, info, pins + more


def _draw(collection: Collection, size: int, generator: Generator, path: Path) -> None:
    from pipeline.art.draw import Gate, generate

    spec = TokenSpec(COVER_ID, token_seed(collection.seed, COVER_ID), collection.owner)
    gate = Gate(collection.seed, near=None)  # it may look like a token: it is none
    for _ in generate([spec], generator, size, gate, lambda _: path):
        pass
