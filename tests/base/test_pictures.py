"""One decoder for all rooms: pictures as browsers show them, and broken ones refused in one way."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import picture
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.base.limits import ANIMATION_FRAMES
from pipeline.base.pictures import BadPicture, decode, frames, measure, plain_bytes, shown
from pipeline.serve.gallery.thumbnails import thumbnail


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def moving(kind: str, count: int, side: int = 8) -> bytes:
    pictures = [picture(number, (side, side)) for number in range(count)]
    return saved(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=40)


@pytest.mark.parametrize(
    ("kind", "reader"), [("PNG", PngImageFile), ("GIF", GifImageFile), ("WEBP", WebPImageFile)], ids=str
)
def test_every_frame_of_an_animation_is_decoded_forwards(
    monkeypatch: pytest.MonkeyPatch, kind: str, reader: type[ImageFile]
) -> None:
    """A decoder that is sent back begins anew: backwards these are 20,000 frames."""
    went, real = list[int](), reader.seek

    def seek(image: ImageFile, frame: int) -> None:
        went.append(frame)
        real(image, frame)

    monkeypatch.setattr(reader, "seek", seek)
    assert decode(moving(kind, 200), every_frame=True).frames == 200
    assert went == list(range(1, 200))


def test_frames_that_do_not_fit_into_memory_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = moving("GIF", 5)
    monkeypatch.setattr("pipeline.base.pictures.HELD_PIXELS", 4 * 8 * 8)
    assert decode(data, every_frame=True).frames == 5
    with pytest.raises(BadPicture, match="5 frames of .* in all are the most"):
        frames(data)


def test_a_cut_animation_is_refused_wherever_it_is_cut() -> None:
    data = moving("GIF", 3)
    whole = decode(data, every_frame=True).frames
    for end in range(len(data)):
        try:
            assert decode(data[:end], every_frame=True).frames < whole or end >= len(data) - 2
        except BadPicture:
            pass


def test_more_frames_than_anybody_looks_at_are_refused_before_they_are_decoded() -> None:
    first = saved(Image.new("P", (1, 1)), "GIF")
    frame = first[first.index(b"\x2c") : -1]
    with pytest.raises(BadPicture, match="more than 10,000 frames"):
        decode(first[:-1] + frame * ANIMATION_FRAMES + b";", every_frame=True)


def test_a_picture_is_turned_as_its_exif_says_and_measured_as_it_is_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(picture(1, (40, 20)), "JPEG", exif=exif)
    seen = decode(data)
    assert seen.image.size == (20, 40) and seen.turned and seen.stored == (40, 20)
    assert (measure(data).width, measure(data).height) == (40, 20)
    with Image.open(io.BytesIO(thumbnail(data, 16))) as small:
        assert small.size == (8, 16)


def test_a_phones_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    data = saved(picture(1), "MPO", save_all=True, append_images=[picture(2)])
    assert decode(data, every_frame=True).format == "JPEG"


def test_sixteen_bits_are_not_cut_off_at_white() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(8, 0)
    levels = np.asarray(decode(saved(Image.fromarray(ramp), "PNG")).image)[0, :, 0]
    assert (levels[0], levels[-1]) == (0, 255) and len(set(levels)) == 64


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (255, 0)])
def test_ink_on_a_transparent_ground_is_shown_on_a_ground_that_shows_it(ink: int, ground: int) -> None:
    pixels = np.full((8, 8, 4), ink, np.uint8)
    pixels[..., 3] = np.repeat((0, 255), 4)
    row = np.asarray(shown(decode(saved(Image.fromarray(pixels), "PNG")).image))[0, :, 0]
    assert list(row) == [ground] * 4 + [ink] * 4


def test_long_text_in_a_png_is_no_fault_of_its_pixels() -> None:
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text("workflow", "node " * 1_000_000, zip=True)
    assert decode(saved(picture(1), "PNG", pnginfo=words)).image.size == (48, 32)


@pytest.mark.parametrize("size", [(9_000, 9_000), (70_000, 2)])
def test_a_picture_beyond_the_limits_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(BadPicture, match="by .* pixels"):
        decode(saved(Image.new("1", size), "PNG"))


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path, told in (
        (tmp_path / "pipe.png", "plain"),
        (Path("/dev/zero"), "plain"),
        (tmp_path / "gone.png", "No such"),
    ):
        with pytest.raises(BadPicture, match=told):
            plain_bytes(path, 1 << 20)
