"""Which files of a folder belong to which token, by their names and by what the JSON among them names.

    1.png  1.json                        images with JSON beside them, or without
    images/1.png  json/1.json            HashLips; the JSON may lie in metadata/ too, or stand in one _metadata.json
    0.png  0.json  collection.json       Metaplex Sugar
    gold.png  1.json  2.json             one picture for several tokens, where their JSON names it as `image`

Names are compared in NFC: macOS takes letters apart from their accents. What belongs to no token is kept in
`unused`, and what is wrong in `faults`: a folder is told all of its faults at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.art.documents import Document, named_file, read_document, read_documents
from pipeline.art.formats import Faults, refused
from pipeline.base.media import ANIMATIONS, BY_SUFFIX, DECODED, IMAGES, minted_as
from pipeline.base.untrusted import printable

COLLECTION = "collection"  # Sugar's name for what is about the collection and is no token
COVER = "cover"
ALL_DOCUMENTS = "_metadata"  # HashLips' name for the documents of all tokens in one file
IMAGE_FOLDER, DOCUMENT_FOLDERS = "images", ("json", "metadata")
_OF_SYSTEMS = ("Thumbs.db", "desktop.ini", "__MACOSX", "Icon\r", "@eaDir")
_NOTES = re.compile(
    r"(readme|licen[cs]e|copying|notes?|changelog)(\.rst)?|.*\.(md|txt|log)|cache\.json|config\.json", re.I
)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one token."""

    image: Path
    animation: Path | None
    document: Document | None
    shared: bool = False  # its JSON names the image, which other tokens may have too


@dataclass(slots=True)
class Listing:
    """A folder's files by what they are."""

    tokens: list[Files] = field(default_factory=list)
    about: Document | None = None
    cover: Path | None = None
    unused: list[str] = field(default_factory=list)
    astray: list[Document] = field(default_factory=list)  # of tokens that have no image: their words are looked at too
    faults: Faults = field(default_factory=Faults)


def listed(folder: Path) -> Listing:
    """List a folder. Raises BadArgument where there is none, or it holds no images; other faults are in the listing."""
    if not folder.is_dir():
        raise refused(folder, "a folder with images", "there is none")
    listing = Listing()
    media, documents = _files(folder, listing)
    together = documents.pop(ALL_DOCUMENTS, None)
    read: dict[str, Document] = {}
    for stem, path in documents.items():
        with listing.faults.kept():
            read[stem] = read_document(path)
    if together is not None and not read.keys() - {COLLECTION}:
        with listing.faults.kept():
            read |= _by_stem(read_documents(together), media, listing)
    elif together is not None:
        listing.unused.append(f"{together.name} (each token has a document of its own)")
    _group(listing, media, read, broken=documents.keys() - read.keys())
    if not listing.tokens and not listing.faults:
        raise refused(folder, "a folder with images", "it holds none")
    return listing


# ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────


def _files(folder: Path, listing: Listing) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and animations by name, and JSON files by stem."""
    apart = (folder / IMAGE_FOLDER).is_dir() and not any(_is_media(path) for path in folder.iterdir() if path.is_file())
    if not apart:
        return _sorted_out(folder, _entries(folder, listing), listing)
    inner = [folder / name for name in (IMAGE_FOLDER, *DOCUMENT_FOLDERS) if (folder / name).exists()]
    media, documents = dict[str, Path](), dict[str, Path]()
    for place in inner:
        if place.is_symlink():
            listing.faults.append(refused(place, "a folder", "it is a link: put the folder itself there"))
            continue
        found = _sorted_out(place, _entries(place, listing), listing, bare=place.name in DOCUMENT_FOLDERS)
        media |= found[0]
        for stem, path in found[1].items():
            if stem in documents:
                listing.faults.append(
                    refused(path, "one JSON of that name", f"another lies in {documents[stem].parent.name}/")
                )
            documents[stem] = path
    for path in sorted(folder.iterdir()):
        if path in inner:
            continue
        if (
            path.suffix.lower() == ".json"
            and path.is_file()
            and not path.is_symlink()
            and path.stem in (COLLECTION, ALL_DOCUMENTS)
        ):
            documents.setdefault(path.stem, path)
        else:
            held = f" (holding {sum(1 for _ in path.iterdir()):,})" if path.is_dir() and not path.is_symlink() else ""
            listing.unused.append(f"{path.name}{'/' if held else ''}{held}")
    return media, documents


def _entries(folder: Path, listing: Listing) -> dict[str, Path]:
    """Files by their names in NFC; what systems and people leave beside art is passed over, links and folders refused."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _OF_SYSTEMS:
            listing.unused.append(path.name.strip())
        elif path.is_symlink():
            listing.faults.append(refused(path, "a file", "it is a link: put the file itself there"))
        elif not path.is_file():
            listing.faults.append(
                refused(path, "only files", f"move this {'folder' if path.is_dir() else 'pipe or device'} elsewhere")
            )
        elif _NOTES.fullmatch(path.name):
            listing.unused.append(path.name)
        elif not printable(path.name).isprintable() or printable(path.name) != path.name:
            listing.faults.append(refused(path, "a name that can be shown", "rename it"))
        else:
            name = unicodedata.normalize("NFC", path.name)
            if name in found:
                listing.faults.append(
                    refused(path, "one file of that name", "another has the same letters, written otherwise")
                )
            found[name] = path
    return found


