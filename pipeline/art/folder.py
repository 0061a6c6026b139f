"""Art that exists already: a folder of images, with JSON beside them or not, as the tokens of a run.

Three layouts are read as they are: images with `<name>.json` beside them; HashLips (`images/` and `json/`, with or without
`_metadata.json`); Metaplex Sugar (`0.png`, `0.json`, …, and `collection.json`). Tokens are in natural order of the names,
their ids from 1. Everything is read once, before anything is planned; what is planned is the digest of each file.

What a token's JSON says beyond its image is carried into its metadata: `animation_url` names a file of the folder, which
is pinned with the image, or a URL, which is passed on.

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

from pipeline.art.formats import check_animation, content, look, refused
from pipeline.base.errors import BadArgument
from pipeline.base.files import whole_file
from pipeline.base.limits import DOCUMENT_BYTES, MAX_DESCRIPTION, MAX_NAME, MAX_TEXT
from pipeline.base.media import ANIMATIONS, DECODED, IMAGES, SVG
from pipeline.base.records import Artwork, Attribute, Found, TokenSpec
from pipeline.settings.config import Config

if TYPE_CHECKING:
    from pipeline.base.observer import Observer

COLLECTION = "collection"  # Sugar's name for what is about the collection and is no token
CARRIED = frozenset(
    ("name", "description", "image", "attributes", "external_url", "background_color", "animation_url", "youtube_url")
)
LEFT_BY_SYSTEMS = ("Thumbs.db", "desktop.ini")
TOLD = 10  # warnings that are told one by one


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one token."""

    image: Path
    animation: Path | None
    document: Path | None


