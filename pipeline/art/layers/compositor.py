"""Pictures laid over each other, as a canvas does: each cut to what of it can be seen, and kept for the next token.

A canvas that is opaque, and nearly every one is after its first layer, is kept as three bytes a pixel; another one as four,
premultiplied, which is what Skia has in memory. Straight alpha comes out, in sRGB.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont

from pipeline.art.layers.blend import OPAQUE, SPREADING, blended
from pipeline.art.layers.form import Blend, Writing

Box = tuple[int, int, int, int]  # left, upper, right, lower
SQUARE = 64  # pixels of a piece's side: smaller ones mix less, and are more calls
CACHED_BYTES = 1 << 29  # of cut pictures: those of two hundred values of a thousand pixels


@dataclass(frozen=True, slots=True)
class Stroke:
    """One picture on the canvas: `key` names it to who loads it; a text has none."""

    key: str
    blend: Blend = "source-over"
    opacity: float = 1.0
    text: str = ""
    writing: Writing | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """What strokes are laid on. `ground` is a colour, or None: transparent."""

    width: int
    height: int
    ground: tuple[int, int, int] | None = None
    ground_below: bool = False
    smooth: bool = True


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a picture, at its place on the canvas."""

    box: Box
    colour: Image.Image  # RGB
    mask: Image.Image | None  # None: it covers what is below


@dataclass(frozen=True)
class _Cut:
    """A picture without its transparent margins."""

    box: Box
    colour: Image.Image  # RGB
    mask: Image.Image | None  # None: opaque in its box

    @property
    def size(self) -> int:
        return self.colour.width * self.colour.height * (3 if self.mask is None else 7)  # with its pieces

    @cached_property
    def pieces(self) -> list[_Piece]:
        """It in squares, so that only its edges are mixed: what covers is laid as it is, and what is not seen not at all."""
        if self.mask is None:
            return [_Piece(self.box, self.colour, None)]
        found = list[_Piece]()
        for upper in range(0, self.colour.height, SQUARE):
            lower, covering = min(upper + SQUARE, self.colour.height), list[Box]()
            for left in range(0, self.colour.width, SQUARE):
                square = (left, upper, min(left + SQUARE, self.colour.width), lower)
                least, most = self.mask.crop(square).getextrema()
                if least == 255:  # a row of those is one piece
                    joins = covering and covering[-1][2] == left
                    covering = [*covering[:-1], (covering[-1][0], *square[1:])] if joins else [*covering, square]
                elif most:
                    found.append(self._piece(square, self.mask.crop(square)))
            found += [self._piece(square, None) for square in covering]
        return found

    def _piece(self, square: Box, mask: Image.Image | None) -> _Piece:
        left, upper = self.box[:2]
        place = (left + square[0], upper + square[1], left + square[2], upper + square[3])
        return _Piece(place, self.colour.crop(square), mask)

    @property
    def premultiplied(self) -> NDArray[np.uint8]:
        picture = self.colour.convert("RGBA")
        if self.mask is not None:
            picture.putalpha(self.mask)
        return np.asarray(picture.convert("RGBa"))


class Compositor:
    """Lays strokes on sheets. `load` gives a key's decoded frames; several threads may compose at once."""

    def __init__(self, load: Callable[[str], Sequence[Image.Image]], limit: int = CACHED_BYTES) -> None:
        self._load, self._limit = load, limit
        self._cuts: OrderedDict[object, list[_Cut]] = OrderedDict()
        self._bytes, self._lock = 0, Lock()

    def loop(self, strokes: Sequence[Stroke], sheet: Sheet) -> int:
        """After how many frames all of them are where they began: the least common multiple; 1 where nothing moves."""
        return lcm(*(len(self._frames(stroke, sheet)) for stroke in strokes))

    def composed(self, strokes: Sequence[Stroke], sheet: Sheet, frame: int = 0) -> NDArray[np.uint8]:
        """(H, W, 3) pixels where all of them are opaque, else (H, W, 4)."""
        canvas = _Canvas(sheet)
        for stroke in strokes:
            cuts = self._frames(stroke, sheet)
            cut = cuts[frame % len(cuts)]
            if cut.size:
                canvas.lay(cut, stroke.blend, stroke.opacity)
            elif stroke.blend in SPREADING:
                canvas.clear()
        return canvas.finished()

    def _frames(self, stroke: Stroke, sheet: Sheet) -> list[_Cut]:
        """The frames of a stroke; one has no size where there is nothing to see of it."""
        words = stroke.writing and (stroke.text, stroke.writing.height, stroke.writing.colour, stroke.writing.at)
        key = (stroke.key, words, sheet.width, sheet.height, sheet.smooth)
        with self._lock:
            if key in self._cuts:
                self._cuts.move_to_end(key)
                return self._cuts[key]
        pictures = [_written(stroke, sheet)] if stroke.writing else self._load(stroke.key)
        cuts = [_cut_out(_fitted(picture, sheet)) for picture in pictures]
        with self._lock:
            if key not in self._cuts:
                self._cuts[key] = cuts
                self._bytes += sum(cut.size for cut in cuts)
            while self._bytes > self._limit and len(self._cuts) > 1:
                _, gone = self._cuts.popitem(last=False)
                self._bytes -= sum(cut.size for cut in gone)
        return cuts


