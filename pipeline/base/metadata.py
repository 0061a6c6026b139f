"""The JSON that wallets and marketplaces read: one document per token, one per collection.

Documents are canonical (RFC 8785): keys sorted, no white space, UTF-8 in NFC, so that the same token gives the same
bytes and the same CID on every machine. What is written is checked with the rules that hold for reading.

Sources: ERC-721 (metadata schema), ERC-7572 (contractURI), docs.opensea.io "Metadata Standards".
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlsplit

from pipeline.base.cid import IpfsUri
from pipeline.base.errors import BadArgument, PinError
from pipeline.base.limits import (
    DOCUMENT_BYTES,
    MAX_ATTRIBUTES,
    MAX_DESCRIPTION,
    MAX_SEED,
    MAX_STATEMENT,
    MAX_TEXT,
    MAX_URL,
    TRAIT_CHARACTERS,
)
from pipeline.base.records import Artwork, Attribute, DisplayType, Provenance, TokenWords
from pipeline.base.untrusted import parse_json
from pipeline.base.words import Expected, check_text

MAX_DEPTH = 16  # levels of nesting: four are used

_DISPLAY_TYPES = get_args(DisplayType)


class BadJson(PinError):
    """A document from outside that is not plain JSON, or not the document it should be."""

    sentence = "{what} is not acceptable: {reason}"


def token_metadata(
    artwork: Artwork,
    words: TokenWords,
    image: str,
    provenance: Provenance | None,
    *,
    artist: str = "",
    licence: str = "",
) -> bytes:
    """Write the document of one token, whose image is at the URI `image`. Words that are empty are left out.

    Without `provenance` nothing claims to draw the image again.

    Raises BadArgument for text with control or direction characters, numbers that JSON cannot hold, and URLs of other
    kinds than `https:`, `http:` and, for the image, `ipfs:`.
    """
    document: dict[str, Any] = {
        "name": clean_text("name", words.name, MAX_TEXT),
        "description": clean_text("description", words.description, MAX_DESCRIPTION, lines=True),
        "image": image,
        "image_sha256": artwork.image_sha256.hex(),
        "attributes": [_attribute(attribute) for attribute in artwork.attributes],
    }
    if provenance is not None:
        document["generator"] = dict(words.drawn_from) | {
            "model": clean_text("model", provenance.model, MAX_TEXT),
            "weights_sha256": provenance.weights_sha256,
            "renderer": clean_text("renderer", provenance.renderer, MAX_TEXT),
            "encoder": clean_text("encoder", provenance.encoder, MAX_TEXT),
            "seed": artwork.seed,
            "size": provenance.size,
        }
    optional = {
        "external_url": words.external_url,
        "background_color": words.background_color,
        "animation_url": words.animation_url,
        "youtube_url": words.youtube_url,
    }
    document |= {name: text for name, text in optional.items() if text}
    document |= _rights(artist, licence)
    return _written(document, f"metadata of token {artwork.token_id}", _check_token)


def collection_metadata(
    name: str,
    symbol: str,
    description: str,
    image: str,
    external_url: str = "",
    *,
    artist: str = "",
    statement: str = "",
    licence: str = "",
) -> bytes:
    """Write the document behind `contractURI()`; the optional fields are left out where empty.

    Raises BadArgument as `token_metadata` does.
    """
    document = {
        "name": clean_text("name", name, MAX_TEXT),
        "symbol": clean_text("symbol", symbol, MAX_TEXT),
        "description": clean_text("description", description, MAX_DESCRIPTION, lines=True),
        "image": image,
    }
    if external_url:
        document["external_link"] = external_url
    if statement:
        document["statement"] = clean_text("statement", statement, MAX_STATEMENT, lines=True)
    document |= _rights(artist, licence)
    return _written(document, "metadata of the collection", _check_collection)


def check_token_metadata(data: bytes, what: str = "token metadata") -> dict[str, Any]:
    """Parse the document of a token, ours or another's, and check every field that wallets rely on. Raises BadJson."""
    document = parse_json_strict(data, what)
    _check_token(document, what)
    return dict(document)


