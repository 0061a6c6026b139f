"""The pictures of a layered collection: each read through the house's one decoder, and known by its digest."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from PIL import Image, ImageCms

from pipeline.art.layers.design import Design
from pipeline.art.layers.names import faulty
from pipeline.base.errors import BadArgument, BadFiles, GenerationError
from pipeline.base.limits import IMAGE_BYTES, MAX_SIDE, MIN_SIDE
from pipeline.base.observer import Observer
from pipeline.base.pictures import BadPicture, Frame, frames, plain_bytes, profile_of
from pipeline.base.untrusted import printable

_RELATIVE = ImageCms.Intent.RELATIVE_COLORIMETRIC
READERS = 4  # files that are decoded at once: decoders leave the interpreter alone


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a picture told."""

    sha256: str
    width: int
    height: int
    frames: int
    shown_ms: int = 0  # each of several frames; they are alike in this


class Pictures:
    """A folder's pictures by their names below it. A file is read when it is asked for, its digest kept."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._digests, self._lock = folder, dict[str, str](), Lock()
        self._shown_ms: dict[str, int] = {}

    def sha256(self, file: str) -> str:
        """Raises BadArgument for a file that cannot be read."""
        with self._lock:
            known = self._digests.get(file)
        if known is None:
            known = self._keep(file, self._bytes(file))
        return known

    def frames(self, file: str) -> list[Frame]:
        """All frames. Raises GenerationError for a file that has changed since its digest was taken."""
        data = self._bytes(file)
        if hashlib.sha256(data).hexdigest() != self.sha256(file):
            raise GenerationError(reason=f"{self._folder / file} changed while it was used", hint="put it back")
        found = self._decoded(file, data)
        self._shown_ms[file] = found[0].shown_ms
        return found

    def shown_ms(self, file: str) -> int:
        """How long each frame is shown; 0 of a still picture."""
        return self._shown_ms[file] if file in self._shown_ms else self.frames(file)[0].shown_ms

    def seen(self, file: str) -> Seen:
        """Decode every frame. Raises BadArgument, naming the file, for one that is broken."""
        data = self._bytes(file)
        found = self._decoded(file, data)
        times = {frame.shown_ms for frame in found}
        if len(found) > 1 and (len(times) > 1 or not 0 < max(times) <= 10_000):
            told = ", ".join(map(str, sorted(times)[:6]))
            raise faulty(self._folder / file, "frames that are all shown as long", f"they are shown for {told} ms")
        image = found[0].image
        return Seen(self._keep(file, data), image.width, image.height, len(found), max(times))

    def _keep(self, file: str, data: bytes) -> str:
        with self._lock:
            return self._digests.setdefault(file, hashlib.sha256(data).hexdigest())

    def _bytes(self, file: str) -> bytes:
        path = self._folder / file
        try:
            return plain_bytes(path, IMAGE_BYTES)
        except BadPicture as error:
            raise faulty(path, f"a file of at most {IMAGE_BYTES >> 20} MiB", error.reason) from error

    def _decoded(self, file: str, data: bytes) -> list[Frame]:
        try:
            return frames_in_srgb(data)
        except BadPicture as error:
            raise faulty(self._folder / file, "a sound picture", error.reason) from error


def frames_in_srgb(data: bytes) -> list[Frame]:
    """All frames of a picture in sRGB, as a canvas has them: tablets export Display P3. Raises BadPicture.

    A profile that cannot be read counts as none, as it does in browsers.
    """
    found = frames(data)
    profile = profile_of(data)
    if not profile:
        return found
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).casefold():
            return found
        change = ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB", _RELATIVE)
        return [Frame(_changed(frame.image, change), frame.shown_ms) for frame in found]
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return found


def _changed(picture: Image.Image, change: ImageCms.ImageCmsTransform) -> Image.Image:
    colour = change.apply(picture.convert("RGB"))
    if picture.mode == "RGBA":
        colour.putalpha(picture.getchannel("A"))
    return colour


def look_into(design: Design, pictures: Pictures, observer: Observer) -> dict[str, Seen]:
    """Decode every picture of a design; what cannot be used is told by its name, all of it at once.

    Raises BadArgument or BadFiles. Pictures of other sizes than the collection's are fitted where a size was chosen, and
    refused where none was.
    """
    files, seen, faults = design.files, dict[str, Seen](), list[BadArgument]()

    def look(file: str) -> Seen | BadArgument:
        try:
            return pictures.seen(file)
        except BadArgument as fault:
            return fault

    with ThreadPoolExecutor(READERS) as readers:
        for number, (file, found) in enumerate(zip(files, readers.map(look, files), strict=True), 1):
            if isinstance(found, BadArgument):
                faults.append(found)
            else:
                seen[file] = found
            observer.progress("read", number, len(files))
    faults += [*_other_sizes(design, seen), *_other_times(design, seen)]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        told = [(_shown(design, fault), str(fault.fields["expected"])) for fault in faults]
        raise BadFiles(folder=design.folder, faults=told, hint=faults[0].hint)
    return seen


def size_of(design: Design, seen: Mapping[str, Seen]) -> tuple[int, int]:
    """Width and height of the collection's pictures: as somebody chose, else the pictures' own. Raises BadArgument."""
    if design.form.size:
        return design.form.size
    sizes = Counter((one.width, one.height) for one in seen.values())
    if not sizes:
        raise faulty(design.folder, "a size = [width, height] in its layers.toml", "no picture of it has one")
    width, height = sizes.most_common(1)[0][0]
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise faulty(
            design.folder,
            f"pictures of {MIN_SIDE} to {MAX_SIDE:,} pixels on each side",
            f"they have {width} by {height}: choose a size = [width, height] in layers.toml",
        )
    return width, height


def _other_sizes(design: Design, seen: Mapping[str, Seen]) -> Iterable[BadArgument]:
    if design.form.size or not seen:
        return []
    width, height = Counter((one.width, one.height) for one in seen.values()).most_common(1)[0][0]
    return [
        faulty(
            design.folder / file,
            f"a picture of {width} by {height} pixels, as most here are",
            f"it has {one.width} by {one.height}: save it in that size, or choose a size = [width, height] in layers.toml",
        )
        for file, one in seen.items()
        if (one.width, one.height) != (width, height)
    ]


def _other_times(design: Design, seen: Mapping[str, Seen]) -> Iterable[BadArgument]:
    """Layers that move together are shown at one pace."""
    moving = {file: one.shown_ms for file, one in seen.items() if one.frames > 1}
    if len(set(moving.values())) < 2:
        return []
    usual = Counter(moving.values()).most_common(1)[0][0]
    return [
        faulty(design.folder / file, f"frames of {usual} ms, as most here have", f"its frames have {time} ms")
        for file, time in moving.items()
        if time != usual
    ]


def _shown(design: Design, fault: BadArgument) -> str:
    path = Path(str(fault.fields["value"]))
    return printable(path.relative_to(design.folder) if path.is_relative_to(design.folder) else path)
