"""Look before paying: pictures of a seed, a run that is drawn and not yet pinned, and tokens that shall look otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.art.artworks import Artworks
from pipeline.art.draw import Gate, drawn, load_generator, token_seed
from pipeline.art.draw.encode import encode_png
from pipeline.art.draw.layouts import layouts_of
from pipeline.art.draw.stage import draw
from pipeline.art.drawn import is_installed, model_of, ranked_by
from pipeline.art.sheet import COLUMNS, ROWS, contact_sheets, side_for
from pipeline.art.source import ArtSource, Asked, Previews, Work, installed, open_source, recorded
from pipeline.base.errors import BadArgument, PipelineError
from pipeline.base.files import write_whole
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.pictures import decode, plain_bytes, shown
from pipeline.base.records import Address, Artwork, TokenSpec
from pipeline.base.results import Trait
from pipeline.base.workspace import Workspace
from pipeline.flow.cover import ensure_cover
from pipeline.ledger import Ledger, Run
from pipeline.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image

    from pipeline.art.draw import Drawing, Generator
    from pipeline.base.observer import Observer

MAX_SHEET = 1_000  # drawings of one `generate`: ten pages; a collection that is larger is looked at in its run
NOBODY = Address("0x" + "00" * 20)  # these pictures are nobody's tokens


@dataclass(frozen=True, slots=True)
class SeedDrawn:
    """The picture of one seed."""

    model: str
    size: int
    file: Path
    seed: int
    flaw: str | None  # why the gate would refuse it
    attributes: tuple[Trait, ...]


@dataclass(frozen=True, slots=True)
class OnSheet:
    """One picture of a contact sheet."""

    token_id: int
    attempt: int
    seed: int
    flaw: str | None
    attributes: tuple[Trait, ...]


@dataclass(frozen=True, slots=True)
class SheetDrawn:
    """A contact sheet of tokens as `mint` would draw them."""

    model: str
    collection_seed: int
    size: int
    files: tuple[Path, ...]
    tokens: tuple[OnSheet, ...]


def draw_seed(config: Settings, seed: int, out: Path) -> SeedDrawn:
    """Write the picture of one token's seed: pixels and bytes are those of a token with this seed, model and size.

    Raises BadArgument for a file that is no .png or a size out of range, GenerationError for the model or the device.
    """
    check_png("--out", out)
    generator = _generator(_as_its_run(config, seed), seed)
    drawing = draw(generator, seed, config.art.size)
    write_whole(out, encode_png(drawing.pixels, config.art.encoder))
    return SeedDrawn(generator.name, config.art.size, out, drawing.seed, drawing.flaw or None, _traits(drawing))


def draw_sheet(config: Settings, seed: int, count: int, sheet: Path, observer: Observer) -> SheetDrawn:
    """Write a contact sheet of tokens 1 to `count` of a collection with this seed, drawn as `mint` would: none picked.

    Raises what `draw_seed` does.
    """
    from PIL import Image

    check_png("--sheet", sheet)
    source = open_source(config)
    if isinstance(source, Previews):
        return _sheet_of(source, config, seed, count, sheet, observer)
    near = config.art.duplicate_bits
    generator, told = _generator(config, seed), list[OnSheet]()
    proofs = config.art.proofs
    ranked = ranked_by(Workspace(config.folder), seed, generator) if proofs > 1 else None
    gate = Gate(seed, near=near, layouts=layouts_of(generator), proofs=proofs, ranked=ranked)

    def pictures() -> Iterator[tuple[str, Image.Image]]:
        specs = (TokenSpec(token_id, token_seed(seed, token_id), NOBODY) for token_id in range(1, count + 1))
        for item in drawn(specs, generator, config.art.size, gate):
            assert not isinstance(item, Artwork), "all of them are specs"
            taken, drawing, _ = item
            told.append(OnSheet(taken.token_id, taken.attempt, drawing.seed, drawing.flaw or None, _traits(drawing)))
            observer.progress("draw", taken.token_id, count)
            yield str(taken.token_id), Image.fromarray(drawing.pixels)

    pages = contact_sheets(pictures(), sheet, side_for(config.art.size))
    return SheetDrawn(generator.name, seed, config.art.size, tuple(pages), tuple(told))


def _sheet_of(source: Previews, config: Settings, seed: int, count: int, sheet: Path, observer: Observer) -> SheetDrawn:
    from PIL import Image

    told = list[OnSheet]()
    asked = Asked(seed, 1, count, False, dict, observer)

    def pictures() -> Iterator[tuple[str, Image.Image]]:
        for one in source.previewed(asked, MAX_SHEET):
            told.append(OnSheet(one.token_id, 0, one.seed, None, _traits(one.drawing)))
            observer.progress("draw", one.token_id, count)
            yield str(one.token_id), shown(Image.fromarray(one.drawing.pixels))

    pages = contact_sheets(pictures(), sheet, side_for(config.art.size))
    return SheetDrawn(config.art.layers or config.art.model, seed, config.art.size, tuple(pages), tuple(told))


def draw_run(source: ArtSource, work: Work) -> list[Path]:
    """Make the pictures that a run lacks, record them, and return the contact sheet's pages. Nothing is pinned."""
    if work.collection.info_root is None:
        ensure_cover(source, work)
    for _ in Artworks(source, work):
        pass
    return contact_sheets(
        _drawn(work, range(work.run.start, work.run.start + work.run.count)), _sheet(work), side_for(work.run.size)
    )


