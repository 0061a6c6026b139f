"""The seam between art and the rest, tried by a source that nobody here knows: `tests/tiles.py`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import plugins
import pytest
from conftest import REPOSITORY, SIGNERS_OWN, Pipeline
from serve.conftest import new_token, service, small

MINT = ("mint", "--model", "tiles", "--count", "4", "--batch", "2", "--size", "32", "--seed", "3")
PALETTE = ("--tiles-palette", "navy,orange,white")


@pytest.fixture
def tiles(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who installed the tiles."""
    folder = tmp_path / "site"
    folder.mkdir()
    source = (REPOSITORY / "tests" / "tiles.py").read_text()
    plugins.install(folder, "tiles", source, "Tiles", "pipeline.art", settings="TileSettings")
    return {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}"}


def test_a_source_that_nobody_knows_is_minted_killed_added_to_proved_and_repaired(
    pipeline: Pipeline, tmp_path: Path, tiles: dict[str, str]
) -> None:
    killed = pipeline(*MINT, *PALETTE, env={**tiles, "PIPELINE_CRASH_AT": "artwork_recorded:3"})
    assert killed.code not in (0, 1, 2), killed.err
    assert pipeline(*MINT, env=tiles).code == 2  # its own setting is remembered: without it, it is another run
    minted = pipeline(*MINT, *PALETTE, "--json", env=tiles)
    assert minted.code == 0, minted.err
    assert minted.json["name"] == "Tiles" and len(minted.json["tokens"]) == 4
    more = ("mint", "--count", "2", "--more", *PALETTE)  # the source and its size are the collection's
    assert pipeline(*more, env=tiles).code == 0

    proved = pipeline("verify", "--regenerate", env=tiles)
    assert proved.code == 0 and "equal pixels" in proved.out + proved.err, proved.err
    before = pipeline("show", "6", "--json", env=tiles).json
    assert before["determinism"] == "A" and {"trait_type": "First", "value": "navy"} in before["attributes"]

    for file in (tmp_path / "workspace").glob("ledger.sqlite*"):
        file.unlink()
    shutil.rmtree(tmp_path / "workspace" / "images")
    contract = ("--contract", minted.json["contract"])
    repaired = pipeline("repair", "--from-chain", *contract, "--seed", "3")  # without the plug-in: nothing is drawn
    assert repaired.code == 0, repaired.err
    assert pipeline("verify").code == 0
    after = pipeline("show", "6", "--json").json
    assert {name: after[name] for name in after if name not in SIGNERS_OWN} == {
        name: before[name] for name in before if name not in SIGNERS_OWN
    }


def test_a_sheet_shows_its_tokens_as_a_mint_would_make_them_and_a_seed_alone_is_refused(
    pipeline: Pipeline, tmp_path: Path, tiles: dict[str, str]
) -> None:
    art = ("--model", "tiles", *PALETTE, "--size", "32", "--seed", "3")
    sheet = pipeline("generate", *art, "--count", "4", "--sheet", "sheet.png", "--json", env=tiles)
    assert sheet.code == 0, sheet.err
    assert "--tiles-palette navy,orange,white" in sheet.err  # the call that mints these
    checked = pipeline("check", *art, "--count", "4", env=tiles)
    assert checked.code == 0, checked.err
    assert pipeline("check", "--model", "tiles", "--tiles-palette", "red", "--count", "4", env=tiles).code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.png", "site"]
    assert pipeline(*MINT, *PALETTE, "--stop-after", "generate", env=tiles).code == 0
    for told in sheet.json["tokens"]:
        shown = pipeline("show", str(told["token_id"]), "--json", env=tiles).json
        assert (shown["seed"], shown["attributes"]) == (told["seed"], told["attributes"])
    seed = pipeline("generate", *art, "--out", "one.png", env=tiles)
    assert seed.code == 1 and "they are planned" in seed.err
    assert pipeline("doctor", env={**tiles, "PIPELINE_MODEL": "tiles"}).out.count("drawn by tiles-1/cpu") == 1


def test_it_is_drawn_where_no_chain_is_and_minted_where_it_is_not_installed(
    pipeline: Pipeline, tmp_path: Path, tiles: dict[str, str]
) -> None:
    drawn = pipeline(*MINT, "--rpc-url", "http://127.0.0.1:9", "--stop-after", "generate", env=tiles)
    assert drawn.code == 0, drawn.err
    assert "stays: tiles are laid once" in drawn.err and "drawn again" not in drawn.err
    refused = pipeline("reject", "1", env=tiles)
    assert refused.code == 2 and "tiles are laid once" in refused.err
    assert pipeline(*MINT, "--dry-run", env=tiles).code == 0
    shutil.move(tmp_path / "workspace", tmp_path / "elsewhere")
    gone = pipeline(*MINT, "--workspace", "elsewhere")
    assert gone.code == 0, gone.err
    assert pipeline("verify", "--workspace", "elsewhere").code == 0


def test_a_job_of_the_service_mints_it_and_the_gallery_shows_its_words(tmp_path: Path, tiles: dict[str, str]) -> None:
    with (
        service(tmp_path, env={**tiles, "PIPELINE_MODEL": "tiles"}) as running,
        running.client(new_token(tmp_path, "mint")) as client,
    ):
        job = client.post("/v1/collections", json=small("Tiles"), headers={"Idempotency-Key": "one"}).json()
        ended = running.ended(client, job["id"])
        assert ended["state"] == "done", ended
        token = client.get("/v1/collections/1/tokens/2").json()
        assert token["name"] == "Floor 2" and token["provenance"]["model"] == "tiles"
        assert client.get(token["image"]).content.startswith(b"\x89PNG")
        assert client.get(token["thumbnail"]).status_code == 200
