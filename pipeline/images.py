"""Art that exists already: a folder of images, with JSON beside them or not, as the tokens of a run.

Three layouts are read as they are: images with `<name>.json` beside them; HashLips (`images/` and `json/`, with or without
`_metadata.json`); Metaplex Sugar (`0.png`, `0.json`, …, and `collection.json`). Tokens are in natural order of the names,
their ids from 1. Everything is read once, before anything is planned; what is planned is the digest of each file.

A folder is untrusted: links, other files and paths that lead out of it are refused by name, pictures are measured before
they are decoded, and text is held to the rules of our own metadata.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import Config, Value
from pipeline.errors import BadArgument
from pipeline.files import whole_file
from pipeline.planning import MAX_NAME
from pipeline.records import Artwork, Attribute, Found, TokenSpec

if TYPE_CHECKING:
    from pipeline.run import Observer

MAX_FILE = 100 << 20  # bytes: what OpenSea takes from a browser; gateways and wallets give up far earlier
MAX_SVG = 2 << 20  # bytes: it is parsed as a whole
MAX_PIXELS = 1 << 26  # 8192 by 8192: a quarter of a gigabyte once it is decoded
MAX_FRAME_PIXELS = 1 << 30  # of all frames of an animation
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".gif": "GIF", ".webp": "WEBP"}
IMAGES = (*FORMATS, ".svg")
VIDEO = ".mp4"
COLLECTION = "collection"  # Sugar's name for what is about the collection and is no token
LEFT_BY_SYSTEMS = ("Thumbs.db", "desktop.ini")
TOLD = 10  # warnings that are told one by one

_SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one token."""

    image: Path
    video: Path | None
    document: Path | None


class ImageFolder:
    """A folder's tokens by name; `read` looks into the files. Raises BadArgument for a folder that is none or unclear."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder).resolve()
        self._about: dict[str, Any] = {}
        self._cover: Path | None = None
        self.tokens = self._listed()
        if not self.tokens:
            raise _refused(self.path, "a folder with images", "it holds none")

    @property
    def collection_name(self) -> str:
        """What the collection is called unless somebody says: the name in `collection.json`, else the folder's."""
        return _cut(str(self._about.get("name") or self.path.name), MAX_NAME)

    @property
    def cover(self) -> str:
        """The collection's picture unless another is given: `collection.png`, else the first token's that can be one."""
        pictures = [tokens.image for tokens in self.tokens if tokens.image.suffix.lower() in FORMATS]
        if self._cover is None and not pictures:
            raise BadArgument(
                name="--cover", value="", expected="an image file: no token of the folder can be the cover"
            )
        return str(self._cover or pictures[0])

    def located(self, config: Config) -> Config:
        """The settings with the folder's whole path: the same folder is the same from wherever it is named."""
        return Config({**config.values, "images": Value(str(self.path), config.values["images"].source)})

    def words(self, config: Config) -> Config:
        """The settings of a new collection: what nobody chose is taken from the folder."""
        found = {
            "symbol": self._about.get("symbol"),
            "description": self._about.get("description") or self.collection_name,
        }
        taken = {
            key: Value(str(value), f"{self.path.name}/collection.json")
            for key, value in found.items()
            if value and not config.given(key)
        }
        return Config({**config.values, **taken})

    def count(self, count: int | None) -> int:
        """How many tokens there are. Raises BadArgument when another number was asked for."""
        if count not in (None, len(self.tokens)):
            raise BadArgument(
                name="--count",
                value=count,
                expected=f"{len(self.tokens)}, the images in {self.path}",
                hint="leave --count out: the folder says it",
            )
        return len(self.tokens)

    def read(self, known: Mapping[bytes, int], first: int, observer: Observer) -> list[Found]:
        """Look into every file, check it, and return what is to be planned for tokens `first`, `first + 1`, ….

        `known` has the token ids of the collection's images so far, by digest. What a gate would refuse of a drawing is
        told as a warning. Raises BadArgument for the first file that is broken, too large, or not what it is called.
        """
        found: list[Found] = []
        seen, warnings, looks = dict(known), list[str](), dict[int, int]()
        for token_id, files in enumerate(self.tokens, first):
            one = _read(files, self.path)
            if one.sha256 in seen:
                raise _refused(
                    files.image, "another picture", f"it is the same as token {seen[one.sha256]}, byte for byte"
                )
            seen[one.sha256] = token_id
            warnings += _warnings(token_id, one, looks)
            found.append(one)
            observer.progress("read", token_id - first + 1, len(self.tokens))
        for warning in warnings[:TOLD]:
            observer.notice(f"warning: {warning}")
        if len(warnings) > TOLD:
            observer.notice(f"warning: and {len(warnings) - TOLD:,} more like these")
        return found

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────

    def _listed(self) -> list[_Files]:
        folder = self.path
        if not folder.is_dir():
            raise _refused(folder, "a folder with images", "there is none")
        if (folder / "images").is_dir() and (folder / "json").is_dir():  # HashLips
            media, documents = _entries(folder / "images"), _entries(folder / "json")
            documents.pop("_metadata.json", None)  # all documents once more, in one file
        else:
            media = _entries(folder)
            documents = {name: media.pop(name) for name in list(media) if name.lower().endswith(".json")}
        for name in (*media, *documents):
            if Path(name).suffix.lower() not in (*IMAGES, VIDEO, ".json"):
                raise _refused(folder / name, f"only {', '.join((*IMAGES, VIDEO, '.json'))}", "move it elsewhere")
        return self._grouped(media, documents)

    def _grouped(self, media: dict[str, Path], documents: dict[str, Path]) -> list[_Files]:
        by_stem: dict[str, list[Path]] = {}
        for path in media.values():
            by_stem.setdefault(path.stem, []).append(path)
        of_stem = {path.stem: path for path in documents.values()}
        if COLLECTION in of_stem:
            self._about = _document(of_stem.pop(COLLECTION))
            pictures = [path for path in by_stem.pop(COLLECTION, []) if path.suffix.lower() in FORMATS]
            self._cover = pictures[0] if pictures else None
        stills = {
            image.stem: image
            for stem, paths in by_stem.items()
            if all(path.suffix.lower() == VIDEO for path in paths)
            for image in [_still(paths[0], of_stem.get(stem), media)]
        }
        tokens = []
        for stem, paths in sorted(by_stem.items(), key=lambda entry: _natural(entry[0])):
            images = [path for path in paths if path.suffix.lower() != VIDEO]
            videos = [path for path in paths if path.suffix.lower() == VIDEO]
            if len(images) > 1 or len(videos) > 1:
                raise _refused(paths[0], "one image of that name", "beside it lies " + paths[1].name)
            if images and not videos and stem in stills:
                continue  # the still of a video, no token
            still = images[0] if images else _still(videos[0], of_stem.get(stem), media)
            tokens.append(_Files(still, videos[0] if videos else None, of_stem.pop(stem, None)))
        if of_stem:
            stray = next(iter(of_stem.values()))
            raise _refused(stray, "an image of the same name beside it", "there is none")
        return tokens