# What pictures, videos and sounds are often kept as, and nobody shows.
_CONVERTED = frozenset({".heic", ".heif", ".psd", ".mov", ".avi", ".mkv", ".flac", ".m4a", ".aac", ".obj", ".fbx"})


def _sorted_out(
    folder: Path, entries: dict[str, Path], listing: Listing, *, bare: bool = False
) -> tuple[dict[str, Path], dict[str, Path]]:
    media, documents = dict[str, Path](), dict[str, Path]()
    for name, path in entries.items():
        suffix = path.suffix.lower()
        if suffix == ".json" or (bare and not suffix):
            documents[_stem(name)] = path
        elif _is_media(path):
            media[name] = path
        else:
            convert = suffix in _CONVERTED or suffix in BY_SUFFIX
            why = "convert it, or move it elsewhere" if convert else "move it elsewhere"
            if name_it := minted_as(suffix):
                why = f"rename it to {name_it}"
            listing.faults.append(refused(path, f"only {', '.join((*IMAGES, *ANIMATIONS, '.json'))}", why))
    return media, documents


def _by_stem(documents: list[Document], media: Mapping[str, Path], listing: Listing) -> dict[str, Document]:
    """Documents that stand in one file, by the stems of the images that they are about."""
    found: dict[str, Document] = {}
    stems = {_stem(name) for name in media}
    for document in documents:
        named = named_file(str(document.fields.get("image") or ""))
        edition = document.fields.get("edition")
        stem = _stem(named) if named in media else str(edition)
        if stem in stems and stem not in found:
            found[stem] = document
            continue
        why = f"{found[stem].shown} is about the same" if stem in found else "it names no image of the folder"
        listing.faults.append(document.refused("one document for each image", why))
        listing.astray.append(document)
    return found


# ── grouping ─────────────────────────────────────────────────────────────────────────────────────────────────


def _group(listing: Listing, media: dict[str, Path], documents: dict[str, Document], broken: set[str]) -> None:
    by_stem: dict[str, list[Path]] = {}
    for name, path in media.items():
        by_stem.setdefault(_stem(name), []).append(path)
    if COLLECTION in documents or COLLECTION in broken:
        listing.about = documents.pop(COLLECTION, None)
        pictures = by_stem.pop(COLLECTION, [])
        listing.cover = next((path for path in pictures if path.suffix.lower() in DECODED), None)
        listing.unused += [path.name for path in pictures if path != listing.cover]
    named = dict[str, Path | None]()
    for stem, document in documents.items():
        with listing.faults.kept():
            named[stem] = _named_animation(document, media)
        if stem not in named:  # told; the rest of what it says is looked at as if it had named none
            named[stem] = None
            documents[stem] = replace(document, fields={**document.fields, "animation_url": None})
    borrowed = {name for stem, path in named.items() if path is not None and _stem(name := path.name) != stem}
    stills = {
        _stem(still.name)
        for stem, paths in by_stem.items()
        if all(_moves(path) for path in paths) and (stem in documents or paths[0].name not in borrowed)
        for still in [_named_image(documents.get(stem), media)]
        if still is not None
    }
    lent = _lent(documents, by_stem, media)
    lent_images = set(lent.values())
    if listing.cover is None:
        listing.cover = _cover(
            by_stem, documents, taken={*lent_images, *(path for path in named.values() if path)}, stills=stills
        )
    for stem in sorted(by_stem.keys() | lent.keys(), key=_natural):
        paths, own = by_stem.get(stem, []), documents.get(stem)
        images, animations = [path for path in paths if not _moves(path)], [path for path in paths if _moves(path)]
        if images and not animations and stem in stills and own is None:
            continue  # the still of an animation, no token
        if images and own is None and images[0] in lent_images and stem not in broken:
            continue  # the picture of tokens that name it
        if animations and not images and own is None and animations[0].name in borrowed:
            continue  # the animation of a token that names it
        documents.pop(stem, None)
        if len(images) > 1 or len(animations) > 1:
            listing.faults.append(refused(paths[0], "one image of that name", "beside it lies " + paths[1].name))
        before = len(listing.tokens)
        with listing.faults.kept():
            listing.tokens.append(_token(stem, images, animations, own, named.get(stem), media, lent.get(stem)))
        if own is not None and len(listing.tokens) == before:
            listing.astray.append(own)
    for document in documents.values():
        listing.faults.append(
            document.refused("an image of the same name beside it", "there is none, and it names none")
        )
        listing.astray.append(document)


