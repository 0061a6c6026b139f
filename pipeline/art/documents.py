"""JSON beside pictures, as tools and people write it.

What has one reading is read: a byte order mark, line ends of Windows, empty values, numbers of any length in keys that
nobody uses. What has two, or none, is refused by name. Every key that is not carried into the metadata can be counted.

Sources: docs.opensea.io "Metadata Standards"; HashLips' and Metaplex Sugar's output; RFC 8259.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline.art.formats import Faults, refused
from pipeline.base.errors import BadArgument
from pipeline.base.limits import DOCUMENT_BYTES, MAX_ATTRIBUTES, MAX_DESCRIPTION, MAX_TEXT, TRAIT_CHARACTERS
from pipeline.base.metadata import BadJson, canonical_json, check_token_metadata
from pipeline.base.pictures import BadPicture, plain_bytes
from pipeline.base.records import Attribute
from pipeline.base.untrusted import parse_json, printable
from pipeline.base.words import Expected, check_text, tidied, web_url

TOGETHER_BYTES = 64 << 20  # of a file with all documents: ten thousand have about ten
INLINE_BYTES = 4 << 20  # of one document: some hold their picture, which is left out
ROOM = 4 << 10  # bytes of a token's metadata for what we write: image, digest, the collection's words
CARRIED = frozenset(
    ("name", "description", "image", "attributes", "external_url", "background_color", "animation_url", "youtube_url")
)
NUMBERS = ("edition", "tokenId", "token_id", "id", "number")  # keys that hold a token's number with some tools
_READ = CARRIED | {*NUMBERS, "artist", "symbol", "external_link", "seller_fee_basis_points", "fee_recipient"}
_NOTHING = frozenset(("", "none", "null", "n/a", "undefined", "nan"))  # what people and spreadsheets write for no value
_LONGEST_NUMBER = 26  # digits: enough to see that a number is too long, and no work to read
PROPERTY = "Property"  # OpenSea's name for a trait without trait_type


@dataclass(frozen=True, slots=True)
class Document:
    """One token's (or the collection's) JSON, and where it stands: a file, or an entry of one."""

    path: Path
    fields: Mapping[str, Any]
    entry: str = ""

    @property
    def shown(self) -> str:
        return f"{self.path.name}{self.entry}"

    def text(self, field: str) -> str:
        """The text of an optional field; empty for what stands for nothing. Raises BadArgument for no text."""
        value = self.fields.get(field)
        if value is not None and not isinstance(value, str):
            raise self.refused("text", f"{field} is something else")
        text = (value or "").strip()
        return "" if text.lower() in _NOTHING else text

    def refused(self, expected: str, why: str) -> BadArgument:
        return refused(self.path, expected, f"{self.entry.strip()}: {why}" if self.entry else why)


def read_document(path: Path) -> Document:
    """One document. Raises BadArgument for a file that is none."""
    found = _parsed(path, INLINE_BYTES)
    if not isinstance(found, dict):
        raise refused(path, "a JSON object", "it is something else")
    return Document(path, _kept(found))


def read_documents(path: Path) -> list[Document]:
    """The documents of a file that holds those of all tokens, in its order. Raises BadArgument."""
    found = _parsed(path, TOGETHER_BYTES)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise refused(path, "a list of JSON objects, one for each token", "it is something else")
    return [Document(path, _kept(entry), f", entry {number}") for number, entry in enumerate(found, 1)]


def named_file(address: str) -> str:
    """The last part of a path or URL, as a file of that name is called; empty where there is none."""
    last = address.partition("#")[0].partition("?")[0] if "://" in address else address
    return unicodedata.normalize("NFC", unquote(last.replace("\\", "/").rstrip("/").rpartition("/")[2]))


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    """The values that somebody looks at, and the other keys: thousands of documents are held at a time."""
    kept = {key: value if key in _READ else None for key, value in fields.items()}
    if isinstance(image := kept.get("image"), str) and image.startswith("data:"):
        kept["image"] = image[:100]
    return kept


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────


def words(document: Document, faults: Faults, *, moves: bool) -> dict[str, Any]:
    """All that a token's document says and its metadata carries, by the fields of `Found`. With `moves` a file of the
    folder is its animation, and `animation_url` names it.

    What our own metadata would refuse is put into `faults`, all of it, so that nothing is refused once a run is planned.
    """
    found, before = dict[str, Any](), len(faults)
    for field, limit in (("name", MAX_TEXT), ("description", MAX_DESCRIPTION)):
        value = document.fields.get(field)
        with faults.kept():
            if value is not None and not isinstance(value, str):
                raise document.refused("text", f"{field} is something else")
            if text := tidied(value or ""):
                found[field] = _clean(document, field, text, limit)
    found["attributes"] = tuple(_attributes(document, faults))
    for field in ("external_url", "background_color", "youtube_url", *(() if moves else ("animation_url",))):
        with faults.kept():
            if value := document.text(field):
                found[field] = value.removeprefix("#") if field == "background_color" else value
                _must_lead_somewhere(document, field, value)
    _must_suit(document, found, faults, before)
    return found


def _must_lead_somewhere(document: Document, field: str, value: str) -> None:
    """Refuse an address of the web that no browser takes; whatever else the field may hold is judged with the rest."""
    if value.startswith(("http://", "https://")):
        try:
            web_url(value)
        except Expected as expected:
            raise document.refused(str(expected), f"{field} is {value[:80]!r}") from None


def unused(document: Document) -> Iterator[str]:
    """Every key that is not carried into the metadata, and every trait that is left out."""
    yield from sorted(document.fields.keys() - CARRIED)
    attributes = document.fields.get("attributes")
    for entry in attributes if isinstance(attributes, list) else ():
        if isinstance(entry, dict):
            for key in entry.keys() - {"trait_type", "value", "display_type", "max_value"}:
                yield f"attributes.{key}"
            if _is_empty(entry.get("value")) and "value" in entry:
                yield "attributes without a value"


def stated_number(document: Document) -> int | None:
    """The token's number, where a tool wrote one."""
    for key in NUMBERS:
        value = document.fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _LONGEST_NUMBER:
            return int(value)
    return None


