"""Art that a generator draws: each token from its seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.art.cover import Cover
from pipeline.art.draw import (
    BUILT_IN,
    COMPOSED,
    ENTRY_POINTS,
    LINO,
    Gate,
    decides_once,
    drawn,
    generate,
    load_generator,
    provenance,
    token_seed,
)
from pipeline.art.draw.encode import encode_png
from pipeline.art.draw.generator import OfOneSide
from pipeline.art.draw.layouts import WINDOW, layouts_of
from pipeline.art.draw.marking import (
    LEAST_SIZE,
    Finish,
    carrying,
    is_marked,
    marked,
    marked_renderer,
    unmarked,
)
from pipeline.art.draw.notes import BEST, learned_from
from pipeline.art.draw.stage import draw
from pipeline.art.source import About, ArtPlan, Asked, Origin, Redrawer, Work, encoder_of
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.records import Artwork, Fingerprint, TokenSpec
from pipeline.base.workspace import Workspace
from pipeline.ledger import Run
from pipeline.mark.watermark import Mark
from pipeline.settings import Settings
from pipeline.settings.table import ArtSettings

if TYPE_CHECKING:
    from pipeline.art.draw import Drawing, Generator

COVER_ID = 0  # token ids begin at 1, so seed 0 of a collection is free for its cover


class Drawn:
    """The generator that settings name. It is loaded when something has to be drawn, and then once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._generator: Generator | None = None

    def located(self, settings: Settings) -> Settings:
        return settings

    def count(self, asked: int | None, waiting: Callable[[], Sequence[Run]]) -> int | None:
        return asked

    def about(self) -> About:
        return About(cover="drawn by the generator", idle=("editions",), origin=self._origin, drawn_name=self._name)

    def _origin(self, renderer: str) -> Origin:
        """With what the weights themselves say of their pictures, where they are a file of somebody's."""
        origin = _origin(renderer)
        learned = learned_from(Path(self._settings.art.model)) if origin is NETWORK else None
        if learned is None:
            return origin
        return replace(origin, data=f"{learned.pictures:,} pictures, under these terms: {learned.licence}")

    def _name(self, seed: int) -> str:
        """That of what draws it: a voice, or a generator that is known by its name. A file's name is its owner's affair."""
        art = self._settings.art
        if decides_once(art.model):
            return model_of(art, seed).split(":")[1].partition(".")[0].capitalize()
        if art.model in BUILT_IN:
            return "Lino"
        return art.model.capitalize() if is_installed(art.model) else ""

    def plan(self, asked: Asked) -> ArtPlan:
        asked.observer.notice("opening the generator")
        art = self._settings.art
        generator = self._generator = self._shared(model_of(art, asked.seed), art.device, art.threads)
        if art.proofs > 1:
            from pipeline.art.draw.taste import read_judge

            read_judge(Workspace(self._settings.folder).judge(asked.seed))
        size = self._size(generator, asked)
        marked = _is_to_be_marked(replace(art, size=size), generator.renderer)
        return ArtPlan(fingerprint(generator, size, art.encoder, is_marked=marked))

    def _size(self, generator: Generator, asked: Asked) -> int:
        """What was said; otherwise the side that a network's pictures have, or the collection's so far: nothing is enlarged
        that nobody wanted larger."""
        if not isinstance(generator, OfOneSide):
            return self._settings.art.size
        self._must_be_sound(generator)
        told = self._settings.given("size")
        size = self._settings.art.size if told else asked.side or generator.side
        scaled = "" if size == generator.side else f"; {_scaled(size / generator.side)} to {size}, as was asked for"
        asked.observer.notice(f"{generator.name} draws pictures of {generator.side} by {generator.side} pixels{scaled}")
        return size

    def _must_be_sound(self, generator: OfOneSide) -> None:
        """Refuse weights of a training that collapsed, unless somebody wants just those."""
        art = self._settings.art
        if not generator.collapsed or art.collapsed:
            return
        best = Path(art.model) / BEST
        better = f"--model {best} has the best before that; " if best.exists() else ""
        raise BadArgument(
            name="--model",
            value=art.model,
            expected=f"weights of a training that went well: these collapsed ({generator.collapsed})",
            hint=f"{better}--collapsed draws with these all the same",
        )

    def check(self, run: Run) -> None:
        self._for(run)

    def artworks(self, todo: Iterable[TokenSpec | Artwork], work: Work) -> Iterator[Artwork]:
        """Draw what is missing, through a gate that knows the whole collection."""
        items = iter(todo)
        for item in items:
            if isinstance(item, TokenSpec):
                yield from self._drawn(item.token_id, chain([item], items), work)
            else:
                yield item

    def cover(self, work: Work) -> Cover:
        collection = work.collection
        spec = TokenSpec(COVER_ID, token_seed(collection.seed, COVER_ID), collection.owner)
        gate = Gate(collection.seed, near=None)  # it may look like a token: it is none
        (item,) = drawn([spec], self._for(work.run), work.run.size, gate, _finish(work))
        assert not isinstance(item, Artwork), "a spec is drawn"
        return Cover(encode_png(item[1].pixels), ".png")

    def goes_on(self, settings: Settings) -> bool:
        return True

    def disliked(self) -> str:
        return "`reject` with the ids of tokens that you do not like has those drawn again."

    def must_redraw(self, token_ids: Sequence[int], work: Work) -> None:
        """Every token has as many attempts as anybody likes."""

    def redrawer(self, device: str, threads: int | None) -> Redrawer:
        """The generator that planned, where one did; otherwise the one that settings name, on that device."""
        return FromSeed(self._generator or _load(model_of(self._settings.art), device, threads))

    def _drawn(self, first: int, todo: Iterable[TokenSpec | Artwork], work: Work) -> Iterator[Artwork]:
        run, collection, tokens = work.run, work.collection, work.ledger.tokens
        generator = self._for(run)
        layouts = layouts_of(generator, tokens.drawn_from(run.collection, first - WINDOW))
        proofs = int(run.arguments.get("proofs") or 1)
        ranked = ranked_by(work.workspace, collection.seed, generator) if proofs > 1 else None
        gate = Gate(collection.seed, tokens.hashes(run.collection), run.duplicate_bits, layouts, proofs, ranked)
        return generate(todo, generator, run.size, gate, work.image, encoder_of(run), _finish(work))

    def _for(self, run: Run) -> Generator:
        """The generator that a run began with, on its device, or on one that was asked for and draws the same."""
        if self._generator is None:
            self._generator = self._reopened(run)
        must_draw_the_same(run, self._generator)
        return self._generator

    def _shared(self, model: str, device: str, threads: int) -> Generator:
        """The generator, here or at the workers that draw for this machine."""
        art = self._settings.art
        if not art.workers:
            return _load(model, device, threads or None)
        from pipeline.art.draw.workers import shared_generator

        return shared_generator(model, device, threads or None, art.workers, trusted=art.trust_workers)

    def _reopened(self, run: Run) -> Generator:
        art = self._settings.art
        device = run.device if art.device == "auto" else art.device
        model = run.model if decides_once(run.model) else art.model
        try:
            return self._shared(model, device, art.threads or run.threads)
        except GenerationError as error:
            raise GenerationError(
                reason=f"the unfinished run still has to draw, with {run.renderer} on {device}, and here {error}",
                hint=f"{error.hint}; what is drawn in this workspace can be minted anywhere, once all of it is",
            ) from error


