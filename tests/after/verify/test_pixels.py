"""Images drawn again: equal here, near on other devices, and everything that a document can claim wrongly."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY

from pipeline.after.verify import redraw_with
from pipeline.after.verify.pixels import Distance, NotDrawn, Redraw, distance
from pipeline.art.draw import Generator, load_generator
from pipeline.art.draw.encode import encode_png, encoder_id
from pipeline.art.drawn import FromSeed
from pipeline.settings import load_settings

SEED, SIZE = 77, 48
GREY = np.full((100, 100, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator("default", "cpu", 1)


@pytest.fixture(scope="module")
def image(generator: Generator) -> bytes:
    return encode_png(generator.draw(SEED, SIZE).pixels)


@pytest.fixture
def redraw(generator: Generator) -> Redraw:
    return Redraw(lambda model, device: FromSeed(generator))


def document(generator: Generator, **changes: Any) -> dict[str, Any]:
    drawn = generator.draw(SEED, SIZE)
    made = {
        "model": generator.name,
        "weights_sha256": generator.weights_sha256,
        "renderer": generator.renderer,
        "encoder": encoder_id(),
        "seed": SEED,
        "size": SIZE,
    }
    traits = [{"trait_type": attribute.trait_type, "value": attribute.value} for attribute in drawn.attributes]
    return {"name": "One", "attributes": traits, "generator": {**made, **changes}}


def moved(image: bytes, levels: int, pixels: int) -> bytes:
    """The image with some pixels moved by some levels, as another device might."""
    from PIL import Image

    array = np.asarray(Image.open(io.BytesIO(image))).astype(np.int16)
    flat = array.reshape(-1, 3)
    flat[:pixels, 0] += np.where(flat[:pixels, 0] > 127, -levels, levels).astype(np.int16)
    return encode_png(array.astype(np.uint8))


def test_distances_are_those_of_the_channel_that_differs_most() -> None:
    other = GREY.copy()
    other[0, 0] = (129, 131, 128)
    other[0, 1] = (126, 128, 128)
    assert distance(GREY, GREY) == Distance(10_000, 0, 0, 0)
    assert distance(GREY, other) == distance(other, GREY) == Distance(10_000, 2, 1, 3)
    assert "2 of 10,000 pixels differ, by 3 levels at most; 99.9900 % are within 2" == str(distance(GREY, other))


@pytest.mark.parametrize(
    ("levels", "pixels", "holds"), [(2, 10_000, True), (3, 10, True), (3, 11, False), (16, 10, True), (17, 1, False)]
)
def test_the_bounds_of_other_devices(levels: int, pixels: int, holds: bool) -> None:
    other = GREY.copy().reshape(-1, 3)
    other[:pixels] += np.uint8(levels)
    assert distance(GREY, other.reshape(GREY.shape)).within_bounds is holds


def test_another_device_is_told_with_its_numbers(redraw: Redraw, generator: Generator, image: bytes) -> None:
    other_stack = generator.renderer.replace("/cpu", "/cuda")
    ok, detail = redraw.compare(document(generator, renderer=other_stack), moved(image, 1, 40))
    assert ok and "40 of 2,304 pixels differ, by 1 levels at most" in detail and "/cuda was used" in detail
    ok, detail = redraw.compare(document(generator, renderer=other_stack), moved(image, 40, 40))
    assert not ok and "another picture" in detail and "40 levels" in detail
    assert "0 with equal pixels; over all, at most 40 levels" in redraw.summary()


def test_the_kernels_of_another_cpu_stay_within_the_bounds(
    redraw: Redraw, generator: Generator, tmp_path: Path
) -> None:
    """Really drawn by torch's plain kernels: a CPU without vector instructions has no others."""
    script = (
        "import sys; from pipeline.art.draw import load_generator; from pipeline.art.draw.encode import encode_png;"
        "generator = load_generator('default', 'cpu', 1);"
        "open(sys.argv[1], 'wb').write(encode_png(generator.draw(77, 256).pixels))"
    )
    file = tmp_path / "plain.png"
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    subprocess.run([sys.executable, "-c", script, str(file)], cwd=REPOSITORY, env=environment, check=True)
    ok, detail = redraw.compare(document(generator, size=256), file.read_bytes())
    assert ok, detail
    assert redraw.summary().endswith("of an image's pixels within 2") and " levels apart" in redraw.summary()