def _attributes(document: Document, faults: Faults) -> Iterator[Attribute]:
    listed = document.fields.get("attributes") or []
    if not isinstance(listed, list):
        faults.append(document.refused("a list of attributes", "attributes is something else"))
        return
    for entry in listed:
        with faults.kept():
            if (attribute := _attribute(document, entry)) is not None:
                yield attribute


def _attribute(document: Document, entry: Any) -> Attribute | None:
    """A trait as our metadata writes it; None for one without a value."""
    if not isinstance(entry, dict) or "value" not in entry:
        raise document.refused("attributes with trait_type and value", f"one is {str(entry)[:60]}")
    value = entry["value"]
    if _is_empty(value):
        return None
    kind = entry.get("trait_type")
    if kind is not None and not isinstance(kind, str):
        raise document.refused("attributes whose trait_type is text", f"one is {str(kind)[:40]}")
    trait = _clean(document, "trait_type", tidied(kind or "") or PROPERTY, MAX_TEXT)
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str | int | float):
        raise document.refused("attributes whose value is text or a number", f"{trait[:40]!r} has another")
    display = entry.get("display_type")
    if _is_empty(display) or (display == "string" and isinstance(value, str)):
        display = None
    if isinstance(value, str):
        value = _clean(document, trait, tidied(value), TRAIT_CHARACTERS)
    most = entry.get("max_value")
    return Attribute(trait, value, display, None if _is_empty(most) else most)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _clean(document: Document, field: str, text: str, limit: int) -> str:
    try:
        check_text(text, limit, lines=field == "description")
    except Expected as expected:
        raise document.refused(f"{printable(field, 40)} to be {expected}", f"it is '{printable(text, 60)}'") from None
    return text


def _must_suit(document: Document, found: Mapping[str, Any], faults: Faults, before: int) -> None:
    """Hold fields to the rules of our own metadata, before anything is planned; `before` faults are others' words."""
    attributes = [
        {key: part for key, part in asdict(attribute).items() if part is not None}
        for attribute in found.get("attributes", ())
    ]
    if len(attributes) > MAX_ATTRIBUTES:
        faults.append(document.refused(f"at most {MAX_ATTRIBUTES} attributes", f"it has {len(attributes)}"))
        attributes = []
    fields = {**found, "attributes": attributes}
    if not _fault_of(document, fields):
        return
    alone = [{field: value} for field, value in found.items() if field != "attributes"]
    for part in [*alone, *({"attributes": [attribute]} for attribute in attributes)]:
        faults += _fault_of(document, part)
    if len(faults) == before:  # each is sound by itself
        faults += _fault_of(document, fields)


def _fault_of(document: Document, fields: Mapping[str, Any]) -> list[BadArgument]:
    """What keeps a token's metadata from having these fields: one fault, or none."""
    try:
        data = canonical_json({"name": "x", "image": "https://example.org/x.png"} | dict(fields))
        check_token_metadata(data, document.shown)
    except (BadJson, ValueError) as error:
        reason = error.fields["reason"] if isinstance(error, BadJson) else error
        return [document.refused("words that wallets can show", str(reason))]
    if len(data) > DOCUMENT_BYTES - ROOM:
        return [
            document.refused(f"at most {(DOCUMENT_BYTES - ROOM) >> 10} KiB of words", f"it has {len(data):,} bytes")
        ]
    return []


# ── parsing ──────────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(path: Path, limit: int) -> Any:
    try:
        data = plain_bytes(path, limit)
    except BadPicture as error:
        raise refused(path, f"JSON of at most {limit >> 20} MiB", error.reason) from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as a shell of Windows writes it
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
        return parse_json(text, unique=True, parse_int=_short)
    except ValueError as error:
        raise refused(path, "plain JSON", str(error)) from error


def _short(digits: str) -> int:
    """A whole number; of one that is too long to be used, enough to be refused where somebody would use it."""
    return int(digits[:_LONGEST_NUMBER])
