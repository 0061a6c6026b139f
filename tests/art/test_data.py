"""An artist's folder: every kind of file that can lie in one."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.art.train import data
from pipeline.art.train.data import FEWEST, read_digits, read_folder, read_pictures
from pipeline.art.train.training import new_run
from pipeline.base.errors import GenerationError
from pipeline.base.limits import IMAGE_BYTES

SIDE = 32


def picture(number: int, size: tuple[int, int] = (48, 40), mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), "RGB")
    return coarse.resize(size, Image.Resampling.BILINEAR).convert(mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """FEWEST sound pictures."""
    for number in range(FEWEST):
        picture(number).save(tmp_path / f"{number:02d}.png")
    return tmp_path


def read(folder: Path, channels: int = 3) -> data.Pictures:
    return read_folder(folder, SIDE, channels, "my own work")


def test_a_folder_becomes_squares_of_one_size(folder: Path) -> None:
    picture(90, (300, 50)).save(folder / "wide.jpg")
    picture(91, (50, 300)).save(folder / "tall.webp")
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(b"not looked at")
    (folder / "more").mkdir()
    picture(92).save(folder / "more" / "below.gif")
    found = read(folder)
    assert found.images.shape == (FEWEST + 3, 3, SIDE, SIDE) and found.images.dtype == torch.uint8
    assert found.licence == "my own work"
    assert [line.partition(":")[0] for line in found.refused] == [".hidden.png", "notes.txt"]
    assert found.names[-3:] == ("tall.webp", "wide.jpg", "more/below.gif")
    batch = found.batch(torch.tensor([0, 1]))
    assert batch.shape == (2, 3, SIDE, SIDE) and batch.min() >= -1 and batch.max() <= 1


def test_reading_twice_gives_the_same_digest(folder: Path) -> None:
    before = read(folder).digest
    assert read(folder).digest == before
    picture(50).save(folder / "new.png")
    assert read(folder).digest != before


@pytest.mark.parametrize("cut", [0, 1, 20, 300])
def test_a_broken_file_is_set_aside_and_named(folder: Path, cut: int) -> None:
    buffer = io.BytesIO()
    picture(70, (200, 200)).save(buffer, "PNG")
    (folder / "broken.png").write_bytes(buffer.getvalue()[:cut])
    found = read(folder)
    assert len(found.images) == FEWEST
    assert len(found.refused) == 1 and found.refused[0].startswith("broken.png: it ")
    assert str(folder) not in found.refused[0]


def test_every_file_that_is_passed_over_is_named_and_names_are_harmless(folder: Path) -> None:
    picture(60).save(folder / "browser.jfif", "JPEG")
    picture(61).save(folder / "new.avif")
    (folder / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "a\x1b[2J\nb.txt").write_text("x")
    (folder / "link.png").symlink_to(folder / "00.png")
    (folder / "elsewhere").symlink_to(folder.parent)
    found = read(folder)
    assert {"browser.jfif", "new.avif"} < set(found.names)
    assert found.refused == (
        "IMG_1.HEIC: HEIC is not read: convert it to JPEG or PNG",
        f"a\\u{{1b}}[2J\\u{{a}}b.txt: no picture of a kind that is read ({', '.join(data._SUFFIXES)})",
        "elsewhere/: it is a link: put the file itself there",
        "link.png: it is a link: put the file itself there",
    )


def test_a_folder_called_digits_is_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert new_run("dcgan", "digits").data == "digits"
    folder.rename(folder.parent / "digits")
    assert new_run("dcgan", "digits", "my own work").data == str(folder.parent / "digits")


def test_what_is_no_picture_is_set_aside(folder: Path) -> None:
    (folder / "page.png").write_text("<html>")
    (folder / "script.gif").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")  # Pillow would start Ghostscript for it
    assert len(read(folder).refused) == 2


def test_a_tiny_picture_is_set_aside_and_a_small_one_enlarged(folder: Path) -> None:
    picture(71, (4, 300)).save(folder / "tiny.png")
    picture(72, (20, 20)).save(folder / "small.png")
    found = read(folder)
    assert found.refused == ("tiny.png: it has 4 by 300 pixels; 16 are the fewest",)
    assert "small.png: enlarged from 20 by 20" in found.changed


@pytest.mark.parametrize(("side", "said"), [(9_000, "it has 9000 by 9000 pixels"), (60_000, "it has more than")])
def test_a_picture_that_claims_to_be_huge_is_never_decoded(folder: Path, side: int, said: str) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4)
    assert read(folder).refused[0].startswith("bomb.png: ") and said in read(folder).refused[0]


def test_a_large_file_is_never_opened(folder: Path) -> None:
    with (folder / "large.png").open("wb") as file:
        file.truncate(IMAGE_BYTES + 1)
    assert "more than 100 MiB" in read(folder).refused[0]


def test_cmyk_becomes_rgb(folder: Path) -> None:
    Image.new("CMYK", (48, 48), (0, 255, 255, 0)).save(folder / "print.jpg", quality=95)
    found = read(folder)
    red = found.images[found.names.index("print.jpg")].float().mean((1, 2))
    assert "print.jpg: converted from CMYK" in found.changed
    assert red[0] > 200 and red[1] < 60 and red[2] < 60


def test_the_first_frame_of_an_animation_is_taken(folder: Path) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:], duration=80)
    found = read(folder)
    colour = found.images[found.names.index("moves.gif")].float().mean((1, 2)).tolist()
    assert "moves.gif: the first of its 3 frames" in found.changed
    assert colour == pytest.approx([255, 0, 0], abs=2)


def test_a_photograph_is_turned_as_its_camera_was_held(folder: Path) -> None:
    upper = Image.new("RGB", (60, 60), "white")
    upper.paste((0, 0, 0), (0, 0, 60, 30))  # black above
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    upper.save(folder / "turned.jpg", exif=exif, quality=95)
    found = read(folder)
    rows = found.images[found.names.index("turned.jpg")].float().mean((0, 2))
    assert rows[:10].mean() > 200 and rows[-10:].mean() < 60
    assert "turned.jpg: turned as its EXIF says" in found.changed


def test_transparency_lies_on_white_and_deep_pixels_are_scaled(folder: Path) -> None:
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(folder / "clear.png")
    Image.fromarray(np.full((40, 40), 32768, np.uint16)).save(folder / "deep.png")
    found = read(folder)
    assert found.images[found.names.index("clear.png")].min() == 255
    assert found.images[found.names.index("deep.png")].float().mean().item() == pytest.approx(127.5, abs=1)


def test_a_picture_that_is_there_twice_counts_once(folder: Path) -> None:
    (folder / "zz-again.png").write_bytes((folder / "03.png").read_bytes())
    assert read(folder).refused == ("zz-again.png: the same picture as 03.png",)


def test_grey_models_get_grey_pictures(folder: Path) -> None:
    assert read(folder, channels=1).images.shape == (FEWEST, 1, SIDE, SIDE)


@pytest.mark.parametrize(("count", "said"), [(0, "no pictures"), (1, "1 picture that"), (3, "3 pictures")])
def test_too_few_pictures_are_refused(tmp_path: Path, count: int, said: str) -> None:
    for number in range(count):
        picture(number).save(tmp_path / f"{number}.png")
    with pytest.raises(GenerationError, match=said) as caught:
        read(tmp_path)
    assert f"at least {FEWEST}" in caught.value.hint


def test_a_refusal_names_the_files_that_could_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(GenerationError, match="1 cannot: a.png: it does not begin as"):
        read(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, said in (("file", "is no folder"), ("nowhere", "is not there")):
        with pytest.raises(GenerationError, match=said):
            read(tmp_path / name)


def test_more_pictures_than_fit_are_refused_before_any_is_read(folder: Path) -> None:
    with pytest.raises(GenerationError, match="more than fit in memory"):
        read_folder(folder, 16_384, 3, "my own work")


def test_digits_are_split_once_and_for_all() -> None:
    train, labels, unseen, unseen_labels = read_digits(28, 1)
    assert train.images.shape == (1400, 1, 28, 28) and unseen.images.shape == (397, 1, 28, 28)
    assert len(labels) == 1400 and len(set(unseen_labels.tolist())) == 10
    assert not {picture.tobytes() for picture in train.images.numpy()} & {p.tobytes() for p in unseen.images.numpy()}
    assert read_pictures("digits", 28, 1, "").digest == train.digest