class ImageFolder:
    """A folder's tokens by name; `read` looks into the files. Raises BadArgument for a folder that is none or unclear."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder).resolve()
        self._about: dict[str, Any] = {}
        self._cover: Path | None = None
        self.tokens = self._listed()
        if not self.tokens:
            raise refused(self.path, "a folder with images", "it holds none")

    @property
    def collection_name(self) -> str:
        """What the collection is called unless somebody says: the name in `collection.json`, else the folder's."""
        return _cut(str(self._about.get("name") or self.path.name), MAX_NAME)

    @property
    def cover(self) -> str:
        """The collection's picture unless another is given: `collection.png`, else the first token's that can be one."""
        pictures = [tokens.image for tokens in self.tokens if tokens.image.suffix.lower() in DECODED]
        if self._cover is None and not pictures:
            raise BadArgument(
                name="--cover", value="", expected="an image file: no token of the folder can be the cover"
            )
        return str(self._cover or pictures[0])

    def located(self, config: Config) -> Config:
        """The settings with the folder's whole path: the same folder is the same from wherever it is named."""
        return config.changed(config.source("images"), {"images": str(self.path)})

    def words(self, config: Config) -> Config:
        """The settings of a new collection: what nobody chose is taken from the folder."""
        found = {
            "symbol": self._about.get("symbol"),
            "description": self._about.get("description") or self.collection_name,
        }
        taken = {key: str(value) for key, value in found.items() if value and not config.given(key)}
        return config.changed(f"{self.path.name}/collection.json", taken)

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
        seen, warnings, looks, unused = dict(known), list[str](), dict[int, int](), set[str]()
        for token_id, files in enumerate(self.tokens, first):
            document = _document(files.document) if files.document else {}
            unused |= document.keys() - CARRIED
            one = _read(files, document)
            if one.sha256 in seen:
                raise refused(
                    files.image,
                    "another picture: every image of the folder becomes a new token",
                    f"it is the same as token {seen[one.sha256]}, byte for byte",
                )
            seen[one.sha256] = token_id
            warnings += _warnings(token_id, one, looks)
            found.append(one)
            observer.progress("read", token_id - first + 1, len(self.tokens))
        if vector := sum(one.suffix == SVG for one in found):
            observer.notice(
                f"{vector:,} SVG: an SVG is not compared for near-duplicates, since it has no pixels before it is drawn"
            )
        if unused:
            observer.notice(f"left out of the metadata, since wallets show none of it: {', '.join(sorted(unused))}")
        for warning in warnings[:TOLD]:
            observer.notice(f"warning: {warning}")
        if len(warnings) > TOLD:
            observer.notice(f"warning: and {len(warnings) - TOLD:,} more like these")
        return found

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────

    def _listed(self) -> list[_Files]:
        folder = self.path
        if not folder.is_dir():
            raise refused(folder, "a folder with images", "there is none")
        if (folder / "images").is_dir() and (folder / "json").is_dir():  # HashLips
            media, documents = _entries(folder / "images"), _entries(folder / "json")
            documents.pop("_metadata.json", None)  # all documents once more, in one file
        else:
            media = _entries(folder)
            documents = {name: media.pop(name) for name in list(media) if name.lower().endswith(".json")}
        for name in (*media, *documents):
            if Path(name).suffix.lower() not in (*IMAGES, *ANIMATIONS, ".json"):
                raise refused(folder / name, f"only {', '.join((*IMAGES, *ANIMATIONS, '.json'))}", "move it elsewhere")
        return self._grouped(media, documents)

    def _grouped(self, media: dict[str, Path], documents: dict[str, Path]) -> list[_Files]:
        by_stem: dict[str, list[Path]] = {}
        for path in media.values():
            by_stem.setdefault(path.stem, []).append(path)
        of_stem = {path.stem: path for path in documents.values()}
        if COLLECTION in of_stem:
            self._about = _document(of_stem.pop(COLLECTION))
            pictures = [path for path in by_stem.pop(COLLECTION, []) if path.suffix.lower() in DECODED]
            self._cover = pictures[0] if pictures else None
        named = {stem: _named_animation(path, media) for stem, path in of_stem.items()}
        taken = {path.name for stem, path in named.items() if path is not None and path.stem != stem}
        stills = {
            image.stem: image
            for stem, paths in by_stem.items()
            if all(_moves(path) for path in paths) and (stem in of_stem or paths[0].name not in taken)
            for image in [_still(paths[0], of_stem.get(stem), media)]
        }
        tokens = []
        for stem, paths in sorted(by_stem.items(), key=lambda entry: _natural(entry[0])):
            images = [path for path in paths if not _moves(path)]
            animations = [path for path in paths if _moves(path)]
            if len(images) > 1 or len(animations) > 1:
                raise refused(paths[0], "one image of that name", "beside it lies " + paths[1].name)
            if images and not animations and stem in stills:
                continue  # the still of an animation, no token
            if not images and stem not in of_stem and animations[0].name in taken:
                continue  # the animation of a token that names it
            still = images[0] if images else _still(animations[0], of_stem.get(stem), media)
            beside = animations[0] if animations else None
            animation = _animation(of_stem.get(stem), named.get(stem), beside)
            tokens.append(_Files(still, animation, of_stem.pop(stem, None)))
        if of_stem:
            stray = next(iter(of_stem.values()))
            raise refused(stray, "an image of the same name beside it", "there is none")
        return tokens


def copied(tokens: Iterator[TokenSpec | Artwork], found: Callable[[int], Found], folder: Path) -> Iterator[Artwork]:
    """Yield an Artwork per token, in order, once its file lies whole in `folder`; artworks among them are passed on.
    `found(token_id)` is what was planned.

    Raises BadArgument for a file that is not as it was when the run was planned.
    """
    from pipeline.base.crash import crash_point

    for token in tokens:
        if isinstance(token, Artwork):
            yield token
            continue
        one = found(token.token_id)
        path = folder / f"{token.token_id}{one.suffix}"
        _copy(one.source, one.sha256, path)
        if one.animation is not None and one.animation_sha256 is not None:
            _copy(one.animation, one.animation_sha256, path.with_suffix(one.animation.suffix.lower()))
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
                    raise refused(source, "the file that was planned", "its content has changed since: put it back")
    except FileNotFoundError as error:
        raise refused(source, "the file that was planned", "it is gone: put it back") from error