def _fitted(picture: Image.Image, sheet: Sheet) -> Image.Image:
    """The picture at the sheet's size. Colours under transparent pixels do not bleed into their neighbours."""
    size = sheet.width, sheet.height
    if picture.size == size:
        return picture
    how = Image.Resampling.BICUBIC if sheet.smooth else Image.Resampling.NEAREST
    if picture.mode == "RGBA":
        return picture.convert("RGBa").resize(size, how).convert("RGBA")
    return picture.resize(size, how)


def _cut_out(picture: Image.Image) -> _Cut:
    if picture.mode != "RGBA":
        return _Cut((0, 0, picture.width, picture.height), picture.convert("RGB"), None)
    alpha = picture.getchannel("A")
    box = alpha.getbbox() or (0, 0, 0, 0)
    mask = alpha.crop(box)
    is_opaque = box[2] > box[0] and mask.getextrema()[0] == 255
    return _Cut(box, picture.crop(box).convert("RGB"), None if is_opaque else mask)


def _written(stroke: Stroke, sheet: Sheet) -> Image.Image:
    assert stroke.writing is not None
    writing = stroke.writing
    picture = Image.new("RGBA", (sheet.width, sheet.height))
    font = ImageFont.load_default(writing.height)
    ImageDraw.Draw(picture).text(writing.at, stroke.text, writing.colour, font)
    return picture


class _Canvas:
    """A sheet with what was laid on it."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._opaque: Image.Image | None = None
        self._pixels: NDArray[np.uint8] | None = None  # (H, W, 4), premultiplied
        if sheet.ground is not None and not sheet.ground_below:
            self._opaque = Image.new("RGB", (sheet.width, sheet.height), sheet.ground)

    @property
    def _everything(self) -> Box:
        return (0, 0, self._sheet.width, self._sheet.height)

    def clear(self) -> None:
        self._opaque, self._pixels = None, None

    def lay(self, cut: _Cut, mode: Blend, opacity: float) -> None:
        covers = cut.mask is None and cut.box == self._everything and opacity == 1
        if covers and mode in ("source-over", "copy"):
            self._opaque, self._pixels = cut.colour.copy(), None
        elif self._opaque is not None and mode == "source-over" and opacity == 1:
            for piece in cut.pieces:
                self._opaque.paste(piece.colour, piece.box, piece.mask)
        elif self._opaque is not None and mode == "source-over":
            self._opaque.paste(cut.colour, cut.box, _faded(cut, opacity))
        elif self._opaque is not None and mode in OPAQUE:
            ground = np.asarray(self._opaque.crop(cut.box).convert("RGBA"))
            mixed = blended(mode, cut.premultiplied, ground, opacity)
            self._opaque.paste(Image.fromarray(np.ascontiguousarray(mixed[..., :3])), cut.box)
        else:
            self._lay_on_pixels(cut, mode, opacity)

    def _lay_on_pixels(self, cut: _Cut, mode: Blend, opacity: float) -> None:
        pixels = self._four()
        left, upper, right, lower = cut.box
        if mode in SPREADING:
            source = np.zeros_like(pixels)
            source[upper:lower, left:right] = cut.premultiplied
            pixels[:] = blended(mode, source, pixels, opacity)
        else:
            part = pixels[upper:lower, left:right]
            part[:] = blended(mode, cut.premultiplied, part, opacity)

    def _four(self) -> NDArray[np.uint8]:
        """The canvas with an alpha of its own."""
        if self._pixels is None:
            self._pixels = np.zeros((self._sheet.height, self._sheet.width, 4), np.uint8)
            if self._opaque is not None:
                self._pixels[..., :3], self._pixels[..., 3] = np.asarray(self._opaque), 255
        self._opaque = None
        return self._pixels

    def finished(self) -> NDArray[np.uint8]:
        sheet = self._sheet
        if self._opaque is None and sheet.ground is not None and sheet.ground_below:
            below = np.array([[[*sheet.ground, 255]]], np.uint8)
            return np.ascontiguousarray(blended("destination-over", below, self._four())[..., :3])
        if self._opaque is not None:
            return np.asarray(self._opaque)
        pixels = self._four()
        alpha = pixels[..., 3:].astype(np.uint16)
        if (alpha == 255).all():
            return np.ascontiguousarray(pixels[..., :3])
        colour = (pixels[..., :3].astype(np.uint16) * 255 + alpha // 2) // np.maximum(alpha, 1)
        return np.concatenate([np.minimum(colour, 255).astype(np.uint8), pixels[..., 3:]], axis=-1)


def _faded(cut: _Cut, opacity: float) -> Image.Image | None:
    if opacity == 1:
        return cut.mask
    level = round(255 * opacity)
    if cut.mask is None:
        return Image.new("L", cut.colour.size, level)
    return ImageChops.multiply(cut.mask, Image.new("L", cut.mask.size, level))