def sheet_of_minted(work: Work) -> list[Path]:
    """Write one page of a run that is minted: all its tokens, or as many as a page holds, evenly from first to last."""
    run, page = work.run, COLUMNS * ROWS
    shown = min(run.count, page)
    try:
        return contact_sheets(
            _drawn(work, [run.start + n * run.count // shown for n in range(shown)]),
            sheet_of_run(work),
            side_for(run.size),
        )
    except (OSError, PipelineError) as error:  # the tokens are on the chain: no page is worth a failed mint
        work.observer.notice(f"the contact sheet was not written: {error}")
        return []


def sheet_of_run(work: Work) -> Path:
    """Where the page of a minted run is: each run of a collection has its own."""
    first, last = work.run.start, work.run.start + work.run.count - 1
    return _sheet(work).with_stem(f"contact-sheet-{first}-{last}")


def _sheet(work: Work) -> Path:
    return work.workspace.export(work.collection.name) / "contact-sheet.png"


def reject(workspace: Workspace, token_ids: Sequence[int], observer: Observer) -> tuple[Run, list[Path]]:
    """Draw tokens of the unfinished run again, each with its next attempt; return the run and the new contact sheet.

    All of them or none. Raises BadArgument where there is no unfinished run, and for a token that is not drawn, or
    pinned or minted already.
    """
    if not workspace.ledger.exists():
        raise _nothing_to_reject(workspace)
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        ledger.check()
        run = ledger.runs.unfinished()
        if run is None:
            raise _nothing_to_reject(workspace)
        source, work = open_source(recorded(run)), Work(run, ledger, workspace, observer)
        _must_be_drawn(ledger, run, token_ids)
        source.must_redraw(token_ids, work)
        source.check(run)
        ledger.tokens.reject(run.collection, token_ids)
        return run, draw_run(source, work)


def check_png(name: str, path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise BadArgument(name=name, value=str(path), expected="a file name that ends in .png")


def _must_be_drawn(ledger: Ledger, run: Run, token_ids: Sequence[int]) -> None:
    told = {
        "planned": "is not drawn yet: the command that began the run draws it",
        "sealed": "is pinned already, and its content is fixed",
    }
    for token_id in token_ids:
        token = next(ledger.tokens.of(run.collection, token_id, 1), None)
        if token is None or not run.start <= token_id < run.start + run.count:
            last = run.start + run.count - 1
            raise BadArgument(name="token id", value=token_id, expected=f"{run.start} to {last}, the unfinished run")
        if token.state != "generated":
            why = told.get(token.state, "is minted already, and belongs to somebody")
            raise BadArgument(name="token id", value=token_id, expected=f"a token that is drawn; this one {why}")


def _nothing_to_reject(workspace: Workspace) -> BadArgument:
    return BadArgument(
        name="--workspace",
        value=str(workspace.folder),
        expected="a workspace with an unfinished run; what is minted stays as it is",
        hint="`pipeline mint --count 50 --stop-after generate` draws a run and waits",
    )


def _drawn(work: Work, token_ids: Sequence[int]) -> Iterator[tuple[str, Image]]:
    run, wanted = work.run, frozenset(token_ids)
    for token in work.ledger.tokens.of(run.collection, run.start, run.count):
        if token.token_id not in wanted:
            continue
        path = work.workspace.image(run.collection, token.token_id, token.suffix)
        if path.exists() and token.suffix != ".svg":
            yield str(token.token_id), decode(plain_bytes(path, IMAGE_BYTES)).image


def _as_its_run(config: Settings, seed: int) -> Settings:
    """The settings, with the model of the workspace's token that has this seed, where nobody chose another.

    A composed collection decides once what its tokens share; a token's seed alone does not tell it.
    """
    workspace = Workspace(config.folder)
    if config.given("model") or config.given("voice") or not workspace.ledger.exists():
        return config
    with Ledger(workspace.ledger, readonly=True) as ledger:
        run = ledger.runs.with_seed(seed)
    if run is None or not is_installed(run.model):
        return config
    return config.changed(f"run {run.id}", {"model": run.model, "voice": "", "material": "", "palettes": ""})


def _generator(config: Settings, seed: int) -> Generator:
    """Raises BadArgument for a source that makes pictures for a run alone."""
    if config.art.model in installed():
        raise BadArgument(
            name="--model",
            value=config.art.model,
            expected="a generator: this art source makes pictures only of the tokens of a run",
            hint="`mint` with --stop-after generate draws a run and waits",
        )
    return load_generator(model_of(config.art, seed), device=config.art.device, threads=config.art.threads or None)


def _traits(drawing: Drawing) -> tuple[Trait, ...]:
    return tuple(Trait(attribute.trait_type, attribute.value) for attribute in drawing.attributes)
