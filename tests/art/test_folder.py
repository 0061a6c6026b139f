"""Art that exists already: folders as people have them, minted as they are, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from conftest import Pipeline
from folders import GLB, MP4, SVG, box, picture, write
from PIL import Image

from pipeline.art.folder import ImageFolder
from pipeline.art.formats import look
from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument, BadFiles
from pipeline.base.metadata import check_token_metadata
from pipeline.base.records import Address, Found
from pipeline.base.workspace import Workspace
from pipeline.flow.check import check_art
from pipeline.flow.plan import collection_settings
from pipeline.pin.store import CarStore
from pipeline.settings import Settings, load_settings

OWNER = Address("0x" + "11" * 20)


class Heard:
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def progress(self, stage: str, done: int, total: int) -> None:
        pass


def documents(folder: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each token's metadata from the CARs; its image and video are read as well, and must be there."""
    store, found = CarStore(folder / "workspace" / "car"), []
    for token in result["tokens"]:
        root, _, name = token["token_uri"].removeprefix("ipfs://").partition("/")
        document = check_token_metadata(store.read(CID.parse(root), name))
        for key in ("image", "animation_url"):
            if key in document and document["image"].rpartition("/")[0] in document[key]:
                images, _, file = document[key].removeprefix("ipfs://").partition("/")
                document[f"{key} sha256"] = hashlib.sha256(store.read(CID.parse(images), file)).hexdigest()
        assert document["image sha256"] == document["image_sha256"] and document["image"] == token["image"]
        found.append(document)
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ── folders as people have them ──────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_minted_in_natural_order_with_its_own_suffixes_and_words(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    hat = {"trait_type": "Hat", "value": "Red"}
    words = {"name": "Cat", "description": "A\ncat.", "attributes": [hat, {"trait_type": "Age", "value": 3}]}
    files = {"1.png": 1, "2.jpg": 2, "10.webp": 3, "11.gif": 4, "a.svg": SVG, "2.json": words, ".DS_Store": "x"}
    art = write(tmp_path / "My Art", files)
    ended = pipeline("mint", "--images", "My Art", "--batch", "2", "--threads", "1", "--json")
    assert ended.code == 0 and "--threads has no effect on this art" in ended.err, ended.err
    assert ended.json["name"] == "My Art" and [token["seed"] for token in ended.json["tokens"]] == [None] * 5
    found = documents(tmp_path, ended.json)
    in_order = ["1.png", "2.jpg", "10.webp", "11.gif", "a.svg"]
    assert [document["image_sha256"] for document in found] == [sha256(art / name) for name in in_order]
    assert [Path(document["image"]).name for document in found] == ["1.png", "2.jpg", "3.webp", "4.gif", "5.svg"]
    assert (found[1]["name"], found[1]["description"]) == ("Cat", "A\ncat.")
    assert found[1]["attributes"] == words["attributes"] and found[0]["name"] == "My Art #1"
    assert not any("generator" in document for document in found)
    assert pipeline("verify").code == 0
    shown = pipeline("show", "2", "--json").json
    assert shown["determinism"] == "C" and shown["file"].endswith("2.jpg") and shown["seed"] is None
    assert pipeline("export", "--out", "out").code == 0
    assert pipeline("rarity", "--json").json["tokens"][0]["token_id"] == 2

    again = pipeline("mint", "--images", art, "--batch", "2", "--json")
    assert again.code == 0 and "complete before" in again.err


def test_a_hashlips_folder_is_minted_as_it_is(pipeline: Pipeline, tmp_path: Path) -> None:
    editions = [
        {
            "name": f"Cats #{n}",
            "description": "Nine lives",
            "image": f"ipfs://NewUriToReplace/{n}.png",
            "dna": "ab" * 20,
            "edition": n,
            "date": 1648000000000,
            "compiler": "HashLips Art Engine",
            "attributes": [{"trait_type": "Eyes", "value": f"kind {n}"}],
        }
        for n in (1, 2, 3)
    ]
    files: dict[str, Any] = {f"images/{n}.png": n for n in (1, 2, 3)}
    files |= {f"json/{edition['edition']}.json": edition for edition in editions}
    write(tmp_path / "build", files | {"json/_metadata.json": json.dumps(editions)})
    ended = pipeline("mint", "--images", "build", "--name", "Cats", "--json")
    assert ended.code == 0, ended.err
    found = documents(tmp_path, ended.json)
    assert [document["name"] for document in found] == ["Cats #1", "Cats #2", "Cats #3"]
    assert found[2]["attributes"] == [{"trait_type": "Eyes", "value": "kind 3"}]
    assert pipeline("verify").code == 0


def test_a_sugar_folder_with_a_video_is_minted_as_it_is(pipeline: Pipeline, tmp_path: Path) -> None:
    files: dict[str, Any] = {
        "collection.png": 9,
        "collection.json": {
            "name": "Sugar Cats",
            "symbol": "SUGAR",
            "description": "Sweet.",
            "image": "collection.png",
        },
        "0.png": 1,
        "0.json": {"name": "Zero", "symbol": "", "image": "0.png", "attributes": [], "properties": {"files": []}},
        "1.png": 2,
        "1.mp4": MP4,
        "1.json": {"name": "One", "image": "1.png", "animation_url": "1.mp4", "artist": "Zoë"},
        "2.mp4": MP4 + box(b"free"),
        "2.json": {"name": "Two", "image": "still.jpg", "external_url": "", "seller_fee_basis_points": 500},
        "still.jpg": 3,
        "3.png": 4,
        "3.json": {
            "name": "Three",
            "animation_url": "world.glb",
            "external_url": "https://example.org/3",
            "background_color": "C0FFEE",
            "youtube_url": "https://youtu.be/aaaaaaaaaaa",
        },
        "4.png": 5,
        "4.json": {"name": "Four", "animation_url": "world.glb"},
        "world.glb": GLB,
        "5.png": 6,
        "5.json": {"name": "Five", "animation_url": "ipfs://bafkqabtimvwgy3yk/clip.mp4"},
    }
    art = write(tmp_path / "assets", files)
    ended = pipeline("mint", "--images", "assets", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["name"] == "Sugar Cats" and len(ended.json["tokens"]) == 6
    assert "wallets show none of it: properties (1), seller_fee_basis_points (1), symbol (1)" in ended.err
    assert "token 6, 5.png, has its animation_url elsewhere" in ended.err
    found = documents(tmp_path, ended.json)
    assert [document["name"] for document in found] == ["Zero", "One", "Two", "Three", "Four", "Five"]
    animations = [Path(document.get("animation_url", "")).name for document in found]
    assert animations == ["", "2.mp4", "3.mp4", "4.glb", "5.glb", "clip.mp4"]
    assert found[3]["animation_url sha256"] == found[4]["animation_url sha256"] == sha256(art / "world.glb")
    assert found[5]["animation_url"] == "ipfs://bafkqabtimvwgy3yk/clip.mp4"
    kept = {key: found[3][key] for key in ("external_url", "background_color", "youtube_url")}
    assert kept == {key: files["3.json"][key] for key in kept}
    assert "external_url" not in found[2]
    assert {document["artist"] for document in found} == {"Zoë"}  # as the one document says that says any
    assert found[1]["animation_url sha256"] == sha256(art / "1.mp4")
    assert found[2]["image_sha256"] == sha256(art / "still.jpg")
    ledger = sqlite3.connect(tmp_path / "workspace" / "ledger.sqlite")
    assert ledger.execute("SELECT symbol, description FROM collection").fetchone() == ("SUGAR", "Sweet.")
    ledger.close()
    assert pipeline("verify").code == 0


# ── interruptions ────────────────────────────────────────────────────────────────────────────────────────────


def lose_what_is_not_durable(workspace: Path) -> None:
    """A power failure: of files that the ledger does not know yet, names may be there and data not."""
    ledger = sqlite3.connect(workspace / "ledger.sqlite")
    known = {digest for (digest,) in ledger.execute("SELECT image_sha256 FROM token WHERE state <> 'planned'")}
    known |= {digest for (digest,) in ledger.execute("SELECT animation_sha256 FROM found")}
    ledger.close()
    for path in (workspace / "images").rglob("[0-9]*.*"):
        if hashlib.sha256(path.read_bytes()).digest() not in known:
            os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "place",
    [
        *("run_planned:1", "image_written:3", "data_durable:1", "names_durable:1", "inside_ledger_commit:4"),
        *("artwork_recorded:3", "batch_sealed:1"),
    ],
)
def test_killed_anywhere_it_ends_with_the_same_tokens(pipeline: Pipeline, tmp_path: Path, place: str) -> None:
    """The power fails with it: the steps in which a group of files becomes durable are cut between each two."""
    write(tmp_path / "art", {"1.png": 1, "2.jpg": 2, "3.mp4": MP4, "3.png": 3, "4.png": 4})
    words = ("mint", "--images", "art", "--batch", "2", "--json")
    assert pipeline(*words, env={"PIPELINE_CRASH_AT": place}).code == -signal.SIGKILL
    lose_what_is_not_durable(tmp_path / "workspace")
    ended = pipeline(*words)
    assert ended.code == 0, ended.err
    names = ["1.png", "2.jpg", "3.png", "4.png"]
    digests = [document["image_sha256"] for document in documents(tmp_path, ended.json)]
    assert digests == [sha256(tmp_path / "art" / name) for name in names]
    assert pipeline("verify").code == 0


def test_a_file_that_changes_before_it_is_pinned_is_planned_anew(pipeline: Pipeline, tmp_path: Path) -> None:
    art = write(tmp_path / "art", {"1.png": 1, "2.png": 2, "2.json": {"name": "Two"}})
    looked = pipeline("mint", "--images", "art", "--stop-after", "generate", "--json")
    assert looked.code == 0
    same = pipeline("reject", "2")
    assert same.code == 2 and "another one now" in same.err
    picture(7).save(art / "2.png")
    rejected = pipeline("reject", "2")
    assert rejected.code == 0 and "2.png or its JSON has changed" in rejected.err
    write(art, {"2.json": {"name": "Two, mended"}})
    ended = pipeline("mint", "--images", "art", "--json", env={"PIPELINE_CRASH_AT": "replanned:1"})
    assert ended.code == -signal.SIGKILL
    ended = pipeline("mint", "--images", "art", "--json")
    assert ended.code == 0, ended.err
    second = documents(tmp_path, ended.json)[1]
    assert second["image_sha256"] == sha256(art / "2.png") and second["name"] == "Two, mended"
    assert pipeline("verify").code == 0


def test_it_can_be_looked_at_first_and_more_can_be_added(pipeline: Pipeline, tmp_path: Path) -> None:
    write(tmp_path / "art", {"1.png": 1, "2.png": 2})
    ended = pipeline("mint", "--images", "art", "--stop-after", "generate", "--json")
    assert ended.code == 0 and len(ended.json["sheets"]) == 1
    assert pipeline("mint", "--images", "art").code == 0
    write(tmp_path / "more", {"1.png": 5, "2.png": 1})
    same = pipeline("mint", "--images", "more", "--more")
    assert same.code == 2 and "the same as token 1" in same.err and "--editions" in same.err
    (tmp_path / "more" / "2.png").unlink()
    ended = pipeline("mint", "--images", "more", "--more", "--json")
    assert ended.code == 0, ended.err
    assert [token["token_id"] for token in ended.json["tokens"]] == [3]


def test_the_count_is_the_folders(pipeline: Pipeline, tmp_path: Path) -> None:
    write(tmp_path / "art", {"1.png": 1, "2.png": 2})
    ended = pipeline("mint", "--images", "art", "--count", "3")
    assert ended.code == 2 and "expected 2" in ended.err and not (tmp_path / "workspace" / "ledger.sqlite").exists()
    bill = pipeline("mint", "--images", "art", "--dry-run", "--json")
    assert bill.code == 0 and bill.json["tokens"] == 2


# ── what people's folders have ───────────────────────────────────────────────────────────────────────────────


def read(folder: Path, *, editions: bool = False) -> tuple[list[Found], str]:
    heard = Heard()
    return ImageFolder(str(folder), editions=editions).read({}, 1, heard), "\n".join(heard.notices)


def test_a_cover_that_nobody_gave_is_not_blamed(tmp_path: Path) -> None:
    def faults(folder: Path, **more: str) -> list[tuple[str, str]]:
        config = Settings.of(images=str(folder), name="X", **more)
        return check_art(config, Workspace(tmp_path / "workspace"), Heard()).faults

    (fault,) = faults(write(tmp_path / "loose", {"1.png": "no picture", "2.png": 2}))
    assert fault[0] == "1.png" and "cover" not in fault[1]
    own = write(tmp_path / "own", {"1.png": 1, "collection.png": 9})
    assert faults(own) == [] and len(ImageFolder(str(own)).tokens) == 1  # it is the collection's picture and no token
    (given,) = faults(own, cover=str(tmp_path / "nosuch.png"))
    assert given[0] == "--cover" and "nosuch.png" in given[1]


def test_what_has_one_reading_is_read(tmp_path: Path) -> None:
    art = write(
        tmp_path / "art",
        {
            "cafe\u0301.PNG": 1,
            "café.JSON": b"\xef\xbb\xbf" + json.dumps(
                {
                    "name": " Café\r\n",
                    "description": "One\r\nTwo\tthree",
                    "image": "café.png",
                    "external_url": "NONE",
                    "background_color": "#C0FFEE",
                    "seed": 10**76,
                    "attributes": [
                        {"value": "Happy"},
                        {"trait_type": "Hat", "value": ""},
                        {"trait_type": "Odds", "value": 0.00001, "display_type": "", "max_value": None},
                        {"trait_type": "Rare", "value": True, "rank": 3},
                        {"trait_type": "Song", "value": "la " * 300, "display_type": "string"},
                    ],
                }
            ).encode(),
            "__MACOSX/._1.png": b"x",
            "README.md": "mine",
        },
    )  # fmt: skip
    (one,), told = read(art)
    assert (one.name, one.description, one.external_url) == ("Café", "One\nTwo three", "")
    assert one.background_color == "C0FFEE"
    assert [(trait.trait_type, trait.value, trait.display_type) for trait in one.attributes] == [
        ("Property", "Happy", None),
        ("Odds", 0.00001, None),
        ("Rare", "true", None),
        ("Song", ("la " * 300).strip(), None),
    ]
    assert "not used: README.md, __MACOSX" in told
    assert "attributes without a value (1), attributes.rank (1), seed (1)" in told


def test_documents_in_one_file_are_matched_by_what_they_name(tmp_path: Path) -> None:
    entries = [{"name": f"Cat {n}", "edition": n, "image": f"ipfs://NewUriToReplace/{n}.png"} for n in (2, 1)]
    files = {"images/1.png": 1, "images/2.png": 2, "gifs/1.gif": b"x", "_metadata.json": json.dumps(entries)}
    found, told = read(write(tmp_path / "build", files))
    assert [one.name for one in found] == ["Cat 1", "Cat 2"] and "not used: gifs/" in told
    (tmp_path / "build" / "images" / "2.png").unlink()
    with pytest.raises(BadArgument, match="entry 1: it names no image"):
        read(tmp_path / "build")


def test_json_that_says_otherwise_than_its_file_is_never_silent(tmp_path: Path) -> None:
    swapped = {f"{n}.png": n for n in (1, 2)} | {"1.json": {"image": "https://x.org/2.png"}, "2.json": {}}
    with pytest.raises(BadArgument, match="1.json.*the image beside it, 1.png"):
        read(write(tmp_path / "swapped", swapped))
    files = {
        "0.png": 1,
        "0.json": {"name": "Cat #0", "image": "ipfs://bafkqaaa", "seller_fee_basis_points": 700},
        "7.png": 2,
        "7.json": {"name": "Cat #7", "edition": 8, "image": "data:image/png;base64,AAAA"},
        "collection.json": {"name": "Cats", "external_link": "https://x.org", "banner_image": "b.png"},
    }
    _, told = read(write(tmp_path / "odd", files))
    unheard = {
        "1.png": 1,
        "1.json": {"image": f"ipfs://bafkqaaa/{'x' * 300}.png"},
    }  # no disk could hold a file of that name
    assert "`image` of 1 JSON is an address" in read(write(tmp_path / "long", unheard))[1]
    for line in (
        "token 1 is 0.png, 'Cat #0'; token 2 is 7.png, 'Cat #7'",
        "token 2, 7.png: 7.json says number 8",
        "the image inside 7.json is left out for 7.png",
        "`image` of 1 JSON is an address",
        "a royalty of 700 hundredths",
        "collection.json has external_link https://x.org, which is not taken: --external-url",
        "not used: collection.json: banner_image",
    ):
        assert line in told, told


def test_one_picture_for_many_tokens_is_taken_when_it_is_asked_for(tmp_path: Path) -> None:
    same = write(tmp_path / "same", {"1.png": 1, "2.png": 1, "3.png": 2})
    with pytest.raises(BadArgument, match="the same as token 1") as caught:
        read(same)
    assert "--editions" in caught.value.hint
    assert len(read(same, editions=True)[0]) == 3
    cards = {f"{n}.json": {"name": f"Card {n}", "image": "gold.png"} for n in (1, 2)} | {"gold.png": 5}
    found, _ = read(write(tmp_path / "cards", cards))
    assert [(one.name, one.source.name) for one in found] == [("Card 1", "gold.png"), ("Card 2", "gold.png")]


def test_all_faults_are_told_at_once_and_check_finds_what_mint_finds(pipeline: Pipeline, tmp_path: Path) -> None:
    files: dict[str, Any] = {"1.png": 1, "2.png": b"no", "3.png": 3, "3.json": "{", "4.psd": b"x"}
    write(tmp_path / "art", files | {"5.html": "<!doctype html><script src=https://x.org/a.js></script>", "5.png": 5})
    checked = pipeline("check", "--images", "art", "--json")
    assert checked.code == 2 and [fault["file"] for fault in checked.json["faults"]] == [
        "4.psd",
        "3.json",
        "2.png",
        "5.html",
    ]
    assert not (tmp_path / "workspace").exists()
    minted, billed = pipeline("mint", "--images", "art"), pipeline("mint", "--images", "art", "--dry-run")
    assert minted.code == billed.code == 2 and minted.err.partition("error:")[2] == billed.err.partition("error:")[2]
    assert all(fault["file"] in minted.err for fault in checked.json["faults"])
    sound = pipeline("check", "--images", write(tmp_path / "sound", {"1.png": 1, "2.png": 2}))
    assert sound.code == 0 and "--images" in sound.err


def test_check_knows_the_tokens_that_a_collection_has(pipeline: Pipeline, tmp_path: Path) -> None:
    write(tmp_path / "first", {"1.png": 1, "2.png": 2})
    assert pipeline("mint", "--images", "first", "--name", "Cats", "--max-supply", "4").code == 0
    write(tmp_path / "second", {"1.png": 3, "2.png": 2, "3.png": b"no"})
    checked = pipeline("check", "--images", "second", "--more", "--name", "Cats", "--json")
    told = [f"{fault['file']}: {fault['expected']}" for fault in checked.json["faults"]]
    assert checked.code == 2 and len(told) == 3
    assert "the same as token 2" in told[0] and "sound PNG" in told[1] and "at most 2" in told[2]
    sound = pipeline("check", "--images", write(tmp_path / "third", {"7.png": 3, "9.png": 4}), "--more")
    assert sound.code == 0 and "token 3 is 7.png" in sound.err and "--more" in sound.err.partition("next:")[2]
    nobody = pipeline("check", "--images", "third", "--more", "--name", "Dogs")
    assert nobody.code == 2 and "'Cats'" in nobody.err


def test_every_fault_of_a_token_is_told_in_one_report(tmp_path: Path) -> None:
    bad = {
        "name": 5,
        "description": "hidden \u202e order",
        "image": "../2.png",
        "external_url": "javascript:x()",
        "background_color": "red",
        "animation_url": "gone.mp4",
        "attributes": ["lone", {"trait_type": "a", "value": [1]}, {"trait_type": "b", "value": 3, "display_type": "x"}],
    }
    write(
        tmp_path, {"1.png": b"no", "1.json": bad, "1.html": "<script>", "2.json": {"youtube_url": 1}, "9.mp4": MP4[:-9]}
    )
    with pytest.raises(BadFiles) as caught:
        ImageFolder(str(tmp_path)).read({}, 1, Heard())
    faults = [f"{name} {expected}" for name, expected in caught.value.fields["faults"]]
    for told in (
        "1.json text (name is something else)",
        "1.json description to be text without U+202E",
        "'../2.png'",
        "external_url is not a URL",
        "background_color is not 6 hex digits",
        "'gone.mp4' is not there",
        "one is lone",
        "'a' has another",
        "display_type is not one of",
        "1.png a sound PNG",
        "1.html an HTML page",
        "2.json an image of the same name",
        "2.json text (youtube_url is something else)",
        "9.mp4 an image that stands for it",
    ):
        assert sum(told in fault for fault in faults) == 1, (told, faults)
    assert len(faults) == 14


# ── what is refused, by name ─────────────────────────────────────────────────────────────────────────────────


def bomb(width: int) -> bytes:
    """A PNG that says it is `width` pixels wide and high, and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def whole_png(number: int) -> bytes:
    import io

    buffer = io.BytesIO()
    picture(number).save(buffer, "PNG")
    return buffer.getvalue()


def svg(inside: str, before: str = "") -> str:
    return f'{before}<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{inside}</svg>'


@pytest.mark.parametrize(
    ("files", "name", "told"),
    [
        ({}, "art", "it holds none"),
        ({"1.png": whole_png(1)[:-40]}, "1.png", "sound PNG"),
        ({"1.png": b""}, "1.png", "empty"),
        ({"1.png": b"no picture at all"}, "1.png", "sound PNG"),
        ({"1.jpg": whole_png(1)}, "1.jpg", "it is a PNG"),
        ({"1.png": bomb(60_000)}, "1.png", "more than 67,108,864 pixels"),
        ({"1.png": bomb(9_000)}, "1.png", "9000 by 9000"),
        ({"1.png": 1, "2.png": 1}, "2.png", "the same as token 1"),
        ({"1.png": 1, "1.jpg": 2}, "1.", "one image of that name"),
        ({"1.png": 1, "notes.psd": "x"}, "notes.psd", "convert it"),
        ({"1.png": 1, "2.jfif": "x"}, "2.jfif", "rename it to .jpg"),
        ({"1.png": 1, "1.mov": "x"}, "1.mov", "convert it"),
        ({"1.png": 1, "1.json": {"external_url": "http://1.2.3.4.5/"}}, "1.json", "that browsers take"),
        ({"1.png": 1, "deep/2.png": 2}, "deep", "move this folder"),
        ({"1.png": 1, "2.json": {"name": "x"}}, "2.json", "image of the same name"),
        ({"1.png": 1, "1.json": "{"}, "1.json", "plain JSON"),
        ({"1.png": 1, "1.json": "[]"}, "1.json", "JSON object"),
        ({"1.png": 1, "1.json": {"name": 5}}, "1.json", "name is something else"),
        ({"1.png": 1, "1.json": {"name": "a\u202eb"}}, "1.json", r"U\+202E"),
        ({"1.png": 1, "1.json": {"attributes": {"a": 1}}}, "1.json", "list of attributes"),
        ({"1.png": 1, "1.json": {"attributes": [{"trait_type": "a"}]}}, "1.json", "trait_type and value"),
        ({"1.png": 1, "1.json": {"attributes": [{"trait_type": "a", "value": [1]}]}}, "1.json", "text or a number"),
        ({"1.png": 1, "1.json": {"attributes": [{"trait_type": "a", "value": 1, "display_type": "x"}]}}, "1.json", "display"),
        ({"1.png": 1, "1.json": {"image": "../../etc/passwd"}}, "1.json", "'../../etc/passwd'"),
        ({"1.png": 1, "1.json": {"image": f"{'x' * 300}.png"}}, "1.json", "the image beside it, 1.png"),
        ({"1.png": 1, "2.png": 2, "1.json": {"image": "2.png"}}, "1.json", "the image beside it, 1.png"),
        ({"1.png": 1, "1.json": {"external_url": "javascript:alert(1)"}}, "1.json", "external_url is not a URL"),
        ({"1.png": 1, "1.json": {"external_url": 5}}, "1.json", "external_url is something else"),
        ({"1.png": 1, "1.json": {"background_color": "#c0ffe"}}, "1.json", "background_color is not 6 hex digits"),
        ({"1.png": 1, "1.json": {"youtube_url": "ipfs://bafkqaaa"}}, "1.json", "youtube_url is not a URL"),
        ({"1.png": 1, "1.json": {"animation_url": "gone.mp4"}}, "1.json", "'gone.mp4' is not there"),
        ({"1.png": 1, "1.json": {"animation_url": "1.png"}}, "1.json", "animation_url that is one of"),
        ({"1.png": 1, "1.json": {"animation_url": "../x.mp4"}}, "1.json", "'../x.mp4'"),
        ({"1.png": 1, "1.json": {"animation_url": "ipfs://NewUriToReplace/1.mp4"}}, "1.json", "animation_url is 'ipfs"),
        ({"1.png": 1, "1.json": {"animation_url": "file:///etc/passwd"}}, "1.json", "animation_url is not a URL"),
        ({"1.png": 1, "1.mp4": MP4, "a.glb": GLB, "1.json": {"animation_url": "a.glb"}}, "1.json", "1.mp4 lies beside"),
        ({"1.png": 1, "1.mp4": MP4, "1.json": {"animation_url": "https://a.b/c.mp4"}}, "1.json", "1.mp4 lies beside"),
        ({"1.png": 1, "1.glb": GLB[:-4]}, "1.glb", "its length is not"),
        ({"1.png": 1, "1.glb": b"glTF\1\0\0\0" + GLB[8:]}, "1.glb", "glTF 2.0"),
        ({"1.png": 1, "1.webm": MP4}, "1.webm", "a WebM"),
        ({"1.png": 1, "1.html": "<script>"}, "1.html", "does not begin with"),
        ({"1.png": 1, "1.html": b"<html>\xff"}, "1.html", "not UTF-8"),
        ({"1.png": 1, "1.mp3": MP4}, "1.mp3", "an MP3"),
        ({"1.png": 1, "1.wav": MP4}, "1.wav", "a WAV"),
        ({"1.png": 1, "1.ogg": MP4}, "1.ogg", "an Ogg"),
        ({"1.mp4": MP4}, "1.mp4", "an image that stands for it"),
        ({"1.mp4": MP4, "1.json": {"image": "gone.png"}}, "1.mp4", "'gone.png', which is not there"),
        ({"1.mp4": MP4, "1.json": {"image": "../1.png"}}, "1.json", "'../1.png'"),
        ({"1.mp4": MP4[:-9], "1.png": 1}, "1.mp4", "sound MP4"),
        ({"1.png": 1, "2.svg": "<svg>"}, "2.svg", "root element|sound SVG"),
        ({"1.png": 1, "2.svg": svg("<script>alert(1)</script>")}, "2.svg", "<script>"),
        ({"1.png": 1, "2.svg": svg('<rect onload="x()"/>')}, "2.svg", "onload="),
        ({"1.png": 1, "2.svg": svg('<image xlink:href="https://example.org/a.png"/>')}, "2.svg", "refers to"),
        ({"1.png": 1, "2.svg": svg("&a;", '<!DOCTYPE svg [<!ENTITY a "b">]>')}, "2.svg", "entities"),
    ],
)  # fmt: skip
def test_what_cannot_be_minted_is_named(tmp_path: Path, files: dict[str, Any], name: str, told: str) -> None:
    (tmp_path / "art").mkdir()
    write(tmp_path / "art", files)
    with pytest.raises(BadArgument, match=told) as caught:
        ImageFolder(str(tmp_path / "art")).read({}, 1, Heard())
    assert name in str(caught.value) and "nothing was planned" in caught.value.hint


def test_animations_of_every_kind_are_read(tmp_path: Path) -> None:
    kinds = {
        "1.mp4": MP4,
        "2.m4v": MP4 + box(b"free"),
        "3.webm": b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm" + bytes(50),
        "4.glb": GLB,
        "5.html": "<!-- a -->\n<!DOCTYPE html><p>hello",
        "6.mp3": b"ID3\4\0" + bytes(50),
        "7.wav": b"RIFF\x32\0\0\0WAVEfmt " + bytes(50),
        "8.ogg": b"OggS" + bytes(50),
    }
    art = write(tmp_path / "art", kinds | {f"{number}.png": number for number in range(1, 9)})
    found = ImageFolder(str(art)).read({}, 1, Heard())
    assert [one.animation and one.animation.name for one in found] == list(kinds)
    assert [one.animation_sha256 for one in found] == [bytes.fromhex(sha256(art / name)) for name in kinds]


def test_an_svg_that_was_minted_before_a_rule_is_still_its_token(tmp_path: Path) -> None:
    loads = svg('<rect fill="url(https://example.org/a.svg#g)"/>').encode()
    with pytest.raises(BadArgument, match="its style has"):
        look(tmp_path / "1.svg", loads)
    assert look(tmp_path / "1.svg", loads, is_minted=True).pixel_sha256 == hashlib.sha256(loads).digest()


def test_an_svg_is_told_to_be_compared_with_nothing(tmp_path: Path) -> None:
    heard = Heard()
    ImageFolder(str(write(tmp_path / "art", {"1.png": 1, "2.svg": SVG}))).read({}, 1, heard)
    assert any("1 SVG: an SVG is not compared for near-duplicates" in notice for notice in heard.notices)


def test_links_are_refused(tmp_path: Path) -> None:
    art = write(tmp_path / "art", {"1.png": 1})
    write(tmp_path, {"secret.png": 2})
    (art / "2.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(BadArgument, match="2.png.*it is a link"):
        ImageFolder(str(art)).read({}, 1, Heard())


def test_files_above_the_limit_are_refused_without_reading_them(tmp_path: Path) -> None:
    art = write(tmp_path / "art", {"1.png": 1, "2.svg": SVG})
    os.truncate(art / "2.svg", 3 << 20)
    with pytest.raises(BadArgument, match="2.svg.*at most 2 MiB"):
        ImageFolder(str(art)).read({}, 1, Heard())


def test_a_folder_that_is_not_there_is_refused_before_anything_else(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline("mint", "--images", "nowhere")
    assert ended.code == 2 and "nowhere" in ended.err and "there is none" in ended.err
    assert not (tmp_path / "workspace").exists()


def test_what_a_gate_would_refuse_is_a_warning(tmp_path: Path) -> None:
    art = write(tmp_path / "art", {"1.png": 1, "3.png": 3})
    Image.new("RGB", (40, 40), (9, 9, 9)).save(art / "2.png")
    clouds = picture(1, (8, 6)).resize((96, 72), Image.Resampling.BICUBIC)
    clouds.save(art / "1.png")
    clouds.resize((48, 36), Image.Resampling.BOX).save(art / "4.png")
    heard = Heard()
    assert len(ImageFolder(str(art)).read({}, 1, heard)) == 4
    assert [notice.partition("warning: ")[2] for notice in heard.notices] == [
        "token 2, 2.png, is blank or nearly so",
        "token 4, 4.png, looks like token 1",
    ]


def test_one_artist_is_the_collections_and_of_several_somebody_chooses(tmp_path: Path) -> None:
    art = write(tmp_path / "art", {"1.png": 1, "1.json": {"artist": "Zoë"}, "2.png": 2, "2.json": {"artist": "Ada"}})
    folder, heard = ImageFolder(str(art)), Heard()
    folder.read({}, 1, heard)
    assert folder.about().artist == "" and any("several artists (Ada, Zoë)" in notice for notice in heard.notices)
    write(art, {"collection.json": {"artist": " Both "}})
    about = ImageFolder(str(art)).about()
    assert collection_settings(load_settings({}, {}, tmp_path), "Given", OWNER, about).artist == "Both"
    assert collection_settings(load_settings({"artist": "Me"}, {}, tmp_path), "Given", OWNER, about).artist == "Me"


def test_what_nobody_chose_is_taken_from_the_folder(tmp_path: Path) -> None:
    art = write(tmp_path / "art", {"1.svg": SVG, "2.png": 1, "collection.json": {"name": "Given", "symbol": "GVN"}})
    folder = ImageFolder(str(art))
    about = folder.about()
    assert (about.name, about.cover, folder.cover().data) == ("Given", str(art / "2.png"), (art / "2.png").read_bytes())
    assert collection_settings(load_settings({}, {}, tmp_path), "Given", OWNER, about).symbol == "GVN"
    assert collection_settings(load_settings({"symbol": "OWN"}, {}, tmp_path), "Given", OWNER, about).symbol == "OWN"
    write(art, {"cover.png": 2})
    folder, heard = ImageFolder(str(art)), Heard()
    assert folder.cover().data == (art / "cover.png").read_bytes() and len(folder.read({}, 1, heard)) == 2
    assert "cover.png is the collection's picture, and no token" in heard.notices
    (art / "cover.png").unlink()
    (art / "2.png").unlink()
    with pytest.raises(BadArgument, match="its images") as refused:
        ImageFolder(str(art)).cover()
    assert "--cover" in refused.value.hint
