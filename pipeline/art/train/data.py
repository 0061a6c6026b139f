"""Pictures to learn from: an artist's folder, or handwritten digits.

Nothing in a folder is trusted. A file is opened only as one of a few kinds, its claimed size is looked at before a pixel
is decoded, and whatever cannot be used is set aside with a reason instead of ending the run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.base.errors import GenerationError
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.media import MEDIA
from pipeline.base.pictures import BadPicture, Decoded, decode, flat, measure, plain_bytes
from pipeline.base.untrusted import printable

if TYPE_CHECKING:
    from PIL.Image import Image

_LEARNT = [media for media in MEDIA if media.trained]
_SUFFIXES = tuple(media.suffix for media in _LEARNT)
_DECODERS = tuple(dict.fromkeys(media.decoder for media in _LEARNT))
MAX_PICTURES = 100_000
MAX_BYTES = 4 << 30  # all pictures together, as bytes, in memory
MIN_SIDE = 16  # below, there is nothing to learn from
FEWEST = 16  # a network learns fewer by heart, whatever is done
ADVISED = 100
LOOKED_AT = 256  # pictures whose sizes are asked for before a side is chosen
COLOUR_SEEN_AT = 64  # pixels
GREYISH = 4.0  # levels between a pixel's channels, on average, up to which a picture counts as grey

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
    if source == DIGITS:  # a folder's source is its whole path
        return read_digits(size, channels)[0]
    return read_folder(Path(source), size, channels, licence, tell)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at a folder tells of the pictures in it."""

    count: int
    side: int  # the shorter side that half of them have at least
    in_colour: bool


def survey(folder: Path) -> Survey:
    """How large the pictures of a folder are, and whether any has colour. Raises GenerationError where too few can be used.

    Sizes are those of LOOKED_AT of them, evenly spread; for colour all are opened until one has some.
    """
    paths, refused = _picture_files(folder)
    spread = paths[:: max(1, len(paths) // LOOKED_AT)]
    sides, in_colour = list[int](), False
    for path in (*spread, *sorted(set(paths) - set(spread))):
        if in_colour and len(sides) >= len(spread) - len(refused):
            break
        try:
            data = plain_bytes(path, IMAGE_BYTES)
            head = measure(data, _DECODERS)
            sides.append(min(head.width, head.height))
            in_colour = in_colour or _has_colour(flat(decode(data, _DECODERS, side=COLOUR_SEEN_AT).image))
        except BadPicture as error:
            refused.append(f"{printable(path.relative_to(folder))}: {error.reason}")
    if not sides:
        raise _too_few(folder, 0, refused)
    return Survey(len(paths), sorted(sides)[len(sides) // 2], in_colour)


def _has_colour(image: Image) -> bool:
    """Whether a picture is more than grey, beyond what a scanner or JPEG makes of grey paper."""
    small = np.asarray(image.convert("RGB").resize((COLOUR_SEEN_AT, COLOUR_SEEN_AT))).astype(np.int16)
    return bool((small.max(2) - small.min(2)).mean() > GREYISH)


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
    paths, refused = _picture_files(folder)
    if len(paths) > MAX_PICTURES or len(paths) * channels * size * size > MAX_BYTES:
        raise GenerationError(
            reason=f"{folder} holds {len(paths):,} pictures, more than fit in memory at {size} px",
            hint=f"at most {MAX_PICTURES:,}, and {MAX_BYTES >> 30} GB as bytes: choose fewer, or a smaller --size",
        )
    images: list[Tensor] = []
    names: list[str] = []
    changed: list[str] = []
    seen: dict[bytes, str] = {}
    for done, path in enumerate(paths):
        tell(done, len(paths))
        name = printable(path.relative_to(folder))
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
    """Real handwritten digits, enlarged: train, labels, test, labels.

    1,797 of 8 by 8 pixels, by E. Alpaydin and C. Kaynak (Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, doi:10.24432/C50P49), CC BY 4.0; the set that scikit-learn ships, unchanged.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        found, labels = file["pixels"], file["labels"]
    small = torch.tensor(found, dtype=torch.float32)[:, None] / 16  # (1797, 1, 8, 8), of levels 0 to 16
    large = F.interpolate(small, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    images = (large * 255).round().byte().expand(-1, channels, -1, -1).contiguous()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:DIGITS_TRAIN], order[DIGITS_TRAIN:]
    names = [f"digit {i}" for i in range(len(images))]
    classes = torch.tensor(labels, dtype=torch.int64)

    def part(which: Tensor) -> Pictures:
        return Pictures(images[which], tuple(names[i] for i in which.tolist()), "CC BY 4.0 (UCI, scikit-learn)")

    return part(train), classes[train], part(test), classes[test]


class _Refused(Exception):
    """One file cannot be used; its text says why."""


def _picture_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files to read, and every other one by its name, with why it is passed over."""
    if not folder.is_dir():
        reason = "is no folder" if folder.exists() else "is not there"
        raise GenerationError(reason=f"{folder} {reason}", hint="give --data a folder of pictures, or `digits`")
    found, passed = list[Path](), list[str]()
    for place, folders, files in os.walk(folder):  # does not follow links out of the folder
        for path in [Path(place, name) for name in sorted((*folders, *files))]:
            is_folder = path.name in folders
            if why := _passed_over(path, is_folder=is_folder):
                passed.append(f"{printable(path.relative_to(folder))}{'/' if is_folder else ''}: {why}")
            elif not is_folder:
                found.append(path)
        folders[:] = sorted(name for name in folders if not _passed_over(Path(place, name), is_folder=True))
    return found, passed


def _passed_over(path: Path, *, is_folder: bool) -> str:
    """Why a file is not read; empty for one that is."""
    if path.name.startswith("."):
        return "it is hidden"
    if path.is_symlink():
        return "it is a link: put the file itself there"
    if is_folder or path.name.lower().endswith(_SUFFIXES):
        return ""
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif", ".psd", ".raw", ".dng", ".jxl", ".svg"):
        return f"{suffix[1:].upper()} is not read: convert it to JPEG or PNG"
    return f"no picture of a kind that is read ({', '.join(_SUFFIXES)})"


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
        data = plain_bytes(path, IMAGE_BYTES)
        head = measure(data, _DECODERS)
        if min(head.width, head.height) < MIN_SIDE:
            raise _Refused(f"it has {head.width} by {head.height} pixels; {MIN_SIDE} are the fewest")
        seen = decode(data, _DECODERS, side=2 * size)
    except BadPicture as error:
        raise _Refused(error.reason) from error
    square = ImageOps.fit(flat(seen.image), (size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(square.convert("RGB" if channels == 3 else "L"))
    return pixels.reshape(size, size, channels).copy(), list(_notes(seen, size))


def _notes(seen: Decoded, size: int) -> Iterator[str]:
    if seen.frames > 1:
        yield f"the first of its {seen.frames} frames" if seen.format != "TIFF" else "the first of its pages"
    if seen.mode not in ("RGB", "L", "P", "1"):
        yield f"converted from {seen.mode}"
    if min(seen.stored) < size:
        yield f"enlarged from {seen.stored[0]} by {seen.stored[1]}"
    if seen.turned:
        yield "turned as its EXIF says"
