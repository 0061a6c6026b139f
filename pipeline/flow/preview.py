"""Look before paying: pictures of a seed, a run that is drawn and not yet pinned, and tokens that shall look otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pipeline.art.artworks import Artworks
from pipeline.art.draw.encode import encode_png
from pipeline.art.sheet import COLUMNS, ROWS, contact_sheets, side_for
from pipeline.art.source import About, ArtPlan, ArtSource, Asked, Work, is_here, open_source, recorded
from pipeline.base.errors import BadArgument, PipelineError, UsageError
from pipeline.base.files import write_whole
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.observer import Observer, Silence
from pipeline.base.pictures import decode, plain_bytes
from pipeline.base.records import Attribute
from pipeline.base.results import Trait
from pipeline.base.workspace import Workspace
from pipeline.flow.cover import ensure_cover
from pipeline.flow.plan import Begin, enter_run, new_run, what_stands
from pipeline.ledger import NOWHERE, UNDECIDED, Ledger, Run
from pipeline.settings import Scope, Settings, every_setting

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SHEET = 1_000  # drawings of one `generate`: ten pages; a collection that is larger is looked at in its run
KEPT, FREE = (Scope.ART, Scope.RUN), ("size", "encoder")  # what a token's picture follows from, and how it is written
ON_SHEET = 36  # pictures, where nobody says how many


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
    attributes: tuple[Trait, ...]


@dataclass(frozen=True, slots=True)
class SheetDrawn:
    """A contact sheet of tokens as `mint` would draw them."""

    model: str
    collection_seed: int
    size: int
    files: tuple[Path, ...]
    tokens: tuple[OnSheet, ...]
    whole: int | None  # how many the art has, where it says so itself


def draw_seed(config: Settings, seed: int, out: Path) -> SeedDrawn:
    """Write the picture of one token's seed: pixels and bytes are those of a token with this seed, model and size, unmarked.

    Raises BadArgument for a file that is no .png or a size out of range, GenerationError for the model or the device, and
    for art of which a seed alone tells nothing.
    """
    check_png("--out", out)
    config = _as_its_run(config, seed)
    source, art = open_source(config), config.art
    made = source.plan(Asked(seed, 1, source.count(None, list) or 1, False, dict, Silence())).fingerprint
    redrawer = source.redrawer(art.device, art.threads or None)
    drawing = redrawer.again({"generator": {"model": made.model, "seed": seed, "size": made.size}})
    write_whole(out, encode_png(drawing.pixels, art.encoder))
    return SeedDrawn(made.model, made.size, out, drawing.seed, drawing.flaw or None, _traits(drawing.attributes))


def draw_sheet(config: Settings, seed: int, count: int | None, sheet: Path, observer: Observer) -> SheetDrawn:
    """Write a contact sheet of the first tokens of a collection with this seed, made as `mint` would: none picked.

    `count` of them, 36 where nobody said it, or all that there are. Planned and made in a folder of its own that is gone
    afterwards, each picture as soon as it is on the sheet. Raises what `mint` would of the art.
    """
    check_png("--sheet", sheet)
    source, told = open_source(config), list[OnSheet]()
    whole, total = source.count(None, list), source.count(count, list) or ON_SHEET
    shown = min(total, count or ON_SHEET)
    with ExitStack() as stack:
        workspace = Workspace(Path(stack.enter_context(TemporaryDirectory(prefix="pipeline-sheet-"))))
        ledger = stack.enter_context(Ledger(workspace.ledger))
        _lend_judge(Workspace(config.folder).judge(seed), workspace.judge(seed))
        plan = source.plan(Asked(seed, 1, total, False, dict, observer))
        run = _trial(config, seed, total, plan, source.about(), ledger)
        work = Work(run, ledger, workspace, observer)
        pages = contact_sheets(_made(source, work, shown, told), sheet, side_for(run.size))
    return SheetDrawn(run.model, seed, run.size, tuple(pages), tuple(told), whole)


def _trial(config: Settings, seed: int, count: int, art: ArtPlan, about: About, ledger: Ledger) -> Run:
    """A run of a collection that nobody will mint: of all settings only those of its art count."""
    chosen = {line.name: config.value(line.name) for line in every_setting() if line.tells_art}
    plain = Settings().changed("a sheet", {name: value for name, value in chosen.items() if value is not None})
    plan = new_run(ledger, plain, Begin("Sheet"), count, None, art, about, UNDECIDED, seed)
    assert plan.settings is not None, "it begins a collection"
    with ledger.atomic():
        nowhere = ledger.collections.enter_chain(NOWHERE.chain_id, NOWHERE.genesis_hash, NOWHERE.kind)
        collection = ledger.collections.plan(nowhere, plan.settings)
        return ledger.runs.get(enter_run(ledger, collection, plan, config.art.duplicate_bits))


def _lend_judge(judge: Path, path: Path) -> None:
    """What somebody taught of this collection is asked for its sheet as well."""
    if judge.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(judge, path)


def _made(source: ArtSource, work: Work, count: int, told: list[OnSheet]) -> Iterator[tuple[str, Image]]:
    batches, tokens = work.ledger.batches.undrawn(work.run.id), work.ledger.tokens
    specs = islice(chain.from_iterable(map(tokens.specs, batches)), count)
    for number, artwork in enumerate(source.artworks(specs, work), 1):
        told.append(OnSheet(artwork.token_id, artwork.attempt, artwork.seed, _traits(artwork.attributes)))
        work.observer.progress("draw", number, count)
        yield from _pictured(artwork.token_id, artwork.path)
        for path in artwork.files:
            path.unlink(missing_ok=True)


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
    if not Ledger.exists(workspace.ledger):
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


def _nothing_to_reject(workspace: Workspace) -> UsageError:
    more = " --more" if what_stands(workspace).collections else ""
    return UsageError(
        reason=f"the workspace {workspace.folder} has no unfinished run, and what is minted stays as it is",
        hint=f"`pipeline mint --count 50{more} --stop-after generate` draws a run and waits",
    )


def _drawn(work: Work, token_ids: Sequence[int]) -> Iterator[tuple[str, Image]]:
    run, wanted = work.run, frozenset(token_ids)
    for token in work.ledger.tokens.of(run.collection, run.start, run.count):
        if token.token_id not in wanted:
            continue
        path = work.workspace.image(run.collection, token.token_id, token.suffix)
        if path.exists():
            yield from _pictured(token.token_id, path)


def _pictured(token_id: int, path: Path) -> Iterator[tuple[str, Image]]:
    """A token's picture for a sheet; none of a drawing in SVG, which takes a browser."""
    if path.suffix != ".svg":
        yield str(token_id), decode(plain_bytes(path, IMAGE_BYTES)).image


def _as_its_run(config: Settings, seed: int) -> Settings:
    """The settings, with the art of the workspace's token that has this seed, where nobody chose another.

    A composed collection decides once what its tokens share; a token's seed alone does not tell it.
    """
    workspace = Workspace(config.folder, config.here.ledger)
    if config.given("model") or config.given("voice") or not Ledger.exists(workspace.ledger):
        return config
    with Ledger(workspace.ledger, readonly=True) as ledger:
        run = ledger.runs.with_seed(seed)
    if run is None:
        return config
    told = {
        line.name: run.arguments.get(line.name, "") for line in every_setting() if line.tells_art and line.scope in KEPT
    }
    chosen = {
        name: value for name, value in told.items() if value != "" and not config.given(name) and name not in FREE
    }
    if is_here(run.model):
        chosen |= {"model": run.model, "voice": "", "material": "", "palettes": ""}
    return config.changed(f"run {run.id}", chosen)


def _traits(attributes: Sequence[Attribute]) -> tuple[Trait, ...]:
    return tuple(Trait(attribute.trait_type, attribute.value) for attribute in attributes)