def test_a_learned_material_is_drawn_again_byte_for_byte() -> None:
    drawn = load_generator("compose:raked:chalk:3:Kiln", threads=1)
    again = Redraw(lambda model, device: FromSeed(load_generator(model, device, threads=2)))
    ok, detail = again.compare(document(drawn), encode_png(drawn.draw(SEED, SIZE).pixels))
    assert ok and "equal pixels, equal bytes" in detail


def test_another_seed_is_another_picture(redraw: Redraw, generator: Generator, image: bytes) -> None:
    claimed = document(generator, seed=SEED + 1) | {"attributes": []}
    ok, detail = redraw.compare(claimed, image)
    assert ok is False and "another picture" in detail


def test_a_trait_that_the_seed_does_not_draw_is_told(redraw: Redraw, generator: Generator, image: bytes) -> None:
    claimed = document(generator)
    trait = claimed["attributes"][0]["trait_type"]
    claimed["attributes"][0]["value"] = "Solid gold"
    ok, detail = redraw.compare(claimed, image)
    assert ok is False and f"{trait} 'Solid gold'" in detail


def test_other_bytes_of_the_same_pixels_are_told_apart(redraw: Redraw, generator: Generator, image: bytes) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(image)).save(buffer, "PNG", compress_level=1)
    ok, detail = redraw.compare(document(generator, encoder="pillow-1"), buffer.getvalue())
    assert ok and "equal pixels, other bytes by pillow-" in detail
    ok, detail = redraw.compare(document(generator, encoder="other-1"), buffer.getvalue())
    assert ok and "equal pixels, from an encoder that is not known here" in detail


def test_the_bytes_of_a_fast_encoder_are_made_again(redraw: Redraw, generator: Generator) -> None:
    fast = encode_png(generator.draw(SEED, SIZE).pixels, "fpng")
    ok, detail = redraw.compare(document(generator, encoder=encoder_id("fpng")), fast)
    assert ok and "equal pixels, equal bytes" in detail


def test_an_image_that_nobody_drew_is_not_called_proven(redraw: Redraw, image: bytes) -> None:
    ok, detail = redraw.compare({"name": "A photograph"}, image)
    assert ok is None and "no generator drew this image" in detail


def test_weights_that_are_not_here_are_a_finding(redraw: Redraw, generator: Generator, image: bytes) -> None:
    with pytest.raises(
        NotDrawn, match="not drawn again: the weights 0000000000000000… of 'default' are not here"
    ) as told:
        redraw.compare(document(generator, weights_sha256="0" * 64), image)
    assert told.value.proves_nothing and "--model FILE" in str(told.value)


@pytest.mark.parametrize("model", ["someone-elses", "/etc/passwd", "../weights.safetensors", "default.safetensors"])
def test_a_document_cannot_make_us_open_a_file(generator: Generator, image: bytes, model: str, tmp_path: Path) -> None:
    redraw = redraw_with(load_settings({}, {}, tmp_path))
    with pytest.raises(NotDrawn, match="there is no model"):
        redraw.compare(document(generator, model=model), image)


@pytest.mark.parametrize(
    "changes",
    [{"size": 1 << 20}, {"size": 0}, {"size": "48"}, {"seed": -1}, {"seed": 2**60}, {"seed": True}, {"renderer": None}],
)
def test_a_document_that_asks_for_what_cannot_be_drawn(
    redraw: Redraw, generator: Generator, image: bytes, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotDrawn):
        redraw.compare(document(generator, **changes), image)


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", None])
def test_an_image_that_is_no_such_png(redraw: Redraw, generator: Generator, image: bytes, data: bytes | None) -> None:
    with pytest.raises(NotDrawn):
        redraw.compare(document(generator), image[: len(image) // 2] if data is None else data)


def test_an_image_of_another_size_is_refused_before_it_is_decoded(redraw: Redraw, generator: Generator) -> None:
    with pytest.raises(NotDrawn, match="100 by 100 pixels, not 48 by 48"):
        redraw.compare(document(generator), encode_png(GREY))
