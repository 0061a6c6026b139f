"""Art that exists already: a folder of images, with JSON beside them or not, as the tokens of a run.

`layouts` says which files belong to which token, `documents` reads the JSON, `formats` looks at the files; here they are
put together, compared, and told. Tokens are in natural order of the names, their ids from 1. Everything is read once,
before anything is planned; what is planned is the digest of each file.

A folder is untrusted: links, other files and paths that lead out of it are refused by name, pictures are measured before
they are decoded, and text is held to the rules of our own metadata. All of its faults are told at once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.art.cover import Cover, read_cover
from pipeline.art.documents import Document, named_file, stated_number, unused, words
from pipeline.art.formats import check_animation, content, look, refused
from pipeline.art.layouts import Faults, Files, listed
from pipeline.art.source import About
from pipeline.base.errors import BadArgument, BadFiles
from pipeline.base.files import open_regular, whole_file
from pipeline.base.limits import IMAGE_BYTES, MAX_NAME
from pipeline.base.media import DECODED, SVG
from pipeline.base.records import Artwork, Found, TokenSpec
from pipeline.base.untrusted import printable

if TYPE_CHECKING:
    from pipeline.base.observer import Observer

TOLD = 10  # warnings that are told one by one


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
        return _cut(str(self._about.get("name") or self.path.name), MAX_NAME)

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
            symbol=str(self._about.get("symbol") or ""),
            description=str(self._about.get("description") or self.collection_name),
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

    def read(self, known: Mapping[bytes, int], first: int, observer: Observer) -> list[Found]:
        """Look into every file, check it, and return what is to be planned for tokens `first`, `first + 1`, ….

        `known` has the token ids of the collection's images so far, by digest. What a gate would refuse of a drawing, what
        the JSON says otherwise than the files do, and what is left out is told. Raises BadArgument for a file that is
        broken, too large, doubled, or not what it is called; BadFiles, which names each, where there are several.
        """
        faults, telling = Faults(self._listing.faults), _Telling(self._listing.unused)
        found, seen = list[Found](), dict(known)
        for token_id, files in enumerate(self.tokens, first):
            with faults.kept():
                one, address = _read(files)
                if one.sha256 in seen and not (self._editions or files.shared):
                    raise _doubled(files.image, seen[one.sha256])
                seen[one.sha256] = token_id
                telling.token(token_id, files, one, address)
                found.append(one)
            observer.progress("read", token_id - first + 1, len(self.tokens))
        self._raise(faults)
        if self._listing.about:
            telling.collection(self._listing.about)
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
                if _digests(files) != (was.sha256, was.animation_sha256) or not _says_the_same(was, files):
                    anew[token_id] = _read(files)[0]
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
            words=one.words,
            animation=one.moving,
        )


def _copy(source: Path, sha256: bytes, target: Path) -> None:
    digest = hashlib.sha256()
    try:
        with open_regular(source) as file:
            with whole_file(target) as copy:
                while part := file.read(1 << 20):
                    digest.update(part)
                    copy.write(part)
                if digest.digest() != sha256:
                    raise refused(source, "the file that was planned", "its content has changed since: put it back")
    except FileNotFoundError as error:
        raise refused(source, "the file that was planned", "it is gone: put it back") from error


# ── looking into files ───────────────────────────────────────────────────────────────────────────────────────

_EDITIONS = "give --editions where one picture is meant for several tokens; nothing was planned, pinned or sent"


def _read(files: Files) -> tuple[Found, str]:
    """What is planned of a token, and an address that its page's scripts name."""
    said = words(files.document, moves=files.animation is not None) if files.document else {}
    if files.document and not files.shared:
        _must_name(files.document, files.image)
    data = content(files.image)
    seen = look(files.image, data)
    animation_sha256, address = None, ""
    if files.animation is not None:
        moving = content(files.animation)
        address = check_animation(files.animation, moving)
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
        **said,
    ), address


def _digests(files: Files) -> tuple[bytes, bytes | None]:
    moving = hashlib.sha256(content(files.animation)).digest() if files.animation and files.animation.exists() else None
    return hashlib.sha256(content(files.image)).digest(), moving


