"""Layered art, as a source: a folder of layers, of which each token has its own combination, planned before any is painted."""

from __future__ import annotations

import colorsys
import hashlib
import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from math import lcm
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor

from pipeline.art.arrangement import Table
from pipeline.art.cover import Cover
from pipeline.art.draw import Drawing, phash
from pipeline.art.draw.encode import encode_png, encoder_id
from pipeline.art.layers.arrangement import LayeredArrangement
from pipeline.art.layers.compositor import Compositor, Sheet, Stroke
from pipeline.art.layers.design import Design, form_of, read_design
from pipeline.art.layers.form import BLENDS, Writing
from pipeline.art.layers.pictures import Pictures, Seen, frames_in_srgb, look_into, size_of
from pipeline.art.layers.table import (
    Row,
    attributes_of,
    combinations_of,
    files_of,
    known_count,
    name_of,
    named_in,
    planned,
    row_from,
    row_text,
)
from pipeline.art.source import LAYERS, About, ArtPlan, Asked, Origin, Redrawer, Work, encoder_of
from pipeline.base.crash import crash_point
from pipeline.base.errors import BadArgument, GenerationError, NotMadeHere, PipelineError
from pipeline.base.files import write_whole
from pipeline.base.limits import IMAGE_BYTES, MAX_NAME, MAX_SIDE, MIN_SIDE
from pipeline.base.media import DECODED
from pipeline.base.pictures import BadPicture, plain_bytes, shown
from pipeline.base.records import Animation, Artwork, Fingerprint, TokenSpec, TokenWords
from pipeline.base.untrusted import parse_json
from pipeline.ledger import Run
from pipeline.settings import Scope, Settings
from pipeline.settings.table import ArtSettings, table_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

RENDERER = "layers-1/cpu"  # changes whenever pixels of the same recipe would
CODE = hashlib.sha256(RENDERER.encode()).hexdigest()  # stands for weights: pictures are named by each token's recipe

_USED = ("layers", "encoder", "threads")
_IDLE = tuple(
    line.name
    for line in table_of(ArtSettings)
    if line.scope in (Scope.ART, Scope.GATE, Scope.MACHINE) and line.name not in _USED
)
_AHEAD = 3  # tokens that a thread may be ahead of who takes them: memory holds no more
MOVING_SUFFIX = ".webp"
LOOP_FRAMES = 480  # of one token: twenty seconds at 24 a second
LOOP_PIXELS = 1 << 28  # of all of them: they are in memory together while they are written
COVERS = 4  # tokens of the collection's own picture


_COMPOSED = Origin(
    "algorithmicMedia",
    "Every layer, by the artist; how many tokens have which, by the collection's counts and rules.",
    "Nothing.",
    "None.",
)