def _cover(
    by_stem: dict[str, list[Path]], documents: Mapping[str, Document], *, taken: set[Path], stills: set[str]
) -> Path | None:
    """The collection's picture by its name, taken out of the tokens': `collection.png` or `cover.png`, beside others."""
    for stem in (COLLECTION, COVER):
        paths = by_stem.get(stem, [])
        is_picture = len(paths) == 1 and paths[0].suffix.lower() in DECODED
        if is_picture and len(by_stem) > 1 and stem not in documents and stem not in stills and paths[0] not in taken:
            return by_stem.pop(stem)[0]
    return None


def _token(
    stem: str,
    images: list[Path],
    animations: list[Path],
    document: Document | None,
    named: Path | None,
    media: Mapping[str, Path],
    lent: Path | None,
) -> Files:
    beside = animations[0] if animations else None
    animation = _animation(document, named, beside)
    if images:
        return Files(images[0], animation, document)
    if lent is not None:
        return Files(lent, animation, document, shared=True)
    return Files(_still(animations[0], document, media), animation, document)


def _lent(
    documents: Mapping[str, Document], by_stem: Mapping[str, list[Path]], media: Mapping[str, Path]
) -> dict[str, Path]:
    """The images that documents name which have no file of their own name: one picture for many tokens."""
    alone = {stem: _named_image(document, media) for stem, document in documents.items() if stem not in by_stem}
    return {stem: image for stem, image in alone.items() if image is not None}


def _named_image(document: Document | None, media: Mapping[str, Path]) -> Path | None:
    named = document.fields.get("image") if document else None
    if not isinstance(named, str) or (".." in named and "://" not in named):
        return None
    image = media.get(named_file(named))
    return image if image is not None and not _moves(image) else None


def _still(animation: Path, document: Document | None, media: Mapping[str, Path]) -> Path:
    """The image that stands for an animation: what its document names."""
    named = document.fields.get("image") if document else None
    if document is None or not isinstance(named, str) or not named:
        why = f"put one beside it, or name one as image in {animation.stem}.json"
        raise refused(animation, "an image that stands for it", why)
    if "://" not in named:
        _inside(named, document)
    image = _named_image(document, media)
    if image is None:
        raise refused(
            animation, "an image that stands for it", f"its document names {named[:80]!r}, which is not there"
        )
    return image


def _named_animation(document: Document, media: Mapping[str, Path]) -> Path | None:
    """The file of the folder that a document names as animation_url, by itself or at the end of a URL to be."""
    named = document.text("animation_url")
    if not named or named.startswith("data:"):
        return None
    if "://" in named:
        found = media.get(named_file(named))
        return found if found is not None and _moves(found) else None
    found = media.get(_inside(named, document))
    if found is None:
        raise document.refused("a URL or a file of this folder as animation_url", f"{named[:80]!r} is not there")
    if not _moves(found):
        raise document.refused(f"an animation_url that is one of {', '.join(ANIMATIONS)}", f"it names {named[:80]!r}")
    return found


def _animation(document: Document | None, named: Path | None, beside: Path | None) -> Path | None:
    """What moves beside a token's image: the file that its document names, or the one of the image's name."""
    if document is None or beside is None or beside == named:
        return named or beside
    if told := document.text("animation_url"):
        raise document.refused(f"one animation, and {beside.name} lies beside the image", f"it names {told[:80]!r}")
    return beside


def _inside(name: str, document: Document) -> str:
    """A file's name that a document gives, which must not lead out of its folder."""
    plain = unicodedata.normalize("NFC", name.removeprefix("./"))
    if plain in ("", ".", "..") or "/" in plain or "\\" in plain or "\0" in plain:
        raise document.refused("the name of a file in this folder", f"it names {name[:80]!r}")
    return plain


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in IMAGES or _moves(path)


def _moves(path: Path) -> bool:
    return path.suffix.lower() in ANIMATIONS


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", Path(name).stem)


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """`2` before `10`, and `a2` before `a10`."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts if part], name
