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
from pipeline.errors import BadArgument, GenerationError
from pipeline.files import write_whole
from pipeline.generate.encode import DEFAULT_ENCODER, encode_png, encoder_id
from pipeline.records import Artwork, Determinism, Provenance, TokenSpec

if TYPE_CHECKING:
    from pipeline.generate import Drawing, Gate, Generator

MIN_SIZE, MAX_SIZE = 16, 4096  # below, a picture cannot be told from another; above, one takes a minute and 50 MB
WORKERS = min(4, os.cpu_count() or 1)  # PNG compression releases the GIL
IN_FLIGHT = WORKERS + 1  # drawings held while they are encoded: at 4096 px each is 50 MB


def generate(
    specs: Iterable[TokenSpec | Artwork],
    generator: Generator,
    size: int,
    gate: Gate,
    image_path: Callable[[int], Path],
    encoder: str = DEFAULT_ENCODER,
) -> Iterator[Artwork]:
    """Yield an Artwork per spec, in order, once its PNG is whole at `image_path(token_id)`.

    An artwork among the specs, drawn earlier, is passed on in its turn. What `gate` refuses is drawn again with the token's next attempt. Drawing overlaps with encoding; at most
    IN_FLIGHT + 1 specs are taken ahead of the consumer. An existing image is replaced. Closing the iterator early leaves
    only whole files behind.

    Raises BadArgument for a size that is not within MIN_SIZE and MAX_SIZE, NothingPasses for a token whose attempts were
    all refused, GenerationError for a generator that gives no pixels of that size, or for which memory is too small.
    """
    check_size(size)
    return _generate(specs, generator, size, gate, image_path, encoder)


def _generate(
    specs: Iterable[TokenSpec | Artwork],
    generator: Generator,
    size: int,
    gate: Gate,
    image_path: Callable[[int], Path],
    encoder: str,
) -> Iterator[Artwork]:
    pending: deque[Future[Artwork]] = deque()
    pool = ThreadPoolExecutor(WORKERS, "encode")
    determinism = determinism_of(generator)

    def store(spec: TokenSpec, drawing: Drawing, hashed: int) -> Artwork:
        png = encode_png(drawing.pixels, encoder)
        path = image_path(spec.token_id)
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
            attempt=spec.attempt,
            phash=hashed,
            determinism=determinism,
        )

    try:
        for spec in specs:
            if isinstance(spec, Artwork):
                pending.append(_done(spec))
            else:
                passed = gate.first_good(spec, lambda seed: draw(generator, seed, size))
                pending.append(pool.submit(store, *passed))
            if len(pending) == IN_FLIGHT:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _done(artwork: Artwork) -> Future[Artwork]:
    future: Future[Artwork] = Future()
    future.set_result(artwork)
    return future


def draw(generator: Generator, seed: int, size: int) -> Drawing:
    """One drawing, checked to be what was asked for. Raises GenerationError."""
    check_size(size)
    try:
        drawing = generator.draw(seed, size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise GenerationError(
            reason=f"one picture of {size} pixels needs more memory than {generator.device} has",
            hint="choose a smaller --size, or --device cpu; nothing of this token was written",
        ) from error
    found = (drawing.pixels.shape, str(drawing.pixels.dtype))
    if found != ((size, size, 3), "uint8"):
        raise GenerationError(
            reason=f"model {generator.name!r} drew {found[1]} of the shape {found[0]}, "
            f"where uint8 of the shape {(size, size, 3)} was asked for",
            hint="repair the generator, or choose another --model",
        )
    return drawing


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python or torch says that there is no memory left, on the device or beside it."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "Cannot allocate memory")
    )


def provenance(generator: Generator, size: int, encoder: str = DEFAULT_ENCODER) -> Provenance:
    """What is recorded of a run so that every image of it can be drawn again."""
    return Provenance(generator.name, generator.weights_sha256, generator.renderer, encoder_id(encoder), size)


def determinism_of(generator: Generator) -> Determinism:
    """The class that a generator's images have; see `records.Determinism`."""
    if type(generator).__module__.partition(".")[0] != "pipeline":
        return "C"
    return "A" if generator.device == "cpu" else "B"


def check_size(size: int) -> None:
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise BadArgument(name="size", value=size, expected=f"{MIN_SIZE} to {MAX_SIZE} pixels")
