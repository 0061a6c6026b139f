"""Pictures to learn from: an artist's folder, or handwritten digits.

Nothing in a folder is trusted. A file is opened only as one of a few kinds, its claimed size is looked at before a pixel
is decoded, and whatever cannot be used is set aside with a reason instead of ending the run.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.base.errors import GenerationError
from pipeline.base.installation import extra
from pipeline.base.limits import IMAGE_BYTES, IMAGE_PIXELS
from pipeline.base.media import MEDIA

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_LEARNT = [media for media in MEDIA if media.trained]
_SUFFIXES = tuple(media.suffix for media in _LEARNT)
_DECODERS = tuple({media.decoder for media in _LEARNT})
MAX_PICTURES = 100_000
MAX_BYTES = 4 << 30  # all pictures together, as bytes, in memory
MIN_SIDE = 16  # below, there is nothing to learn from
FEWEST = 16  # a network learns fewer by heart, whatever is done
ADVISED = 100

DIGITS = "digits"
DIGITS_TRAIN = 1400  # of 1,797; the others are never trained on


@dataclass(frozen=True)
class Pictures:
    """Square pictures, and what became of every file."""

    images: Tensor  # (N, C, S, S) uint8
    names: tuple[str, ...]
    licence: str
    changed: tuple[str, ...] = ()  # used, but not as they are: "name: what was done"
    refused: tuple[str, ...] = ()  # not used: "name: why"

    @property
    def digest(self) -> str:
        """Hex SHA-256 of every pixel: a run continues only with the pictures it began with."""
        shape = f"{tuple(self.images.shape)}".encode()
        return hashlib.sha256(shape + self.images.numpy().tobytes()).hexdigest()

    def batch(self, indices: Tensor) -> Tensor:
        """(B, C, S, S) in [-1, 1]."""
        return self.images[indices].float() / 127.5 - 1


def read_pictures(
    source: str, size: int, channels: int, licence: str, tell: Callable[[int, int], None] = lambda done, total: None
) -> Pictures:
    """The pictures of a folder, or of `digits`, as (N, channels, size, size). Raises GenerationError."""
    if source == DIGITS:
        return read_digits(size, channels)[0]
    return read_folder(Path(source), size, channels, licence, tell)


def read_folder(
    folder: Path,
    size: int,
    channels: int,
    licence: str,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Pictures:
    """Every picture below `folder`, in the order of their names, cut to a centred square and scaled to `size`.

    Turned as EXIF says, converted to RGB (or grey), transparent parts on white, the first frame of an animation; a
    picture that occurs twice is taken once. Raises GenerationError where fewer than FEWEST can be used, with the reasons.
    """
    paths = _picture_files(folder)
    if len(paths) > MAX_PICTURES or len(paths) * channels * size * size > MAX_BYTES:
        raise GenerationError(
            reason=f"{folder} holds {len(paths):,} pictures, more than fit in memory at {size} px",
            hint=f"at most {MAX_PICTURES:,}, and {MAX_BYTES >> 30} GB as bytes: choose fewer, or a smaller --size",
        )
    images: list[Tensor] = []
    names: list[str] = []
    changed: list[str] = []
    refused: list[str] = []
    seen: dict[bytes, str] = {}
    for done, path in enumerate(paths):
        tell(done, len(paths))
        name = str(path.relative_to(folder))
        try:
            pixels, notes = _read_picture(path, size, channels)
        except _Refused as reason:
            refused.append(f"{name}: {reason}")
            continue
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest in seen:
            refused.append(f"{name}: the same picture as {seen[digest]}")
            continue
        seen[digest] = name
        images.append(torch.from_numpy(pixels).permute(2, 0, 1))
        names.append(name)
        changed += [f"{name}: {note}" for note in notes]
    tell(len(paths), len(paths))
    if len(images) < FEWEST:
        raise _too_few(folder, len(images), refused)
    return Pictures(torch.stack(images).contiguous(), tuple(names), licence, tuple(changed), tuple(refused))


def read_digits(size: int, channels: int) -> tuple[Pictures, Tensor, Pictures, Tensor]:
    """Real handwritten digits (8 by 8, Alpaydin and Kaynak 1998, CC BY 4.0), enlarged: train, labels, test, labels."""
    with extra("digits"):
        from sklearn.datasets import load_digits
    found, labels = load_digits(return_X_y=True)
    small = torch.tensor(found, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    large = F.interpolate(small, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    images = (large * 255).round().byte().expand(-1, channels, -1, -1).contiguous()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:DIGITS_TRAIN], order[DIGITS_TRAIN:]
    names = [f"digit {i}" for i in range(len(images))]
    classes = torch.tensor(labels)

    def part(which: Tensor) -> Pictures:
        return Pictures(images[which], tuple(names[i] for i in which.tolist()), "CC BY 4.0 (UCI, scikit-learn)")

    return part(train), classes[train], part(test), classes[test]


class _Refused(Exception):
    """One file cannot be used; its text says why."""


def _picture_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        reason = "is no folder" if folder.exists() else "is not there"
        raise GenerationError(reason=f"{folder} {reason}", hint="give --data a folder of pictures, or `digits`")
    found = []
    for place, folders, files in os.walk(folder):  # does not follow links out of the folder
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(files) if name.lower().endswith(_SUFFIXES) and name[0] != "."]
    return found


def _too_few(folder: Path, count: int, refused: list[str]) -> GenerationError:
    reason = f"{folder} holds {count or 'no'} picture{'' if count == 1 else 's'} that can be used"
    if refused:
        reason += f"; {len(refused)} cannot: {'; '.join(refused[:3])}{' …' if len(refused) > 3 else ''}"
    hint = (
        f"at least {FEWEST} are needed and {ADVISED} or more advised: {', '.join(kind.lower() for kind in _DECODERS)}"
    )
    return GenerationError(reason=reason, hint=hint)


def _read_picture(path: Path, size: int, channels: int) -> tuple[np.ndarray, list[str]]:
    """Pixels (size, size, channels) uint8 and what was done to the picture. Raises _Refused."""
    from PIL import Image, ImageOps

    try:
        length = path.stat().st_size
        if not path.is_file():
            raise _Refused("it is no plain file")
        if length > IMAGE_BYTES:
            raise _Refused(f"its {length:,} bytes are more than {IMAGE_BYTES:,}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and large sizes; both are judged here
            with Image.open(path, formats=_DECODERS) as opened:
                width, height = opened.size
                if width * height > IMAGE_PIXELS:
                    raise _Refused(f"it claims {width} by {height} pixels, more than {IMAGE_PIXELS:,}")
                if min(width, height) < MIN_SIDE:
                    raise _Refused(f"it has {width} by {height} pixels; {MIN_SIDE} are the fewest")
                notes = _notes(opened, size)
                opened.draft("RGB", (2 * size, 2 * size))  # a JPEG is decoded small right away
                turned = ImageOps.exif_transpose(opened)
                if turned.size != opened.size or _orientation(opened) != 1:
                    notes.append("turned as its EXIF says")
                square = ImageOps.fit(_flat(turned), (size, size), Image.Resampling.LANCZOS)
                pixels = np.asarray(square.convert("RGB" if channels == 3 else "L"))
    except _Refused:
        raise
    except Exception as error:  # decoders raise whatever they like at a broken file: none of it ends the run
        raise _Refused(
            f"it cannot be decoded ({str(error) or type(error).__name__})".replace(str(path), path.name)
        ) from error
    return pixels.reshape(size, size, channels).copy(), notes


def _orientation(picture: Picture) -> int:
    return int(picture.getexif().get(0x0112, 1) or 1)


def _notes(picture: Picture, size: int) -> list[str]:
    notes = []
    if getattr(picture, "n_frames", 1) > 1:
        notes.append(f"the first of its {picture.n_frames} frames")  # type: ignore[attr-defined]
    if picture.mode not in ("RGB", "L", "P", "1"):
        notes.append(f"converted from {picture.mode}")
    if min(picture.size) < size:
        notes.append(f"enlarged from {picture.size[0]} by {picture.size[1]}")
    return notes


def _flat(picture: Picture) -> Picture:
    """RGB without transparency: on white, as most viewers show it."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):  # 16 bits or more: Pillow's own conversion would cut them off at 255
        values = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if picture.mode.startswith("I") else max(1.0, float(values.max()))
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")
