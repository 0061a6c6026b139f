"""The generation stage: token specs in, artworks on disk out."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Generator as Yielding
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.art.draw.encode import DEFAULT_ENCODER, encode_png, encoder_id
from pipeline.art.draw.gates import Looked, looked
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

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
IN_FLIGHT = WORKERS + 1  # drawings held while they are encoded, which releases the GIL
HELD_PIXELS = 64 << 20  # of all of those: 4 of 4096 px, which are 200 MB
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
    BatchGenerator two batches more: one is drawn while the other is judged. An existing image is replaced.
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
    in_flight = min(IN_FLIGHT, max(2, HELD_PIXELS // size**2))
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
        with closing(drawn(specs, generator, size, gate, finish, pool)) as items:
            for item in items:
                pending.append(_done(item) if isinstance(item, Artwork) else pool.submit(store, *item))
                if len(pending) == in_flight:
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
    specs: Iterable[TokenSpec | Artwork],
    generator: Generator,
    size: int,
    gate: Gate,
    finish: Finish = unmarked,
    pool: Executor | None = None,
) -> Yielding[Artwork | tuple[TokenSpec, Drawing, int], None, None]:
    """Yield what `gate.first_good` gives for each spec, in order; an artwork among them is passed on in its turn.

    With a BatchGenerator as many are taken ahead as it draws at once: their first attempts are drawn together, those of the
    next while these are judged. The gate judges one after the other all the same, since it compares each with those that
    passed before, and what it refuses is drawn again alone. `finish` is done to each before the gate sees it; that, and
    what the gate measures, in `pool` where there is one. Raises what `generate` does.
    """
    upstream, together = iter(specs), _Together(generator, size)
    if gate.chooses:  # among proofs, which seed it wants: the first attempt is one of many
        together.batch = 1
    with _Drawer(together) as drawer:
        while window := drawer.next(upstream):
            items, first = window
            ready = _finished(items, first, finish, pool)

            def taken(token_id: int, seed: int, ready: dict[int, Looked] = ready) -> Looked:
                if seed in ready:
                    return ready.pop(seed)
                return looked(finish(token_id, drawer.alone(seed)))

            for item in items:
                yield item if isinstance(item, Artwork) else gate.first_good(item, partial(taken, item.token_id))


def _finished(
    items: Sequence[TokenSpec | Artwork], first: dict[int, Drawing], finish: Finish, pool: Executor | None
) -> dict[int, Looked]:
    """First attempts as the gate is to see them, by seed."""
    tokens = {item.seed: item.token_id for item in items if isinstance(item, TokenSpec) and item.seed in first}

    def one(seed: int) -> Looked:
        return looked(finish(tokens[seed], first.pop(seed)))

    return dict(zip(tokens, pool.map(one, tokens) if pool else map(one, tokens), strict=True))


class _Drawer:
    """Draws first attempts of a window while the one before it is judged: in a thread of its own, so that a generator never
    draws two things at once. One that draws singly has no thread.
    """

    def __init__(self, together: _Together) -> None:
        self._together = together
        self._thread = ThreadPoolExecutor(1, "draw ahead") if together.batch > 1 else None
        self._ahead: tuple[list[TokenSpec | Artwork], Future[dict[int, Drawing]]] | None = None
        self._broken: Exception | None = None  # what upstream raised in the middle of reading ahead

    def next(
        self, upstream: Iterator[TokenSpec | Artwork]
    ) -> tuple[list[TokenSpec | Artwork], dict[int, Drawing]] | None:
        """The next window and its drawings by seed, which others may lack; None at the end."""
        if self._thread is None:
            items = list(islice(upstream, 1))
            return (items, {}) if items else None
        if self._broken is not None:
            raise self._broken
        window, self._ahead = self._ahead or self._begun(upstream), None
        if window is None:
            return None
        drawings = window[1].result()
        try:
            self._ahead = self._begun(upstream)
        except Exception as error:  # what came before it is handed on first
            self._broken = error
        return window[0], drawings

    def alone(self, seed: int) -> Drawing:
        work = partial(draw, self._together.generator, seed, self._together.size)
        return self._thread.submit(work).result() if self._thread else work()

    def _begun(
        self, upstream: Iterator[TokenSpec | Artwork]
    ) -> tuple[list[TokenSpec | Artwork], Future[dict[int, Drawing]]] | None:
        items = list(islice(upstream, self._together.batch))
        if not items:
            return None
        assert self._thread is not None, "only what draws several at once is begun ahead"
        seeds = [item.seed for item in items if isinstance(item, TokenSpec)]
        return items, self._thread.submit(self._together.draw, seeds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)


class _Together:
    """Draws the pictures of several seeds at once, of as many as the device has shown to have memory for."""

    def __init__(self, generator: Generator, size: int) -> None:
        check_size(size)
        self.generator, self.size = generator, size
        self._generator, self._size = (generator if isinstance(generator, BatchGenerator) else None), size
        self.batch = 1 if self._generator is None else at_once(self._generator, size)

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


def at_once(generator: BatchGenerator, size: int) -> int:
    """How many pictures of a size are drawn at once; each of several devices draws as many as one would alone."""
    devices = getattr(generator, "devices", 1)
    return devices * max(1, min(generator.batch // devices, BATCH_PIXELS // size**2))


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