def copied(tokens: Iterator[TokenSpec | Artwork], found: Callable[[int], Found], folder: Path) -> Iterator[Artwork]:
    """Yield an Artwork per token, in order, once its file lies whole in `folder`; artworks among them are passed on.
    `found(token_id)` is what was planned.

    Raises BadArgument for a file that is not as it was when the run was planned.
    """
    from pipeline.crash import crash_point

    for token in tokens:
        if isinstance(token, Artwork):
            yield token
            continue
        one = found(token.token_id)
        path = folder / f"{token.token_id}{one.suffix}"
        _copy(one.source, one.sha256, path)
        if one.video is not None and one.video_sha256 is not None:
            _copy(one.video, one.video_sha256, path.with_suffix(VIDEO))
        crash_point("image_written")
        yield Artwork(
            token_id=token.token_id,
            seed=token.seed,
            path=path,
            image_sha256=one.sha256,
            pixel_sha256=one.pixel_sha256,
            image_bytes=path.stat().st_size,
            attributes=one.attributes,
            phash=one.phash,
            determinism="C",
            found=one,
        )


def _copy(source: Path, sha256: bytes, target: Path) -> None:
    digest = hashlib.sha256()
    try:
        with source.open("rb") as file:
            with whole_file(target) as copy:
                while part := file.read(1 << 20):
                    digest.update(part)
                    copy.write(part)
                if digest.digest() != sha256:
                    raise _refused(source, "the file that was planned", "its content has changed since: put it back")
    except FileNotFoundError as error:
        raise _refused(source, "the file that was planned", "it is gone: put it back") from error


# ── looking into files ───────────────────────────────────────────────────────────────────────────────────────


def _read(files: _Files, folder: Path) -> Found:
    from pipeline.generate.gates import is_blank, phash

    document = _document(files.document) if files.document else {}
    _must_name(document, files, folder)
    data = _content(files.image)
    digest = hashlib.sha256(data).digest()
    pixel_sha256, hashed, blank = digest, None, False
    if files.image.suffix.lower() == ".svg":
        _check_svg(files.image, data)
    else:
        pixels = _pixels(files.image, data)
        pixel_sha256, hashed = hashlib.sha256(pixels.tobytes()).digest(), phash(pixels)
        blank = is_blank(pixels)
    video_sha256 = None
    if files.video is not None:
        video = _content(files.video)
        _check_mp4(files.video, video)
        video_sha256 = hashlib.sha256(video).digest()
    return Found(
        source=files.image,
        sha256=digest,
        suffix=files.image.suffix.lower(),
        pixel_sha256=pixel_sha256,
        phash=hashed,
        blank=blank,
        video=files.video,
        video_sha256=video_sha256,
        **_words(document, files.document),
    )