# ── looking into files ───────────────────────────────────────────────────────────────────────────────────────


def _read(files: _Files, document: Mapping[str, Any]) -> Found:
    _must_name(document, files)
    data = content(files.image)
    seen = look(files.image, data)
    animation_sha256 = None
    if files.animation is not None:
        moving = content(files.animation)
        check_animation(files.animation, moving)
        animation_sha256 = hashlib.sha256(moving).digest()
    return Found(
        source=files.image,
        sha256=hashlib.sha256(data).digest(),
        suffix=files.image.suffix.lower(),
        pixel_sha256=seen.pixel_sha256,
        phash=seen.phash,
        blank=seen.blank,
        animation=files.animation,
        animation_sha256=animation_sha256,
        **_words(document, files),
    )


# ── words beside a picture ───────────────────────────────────────────────────────────────────────────────────


def _document(path: Path) -> dict[str, Any]:
    from pipeline.pin.metadata import BadJson, parse_json_strict

    with path.open("rb") as file:
        data = file.read(DOCUMENT_BYTES + 1)
    try:
        document = parse_json_strict(data, path.name)
    except BadJson as error:
        raise refused(path, "plain JSON", str(error.fields["reason"])) from error
    if not isinstance(document, dict):
        raise refused(path, "a JSON object", "it is something else")
    return document


def _words(document: Mapping[str, Any], files: _Files) -> dict[str, Any]:
    """All that a token's document says and its metadata carries, as our own metadata takes it."""
    from pipeline.pin.metadata import clean_text

    path = files.document
    if path is None:
        return {}
    words: dict[str, Any] = {}
    for field, limit in (("name", MAX_TEXT), ("description", MAX_DESCRIPTION)):
        value = document.get(field) or ""
        if not isinstance(value, str):
            raise refused(path, "text", f"{field} is something else")
        if value.strip():
            words[field] = _safe(path, lambda f=field, v=value, n=limit: clean_text(f, v, n, lines=f == "description"))
    listed = document.get("attributes") or []
    if not isinstance(listed, list):
        raise refused(path, "a list of attributes", "attributes is something else")
    words["attributes"] = tuple(_attribute(entry, path) for entry in listed)
    for field in ("external_url", "background_color", "youtube_url", "animation_url"):
        if field == "animation_url" and files.animation is not None:
            continue  # the file itself, at an address that is known when it is pinned
        if value := _stated(document, field, path):
            words[field] = value
            _must_suit(path, {field: value})
    return words


def _stated(document: Mapping[str, Any], field: str, path: Path) -> str:
    """The text of an optional field; HashLips and Sugar write empty ones."""
    value = document.get(field)
    if value is not None and not isinstance(value, str):
        raise refused(path, "text", f"{field} is something else")
    return (value or "").strip()


def _must_suit(path: Path, fields: dict[str, Any]) -> None:
    """Hold fields to the rules of our own metadata, before anything is planned."""
    from pipeline.pin.metadata import canonical_json, check_token_metadata

    document = {"name": "x", "image": "https://example.org/x.png", **fields}
    _safe(path, lambda: check_token_metadata(canonical_json(document), path.name))


def _attribute(entry: Any, path: Path) -> Attribute:
    from pipeline.pin.metadata import clean_text

    if not isinstance(entry, dict) or not isinstance(entry.get("trait_type"), str):
        raise refused(path, "attributes with a trait_type", f"one is {str(entry)[:60]}")
    value = entry.get("value")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise refused(path, "attributes whose value is text or a number", f"{entry['trait_type'][:40]!r} has another")
    if isinstance(value, str):
        text = value
        value = _safe(path, lambda: clean_text(entry["trait_type"], text, MAX_TEXT))
    attribute = Attribute(
        _safe(path, lambda: clean_text("trait_type", entry["trait_type"], MAX_TEXT)),
        value,
        entry.get("display_type"),
        entry.get("max_value"),
    )
    _must_suit(path, {"attributes": [{key: part for key, part in asdict(attribute).items() if part is not None}]})
    return attribute