def check_collection_metadata(data: bytes, what: str = "collection metadata") -> dict[str, Any]:
    """Parse the document of a collection in the same way. Raises BadJson."""
    document = parse_json_strict(data, what)
    _check_collection(document, what)
    return dict(document)


def parse_json_strict(data: bytes, what: str = "document", limit: int = DOCUMENT_BYTES) -> Any:
    """Parse JSON that leaves no room for two readings.

    Raises BadJson for more than `limit` bytes, other encodings than UTF-8, keys given twice, NaN and infinities,
    numbers that JavaScript would round, half surrogates, and deep nesting.
    """
    if len(data) > limit:
        raise BadJson(what=what, reason=f"it has {len(data)} bytes, the limit is {limit}")
    try:
        document = parse_json(
            data.decode("utf-8"),
            unique=True,
            parse_int=_exact_int,
            parse_float=_finite,
        )
        _check_values(document, 0)
    except ValueError as error:
        raise BadJson(what=what, reason=str(error)) from error
    return document


def canonical_json(document: Any) -> bytes:
    """Serialize as RFC 8785 does, for documents with ASCII keys. Raises ValueError for numbers it would write otherwise."""
    return _serialized(_plain_numbers(document)).encode()


def clean_text(field: str, text: str, limit: int, *, lines: bool = False) -> str:
    """Normalize text that people wrote to NFC. Raises BadArgument for what must not be in it; `lines` allows newlines."""
    text = unicodedata.normalize("NFC", text)
    try:
        check_text(text, limit, lines=lines)
    except Expected as expected:
        raise BadArgument(name=field, value=text[:80], expected=str(expected)) from None
    return text


def _rights(artist: str, licence: str) -> dict[str, str]:
    """Whose work it is, and under which terms; the keys are those that other collections have."""
    texts = (("artist", artist, MAX_TEXT), ("license", licence, MAX_URL))
    return {key: clean_text(key, text, limit) for key, text, limit in texts if text}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    value = attribute.value
    entry: dict[str, Any] = {"trait_type": clean_text("trait_type", attribute.trait_type, MAX_TEXT), "value": value}
    if isinstance(value, str):
        entry["value"] = clean_text(attribute.trait_type, value, TRAIT_CHARACTERS)
    if attribute.display_type is not None:
        entry["display_type"] = attribute.display_type
    if attribute.max_value is not None:
        entry["max_value"] = attribute.max_value
    return entry


def _written(document: dict[str, Any], what: str, check: Any) -> bytes:
    """Serialize, then read it as a stranger would: what is refused there is refused here."""
    try:
        data = canonical_json(document)
        check(parse_json_strict(data, what), what)
    except (ValueError, BadJson) as error:
        reason = error.fields["reason"] if isinstance(error, BadJson) else error
        raise BadArgument(name=what, value=document["name"], expected=f"a valid document ({reason})") from error
    return data


# ── the schema ───────────────────────────────────────────────────────────────────────────────────────────────


def _check_token(document: Any, what: str) -> None:
    fields = _object(document, what)
    _text(fields, "name", what, MAX_TEXT)
    _url(fields, "image", what, ("ipfs", "https", "http", "data", "ar"))
    if "description" in fields:
        _text(fields, "description", what, MAX_DESCRIPTION, lines=True)
    if "animation_url" in fields:
        _url(fields, "animation_url", what, ("ipfs", "https", "http", "data", "ar"))
    if "external_url" in fields:
        _url(fields, "external_url", what, ("https", "http", "ipfs"))
    if "youtube_url" in fields:
        _url(fields, "youtube_url", what, ("https", "http"))
    if "background_color" in fields:
        color = fields["background_color"]
        _require(
            isinstance(color, str) and re.fullmatch("[0-9A-Fa-f]{6}", color),
            what,
            "background_color",
            "6 hex digits without #",
        )
    attributes = fields.get("attributes", [])
    _require(
        isinstance(attributes, list) and len(attributes) <= MAX_ATTRIBUTES,
        what,
        "attributes",
        f"a list of up to {MAX_ATTRIBUTES}",
    )
    for attribute in attributes:
        _check_attribute(_object(attribute, f"{what}, attributes"), what)