def _scaled(factor: float) -> str:
    return f"enlarged {factor:.3g} times" if factor > 1 else "made smaller"


class FromSeed:
    """A generator, asked to draw again by what metadata says of a token."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.weights_sha256, self.renderer = generator.weights_sha256, generator.renderer

    def again(self, document: Mapping[str, Any]) -> Drawing:
        made = document["generator"]
        drawing = draw(self._generator, made["seed"], made["size"])
        return carrying(_mark_of(made), drawing) if is_marked(made.get("renderer", "")) else drawing


def _mark_of(made: Mapping[str, Any]) -> Mark:
    """Raises GenerationError for a document that does not say which mark its picture has, or says it of one too small."""
    try:
        if made["size"] >= LEAST_SIZE:
            return Mark.parse(str(made.get("mark", "")))
    except ValueError:
        pass
    raise GenerationError(reason="the metadata does not say which mark the picture has", hint="look at another token")


def _origin(renderer: str) -> Origin:
    """By what a renderer's name says of its code."""
    if _is_matter(renderer):
        return MATTER
    if renderer.startswith("compose-"):
        return COMPOSITION
    return VOCABULARY if renderer.startswith(("vocabulary-", "lino-")) else NETWORK


COMPOSITION = Origin(
    "algorithmicMedia",
    "Everything: the laws of composition, the palettes, and how they are drawn in flat colour.",
    "Nothing.",
    "None.",
)
MATTER = Origin(
    "trainedAlgorithmicMedia",
    "The laws of composition and the palettes, and the simulation of paint that the network learned from.",
    "How matter lies on a composition: a small conditional network.",
    "Canvases painted by this project's own simulation; no artist's work, no photograph.",
)
VOCABULARY = Origin(
    "trainedAlgorithmicMedia",
    "A vocabulary of shapes and fields, the palettes, and which of them a family starts with.",
    "Which ink every region, line and ground takes, how wide lines are, and what becomes of crossed families.",
    "Pictures drawn by this project's own code; no artist's work, no photograph.",
)
NETWORK = Origin(
    "trainedAlgorithmicMedia",
    "The network's form and how it is trained.",
    "Everything from the seed's numbers to the pixels.",
    "Pictures that whoever trained it chose; what they are and under which licence stands in the weights' own notes.",
    unknown="Whether the model knows a training picture by heart: the check at the end of its training says it.",
)


