"""Token and collection JSON: golden bytes, wallets' rules, and text that must not get in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument
from pipeline.base.limits import DOCUMENT_BYTES
from pipeline.base.metadata import (
    BadJson,
    canonical_json,
    check_token_metadata,
    collection_metadata,
    parse_json_strict,
    token_metadata,
)
from pipeline.base.records import Artwork, Attribute, Provenance, TokenWords

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGES = CID.dag_pb(bytes(range(32)))
ATTRIBUTES = (
    Attribute("Palette", "Rosé"),
    Attribute("Lines", 12, "number", 64),
    Attribute("Density", 0.25, "boost_percentage", 1.0),
    Attribute("Drawn", 1_760_000_000, "date"),
)
ARTWORK = Artwork(12, 2**53 - 1, Path("12.png"), bytes(range(32)), bytes(32), 1_000, ATTRIBUTES)
PROVENANCE = Provenance("lino", "ab" * 32, "lino-1", "png-1", 512)
WORDS = TokenWords(
    name="Lino #12",
    description="Drawn by a machine.\nIn *two* lines.",
    external_url="https://example.org/lino/12",
    background_color="F0EAD6",
)


def document(**changes: Any) -> bytes:
    """The document of a token, with other arguments of `token_metadata` or other words."""
    words = {field.name: changes.pop(field.name) for field in fields(TokenWords) if field.name in changes}
    arguments: dict[str, Any] = {
        "artwork": ARTWORK,
        "words": replace(WORDS, **words),
        "image": f"ipfs://{IMAGES}/12.png",
        "provenance": PROVENANCE,
    }
    return token_metadata(**(arguments | changes))


def test_token_json_bytes_never_move() -> None:
    assert document() == (GOLDEN / "token-12.json").read_bytes()


def test_collection_json_bytes_never_move() -> None:
    data = collection_metadata("Lino", "LINO", "Linocuts.", f"ipfs://{IMAGES}/cover.png", "https://example.org")
    assert data == (GOLDEN / "collection.json").read_bytes()
    assert json.loads(data)["external_link"] == "https://example.org"


def test_token_json_has_what_wallets_read() -> None:
    fields = check_token_metadata(document())
    assert fields["image"] == f"ipfs://{IMAGES}/12.png"
    assert fields["attributes"][1] == {"trait_type": "Lines", "value": 12, "display_type": "number", "max_value": 64}
    assert fields["attributes"][0] == {"trait_type": "Palette", "value": "Rosé"}
    assert fields["generator"] == {
        "model": "lino",
        "weights_sha256": "ab" * 32,
        "renderer": "lino-1",
        "encoder": "png-1",
        "seed": 2**53 - 1,
        "size": 512,
    }
    assert fields["image_sha256"] == bytes(range(32)).hex()


def test_moving_pictures_have_a_url_of_their_own() -> None:
    url = f"ipfs://{IMAGES}/12.mp4"
    assert check_token_metadata(document(animation_url=url))["animation_url"] == url


def test_optional_fields_are_left_out() -> None:
    fields = json.loads(document(external_url="", background_color=""))
    assert not {"external_url", "background_color", "animation_url", "artist", "license"} & fields.keys()
    assert json.loads(collection_metadata("A", "B", "C", "ipfs://" + str(IMAGES))).keys() == {
        "name",
        "symbol",
        "description",
        "image",
    }


def test_decomposed_text_becomes_nfc() -> None:
    assert document(name="Rose\u0301") == document(name="Rosé")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "a\x00b",
        "a\nb",
        "a\x1b[31m",
        "a\x85",
        "abc\u202egnp.",
        "\u2066x",
        "\u200fx",
        "\ufeffx",
        "\ud800",
        "x" * 257,
    ],
)
def test_text_that_hides_something_is_refused(text: str) -> None:
    with pytest.raises(BadArgument):
        document(name=text)
    with pytest.raises(BadArgument):
        document(artwork=replace(ARTWORK, attributes=(Attribute(text, "x"),)))
    with pytest.raises(BadArgument):
        document(artwork=replace(ARTWORK, attributes=(Attribute("x", text * 4),)))
    with pytest.raises(BadArgument):
        collection_metadata(text, "B", "C", f"ipfs://{IMAGES}")


def test_emoji_joiners_and_right_to_left_scripts_are_text() -> None:
    assert json.loads(document(name="👩‍🎨 ليـنو שלום"))["name"] == "👩‍🎨 ليـنو שלום"


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "12.png"},
        {"image": "ipfs://ipfs/bafy/12.png"},
        {"image": "ipfs://notacid/12.png"},
        {"image": "javascript:alert(1)"},
        {"external_url": "javascript:alert(1)"},
        {"external_url": "https://"},
        {"external_url": "https://[::1"},
        {"external_url": "https://example.org/a b"},
        {"external_url": "https://exämple.org"},
        {"external_url": "https://e.org/" + "a" * 3_000},
        {"animation_url": "javascript:alert(1)"},
        {"animation_url": "12.mp4"},
        {"background_color": "#F0EAD6"},
        {"background_color": "F0EAD"},
        {"artwork": replace(ARTWORK, seed=2**53 + 1)},
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", float("nan")),))},
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", float("inf")),))},
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", 1e17),))},
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", "text", "number"),))},
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", 5, "number", 4),))},
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", "a", max_value=4),))},
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", 1, "rank"),))},  # type: ignore[arg-type]
        {"artwork": replace(ARTWORK, attributes=(Attribute("x", True),))},
        {"artwork": replace(ARTWORK, attributes=ATTRIBUTES * 30)},
        {"description": "x" * 10_001},
    ],
    ids=str,
)
def test_what_wallets_would_not_show_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadArgument):
        document(**changes)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":2}',
        b'[{"x":{"a":1,"a":1}}]',
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[" + b"9" * 10_000 + b"]",
        b"[9007199254740993]",
        b'["\\ud800"]',
        b'{"\\udc00":1}',
        b'"\xff"',
        '"\u00e9"'.encode("latin-1"),
        '"x"'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[" * 20 + b"]" * 20,
        b"[" * 30_000 + b"]" * 30_000,
        b'"' + b"x" * DOCUMENT_BYTES + b'"',
        b"{} {}",
        b"'a'",
        b"[1,]",
    ],
    ids=lambda data: data[:20].decode("latin-1"),
)
def test_json_with_two_readings_is_refused(data: bytes) -> None:
    with pytest.raises(BadJson):
        parse_json_strict(data)


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode(errors="surrogatepass")))
def test_random_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        parse_json_strict(data)
    except BadJson:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b'{"name":"x"}',
        b'{"name":1,"image":"https://example.org/1.png"}',
        b'{"name":"x","image":"1.png"}',
        b'{"name":"x\\u202e","image":"https://example.org/1.png"}',
        b'{"name":"x","image":"https://example.org/1.png","attributes":{}}',
        b'{"name":"x","image":"https://example.org/1.png","attributes":[1]}',
        b'{"name":"x","image":"https://example.org/1.png","attributes":[{"value":null}]}',
        b'{"name":"e\\u0301","image":"https://example.org/1.png"}',
    ],
)
def test_a_document_that_is_no_token_is_refused(data: bytes) -> None:
    with pytest.raises(BadJson):
        check_token_metadata(data)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(min_value=0.001, max_value=1e15)
    | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ_", max_size=5), inner, max_size=4),
    max_leaves=15,
)


@pytest.fixture(scope="module")
def javascript() -> Callable[[list[bytes]], list[bytes]]:
    """RFC 8785 in terms of ECMAScript: sort the keys, then JSON.stringify."""
    program = """
      const sort = v => Array.isArray(v) ? v.map(sort) : v && typeof v === 'object'
        ? Object.fromEntries(Object.keys(v).sort().map(k => [k, sort(v[k])])) : v
      let all = ''
      process.stdin.on('data', d => { all += d }).on('end', () => {
        for (const v of JSON.parse(all)) console.log(JSON.stringify(sort(v)))
      })"""

    def ask(documents: list[bytes]) -> list[bytes]:
        data = b"[" + b",".join(documents) + b"]"
        return subprocess.run(["node", "-e", program], input=data, capture_output=True, check=True).stdout.splitlines()

    return ask


def test_canonical_json_is_what_ecmascript_writes(javascript: Callable[[list[bytes]], list[bytes]]) -> None:
    found: list[Any] = []

    @given(values)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    ours = [canonical_json(value) for value in found]
    assert javascript([json.dumps(value).encode() for value in found]) == ours
