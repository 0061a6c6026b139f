"""Contact sheets: many pictures on one page, each with a label to name it by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.files import whole_file
from pipeline.base.pictures import shown

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS, ROWS = 10, 10  # of a page: more pictures get pages of their own
SIDE, LEAST = 320, 160  # of a picture on it: large enough to choose by, and no larger than it is, but for its label
GAP = 6  # pixels between pictures
LABEL = 16  # pixels below each
PAPER, INK = (250, 250, 247), (70, 70, 70)


def contact_sheets(pictures: Iterable[tuple[str, Image]], path: Path, side: int = SIDE) -> list[Path]:
    """Lay pictures out in reading order, `side` pixels wide at most, and return the pages as PNG files.

    One page is written to `path`; more become `<stem>-1.png`, `<stem>-2.png`, … beside it. Memory holds one page, and
    each picture only as large as it stands there.
    """
    for old in path.parent.glob(f"{path.stem}*.png"):
        if old.stem == path.stem or old.stem.removeprefix(f"{path.stem}-").isdigit():
            old.unlink()
    written: list[Path] = []
    for number, page in enumerate(_pages(pictures, side), 1):
        if number == 2:
            first = path.with_stem(f"{path.stem}-1")
            written[0].rename(first)
            written = [first]
        target = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        with whole_file(target) as file:
            _laid_out(page, side).save(file, "PNG")
        written.append(target)
    return written


def side_for(size: int) -> int:
    """How wide pictures of this size stand on a sheet."""
    return min(SIDE, max(size, LEAST))


def _pages(pictures: Iterable[tuple[str, Image]], side: int) -> Iterator[list[tuple[str, Image]]]:
    remaining = ((label, _small(picture, side)) for label, picture in pictures)
    while page := list(islice(remaining, COLUMNS * ROWS)):
        yield page


def _laid_out(pictures: Sequence[tuple[str, Image]], side: int) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    columns = min(COLUMNS, max(1, round(len(pictures) ** 0.5)))
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (GAP + columns * (side + GAP), GAP + rows * (side + LABEL + GAP)), PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for number, (label, small) in enumerate(pictures):
        row, column = divmod(number, columns)
        left, top = GAP + column * (side + GAP), GAP + row * (side + LABEL + GAP)
        page.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
        pen.text((left + side / 2, top + side + LABEL / 2), label, INK, font, anchor="mm")
    return page


def _small(picture: Image, side: int) -> Image:
    from PIL.Image import Resampling

    small = shown(picture).copy()
    small.thumbnail((side, side), Resampling.BOX, reducing_gap=None)
    return small