def _is_to_be_marked(art: ArtSettings, renderer: str) -> bool:
    """Where nobody said, learned matter is marked, as far as it can be.

    Raises BadArgument for pictures that are too small to carry what was asked for.
    """
    if art.watermark == "auto":
        return _is_matter(renderer) and art.size >= LEAST_SIZE
    if art.watermark == "yes" and art.size < LEAST_SIZE:
        raise BadArgument(
            name="--watermark",
            value="yes",
            expected=f"a --size of {LEAST_SIZE} pixels or more: smaller pictures cannot carry a mark",
        )
    return art.watermark == "yes"


def _is_matter(renderer: str) -> bool:
    return renderer.startswith("matter-")


def _finish(work: Work) -> Finish:
    """What a run does to its drawings before the gate sees them."""
    return marked(work.collection.seed) if is_marked(work.run.renderer) else unmarked


def fingerprint(generator: Generator, size: int, encoder: str, *, is_marked: bool = False) -> Fingerprint:
    """What a run records of a generator, complete enough to draw each of its pictures again."""
    made = provenance(generator, size, encoder)
    if is_marked:
        made = replace(made, renderer=marked_renderer(made.renderer))
    return Fingerprint(
        **asdict(made),
        device=generator.device,
        dtype=generator.dtype,
        threads=generator.threads,
    )


def must_draw_the_same(run: Run, generator: Generator) -> None:
    """Refuse to continue with anything that would draw other pixels or write other bytes than the run began with."""
    now = fingerprint(generator, run.size, encoder_of(run), is_marked=is_marked(run.renderer))
    for what in ("weights_sha256", "renderer", "encoder", "dtype"):
        planned, here = getattr(run, what), getattr(now, what)
        if planned != here:
            raise GenerationError(
                reason=f"the unfinished run was planned with {what} {planned} on {run.device}, "
                f"and this installation has {here} on {now.device}",
                hint="finish it with the version and the kind of device that began it, or mint into another --workspace",
            )


def is_installed(model: str) -> bool:
    """Whether a generator of this name can be opened without a file of anybody's."""
    from importlib.metadata import entry_points

    return (
        model in BUILT_IN
        or decides_once(model) != ""
        or any(point.name == model for point in entry_points(group=ENTRY_POINTS))
    )


def model_of(art: ArtSettings, seed: int = 0) -> str:
    """The name of the generator that settings choose, with all that a composed collection decides once.

    What nobody chose is drawn from `seed`, the collection's. Raises BadArgument for a choice that another one rules out,
    GenerationError for one that is not there.
    """
    chosen = {"voice": art.voice, "material": art.material, "palettes": art.palettes}
    kind = decides_once(art.model)
    for name, value in chosen.items():
        if value and (not kind or (kind == LINO and name == "material")):
            raise BadArgument(
                name=f"--{name}",
                value=value,
                expected=f"none beside --model {art.model}: composed art has it",
                hint=f"give --model {COMPOSED}, or leave --{name} out",
            )
    if not kind:
        return art.model
    if kind == LINO:
        from pipeline.art.draw import lino

        return lino.choice_of(art.model, seed, art.voice, art.palettes).name
    from pipeline.art.draw.composed import choice_of, written

    return choice_of(written(art.model, **chosen), seed).name


def ranked_by(workspace: Workspace, seed: int, generator: Generator) -> Callable[[Sequence[int]], list[int]]:
    """How the judge of a collection puts seeds of its tokens in order. Raises GenerationError where none has learned."""
    from pipeline.art.draw.taste import read_judge

    judge = read_judge(workspace.judge(seed))
    return lambda seeds: judge.ranked(generator.draw, seeds)


def _load(model: str, device: str, threads: int | None) -> Generator:
    return load_generator(model, device=device, threads=threads)