def _content(path: Path) -> bytes:
    limit = MAX_SVG if path.suffix.lower() == ".svg" else MAX_FILE
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _refused(path, f"a file of at most {limit >> 20} MiB", "it is larger")
    if not data:
        raise _refused(path, "a picture", "it is empty")
    return data


def _pixels(path: Path, data: bytes) -> Any:
    """The first frame as (H, W, 3) pixels, after every frame was decoded."""
    import io
    import warnings

    import numpy as np
    from PIL import Image

    wanted = FORMATS[path.suffix.lower()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is stricter, and an error
            with Image.open(io.BytesIO(data), formats=tuple(dict.fromkeys(FORMATS.values()))) as image:
                if image.format != wanted:
                    raise _refused(path, f"a {wanted}, as its name says", f"it is a {image.format}: rename it")
                frames, area = getattr(image, "n_frames", 1), image.width * image.height
                if area > MAX_PIXELS or area * frames > MAX_FRAME_PIXELS:
                    told = f"{image.width} by {image.height}" + (f", {frames} times" if frames > 1 else "")
                    raise _refused(path, f"at most {MAX_PIXELS:,} pixels", f"it has {told}")
                for frame in range(frames - 1, -1, -1):
                    image.seek(frame)
                    image.load()
                return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise _refused(path, f"a sound {wanted}", str(error).splitlines()[0][:120] or "it cannot be decoded") from error


def _check_svg(path: Path, data: bytes) -> None:
    """Well-formed, an <svg>, and nothing that runs, loads from elsewhere, or grows when it is read."""
    from xml.parsers import expat

    parser, depth = expat.ParserCreate(namespace_separator=" "), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        local = tag.rpartition(" ")[2].lower()
        if depth == 0 and tag != f"{_SVG} svg":
            raise _refused(path, "an SVG", f"its root element is {local}")
        depth += 1
        if local in ("script", "foreignobject", "iframe", "handler"):
            raise _refused(path, "a picture that runs nothing", f"it has a <{local}>")
        for name, value in attributes.items():
            plain = name.rpartition(" ")[2].lower()
            if plain.startswith("on"):
                raise _refused(path, "a picture that runs nothing", f"it has {plain}=")
            if plain in ("href", "src") and not re.match(r"\s*(#|data:image/(png|jpeg|gif|webp)[;,])", value):
                raise _refused(path, "a picture that is whole by itself", f"it refers to {value[:60]!r}")

    def doctype(name: str, system: str | None, public: str | None, internal: int) -> None:
        if internal:
            raise _refused(path, "an SVG without entities", "its DOCTYPE declares some")

    parser.StartElementHandler, parser.StartDoctypeDeclHandler = start, doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _refused(path, "a sound SVG", str(error)) from error


def _check_mp4(path: Path, data: bytes) -> None:
    """The boxes of ISO/IEC 14496-12: they begin with `ftyp`, fill the file to its end, and have `moov` and `mdat`."""
    kinds, at = list[bytes](), 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            size = len(data) - at
        kinds.append(kind)
        if size < 8:
            break
        at += size
    if not kinds or kinds[0] != b"ftyp" or at != len(data) or not {b"moov", b"mdat"} <= set(kinds):
        raise _refused(path, "a sound MP4", "its boxes do not fill the file: it is cut, or something else")


# ── words beside a picture ───────────────────────────────────────────────────────────────────────────────────


def _document(path: Path) -> dict[str, Any]:
    from pipeline.pin.metadata import MAX_JSON, BadJson, parse_json_strict

    with path.open("rb") as file:
        data = file.read(MAX_JSON + 1)
    try:
        document = parse_json_strict(data, path.name)
    except BadJson as error:
        raise _refused(path, "plain JSON", str(error.fields["reason"])) from error
    if not isinstance(document, dict):
        raise _refused(path, "a JSON object", "it is something else")
    return document


def _words(document: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """Name, description and attributes, as our own metadata takes them."""
    from pipeline.pin.metadata import MAX_DESCRIPTION, clean_text
    from pipeline.pin.metadata import MAX_NAME as MAX_TEXT

    if path is None:
        return {}
    words: dict[str, Any] = {}
    for field, limit in (("name", MAX_TEXT), ("description", MAX_DESCRIPTION)):
        value = document.get(field) or ""
        if not isinstance(value, str):
            raise _refused(path, "text", f"{field} is something else")
        if value.strip():
            words[field] = _safe(path, lambda f=field, v=value, n=limit: clean_text(f, v, n, lines=f == "description"))
    listed = document.get("attributes") or []
    if not isinstance(listed, list):
        raise _refused(path, "a list of attributes", "attributes is something else")
    words["attributes"] = tuple(_attribute(entry, path) for entry in listed)
    return words


def _attribute(entry: Any, path: Path) -> Attribute:
    from pipeline.pin.metadata import MAX_NAME as MAX_TEXT
    from pipeline.pin.metadata import canonical_json, check_token_metadata, clean_text

    if not isinstance(entry, dict) or not isinstance(entry.get("trait_type"), str):
        raise _refused(path, "attributes with a trait_type", f"one is {str(entry)[:60]}")
    value = entry.get("value")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _refused(path, "attributes whose value is text or a number", f"{entry['trait_type'][:40]!r} has another")
    if isinstance(value, str):
        text = value
        value = _safe(path, lambda: clean_text(entry["trait_type"], text, MAX_TEXT))
    attribute = Attribute(
        _safe(path, lambda: clean_text("trait_type", entry["trait_type"], MAX_TEXT)),
        value,
        entry.get("display_type"),
        entry.get("max_value"),
    )
    shown = {key: part for key, part in asdict(attribute).items() if part is not None}
    probe = {"name": "x", "image": "https://example.org/x.png", "attributes": [shown]}
    _safe(path, lambda: check_token_metadata(canonical_json(probe), path.name))
    return attribute


def _safe(path: Path, check: Any) -> Any:
    """Run a check of our own metadata; what it refuses is told with the file's name."""
    from pipeline.pin.metadata import BadJson

    try:
        return check()
    except (BadArgument, BadJson, ValueError) as error:
        raise _refused(path, "words that wallets can show", str(error)) from error


def _must_name(document: Mapping[str, Any], files: _Files, folder: Path) -> None:
    """A document that names another file of the folder as its image would be minted with the wrong picture."""
    image = document.get("image")
    if files.document is None or not isinstance(image, str) or "://" in image or not image:
        return
    name = _inside(image, files.document)
    if name != files.image.name:
        raise _refused(files.document, f"the image beside it, {files.image.name}", f"it names {image[:80]!r}")


def _inside(name: str, document: Path) -> str:
    """A file's name that a document gives, which must not lead out of its folder."""
    plain = name.removeprefix("./")
    if plain in ("", ".", "..") or "/" in plain or "\\" in plain or "\0" in plain:
        raise _refused(document, "the name of a file in this folder", f"it names {name[:80]!r}")
    return plain


def _still(video: Path, document: Path | None, media: Mapping[str, Path]) -> Path:
    """The image that stands for a video: what its document names."""
    named = _document(document).get("image") if document else None
    if not isinstance(named, str) or not named:
        raise _refused(
            video, "an image that stands for it", f"put one beside it, or name one as image in {video.stem}.json"
        )
    name = _inside(named.rpartition("/")[2] if "://" in named else named, document or video)
    image = media.get(name)
    if image is None or image.suffix.lower() == VIDEO:
        raise _refused(video, "an image that stands for it", f"its document names {named[:80]!r}, which is not there")
    return image


def _entries(folder: Path) -> dict[str, Path]:
    """Files by name: hidden ones and what systems leave behind are passed over, links and folders refused."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_BY_SYSTEMS:
            continue
        if path.is_symlink():
            raise _refused(path, "a file", "it is a link: put the file itself there")
        if not path.is_file():
            raise _refused(path, "only files", "move this folder elsewhere")
        found[path.name] = path
    return found


def _warnings(token_id: int, one: Found, looks: dict[int, int]) -> Iterator[str]:
    from pipeline.generate.gates import NEAR, distance

    if one.blank:
        yield f"token {token_id}, {one.source.name}, is blank or nearly so"
    if one.phash is not None:
        twin = next((other for other, hashed in looks.items() if distance(hashed, one.phash) <= NEAR), None)
        if twin is not None:
            yield f"token {token_id}, {one.source.name}, looks like token {twin}"
        looks[token_id] = one.phash


def _natural(name: str) -> list[tuple[int, int, str]]:
    """`2` before `10`, and `a2` before `a10`."""
    parts = re.split(r"(\d+)", unicodedata.normalize("NFC", name))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts if part]


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore").strip()


def _refused(path: Path, expected: str, why: str) -> BadArgument:
    return BadArgument(
        name="--images", value=str(path), expected=f"{expected} ({why})", hint="nothing was planned, pinned or sent"
    )