class Layered:
    """The folder that settings name. It is read when something asks for what is in it, its pictures when they are needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = Path(settings.art.layers).resolve()
        self._rows_read = dict[str, Row]()  # by their text: the studio asks for the same ones again and again

    @cached_property
    def _design(self) -> Design:
        return read_design(self._path)

    @cached_property
    def _pictures(self) -> Pictures:
        return Pictures(self._path)

    def located(self, settings: Settings) -> Settings:
        return settings.changed(settings.source("layers"), {"layers": str(self._path)})

    def count(self, asked: int | None, waiting: Callable[[], Sequence[Run]]) -> int | None:
        """The form's number of tokens, where it says one; where the folder is gone, that of the unfinished run."""
        if asked is None and not self._path.exists():
            for run in waiting():
                if run.arguments.get("layers") == str(self._path):
                    return run.count
        return known_count(self._design) if asked is None else asked

    def about(self) -> About:
        form = form_of(self._path)[0] if self._path.exists() else None
        name = (form.name if form else "") or self._path.name
        return About(
            name=name.encode()[:MAX_NAME].decode(errors="ignore").strip(),
            symbol=form.symbol if form else "",
            description=form.description if form else "",
            cover=f"{COVERS} of its tokens",
            folder=str(self._path.resolve()),
            idle=_IDLE,
            origin=lambda renderer: _COMPOSED,
        )

    def plan(self, asked: Asked) -> ArtPlan:
        design = self._design
        rows, (width, height) = self._rows(asked)
        tokens = {token_id: row_text(design, row, self._holds) for token_id, row in enumerate(rows, asked.first)}
        encoder = encoder_id(self._settings.art.encoder)
        return ArtPlan(Fingerprint(LAYERS, CODE, RENDERER, encoder, max(width, height)), tokens=tokens)

    def _rows(self, asked: Asked) -> tuple[list[Row], tuple[int, int]]:
        """The table of new tokens, and their size, once every picture was looked at."""
        design, observer = self._design, asked.observer
        for note in design.notes:
            observer.notice(f"not carried over: {note}")
        if design.files:
            observer.notice(f"reading {len(design.files):,} pictures in {self._path}")
        seen = look_into(design, self._pictures, observer)
        width, height = size_of(design, seen)
        fitted = sum((one.width, one.height) != (width, height) for one in seen.values())
        if fitted:
            observer.notice(f"{fitted:,} pictures of other sizes are fitted to {width} by {height} pixels")
        taken = combinations_of(design)
        ground_of(design.form.ground, 0)
        rows = planned(design, asked.count, asked.seed, asked.first, asked.plans(), taken=taken)
        _must_loop(design, rows, seen, width * height)
        return rows, (width, height)

    def check(self, run: Run) -> None:
        now = encoder_id(encoder_of(run))
        for what, begun, here in (("renderer", run.renderer, RENDERER), ("encoder", run.encoder, now)):
            if begun != here:
                raise GenerationError(
                    reason=f"the unfinished run was planned with {what} {begun}, and this installation has {here}",
                    hint="finish it with the version that began it, or mint into another --workspace",
                )

    def artworks(self, todo: Iterable[TokenSpec | Artwork], work: Work) -> Iterator[Artwork]:
        """Paint what is missing, several at once and handed on in order; tokens that look alike are told."""
        threads = self._settings.art.threads or cpu_count() or 1
        waiting, seen = deque[Artwork | Future[Artwork]](), dict[bytes, int]()
        painter: Painter | None = None

        def taken() -> Artwork:
            item = waiting.popleft()
            artwork = item.result() if isinstance(item, Future) else item
            twin = seen.setdefault(artwork.pixel_sha256, artwork.token_id)
            if twin != artwork.token_id:
                told = f"token {artwork.token_id} looks exactly like token {twin}, though their layers differ"
                work.observer.notice(f"warning: {told}")
            return artwork

        pool = ThreadPoolExecutor(threads)
        try:
            for item in todo:
                if isinstance(item, TokenSpec):
                    painter = painter or self._painter(work)
                    waiting.append(pool.submit(painter.artwork, item, work.image(item.token_id)))
                else:
                    waiting.append(item)
                while len(waiting) > threads * _AHEAD:
                    yield taken()
            while waiting:
                yield taken()
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for what is being painted, not for what waits

    def _painter(self, work: Work) -> Painter:
        self.check(work.run)
        return Painter.of(self._design, self._pictures, encoder_of(work.run))

    def cover(self, work: Work) -> Cover:
        """The first tokens beside each other."""
        painter, run = self._painter(work), work.run
        specs = [
            spec for plan in work.ledger.batches.undrawn(run.id)[:1] for spec in work.ledger.tokens.specs(plan)[:COVERS]
        ] or []
        if not specs:
            raise GenerationError(
                reason="the collection has no token to be its cover", hint="give a picture as --cover"
            )
        return Cover(encode_png(_beside([painter.painted(spec)[1] for spec in specs])), ".png")

    def goes_on(self, settings: Settings) -> bool:
        """More tokens are of the same folder, unless a call names another model."""
        return not settings.said_now("model")

    def disliked(self) -> str:
        return (
            "`studio reroll` gives a token another combination and `studio commit` paints it; one that shall never come is "
            "ruled out in layers.toml: `abandon` lets go of this run, and the same command plans it anew."
        )

    def must_redraw(self, token_ids: Sequence[int], work: Work) -> None:
        raise BadArgument(
            name="token id",
            value=token_ids[0],
            expected="nothing: tokens of layers are planned together, so that counts and rules hold for all of them",
            hint=f"`pipeline studio reroll {token_ids[0]}` gives it another combination, `pipeline studio commit` paints it",
        )

    def arrangement(self, table: Table) -> LayeredArrangement:
        """The table as it is now, to be changed before it is pinned."""
        rows, taken = dict[int, Row](), list(self._taken)
        for token_id, text in table.plans.items():
            try:
                rows[token_id] = self._row_of(text)
            except BadArgument:
                if token_id in table.movable:
                    raise
                taken.append(named_in(text))  # what is minted stays what it is, whatever became of its pictures
        painter = self._to_look_at
        return LayeredArrangement(
            *(self._design, table, rows, taken, self._holds),
            lambda row, seed: painter.pixels(row, seed)[0],
            self._must_loop,
        )

    @cached_property
    def _taken(self) -> list[dict[str, str]]:
        return combinations_of(self._design)

    @cached_property
    def _to_look_at(self) -> Painter:
        return Painter.of(self._design, self._pictures, self._settings.art.encoder)

    def _row_of(self, text: str) -> Row:
        if text not in self._rows_read:
            self._rows_read[text] = row_from(self._design, text, self._holds)
        return self._rows_read[text]

    def _must_loop(self, rows: Sequence[Row]) -> None:
        files = {file for row in rows for file in files_of(self._design, row)}
        width, height = self._to_look_at.size
        _must_loop(self._design, rows, {file: self._pictures.seen(file) for file in sorted(files)}, width * height)

    def redrawer(self, device: str, threads: int | None) -> Redrawer:
        if not self._settings.art.layers:
            raise GenerationError(
                reason="these tokens are composed of layers", hint="give their folder as --layers FOLDER"
            )
        return FromRecipe(self._path)

    def _holds(self, files: Sequence[str]) -> str:
        return held(self._pictures, files)


