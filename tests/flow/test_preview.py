"""Look before paying: pictures of a seed, a run that waits once it is drawn, and tokens that are rejected."""

from __future__ import annotations

import hashlib
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from conftest import Pipeline
from PIL import Image

from pipeline.art.draw import token_seed
from pipeline.art.sheet import contact_sheets

SMALL = ("--size", "32", "--seed", "11")
MINT = ("mint", "--count", "6", "--batch", "2", *SMALL, "--voice", "braid")  # tokens that pass at once


def tokens(folder: Path) -> dict[int, tuple[int, int, str]]:
    """Token id -> attempt, seed, state."""
    ledger = sqlite3.connect(folder / "workspace" / "ledger.sqlite")
    rows = ledger.execute("SELECT token_id, attempt, seed, state FROM token ORDER BY token_id").fetchall()
    ledger.close()
    return {token_id: (attempt, seed, state) for token_id, attempt, seed, state in rows}


def images(folder: Path) -> dict[str, str]:
    paths = (folder / "workspace" / "images" / "1").glob("[0-9]*.png")
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


# ── pictures without minting ─────────────────────────────────────────────────────────────────────────────────


def test_generate_gives_the_pixels_of_the_minted_token(pipeline: Pipeline, tmp_path: Path) -> None:
    assert pipeline(*MINT).code == 0
    seed = pipeline("show", "4", "--json").json["seed"]
    ended = pipeline("generate", "--seed", str(seed), "--size", "32", "--out", "four.png", "--threads", "1", "--json")
    assert ended.code == 0, ended.err
    assert (tmp_path / "four.png").read_bytes() == (tmp_path / "workspace" / "images" / "1" / "4.png").read_bytes()
    assert ended.json["attributes"] == pipeline("show", "4", "--json").json["attributes"]


def test_a_sheet_shows_the_tokens_that_a_mint_of_its_seed_would_make(pipeline: Pipeline, tmp_path: Path) -> None:
    sheet = pipeline("generate", "--count", "6", *SMALL, "--sheet", "sheet.png", "--json")
    assert sheet.code == 0, sheet.err
    assert not (tmp_path / "workspace").exists()
    assert pipeline(*MINT).code == 0
    drawn = {token["token_id"]: (token["attempt"], token["seed"]) for token in sheet.json["tokens"]}
    assert drawn == {token_id: row[:2] for token_id, row in tokens(tmp_path).items()}
    assert "--seed 11" in sheet.err
    with Image.open(tmp_path / "sheet.png") as page:
        assert np.asarray(page.convert("L")).std() > 10


