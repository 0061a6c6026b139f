"""The mark in the pixels: what it costs, what it lives through, and that nothing else is taken for one."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import Pipeline
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from pipeline.art.draw import load_generator
from pipeline.mark.watermark import SMALLEST, Mark, embed, find, find_cropped, number_of

MARK = Mark(number_of(7), 4_000_000_001)
SIDE = 512


@cache
def drawn(voice: str) -> NDArray[np.uint8]:
    return load_generator(f"compose:{voice}:flat:3").draw(11, SIDE).pixels


@cache
def marked(voice: str) -> Image.Image:
    return Image.fromarray(embed(drawn(voice), MARK))


def saved(picture: Image.Image, form: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, form, quality=quality)
    return Image.open(file).convert("RGB")


def noisy(picture: Image.Image) -> Image.Image:
    noise = np.random.default_rng(1).normal(0, 4, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 50": lambda picture: saved(picture, "JPEG", 50),
    "WebP of quality 75": lambda picture: saved(picture, "WEBP", 75),
    "half the size": lambda picture: picture.resize((SIDE // 2, SIDE // 2), Image.Resampling.LANCZOS),
    "twice the size": lambda picture: picture.resize((SIDE * 2, SIDE * 2), Image.Resampling.BICUBIC),
    "another shape": lambda picture: picture.resize((400, 300), Image.Resampling.LANCZOS),
    "ten percent brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "ten percent darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
    "noise of four levels": noisy,
}
VOICES = ("braid", "massif", "vessel")


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_mark_is_found_again_after(change: Callable[[Image.Image], Image.Image], voice: str) -> None:
    found = find(np.asarray(change(marked(voice))))
    assert found is not None and found.mark == MARK


@pytest.mark.parametrize("voice", VOICES)
def test_a_mark_is_not_seen(voice: str) -> None:
    error = np.asarray(marked(voice)).astype(float) - drawn(voice)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 42  # dB


def test_a_mark_is_found_in_what_a_cut_has_left() -> None:
    cut = saved(marked("braid").crop((5, 17, SIDE - 20, SIDE - 8)), "JPEG", 75)
    assert find(np.asarray(cut)) is None
    found = find_cropped(np.asarray(cut), SIDE)
    assert found is not None and found.mark == MARK


@pytest.mark.parametrize("voice", VOICES)
def test_a_picture_without_a_mark_has_none(voice: str) -> None:
    assert find(drawn(voice)) is None
    assert find_cropped(drawn(voice)[9:-7, 3:-20], SIDE) is None


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (3, 900)])
def test_a_picture_of_any_shape_can_be_asked(shape: tuple[int, int]) -> None:
    assert find(np.full((*shape, 3), 200, np.uint8)) is None


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        embed(np.zeros((SMALLEST - 1, SMALLEST, 3), np.uint8), MARK)


def test_marked_pixels_are_the_same_on_every_machine() -> None:
    height, width = 300, 257
    down, across = np.mgrid[:height, :width]
    picture = np.stack([down % 256, across % 256, down * across % 256], 2).astype(np.uint8)
    digest = hashlib.sha256(embed(picture, Mark(0x5F3A9C12, 7)).tobytes()).hexdigest()
    assert digest == "4c0d92e6d137ceed2f190e312fab4efd6290d7ae00c1383c20ba9b6f1a77ca47"


@pytest.mark.parametrize(
    "text", ["", "5f3a9c12", "5F3A9C12-7", "5f3a9c12-07", "5f3a9c12--7", "5f3a9c12-4294967296", "٣-7"]
)
def test_a_mark_is_written_in_one_way(text: str) -> None:
    assert Mark.parse("5f3a9c12-7") == Mark(0x5F3A9C12, 7)
    with pytest.raises(ValueError):
        Mark.parse(text)


def test_marked_tokens_are_minted_added_to_and_drawn_again(pipeline: Pipeline, tmp_path: Path) -> None:
    small = pipeline("mint", "--count", "1", "--watermark", "yes", "--size", "64")
    assert small.code == 2 and "128 pixels" in small.err
    minted = pipeline("mint", "--count", "2", "--watermark", "yes", "--size", "128", "--seed", "7", "--json")
    assert minted.code == 0, minted.err
    assert pipeline("mint", "--count", "1", "--more").code == 0
    for token_id in (1, 2, 3):
        shown = pipeline("show", str(token_id), "--json").json
        found = find(np.asarray(Image.open(tmp_path / shown["file"])))
        assert found is not None and found.mark == Mark(number_of(7), token_id)
    proved = pipeline("verify", "--regenerate", "--json")
    assert proved.code == 0, proved.out + proved.err


def test_learned_matter_is_marked_where_nobody_said_otherwise(pipeline: Pipeline, tmp_path: Path) -> None:
    call = ("mint", "--count", "1", "--seed", "7", "--size", "128", "--model", "compose:vessel:gouache")
    assert pipeline(*call, "--name", "Said", "--watermark", "no").code == 0
    assert pipeline(*call, "--name", "Silent", "--new").code == 0
    for name, is_marked in (("Said", False), ("Silent", True)):
        shown = pipeline("show", "1", "--name", name, "--json").json
        assert (find(np.asarray(Image.open(tmp_path / shown["file"]))) is not None) == is_marked
    proved = pipeline("verify", "--regenerate", "--name", "Silent")
    assert proved.code == 0, proved.out + proved.err