def _must_loop(design: Design, rows: Sequence[Row], seen: Mapping[str, Seen], pixels: int) -> None:
    """Raise BadArgument for a token whose layers come together again too late, or are too large, to be one animation."""
    moving = {file: one.frames for file, one in seen.items() if one.frames > 1}
    for row in rows if moving else ():
        counts = {file: moving[file] for file in files_of(design, row) if file in moving}
        loop = lcm(*counts.values())
        if loop > LOOP_FRAMES or (loop > 1 and loop * pixels > LOOP_PIXELS):
            told = ", ".join(f"{file} has {count}" for file, count in counts.items())
            most = min(LOOP_FRAMES, LOOP_PIXELS // pixels)
            raise BadArgument(
                name="--layers",
                value=str(design.folder / next(iter(counts))),
                expected=f"layers whose frames come together again within {most} frames ({told}: that is {loop:,})",
                hint="give layers that move together numbers of frames with a small common multiple, such as 12 and 24",
            )


def held(pictures: Pictures, files: Sequence[str]) -> str:
    """A digest over pictures, by which a plan knows them again."""
    return hashlib.sha256("\0".join(map(pictures.sha256, files)).encode()).hexdigest()[:12]


def sheet_size(design: Design, pictures: Pictures) -> tuple[int, int]:
    """Width and height of the tokens, once it is known that all pictures have them."""
    if design.form.size:
        return design.form.size
    picture = pictures.frames(design.files[0])[0].image
    return picture.width, picture.height


def _beside(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures as one, in rows of two, on white."""
    flat = [shown(Image.fromarray(pixels)) for pixels in pictures]
    across = 1 if len(flat) == 1 else 2
    while len(flat) % across:
        flat.append(flat[0])
    width, height = flat[0].size
    sheet = Image.new("RGB", (width * across, height * (len(flat) // across)), "white")
    for place, picture in enumerate(flat):
        sheet.paste(picture, (width * (place % across), height * (place // across)))
    side = max(sheet.size)
    if side > MAX_SIDE:
        sheet.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    return np.asarray(sheet)


# ── painting ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Painted:
    """What was painted of a row, and how to paint it again."""

    image_sha256: bytes
    pixel_sha256: bytes
    image_bytes: int
    phash: int
    recipe: str
    animation: Animation | None = None  # lies beside the image


@dataclass(frozen=True)
class Painter:
    """Paints the tokens of a design: each from its row and its seed alone."""

    design: Design
    pictures: Pictures
    size: tuple[int, int]
    encoder: str
    holds: Callable[[Sequence[str]], str]

    @classmethod
    def of(cls, design: Design, pictures: Pictures, encoder: str) -> Painter:
        """A painter of a design whose pictures have its size."""
        return cls(design, pictures, sheet_size(design, pictures), encoder, partial(held, pictures))

    @cached_property
    def compositor(self) -> Compositor:
        return Compositor(lambda file: [frame.image for frame in self.pictures.frames(file)])

    def painted(self, spec: TokenSpec) -> tuple[Row, NDArray[np.uint8], str]:
        """The row of a token, its pixels and the recipe that gives them again."""
        row = row_from(self.design, spec.plan, self.holds)
        return row, *self.pixels(row, spec.seed)

    def pixels(self, row: Row, seed: int) -> tuple[NDArray[np.uint8], str]:
        strokes, sheet = self._strokes(row), self._sheet(row, seed)
        return self.compositor.composed(strokes, sheet), recipe_of(strokes, sheet, self.pictures.sha256)

    def artwork(self, spec: TokenSpec, path: Path) -> Artwork:
        """Paint a token and write its image."""
        row = row_from(self.design, spec.plan, self.holds)
        painted = self.written(row, spec.seed, path)
        crash_point("image_written")
        return Artwork(
            token_id=spec.token_id,
            seed=spec.seed,
            path=path,
            image_sha256=painted.image_sha256,
            pixel_sha256=painted.pixel_sha256,
            image_bytes=painted.image_bytes,
            attributes=attributes_of(self.design, row),
            attempt=spec.attempt,
            phash=painted.phash,
            words=TokenWords(name=name_of(self.design, row, spec.token_id), drawn_from=(("recipe", painted.recipe),)),
            animation=painted.animation,
        )

    def written(self, row: Row, seed: int, path: Path) -> Painted:
        """Paint a row and write its image."""
        strokes, sheet = self._strokes(row), self._sheet(row, seed)
        pixels = self.compositor.composed(strokes, sheet)
        data = encode_png(pixels, self.encoder)
        write_whole(path, data, durable=False)
        animation = self._moving(strokes, sheet, path)
        seen = pixels if pixels.shape[2] == 3 else np.asarray(shown(Image.fromarray(pixels)))
        return Painted(
            hashlib.sha256(data).digest(),
            hashlib.sha256(seen.tobytes()).digest(),
            len(data),
            phash(seen),
            recipe_of(strokes, sheet, self.pictures.sha256),
            animation,
        )

    def _moving(self, strokes: Sequence[Stroke], sheet: Sheet, path: Path) -> Animation | None:
        """Write what moves beside a still, where a layer does: one loop of all of them, without loss."""
        count = self.compositor.loop(strokes, sheet)
        if count == 1:
            return None
        shown_ms = max(self.pictures.shown_ms(stroke.key) for stroke in strokes if stroke.key)
        first, *others = (Image.fromarray(self.compositor.composed(strokes, sheet, at)) for at in range(count))
        file = io.BytesIO()
        how: dict[str, Any] = {"duration": shown_ms, "loop": 0, "lossless": True, "quality": 20, "method": 0}
        first.save(file, "WEBP", save_all=True, append_images=others, **how)
        write_whole(path.with_suffix(MOVING_SUFFIX), file.getvalue(), durable=False)
        return Animation(MOVING_SUFFIX, hashlib.sha256(file.getvalue()).digest())

    def _strokes(self, row: Row) -> list[Stroke]:
        if row.single is not None:
            return [Stroke(self.design.singles[row.single].file)]
        layers = self.design.kinds[row.kind].layers
        pieces = [
            piece for layer, number in zip(layers, row.values, strict=True) for piece in layer.values[number].pieces
        ]
        return [
            Stroke(piece.file, piece.blend, piece.opacity, piece.text, piece.writing)
            for piece in sorted(pieces, key=lambda piece: (piece.z, piece.order))
        ]

    def _sheet(self, row: Row, seed: int) -> Sheet:
        form = self.design.form
        ground = None if row.single is not None else ground_of(form.ground, seed)
        return Sheet(*self.size, ground, form.ground_below, form.smooth)


def ground_of(said: str, seed: int) -> tuple[int, int, int] | None:
    """The colour that a token is painted on; `random 80%` is a hue of its seed, of that lightness. Raises BadArgument."""
    if not said:
        return None
    found = re.fullmatch(r"random\s+(\d{1,3})\s*%", said)
    if found and int(found[1]) <= 100:
        red, green, blue = colorsys.hls_to_rgb(seed % 360 / 360, int(found[1]) / 100, 1.0)
        return round(red * 255), round(green * 255), round(blue * 255)
    try:
        colour = ImageColor.getrgb(said)
    except ValueError as error:
        raise BadArgument(
            name="layers.toml: ground", value=said, expected="a colour such as #ffcc00, or `random 80%`"
        ) from error
    return colour[0], colour[1], colour[2]


# ── again, from metadata alone ───────────────────────────────────────────────────────────────────────────────


def recipe_of(strokes: Sequence[Stroke], sheet: Sheet, sha256: Callable[[str], str]) -> str:
    """What it takes to paint a token again, beside the pictures: those are named by their digests."""
    told: dict[str, Any] = {"size": [sheet.width, sheet.height]}
    if sheet.ground is not None:
        told["ground"] = "#" + bytes(sheet.ground).hex()
        told |= {"below": True} if sheet.ground_below else {}
    if not sheet.smooth:
        told["smooth"] = False
    told["strokes"] = [_told(stroke, sha256) for stroke in strokes]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _told(stroke: Stroke, sha256: Callable[[str], str]) -> list[Any]:
    entry: list[Any] = [sha256(stroke.key)] if stroke.writing is None else [_words(stroke.text, stroke.writing)]
    if stroke.blend != "source-over" or stroke.opacity != 1:
        entry += [stroke.blend, stroke.opacity]
    return entry


def _words(text: str, writing: Writing) -> dict[str, Any]:
    return {"text": text, "height": writing.height, "colour": writing.colour, "at": list(writing.at)}


class FromRecipe:
    """Paints tokens again from what their metadata says, with the pictures of a folder, whatever they are called there."""

    weights_sha256, renderer = CODE, RENDERER

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._compositor = Compositor(self._picture)

    @cached_property
    def _by_digest(self) -> dict[str, Path]:
        """Every picture below the folder; links are not followed."""
        if not self._folder.is_dir():
            raise NoPicture(reason=f"there is no folder {self._folder}")
        found = {}
        for path in sorted(self._folder.rglob("*")):
            if path.suffix.lower() in DECODED and path.is_file() and not path.is_symlink():
                with suppress(BadPicture):  # too large, or gone: no token was painted with it
                    found[hashlib.sha256(plain_bytes(path, IMAGE_BYTES)).hexdigest()] = path
        return found

    def _picture(self, digest: str) -> list[Image.Image]:
        path = self._by_digest.get(digest)
        if path is None:
            raise NoPicture(reason=f"no picture in {self._folder} has the digest {digest[:16]}…")
        try:
            return [frames_in_srgb(plain_bytes(path, IMAGE_BYTES))[0].image]
        except BadPicture as error:
            raise NoPicture(reason=f"{path}: {error.reason}") from error

    def again(self, document: Mapping[str, Any]) -> Drawing:
        made = document["generator"]
        if "recipe" not in made:
            raise NotMadeHere(
                reason="a seed alone tells nothing of a token that is composed of layers",
                hint="`generate --sheet` shows the first tokens of a collection's seed, `show 7` one that is minted",
            )
        strokes, sheet = _read_recipe(made["recipe"])
        return Drawing(made["seed"], self._compositor.composed(strokes, sheet), ())


class NoPicture(PipelineError):
    """A picture that a token was painted with is not here: another one is not ruled out, and not found either."""

    proves_nothing = True
    sentence = "not painted again: {reason}; give the folder of its layers as --layers FOLDER"


def _read_recipe(text: Any) -> tuple[list[Stroke], Sheet]:
    """A stranger's recipe. Raises BadRecipe for one that says anything else than how to lay pictures over each other."""
    try:
        told = parse_json(text)
        width, height = told["size"]
        if not all(type(side) is int and MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
            raise ValueError(f"the size {width} by {height} is out of range")
        ground = bytes.fromhex(told["ground"].removeprefix("#")) if "ground" in told else None
        if ground is not None and len(ground) != 3:
            raise ValueError("its ground is no colour")
        colour = (ground[0], ground[1], ground[2]) if ground else None
        sheet = Sheet(width, height, colour, bool(told.get("below", False)), bool(told.get("smooth", True)))
        return [_stroke(entry) for entry in told["strokes"][:1000]], sheet
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadRecipe(reason=str(error) or type(error).__name__) from error


class BadRecipe(PipelineError):
    """Metadata whose recipe nothing can be painted from."""

    sentence = "not painted again: its recipe cannot be read: {reason}"


def _stroke(entry: Any) -> Stroke:
    what, blend, opacity = entry if len(entry) == 3 else (entry[0], "source-over", 1.0)
    mode = next((mode for mode in BLENDS if mode == blend), None)
    if mode is None or not 0 <= float(opacity) <= 1:
        raise ValueError(f"{blend} at {opacity} is no way to lay a picture")
    if isinstance(what, str):
        return Stroke(what, mode, float(opacity))
    height, (x, y) = float(what["height"]), what["at"]
    if not 1 <= height <= MAX_SIDE:
        raise ValueError("its text is out of range")
    writing = Writing({}, height, str(what["colour"]), (float(x), float(y)))
    return Stroke("", mode, float(opacity), str(what["text"])[:1000], writing)
