"""Art that exists already: a folder of images, with JSON beside them or not, as the tokens of a run.

`layouts` says which files belong to which token, `documents` reads the JSON, `formats` looks at the files; here they are
put together, compared, and told. Tokens are in natural order of the names, their ids from 1. Everything is read once,
before anything is planned; what is planned is the digest of each file.

A folder is untrusted: links, other files and paths that lead out of it are refused by name, pictures are measured before
they are decoded, and text is held to the rules of our own metadata. All of its faults are told at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.art.cover import Cover, read_cover
from pipeline.art.documents import Document, named_file, words
from pipeline.art.formats import Faults, check_animation, content, look, refused
from pipeline.art.layouts import Files, listed
from pipeline.art.source import About
from pipeline.art.telling import Telling
from pipeline.base.crash import crash_point
from pipeline.base.errors import BadArgument, BadFiles
from pipeline.base.files import is_there, open_regular, whole_file
from pipeline.base.limits import IMAGE_BYTES, MAX_NAME
from pipeline.base.media import DECODED
from pipeline.base.records import Artwork, Found, TokenSpec
from pipeline.base.untrusted import printable
from pipeline.base.words import tidied

if TYPE_CHECKING:
    from pipeline.base.observer import Observer


class ImageFolder:
    """A folder's tokens by name; `read` looks into the files. Raises BadArgument for a folder that is none or unclear."""

    def __init__(self, folder: str, *, editions: bool = False) -> None:
        self.path, self._editions = Path(folder).resolve(), editions
        self._listing = listed(self.path)
        self.tokens = self._listing.tokens
        self._about: Mapping[str, Any] = self._listing.about.fields if self._listing.about else {}
        self._cover = self._listing.cover

    @property
    def collection_name(self) -> str:
        """What the collection is called unless somebody says: the name in `collection.json`, else the folder's."""
        return _cut(self._said("name") or self.path.name, MAX_NAME)

    @property
    def artists(self) -> set[str]:
        """Whose work the folder says it is: `collection.json`, else the JSON of its tokens."""
        said = (files.document.fields.get("artist") for files in self.tokens if files.document)
        each = {tidied(artist) for artist in said if isinstance(artist, str)} - {""}
        return {self._said("artist")} - {""} or each

    def _said(self, field: str) -> str:
        """A text of `collection.json`; empty where it is none."""
        value = self._about.get(field)
        return tidied(value) if isinstance(value, str) else ""

    def cover(self) -> Cover:
        """The collection's picture unless another is given: `collection.png`, else the first token's that can be one.

        Raises BadArgument where none can.
        """
        for path in self._covers():
            if self._cover or path.stat().st_size <= IMAGE_BYTES:
                return read_cover(path)
        raise BadArgument(
            name=str(self.path),
            value="its images",
            expected=f"one that can be the collection's cover, of at most {IMAGE_BYTES >> 20} MiB",
            hint="give a picture as --cover, or put a collection.png into the folder",
        )

    def _covers(self) -> list[Path]:
        if self._cover is not None:
            return [self._cover]
        return [tokens.image for tokens in self.tokens if tokens.image.suffix.lower() in DECODED]

    def about(self) -> About:
        """What the folder says of a collection that nobody described."""
        return About(
            name=self.collection_name,
            symbol=self._said("symbol"),
            description=self._said("description"),
            artist=next(iter(self.artists)) if len(self.artists) == 1 else "",
            cover=str(next(iter(self._covers()), "none")),
        )

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

    def read(self, known: Mapping[bytes, int], first: int, observer: Observer, *, covers: bool = False) -> list[Found]:
        """Look into every file, check it, and return what is to be planned for tokens `first`, `first + 1`, ….

        `known` has the token ids of the collection's images so far, by digest; with `covers` its picture has to be one. What a gate would refuse of a drawing, what
        the JSON says otherwise than the files do, and what is left out is told. Raises BadArgument for a file that is
        broken, too large, doubled, or not what it is called; BadFiles, which names each, where there are several.
        """
        faults, telling = Faults(self._listing.faults), Telling(self._listing.unused)
        found, seen = list[Found](), dict(known)
        for token_id, files in enumerate(self.tokens, first):
            one, address = _read(files, faults)
            if one is not None:
                if one.sha256 in seen and not (self._editions or files.shared):
                    faults.append(_doubled(files.image, seen[one.sha256]))
                seen[one.sha256] = token_id
                telling.token(token_id, files, one, address)
                found.append(one)
            observer.progress("read", token_id - first + 1, len(self.tokens))
        for document in self._listing.astray:
            words(document, faults, moves=True)
        if covers and self._cover is not None:
            with faults.kept():
                read_cover(self._cover)
        self._raise(faults)
        if covers:
            self.cover()
        if self._listing.about:
            telling.collection(self._listing.about)
        telling.artists(self.artists)
        if self._cover:
            observer.notice(f"{printable(self._cover.name)} is the collection's picture, and no token")
        for line in telling.lines(found, first):
            observer.notice(line)
        return found

    def changed(self, planned: Mapping[int, Found], first: int) -> dict[int, Found]:
        """What is to be planned anew of tokens that are planned, and not pinned yet: those whose files or words are others
        now. A file that is gone is no change: what was copied of it stands.

        Raises what `read` does, for those.
        """
        faults, anew = Faults(), dict[int, Found]()
        for token_id, files in enumerate(self.tokens, first):
            if (was := planned.get(token_id)) is None or not files.image.exists():
                continue
            with faults.kept():
                if _digests(files) == (was.sha256, was.animation_sha256) and _says_the_same(was, files):
                    continue
                if (one := _read(files, faults)[0]) is not None:
                    anew[token_id] = one
        self._raise(faults)
        return anew

    def _raise(self, faults: Faults) -> None:
        if len(faults) == 1:
            raise faults[0]
        if faults:
            raise BadFiles(
                folder=self.path,
                faults=[(_shown(self.path, fault), str(fault.fields["expected"])) for fault in faults],
                hint=_EDITIONS if any(fault.hint == _EDITIONS for fault in faults) else faults[0].hint,
            )