def _says_the_same(was: Found, files: Files) -> bool:
    said = words(files.document, moves=files.animation is not None) if files.document else {}
    return all(
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
        or (image.parent / named).exists()
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


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Telling:
    """What is told of a folder: a line for each kind of thing that is left out, and warnings, of which the first few."""

    unused: list[str]
    warnings: list[str] = field(default_factory=list)
    keys: Counter[str] = field(default_factory=Counter)
    addresses: int = 0  # documents whose image is an address that names no file
    royalties: set[str] = field(default_factory=set)
    numbers: list[str] = field(default_factory=list)

    def token(self, token_id: int, files: Files, one: Found, address: str) -> None:
        name = printable(one.source.name)
        if one.blank:
            self.warnings.append(f"token {token_id}, {name}, is blank or nearly so")
        if one.animation_url and not one.animation_url.startswith("data:"):
            told = printable(one.animation_url, 80)
            self.warnings.append(f"token {token_id}, {name}, has its animation_url elsewhere: nothing here pins {told}")
        if address and one.animation:
            told = f"its scripts name {printable(address, 80)}: nothing here pins what they load"
            self.warnings.append(f"token {token_id}, {printable(one.animation.name)}: {told}")
        document = files.document
        number = _number(one.source.stem)
        if document:
            self.keys.update(unused(document))
            stated = document.fields.get("image")
            if isinstance(stated, str) and stated.strip():
                if stated.startswith("data:"):
                    self.warnings.append(
                        f"token {token_id}: the image inside {printable(document.shown)} is left out for {name}"
                    )
                elif named_file(stated).casefold() != named_file(one.source.name).casefold():
                    self.addresses += 1
            if (royalty := document.fields.get("seller_fee_basis_points")) is not None:
                self.royalties.add(printable(royalty, 20))
            said = stated_number(document)
            if said is not None and number is not None and said != number and not files.shared:
                self.warnings.append(f"token {token_id}, {name}: {printable(document.shown)} says number {said}")
            number = said if said is not None else _number(one.name.rpartition("#")[2]) if "#" in one.name else number
        if number is not None and number != token_id:
            called = f", {printable(one.name, 60)!r}" if one.name else ""
            self.numbers.append(f"token {token_id} is {name}{called}")

    def collection(self, about: Document) -> None:
        taken = {"name", "symbol", "description", "image"}
        left = sorted(about.fields.keys() - taken - {"external_link", "seller_fee_basis_points"})
        if left:
            self.unused.append(f"{about.shown}: {', '.join(map(printable, left))}")
        for key, flag in (("external_link", "--external-url"), ("seller_fee_basis_points", "--royalty-bps")):
            if about.fields.get(key) not in (None, ""):
                value = printable(about.fields[key], 80)
                self.warnings.append(f"{about.shown} has {key} {value}, which is not taken: {flag} {value} says it")

    def lines(self, found: list[Found], first: int) -> Iterator[str]:
        if vector := sum(one.suffix == SVG for one in found):
            yield f"{vector:,} SVG: an SVG is not compared for near-duplicates, since it has no pixels before it is drawn"
        if self.unused:
            yield f"not used: {_few(self.unused)}"
        if self.keys:
            told = ", ".join(f"{printable(key, 60)} ({count:,})" for key, count in sorted(self.keys.items())[:40])
            yield f"left out of the metadata, since wallets show none of it: {told}"
        if self.royalties:
            told = _few(sorted(self.royalties))
            yield f"not taken from the JSON: a royalty of {told} hundredths of a percent (--royalty-bps says it)"
        if self.addresses:
            yield f"`image` of {self.addresses:,} JSON is an address: what is minted is the file beside it, and its address is ours"
        if self.numbers:
            few = self.numbers if len(self.numbers) <= 3 else [*self.numbers[:2], "…", self.numbers[-1]]
            yield f"warning: numbers that are not token ids, which go from {first} without gaps: {'; '.join(few)}"
        warnings = [*self.warnings, *_twins(found, first)]
        for warning in warnings[:TOLD]:
            yield f"warning: {warning}"
        if len(warnings) > TOLD:
            yield f"warning: and {len(warnings) - TOLD:,} more like these"


def _twins(found: list[Found], first: int) -> Iterator[str]:
    """Images that look like one before them, though their bytes differ."""
    import numpy as np

    from pipeline.art.draw.gates import NEAR

    hashes = np.array([one.phash or 0 for one in found], np.uint64)
    known = np.array([one.phash is not None for one in found])
    for number, one in enumerate(found):
        if one.phash is None or not number:
            continue
        near = known[:number] & (np.bitwise_count(hashes[:number] ^ hashes[number]) <= NEAR)
        twin = int(near.argmax())
        if near[twin] and found[twin].sha256 != one.sha256:
            yield f"token {first + number}, {printable(one.source.name)}, looks like token {first + twin}"


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _few(names: list[str]) -> str:
    told = ", ".join(map(printable, names[:12]))
    return told if len(names) <= 12 else f"{told} and {len(names) - 12:,} more"


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore").strip()
