"""The generation stage: token specs in, artworks on disk out."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.art.draw.encode import DEFAULT_ENCODER, encode_png, encoder_id
from pipeline.art.draw.generator import BatchGenerator
from pipeline.art.draw.marking import Finish, unmarked
from pipeline.base.crash import crash_point
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.files import write_whole
from pipeline.base.limits import MAX_SIDE, MIN_SIDE
from pipeline.base.records import Artwork, Determinism, Provenance, TokenSpec, TokenWords

if TYPE_CHECKING:
    from pipeline.art.draw import Drawing, Gate, Generator

log = logging.getLogger(__name__)

WORKERS = min(4, os.cpu_count() or 1)  # PNG compression releases the GIL
IN_FLIGHT = WORKERS + 1  # drawings held while they are encoded: at 4096 px each is 50 MB
BATCH_PIXELS = 16 << 20  # of all pictures of a batch: 16 of 1024 px, and one of 4096, which fills a GPU by itself


def generate(
    specs: Iterable[TokenSpec | Artwork],
    generator: Generator,
    size: int,
    gate: Gate,
    image_path: Callable[[int], Path],
    encoder: str = DEFAULT_ENCODER,
    finish: Finish = unmarked,
) -> Iterator[Artwork]:
    """Yield an Artwork per spec, in order, once its PNG is whole at `image_path(token_id)`.

    An artwork among the specs, drawn earlier, is passed on in its turn. What `gate` refuses is drawn again with the token's
    next attempt. Drawing overlaps with encoding; at most IN_FLIGHT + 1 specs are taken ahead of the consumer, and with a
    BatchGenerator a batch more. An existing image is replaced.
    None is durable yet: see `make_durable`. Closing the iterator early leaves only whole files behind.

    Raises BadArgument for a size that is not within MIN_SIDE and MAX_SIDE, NothingPasses for a token whose attempts were
    all refused, GenerationError for a generator that gives no pixels of that size, or for which memory is too small.
    """
    check_size(size)
    return _generate(specs, generator, size, gate, image_path, encoder, finish)


def _generate(
    specs: Iterable[TokenSpec | Artwork],
    generator: Generator,
    size: int,
    gate: Gate,
    image_path: Callable[[int], Path],
    encoder: str,
    finish: Finish,
) -> Iterator[Artwork]:
    pending: deque[Future[Artwork]] = deque()
    pool = ThreadPoolExecutor(WORKERS, "encode")
    determinism = determinism_of(generator)

    def store(spec: TokenSpec, drawing: Drawing, hashed: int) -> Artwork:
        png = encode_png(drawing.pixels, encoder)
        path = image_path(spec.token_id)
        crash_point("image_not_written")
        write_whole(path, png, durable=False)
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
            words=TokenWords(drawn_from=(("mark", drawing.mark),) if drawing.mark else ()),
        )

    try:
        for item in drawn(specs, generator, size, gate, finish):
            pending.append(_done(item) if isinstance(item, Artwork) else pool.submit(store, *item))
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


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────


def drawn(
    specs: Iterable[TokenSpec | Artwork], generator: Generator, size: int, gate: Gate, finish: Finish = unmarked
) -> Iterator[Artwork | tuple[TokenSpec, Drawing, int]]:
    """Yield what `gate.first_good` gives for each spec, in order; an artwork among them is passed on in its turn.

    With a BatchGenerator as many are taken ahead as it draws at once: their first attempts are drawn together. The gate
    judges one after the other all the same, since it compares each with those that passed before, and what it
    refuses is drawn again alone. `finish` is done to each before the gate sees it. Raises what `generate` does.
    """
    upstream, together = iter(specs), _Together(generator, size)
    while window := list(islice(upstream, together.batch)):
        first = together.draw([item.seed for item in window if isinstance(item, TokenSpec)])

        def taken(token_id: int, seed: int, first: dict[int, Drawing] = first) -> Drawing:
            return finish(token_id, first.pop(seed) if seed in first else draw(generator, seed, size))

        for item in window:
            yield item if isinstance(item, Artwork) else gate.first_good(item, partial(taken, item.token_id))


class _Together:
    """Draws the pictures of several seeds at once, of as many as the device has shown to have memory for."""

    def __init__(self, generator: Generator, size: int) -> None:
        check_size(size)
        self._generator, self._size = (generator if isinstance(generator, BatchGenerator) else None), size
        self.batch = 1 if self._generator is None else max(1, min(self._generator.batch, BATCH_PIXELS // size**2))

    def draw(self, seeds: Sequence[int]) -> dict[int, Drawing]:
        """Drawings by seed. One that would be drawn alone is left out: `draw` draws it, and knows smaller parts."""
        seeds = list(dict.fromkeys(seeds))
        found: dict[int, Drawing] = {}
        while (part := seeds[len(found) :][: self.batch]) and len(part) > 1:
            drawings = self._tried(part)
            if drawings is None:
                self.batch //= 2
                log.warning("%d pictures at once need too much memory: going on with %d", len(part), self.batch)
            else:
                found.update(zip(part, drawings, strict=True))
        return found

    def _tried(self, seeds: Sequence[int]) -> list[Drawing] | None:
        """The drawings, or None where there is no memory for so many."""
        assert self._generator is not None, "only a BatchGenerator draws more than one"
        try:
            drawings = self._generator.draw_batch(seeds, self._size)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        if [drawing.seed for drawing in drawings] != list(seeds):
            raise GenerationError(
                reason=f"model {self._generator.name!r} drew {len(drawings)} pictures, where those of {len(seeds)} seeds "
                "were asked for in their order",
                hint="repair the generator, or choose another --model",
            )
        return [_as_asked(self._generator, drawing, self._size) for drawing in drawings]


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
    return _as_asked(generator, drawing, size)


def _as_asked(generator: Generator, drawing: Drawing, size: int) -> Drawing:
    found = (drawing.pixels.shape, str(drawing.pixels.dtype))
    if found != ((size, size, 3), "uint8"):
        raise GenerationError(
            reason=f"model {generator.name!r} drew {found[1]} of the shape {found[0]}, "
            f"where uint8 of the shape {(size, size, 3)} was asked for",
            hint="repair the generator, or choose another --model",
        )
    return drawing


OUT_OF_MEMORY = (  # what allocators say, of Python, torch and oneDNN, on whatever device
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "could not create a memory object",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on the device or beside it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)


def provenance(generator: Generator, size: int, encoder: str = DEFAULT_ENCODER) -> Provenance:
    """What is recorded of a run so that every image of it can be drawn again."""
    return Provenance(generator.name, generator.weights_sha256, generator.renderer, encoder_id(encoder), size)


def determinism_of(generator: Generator) -> Determinism:
    """The class that a generator's images have; see `records.Determinism`."""
    if type(generator).__module__.partition(".")[0] != "pipeline":
        return "C"
    return determinism_by(generator.renderer)


def determinism_by(renderer: str) -> Determinism:
    """The class of what a renderer of this package draws: exact on a CPU, one token at a time."""
    *others, device = renderer.split("/")
    return "A" if device == "cpu" and not any(part.startswith("batch-") for part in others) else "B"


def check_size(size: int) -> None:
    if not MIN_SIDE <= size <= MAX_SIDE:
        raise BadArgument(name="size", value=size, expected=f"{MIN_SIDE} to {MAX_SIDE} pixels")