def _check_attribute(attribute: Mapping[str, Any], what: str) -> None:
    value = attribute.get("value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _require(is_number or isinstance(value, str), what, "value", "text or a number")
    if isinstance(value, str):
        _text(attribute, "value", what, TRAIT_CHARACTERS)
    if "trait_type" in attribute:
        _text(attribute, "trait_type", what, MAX_TEXT)
    if "display_type" in attribute:
        known = attribute["display_type"] in _DISPLAY_TYPES
        _require(known and is_number, what, "display_type", f"one of {', '.join(_DISPLAY_TYPES)}, beside a number")
    if "max_value" in attribute:
        top = attribute["max_value"]
        _require(isinstance(top, int | float) and not isinstance(top, bool), what, "max_value", "a number")
        _require(is_number and value <= top, what, "max_value", "a number that value does not exceed")


def _check_collection(document: Any, what: str) -> None:
    fields = _object(document, what)
    _text(fields, "name", what, MAX_TEXT)
    for name in ("image", "banner_image", "featured_image", "external_link"):
        if name in fields:
            _url(fields, name, what, ("ipfs", "https", "http"))


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadJson(what=what, reason="it is not an object")
    return value


def _text(fields: Mapping[str, Any], name: str, what: str, limit: int, *, lines: bool = False) -> None:
    value = fields.get(name)
    _require(isinstance(value, str), what, name, "text")
    try:
        same = clean_text(name, str(value), limit, lines=lines) == value
    except BadArgument as error:
        raise BadJson(what=what, reason=str(error)) from error
    _require(same, what, name, "text in NFC")


def _url(fields: Mapping[str, Any], name: str, what: str, schemes: tuple[str, ...]) -> None:
    value = fields.get(name)
    wanted = f"a URL of {', '.join(schemes)}"
    _require(isinstance(value, str), what, name, wanted)
    url = str(value)
    scheme = url.split(":", 1)[0]
    _require(scheme in schemes, what, name, wanted)
    _require(scheme == "data" or len(url) <= MAX_URL, what, name, f"at most {MAX_URL} characters")
    _require(url.isascii() and not re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", url), what, name, "a URL, percent-encoded")
    if scheme == "ipfs":
        try:
            IpfsUri.parse(url)
        except BadArgument as error:
            raise BadJson(what=what, reason=f"{name} is {url!r}: {error}") from error
    elif scheme in ("http", "https"):
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        _require(host, what, name, wanted)


def _require(holds: Any, what: str, field: str, expected: str) -> None:
    if not holds:
        raise BadJson(what=what, reason=f"{field} is not {expected}")


# ── strict parsing ───────────────────────────────────────────────────────────────────────────────────────────


def _exact_int(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_SEED + 1:  # 2^53
        raise ValueError(f"{digits[:20]} is beyond the integers that JavaScript reads exactly")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large")
    return number


def _check_values(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("it has half of a surrogate pair")
    elif isinstance(value, list):
        for item in value:
            _check_values(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_values(key, depth + 1)
            _check_values(item, depth + 1)


def _plain_numbers(value: Any) -> Any:
    """Bring numbers to the one spelling that Python and ECMAScript share."""
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, float):
        if math.isfinite(value) and value.is_integer() and abs(value) <= MAX_SEED:
            return int(value)
        if not math.isfinite(value) or abs(value) > MAX_SEED:
            raise ValueError(f"{value!r} is not a number up to 2^53, or its negative")
    return value


def _serialized(value: Any) -> str:
    """JSON with sorted keys; numbers as ECMAScript spells them, where Python begins with exponents at 0.0001."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_serialized(key)}:{_serialized(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_serialized, value)) + "]"
    if isinstance(value, float) and "e" in (digits := repr(value)):
        mantissa, _, exponent = digits.partition("e")
        places = int(exponent)
        if places >= -6:  # the only exponents below zero that ECMAScript writes out: 0.00001 and 0.000001
            return f"{value:.{-places + len(mantissa.lstrip('-').replace('.', '')) - 1}f}"
        return f"{mantissa}e{places}"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
