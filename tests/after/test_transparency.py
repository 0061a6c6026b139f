"""What is told of a collection: the facts of each run, and nothing that is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conftest import Pipeline
from PIL import Image


def told(pipeline: Pipeline, folder: Path) -> dict[str, Any]:
    ended = pipeline("export", "--format", "transparency", "--json")
    assert ended.code == 0, ended.err
    (path,) = ended.json["files"]
    page: dict[str, Any] = json.loads((folder / path).read_text())
    return page


def test_drawn_collections_tell_what_was_written_and_learned_run_by_run(pipeline: Pipeline, tmp_path: Path) -> None:
    call = ("mint", "--count", "2", "--size", "32", "--artist", "Zoë", "--licence", "CC0-1.0")
    assert pipeline(*call).code == 0
    assert pipeline("mint", "--count", "1", "--more").code == 0
    page = told(pipeline, tmp_path)
    first, second = page["made"]
    assert (first["first"], first["last"], second["first"], second["last"]) == (1, 2, 3, 3)
    assert first["source_type"].endswith("/algorithmicMedia") and first["learned"] == "Nothing."
    assert first["renderer"] == second["renderer"] and not first["watermark"]
    assert "SHA-256" in str(page["seed_rule"]) and "--regenerate" in page["how_to_verify"][0]
    assert page["not_known"] == []


def test_existing_pictures_tell_that_nobody_knows_how_they_were_made(pipeline: Pipeline, tmp_path: Path) -> None:
    art = tmp_path / "art"
    art.mkdir()
    Image.linear_gradient("L").convert("RGB").save(art / "1.png")
    assert pipeline("mint", "--images", "art").code == 0
    art.rename(tmp_path / "elsewhere")  # what is minted needs its folder no more
    page = told(pipeline, tmp_path)
    (made,) = page["made"]
    assert made["source_type"] is None and made["weights_sha256"] is None and page["seed_rule"] == ""
    assert len(page["not_known"]) == 3


def test_trained_weights_tell_under_which_terms_their_pictures_were(pipeline: Pipeline, tmp_path: Path) -> None:
    trained = pipeline("train", "--model", "mlp_gan", "--data", "digits", "--steps", "2", "--out", "runs/x")
    assert trained.code == 0, trained.err
    assert pipeline("mint", "--count", "1", "--model", "runs/x", "--size", "32", "--duplicate-bits", "off").code == 0
    (made,) = told(pipeline, tmp_path)["made"]
    assert made["source_type"].endswith("/trainedAlgorithmicMedia") and "under these terms: " in made["data"]
