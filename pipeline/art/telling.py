"""What is told of a folder before anything is planned: what is left out of it, and what its parts say otherwise than it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.art.documents import Document, named_file, stated_number, unused
from pipeline.art.draw.gates import NEAR
from pipeline.art.layouts import Files
from pipeline.base.limits import MAX_NAME
from pipeline.base.media import SVG
from pipeline.base.records import Found
from pipeline.base.untrusted import printable
from pipeline.base.words import tidied

TOLD = 10  # warnings that are told one by one


@dataclass
class Telling:
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
        said = self._document(token_id, files.document, one, files.shared) if files.document else None
        in_name = _number(one.name.rpartition("#")[2]) if "#" in one.name else None
        number = next((found for found in (said, in_name, _number(one.source.stem)) if found is not None), None)
        if number is not None and number != token_id:
            called = f", {printable(one.name, 60)!r}" if one.name else ""
            self.numbers.append(f"token {token_id} is {name}{called}")

    def _document(self, token_id: int, document: Document, one: Found, shared: bool) -> int | None:
        """Note what a token's JSON says and its metadata does not; return the number that it has for the token."""
        shown, name = printable(document.shown), printable(one.source.name)
        self.keys.update(unused(document))
        stated = document.fields.get("image")
        if isinstance(stated, str) and stated.startswith("data:"):
            self.warnings.append(f"token {token_id}: the image inside {shown} is left out for {name}")
        elif isinstance(stated, str) and stated.strip() and named_file(stated).casefold() != name.casefold():
            self.addresses += 1
        if (royalty := document.fields.get("seller_fee_basis_points")) is not None:
            self.royalties.add(printable(royalty, 20))
        said, stem = stated_number(document), _number(one.source.stem)
        if said is not None and stem is not None and said != stem and not shared:
            self.warnings.append(f"token {token_id}, {name}: {shown} says number {said}")
        return said

    def collection(self, about: Document) -> None:
        taken = {"name", "symbol", "description", "artist", "image"}
        name = about.fields.get("name")
        if isinstance(name, str) and len(tidied(name).encode()) > MAX_NAME:
            self.warnings.append(f"the name in {about.shown} is cut: a contract holds {MAX_NAME} bytes of it")
        for key in ("name", "symbol", "description", "artist"):
            if not isinstance(about.fields.get(key, ""), str):
                self.warnings.append(f"{key} in {about.shown} is no text, and not taken")
        left = sorted(about.fields.keys() - taken - {"external_link", "seller_fee_basis_points"})
        if left:
            self.unused.append(f"{about.shown}: {', '.join(map(printable, left))}")
        for key, flag in (("external_link", "--external-url"), ("seller_fee_basis_points", "--royalty-bps")):
            if about.fields.get(key) not in (None, ""):
                value = printable(about.fields[key], 80)
                self.warnings.append(f"{about.shown} has {key} {value}, which is not taken: {flag} {value} says it")

    def artists(self, names: set[str]) -> None:
        """One name is that of the collection, and stands in all metadata; of several, somebody has to say which."""
        if len(names) == 1:
            del self.keys["artist"]
        elif names:
            told = _few(sorted(names))
            self.warnings.append(f"its JSON names several artists ({told}), and a collection has one: --artist says it")

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
        warnings = [*self.warnings, *twins(found, first)]
        for warning in warnings[:TOLD]:
            yield f"warning: {warning}"
        if len(warnings) > TOLD:
            yield f"warning: and {len(warnings) - TOLD:,} more like these"


def twins(found: list[Found], first: int) -> Iterator[str]:
    """Images that look like one before them, though their bytes differ."""
    import numpy as np

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