def _safe(path: Path, check: Any) -> Any:
    """Run a check of our own metadata; what it refuses is told with the file's name."""
    from pipeline.pin.metadata import BadJson

    try:
        return check()
    except (BadArgument, BadJson, ValueError) as error:
        raise refused(path, "words that wallets can show", str(error)) from error


def _must_name(document: Mapping[str, Any], files: _Files) -> None:
    """A document that names another file of the folder as its image would be minted with the wrong picture."""
    image = document.get("image")
    if files.document is None or not isinstance(image, str) or "://" in image or not image:
        return
    name = _inside(image, files.document)
    if name != files.image.name:
        raise refused(files.document, f"the image beside it, {files.image.name}", f"it names {image[:80]!r}")


def _inside(name: str, document: Path) -> str:
    """A file's name that a document gives, which must not lead out of its folder."""
    plain = name.removeprefix("./")
    if plain in ("", ".", "..") or "/" in plain or "\\" in plain or "\0" in plain:
        raise refused(document, "the name of a file in this folder", f"it names {name[:80]!r}")
    return plain


def _moves(path: Path) -> bool:
    return path.suffix.lower() in ANIMATIONS


def _named_animation(document: Path, media: Mapping[str, Path]) -> Path | None:
    """The file of the folder that a document names as animation_url, by itself or at the end of a URL to be."""
    named = _stated(_document(document), "animation_url", document)
    if not named or named.startswith("data:"):
        return None
    if "://" in named:
        found = media.get(named.rpartition("/")[2])
        return found if found is not None and _moves(found) else None
    found = media.get(_inside(named, document))
    if found is None:
        raise refused(document, "a URL or a file of this folder as animation_url", f"{named[:80]!r} is not there")
    if not _moves(found):
        raise refused(document, f"an animation_url that is one of {', '.join(ANIMATIONS)}", f"it names {named[:80]!r}")
    return found


def _animation(document: Path | None, named: Path | None, beside: Path | None) -> Path | None:
    """What moves beside a token's image: the file that its document names, or the one of the image's name."""
    if document is None or beside is None or beside == named:
        return named or beside
    told = _stated(_document(document), "animation_url", document)
    if told:
        raise refused(document, f"one animation, and {beside.name} lies beside the image", f"it names {told[:80]!r}")
    return beside


def _still(animation: Path, document: Path | None, media: Mapping[str, Path]) -> Path:
    """The image that stands for an animation: what its document names."""
    named = _document(document).get("image") if document else None
    if not isinstance(named, str) or not named:
        why = f"put one beside it, or name one as image in {animation.stem}.json"
        raise refused(animation, "an image that stands for it", why)
    name = _inside(named.rpartition("/")[2] if "://" in named else named, document or animation)
    image = media.get(name)
    if image is None or _moves(image):
        raise refused(
            animation, "an image that stands for it", f"its document names {named[:80]!r}, which is not there"
        )
    return image


def _entries(folder: Path) -> dict[str, Path]:
    """Files by name: hidden ones and what systems leave behind are passed over, links and folders refused."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_BY_SYSTEMS:
            continue
        if path.is_symlink():
            raise refused(path, "a file", "it is a link: put the file itself there")
        if not path.is_file():
            raise refused(path, "only files", "move this folder elsewhere")
        found[path.name] = path
    return found


def _warnings(token_id: int, one: Found, looks: dict[int, int]) -> Iterator[str]:
    from pipeline.art.draw.gates import NEAR, distance

    if one.blank:
        yield f"token {token_id}, {one.source.name}, is blank or nearly so"
    if one.animation_url and not one.animation_url.startswith("data:"):
        told = one.animation_url[:80]
        yield f"token {token_id}, {one.source.name}, has its animation_url elsewhere: nothing here pins {told}"
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
