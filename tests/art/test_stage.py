"""The stage: streaming, in order, bounded, and whole files only."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.art.draw import Drawing, Gate, Generator, generate, provenance
from pipeline.art.draw.stage import IN_FLIGHT
from pipeline.base.errors import BadArgument
from pipeline.base.records import Address, Attribute, TokenSpec

OWNER = Address("0x" + "00" * 20)


class Noise:
    """A generator that paints coloured noise, and counts."""

    name, weights_sha256, renderer, device, dtype, threads = "noise", "0" * 64, "noise-1", "cpu", "float64", 1

    def __init__(self) -> None:
        self.drawn: list[int] = []

    def draw(self, seed: int, size: int) -> Drawing:
        self.drawn.append(seed)
        pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
        return Drawing(seed, pixels, (Attribute("Tone", seed),))


def specs(count: int) -> list[TokenSpec]:
    return [TokenSpec(token_id, 100 + token_id, OWNER) for token_id in range(1, count + 1)]


def test_artworks_come_in_order_with_their_files_whole(tmp_path: Path) -> None:
    artworks = list(generate(specs(20), Noise(), 16, Gate(1), lambda i: tmp_path / "deep" / f"{i}.png"))
    assert [a.token_id for a in artworks] == list(range(1, 21))
    for artwork in artworks:
        data = artwork.path.read_bytes()
        assert (artwork.image_sha256, artwork.image_bytes) == (hashlib.sha256(data).digest(), len(data))
        with Image.open(io.BytesIO(data)) as image:
            assert hashlib.sha256(image.tobytes()).digest() == artwork.pixel_sha256
        assert artwork.attributes == (Attribute("Tone", artwork.seed),)
    assert not list(tmp_path.rglob("*.partial"))


def test_specs_are_taken_only_as_they_are_needed(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[TokenSpec]:
        nonlocal taken
        for spec in specs(10_000):
            taken += 1
            yield spec

    artworks = generate(endless(), Noise(), 16, Gate(1), lambda i: tmp_path / f"{i}.png")
    assert taken == 0
    for seen in range(1, 8):
        next(artworks)
        assert taken <= seen + IN_FLIGHT
    artworks.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) <= taken


@pytest.mark.parametrize("size", [0, 7, 15, 4097, 100_000, -1])
def test_a_size_out_of_range_is_refused_before_anything_is_drawn(tmp_path: Path, size: int) -> None:
    noise = Noise()
    with pytest.raises(BadArgument, match="16 to 4096"):
        generate(specs(1), noise, size, Gate(1), lambda i: tmp_path / f"{i}.png")
    assert not noise.drawn


@pytest.mark.parametrize(("size", "encoder"), [(1024, "pillow"), (2048, "fpng")])
def test_large_pictures_come_through_whole(generator: Generator, tmp_path: Path, size: int, encoder: str) -> None:
    """From the seed to the file, without loss, and with the traits of the small picture."""
    [artwork] = generate(specs(1), generator, size, Gate(1), lambda i: tmp_path / f"{i}.png", encoder)
    small = generator.draw(artwork.seed, 256)
    with Image.open(artwork.path) as image:
        assert image.size == (size, size) and image.mode == "RGB"
        assert hashlib.sha256(image.tobytes()).digest() == artwork.pixel_sha256
        shrunk = np.asarray(image.resize((16, 16), Image.Resampling.BOX), np.float32)
    expected = np.asarray(Image.fromarray(small.pixels).resize((16, 16), Image.Resampling.BOX), np.float32)
    assert np.abs(shrunk - expected).mean() < 3  # levels
    assert artwork.attributes == small.attributes


def test_provenance_says_what_made_the_images(generator: Generator) -> None:
    found = provenance(generator, 512)
    assert (found.model, found.weights_sha256) == ("default", generator.weights_sha256)
    assert found.encoder.endswith("png-6") and found.size == 512


CRASH = """
from pathlib import Path
from tests_stage import Gate, Noise, generate, specs
for artwork in generate(specs(5), Noise(), 16, Gate(1), lambda i: Path({folder!r}) / f"{{i}}.png"):
    pass
"""


@pytest.mark.parametrize(("place", "files"), [("image_not_written", 0), ("image_written", 1)])
def test_a_kill_leaves_whole_files_or_none(tmp_path: Path, place: str, files: int) -> None:
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})" + CRASH.format(folder=str(tmp_path / "images"))
    (tmp_path / "tests_stage.py").write_text(Path(__file__).read_text())
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PIPELINE_CRASH_AT": place}, cwd=Path.cwd())
    assert ended.returncode == -signal.SIGKILL
    images = list((tmp_path / "images").glob("[0-9]*.png"))
    assert len(images) >= files
    for image in images:
        Image.open(image).load()
