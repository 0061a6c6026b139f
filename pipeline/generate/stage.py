"""The generation stage: token specs in, artworks on disk out."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.crash import crash_point
from pipeline.errors import BadArgument
from pipeline.files import write_whole
from pipeline.generate.encode import encode_png, encoder_id
from pipeline.records import Artwork, Provenance, TokenSpec

if TYPE_CHECKING:
    from pipeline.generate import Drawing, Generator

MIN_SIZE, MAX_SIZE = 16, 4096  # below, a picture cannot be told from another; above, one takes a minute and 50 MB
ENCODERS = min(4, os.cpu_count() or 1)  # PNG compression releases the GIL
IN_FLIGHT = ENCODERS + 1  # drawings held while they are encoded: at 4096 px each is 50 MB


def generate(
    specs: Iterable[TokenSpec], generator: Generator, size: int, image_path: Callable[[int], Path]
) -> Iterator[Artwork]:
    """Yield an Artwork per spec, in order, once its PNG is whole at `image_path(token_id)`.

    Drawing overlaps with encoding; at most IN_FLIGHT + 1 specs are taken ahead of the consumer. An existing image is
    replaced. Closing the iterator early leaves only whole files behind. Raises BadArgument for a size that is not
    within MIN_SIZE and MAX_SIZE.
    """
    check_size(size)
    return _generate(specs, generator, size, image_path)


def _generate(
    specs: Iterable[TokenSpec], generator: Generator, size: int, image_path: Callable[[int], Path]
) -> Iterator[Artwork]:
    pending: deque[Future[Artwork]] = deque()
    pool = ThreadPoolExecutor(ENCODERS, "encode")
    try:
        for spec in specs:
            drawing = generator.draw(spec.seed, size)
            pending.append(pool.submit(_store, spec, drawing, image_path(spec.token_id)))
            if len(pending) == IN_FLIGHT:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def provenance(generator: Generator, size: int) -> Provenance:
    """What is recorded of a run so that every image of it can be drawn again."""
    return Provenance(generator.name, generator.weights_sha256, generator.renderer, encoder_id(), size)


def check_size(size: int) -> None:
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise BadArgument(name="size", value=size, expected=f"{MIN_SIZE} to {MAX_SIZE} pixels")


def _store(spec: TokenSpec, drawing: Drawing, path: Path) -> Artwork:
    png = encode_png(drawing.pixels)
    crash_point("image_not_written")
    write_whole(path, png)
    crash_point("image_written")
    return Artwork(
        token_id=spec.token_id,
        seed=spec.seed,
        path=path,
        image_sha256=hashlib.sha256(png).digest(),
        pixel_sha256=hashlib.sha256(drawing.pixels.tobytes()).digest(),
        image_bytes=len(png),
        attributes=drawing.attributes,
    )