def test_a_sheet_of_a_folder_has_its_pictures_and_no_seed_makes_one(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "art"
    folder.mkdir()
    for name, colour in (("1.png", "red"), ("2.png", "navy")):
        Image.new("RGB", (40, 30), colour).save(folder / name)
    sheet = pipeline("generate", "--images", "art", "--seed", "1", "--sheet", "sheet.png", "--json")
    assert sheet.code == 0, sheet.err
    assert [token["token_id"] for token in sheet.json["tokens"]] == [1, 2] and "mint --seed 1 --images art" in sheet.err
    refused = pipeline("generate", "--images", "art", "--seed", "1", "--out", "one.png")
    assert refused.code == 1 and "images that existed" in refused.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["art", "sheet.png"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--count", "3"), 2, "one of the two"),
        (("--out", "x.png"), 2, "--seed"),
        (("--out", "x.jpg", "--seed", "1"), 2, "ends in .png"),
        (("--sheet", "s.png", "--count", "0"), 2, "1 to 1,000"),
        (("--out", "x.png", "--seed", "1", "--count", "2"), 2, "nothing beside --out"),
        (("--out", "x.png", "--seed", "1", "--model", "defualt"), 2, "did you mean 'default'"),
        (("--out", "x.png", "--seed", "1", "--model", "nowhere.safetensors"), 2, "nowhere.safetensors"),
        (("--out", "x.png", "--seed", "1", "--device", "cuda:99"), 1, "--device cpu"),
        (("--out", "x.png", "--seed", "1", "--size", "0"), 2, "16 to 4,096"),
        (("--out", "x.png", "--seed", "1", "--size", "7"), 2, "16 to 4,096"),
        (("--out", "x.png", "--seed", "1", "--size", "100000"), 2, "16 to 4,096"),
    ],
)
def test_what_cannot_be_drawn_is_told_and_nothing_is_written(
    pipeline: Pipeline, tmp_path: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    ended = pipeline("generate", *words)
    assert ended.code == code and told in ended.err and "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_many_pictures_get_pages_and_a_later_sheet_replaces_them(tmp_path: Path) -> None:
    def pictures(count: int) -> list[tuple[str, Image.Image]]:
        return [
            (str(number), Image.new("RGB", (40, 20 + number % 30), (number % 256, 9, 9))) for number in range(count)
        ]

    sheet = tmp_path / "contact-sheet.png"
    pages = contact_sheets(pictures(201), sheet, 16)
    assert [page.name for page in pages] == [f"contact-sheet-{number}.png" for number in (1, 2, 3)]
    assert sorted(tmp_path.iterdir()) == pages
    assert contact_sheets(pictures(3), sheet, 16) == [sheet] == list(tmp_path.iterdir())


# ── a run that waits ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_stops_once_drawn_has_sent_nothing_and_goes_on_later(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline(*MINT, "--stop-after", "generate", "--json")
    assert ended.code == 0, ended.err
    assert {state for _, _, state in tokens(tmp_path).values()} == {"generated"}
    assert not list((tmp_path / "workspace" / "car").glob("*.car"))
    ledger = sqlite3.connect(tmp_path / "workspace" / "ledger.sqlite")
    assert ledger.execute("SELECT count(*) FROM attempt").fetchone() == (0,)
    ledger.close()
    (sheet,) = ended.json["sheets"]
    with Image.open(tmp_path / sheet) as page:
        assert page.width > 300
    assert (
        "`reject` with" in ended.err
        and "pipeline mint --count 6 --voice braid --size 32 --seed 11 --batch 2" in ended.err
    )

    before = images(tmp_path)
    again = pipeline(*MINT, "--stop-after", "generate")
    assert again.code == 0 and images(tmp_path) == before
    assert pipeline(*MINT).code == 0 and images(tmp_path) == before
    assert pipeline("verify").code == 0


@pytest.mark.parametrize("place", ["", "rejected:1", "artwork_recorded:1", "image_written:2"])
def test_rejected_tokens_have_their_next_attempt_however_often_it_is_killed(
    pipeline: Pipeline, tmp_path: Path, place: str
) -> None:
    assert pipeline(*MINT, "--stop-after", "generate").code == 0
    first, drawn = tokens(tmp_path), images(tmp_path)
    ended = pipeline("reject", "2", "5", env={"PIPELINE_CRASH_AT": place})
    assert ended.code == (-signal.SIGKILL if place else 0), ended.err
    result = pipeline(*MINT, "--json")
    assert result.code == 0, result.err
    after = tokens(tmp_path)
    for token_id, (attempt, seed, _) in after.items():
        assert attempt == first[token_id][0] + (1 if token_id in (2, 5) else 0)
        assert seed == token_seed(11, token_id, attempt)
    changed = {stem for stem, digest in images(tmp_path).items() if digest != drawn[stem]}
    assert changed == {"2", "5"}
    assert {token["token_id"]: token["seed"] for token in result.json["tokens"]} == {
        token_id: seed for token_id, (_, seed, _) in after.items()
    }
    assert pipeline("verify").code == 0


def test_only_drawn_tokens_of_an_unfinished_run_can_be_rejected(pipeline: Pipeline, tmp_path: Path) -> None:
    nothing = pipeline("reject", "1")
    assert nothing.code == 2 and "--stop-after generate" in nothing.err
    assert pipeline(*MINT, "--stop-after", "generate").code == 0  # so that 3 is drawn however late the kill finds it
    assert pipeline(*MINT, env={"PIPELINE_CRASH_AT": "batch_sealed:1"}).code == -signal.SIGKILL
    before = tokens(tmp_path)
    pinned = pipeline("reject", "3", "1")
    assert pinned.code == 2 and "pinned already" in pinned.err
    for token_id, told in (("7", "1 to 6"), ("0", "token id is '0'"), ("x", "a whole number")):
        refused = pipeline("reject", token_id)
        assert refused.code == 2 and told in refused.err
    assert tokens(tmp_path) == before  # not one of the two
    assert pipeline(*MINT).code == 0
    minted = pipeline("reject", "3")
    assert minted.code == 2 and "what is minted stays" in minted.err
