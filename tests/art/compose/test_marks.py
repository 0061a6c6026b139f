"""Compositions: golden digests, and what lies at each pixel of them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from pipeline.art.compose import FEATURES, VOICES, Shape, Sheet, flat, pieces, planes
from pipeline.art.compose.outlines import outline_distances
from pipeline.art.compose.raster import numbers
from pipeline.art.compose.voices import EDITIONS
from pipeline.art.draw.composed import colours_of

INK = colours_of("Pressman")

# voice -> the first half of the digest of token 5 of law 3: the same on every machine
GOLDEN = {
    "braid": "1a129c227289285948136e23bed145cf",
    "raked": "9c3d01c5f866c4b7c41d0d0015afeefa",
    "fold": "631fb4c1c448026ec130e25c9fbffb95",
    "fault": "a9c7a80468074692ec6adebf205e3182",
    "rafter": "9db12e162a96734936ba1648fa84a470",
    "warren": "db0842bc2f3e73158388e55d31de3bf9",
    "vessel": "d9e014b54e3daf37fb9a1e72da686cd6",
    "town": "b41027cd0195f25283a3cc24fa0fdcce",
    "massif": "e619f2b87c4a6c1f95de2acfc8bd6cfc",
    "grove": "6f6b052f95b501fadce9f1d9bde0a58d",
    "fold.2": "5888b5803f81b916317ba470a60daefb",
    "rafter.2": "10ff56b1210df190a15b2cd048b2b906",
    "massif.2": "a11f697afdfe8af49bd0dbd90e1936df",
}
GOLDEN_PIXELS = ["e29d93343a471d3a", "b84d24b1c7ef5f48"]  # of two of them, drawn flat


@pytest.mark.parametrize("voice", EDITIONS)
def test_a_composition_is_the_same_on_every_machine(voice: str) -> None:
    assert EDITIONS[voice].bound(3)(5).digest()[:32] == GOLDEN[voice]


def test_a_flat_picture_is_the_same_on_every_machine() -> None:
    digests = [
        hashlib.sha256(flat(pieces(VOICES[voice].bound(3)(5).marks), INK, 96).tobytes()) for voice in ("braid", "raked")
    ]
    assert [digest.hexdigest()[:16] for digest in digests] == GOLDEN_PIXELS


def test_a_pixel_is_covered_where_its_middle_is() -> None:
    sheet = Sheet()
    sheet.shape([(0.25, 0.25), (0.75, 0.25), (0.75, 0.5), (0.25, 0.5)], 2)
    sheet.line((0.5, 0.0), (0.5, 1.0), 0.25, 4)
    found = numbers(pieces(sheet.marks), 8)
    assert (found == 2).sum() == 2 * 8  # the stroke lies above: two columns of all eight rows
    assert (found[2:4, 2:6] != 0).all() and (found == 1).sum() == 2 * 2


def test_a_window_is_cut_from_the_whole() -> None:
    found = pieces(VOICES["raked"].bound(1)(2).marks)
    whole = numbers(found, 256)
    assert np.array_equal(numbers(found, 256, (40, 70, 100, 90)), whole[70:160, 40:140])


def test_what_is_laid_down_later_covers_what_lies_there() -> None:
    sheet = Sheet()
    for ink in (1, 2, 3):
        sheet.disc(0.5, 0.5, 0.4 - ink * 0.1, ink)
    assert numbers(pieces(sheet.marks), 64)[32, 32] == 3
    assert numbers(pieces(sheet.marks), 64)[32, 32 + 16] == 1


def test_an_empty_canvas_is_its_ground() -> None:
    assert (flat(pieces(()), INK, 16) == np.array(INK[0])).all()


def test_planes_say_where_on_its_stroke_a_pixel_lies() -> None:
    sheet = Sheet()
    sheet.line((0.1, 0.5), (0.9, 0.5), 0.08, 3, load=0.7)
    found = planes(sheet.composition(()), 50)
    at = dict(zip(FEATURES, found.features[:, 50, 30], strict=True))  # the pixel at (0.305, 0.505)
    assert found.ink[50, 30] == 3 and found.under[50, 30] == 0
    assert (at["along"], at["rest"]) == pytest.approx((0.205, 0.595), abs=1e-4)
    assert (at["across"], at["edge"], at["half width"]) == pytest.approx((0.125, 0.035, 0.04), abs=1e-4)
    assert (at["heading x"], at["load"], at["painted"]) == pytest.approx((1, 0.7, 1))


def test_the_nearest_side_of_an_outline_is_found_as_if_every_side_were_asked() -> None:
    marks = VOICES["massif"].bound(3)(5).marks
    outlines = [mark.points for mark in marks if isinstance(mark, Shape)][:3]
    side = 70  # no whole number of blocks
    shape = np.repeat(np.arange(-1, 3, dtype=np.int32), [10, 20, 20, 20])[:, None].repeat(side, 1)
    found, middles = outline_distances(outlines, shape, 0.06), (np.arange(side) + 0.5) / side
    for row, column in ((11, 3), (25, 30), (33, 69), (50, 12), (69, 40)):
        begin = outlines[shape[row, column]]
        along, point = np.roll(begin, -1, 0) - begin, np.array([middles[column], middles[row]])
        share = np.clip(((point - begin) * along).sum(1) / (along * along).sum(1), 0, 1)
        away = np.sqrt(((point - begin - share[:, None] * along) ** 2).sum(1)).min()
        assert min(found[row, column], 0.06) == pytest.approx(min(away, 0.06), abs=1e-6)
    assert (found[:10] == 4).all()


def test_the_edge_of_a_shape_is_its_outline() -> None:
    sheet = Sheet()
    sheet.shape([(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)], 2)
    found = planes(sheet.composition(()), 50)
    assert found.features[FEATURES.index("edge"), 12, 50] == pytest.approx(0.025, abs=1e-4)
    assert found.under[12, 50] == 0