def copied(tokens: Iterable[TokenSpec | Artwork], found: Callable[[int], Found], folder: Path) -> Iterator[Artwork]:
    """Yield an Artwork per token, in order, once its file lies whole in `folder`, not durable yet; artworks among them are passed on.
    `found(token_id)` is what was planned.

    Raises BadArgument for a file that is not as it was when the run was planned.
    """
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
            words=one.words,
            animation=one.moving,
        )


def _copy(source: Path, sha256: bytes, target: Path) -> None:
    digest = hashlib.sha256()
    try:
        with open_regular(source) as file:
            with whole_file(target, durable=False) as copy:
                while part := file.read(1 << 20):
                    digest.update(part)
                    copy.write(part)
                if digest.digest() != sha256:
                    raise refused(source, "the file that was planned", "its content has changed since: put it back")
    except FileNotFoundError as error:
        raise refused(source, "the file that was planned", "it is gone: put it back") from error


# ── looking into files ───────────────────────────────────────────────────────────────────────────────────────

_EDITIONS = "give --editions where one picture is meant for several tokens; nothing was planned, pinned or sent"


def _read(files: Files, faults: Faults) -> tuple[Found | None, str]:
    """What is planned of a token, and an address that its page's scripts name; None where one of its files is no picture.
    Everything that is wrong with it is in `faults`.
    """
    said = words(files.document, faults, moves=files.animation is not None) if files.document else {}
    if files.document and not files.shared:
        with faults.kept():
            _must_name(files.document, files.image)
    one, address = None, ""
    with faults.kept():
        data = content(files.image)
        seen = look(files.image, data)
        one = Found(
            source=files.image,
            sha256=hashlib.sha256(data).digest(),
            suffix=files.image.suffix.lower(),
            pixel_sha256=seen.pixel_sha256,
            phash=seen.phash,
            blank=seen.blank,
            **said,
        )
    if files.animation is not None:
        with faults.kept():
            moving = content(files.animation)
            address = check_animation(files.animation, moving)
            if one is not None:
                one = replace(one, animation=files.animation, animation_sha256=hashlib.sha256(moving).digest())
    return one, address


def _digests(files: Files) -> tuple[bytes, bytes | None]:
    moving = hashlib.sha256(content(files.animation)).digest() if files.animation and files.animation.exists() else None
    return hashlib.sha256(content(files.image)).digest(), moving


def _says_the_same(was: Found, files: Files) -> bool:
    faults = Faults()
    said = words(files.document, faults, moves=files.animation is not None) if files.document else {}
    return not faults and all(
        said.get(name, empty) == getattr(was, name)
        for name, empty in (("attributes", ()), *((name, "") for name in _WORDS))
    )


_WORDS = ("name", "description", "external_url", "background_color", "youtube_url", "animation_url")


def _must_name(document: Document, image: Path) -> None:
    """Refuse a document that names another file: it would be minted with the wrong picture."""
    stated = document.fields.get("image")
    if not isinstance(stated, str) or not stated.strip() or stated.startswith("data:"):
        return
    if "://" not in stated and ".." in stated.replace("\\", "/").split("/"):
        raise document.refused("the name of a file in this folder", f"it names {stated[:80]!r}")
    named = named_file(stated)
    own = named_file(image.name)
    if named.casefold() == own.casefold() or (Path(named).stem == Path(own).stem and "://" in stated):
        return
    if (
        "://" not in stated
        or is_there(image.parent / named)
        or (Path(named).stem.isdecimal() and Path(own).stem.isdecimal())
    ):
        raise document.refused(f"the image beside it, {image.name}", f"it names {stated[:80]!r}")


def _doubled(image: Path, other: int) -> BadArgument:
    fault = refused(
        image, "another picture than every token before it has", f"it is the same as token {other}, byte for byte"
    )
    fault.hint = _EDITIONS
    return fault


def _shown(folder: Path, fault: BadArgument) -> str:
    path = Path(str(fault.fields["value"]))
    return (
        printable(path.relative_to(folder)) if path.is_relative_to(folder) and path != folder else printable(path.name)
    )


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore").strip()
