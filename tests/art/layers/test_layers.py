"""Layered collections from folder to chain and back: minted, killed, added to, proved, repaired, asked for over HTTP."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import Pipeline
from layered import CAT_PICTURES, CATS, cats, paint, write
from PIL import Image
from serve.conftest import new_token, service, small

from pipeline.base.cid import CID
from pipeline.base.errors import ConstraintBroken
from pipeline.base.metadata import check_token_metadata
from pipeline.base.pictures import decode, frames, measure
from pipeline.ledger import Ledger
from pipeline.pin.store import CarStore

KEPT = ("attributes", "determinism", "image", "image_sha256", "seed", "token_uri")  # by a chain and its content
MINT = ("mint", "--layers", "cats", "--count", "8", "--batch", "4", "--seed", "3")


def documents(folder: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each token's metadata, from the CARs."""
    store = CarStore(folder / "workspace" / "car")
    uris = [token["token_uri"].removeprefix("ipfs://").partition("/") for token in result["tokens"]]
    return [check_token_metadata(store.read(CID.parse(root), name)) for root, _, name in uris]


def traits(document: dict[str, Any]) -> dict[str, Any]:
    return {one["trait_type"]: one["value"] for one in document["attributes"]}


def must_be_handed_over(pipeline: Pipeline, folder: Path, tokens: list[dict[str, Any]]) -> None:
    """The layouts of other tools hold the same images and traits."""
    exported = pipeline("export", "--format", "hashlips,sugar", "--out", "handed")
    assert exported.code == 0, exported.err
    hashlips, sugar = folder / "handed" / "hashlips", folder / "handed" / "sugar" / "assets"
    together = json.loads((hashlips / "json" / "_metadata.json").read_text())
    assert [one["edition"] for one in together] == list(range(1, 13)) and len({one["dna"] for one in together}) == 12
    assert [{each["trait_type"]: each["value"] for each in one["attributes"]} for one in together] == tokens
    crowns = [one for one in json.loads((hashlips / "rarity.json").read_text())["Hat"] if one["trait"] == "Crown"]
    assert crowns == [{"trait": "Crown", "count": 2, "occurrence": "2 in 12 editions (16.67 %)"}]
    first = json.loads((sugar / "0.json").read_text())
    assert first["name"] == "Cat #1" and first["image"] == "0.png" and first["seller_fee_basis_points"] == 500
    image = (folder / "workspace" / "images" / "1" / "1.png").read_bytes()
    assert image == (hashlips / "images" / "1.png").read_bytes() == (sugar / "0.png").read_bytes()
    assert (sugar / "collection.json").exists() and not (sugar / "12.json").exists()


def test_layers_are_minted_killed_added_to_proved_and_repaired(pipeline: Pipeline, tmp_path: Path) -> None:
    cats(tmp_path / "cats")
    killed = pipeline(*MINT, env={"PIPELINE_CRASH_AT": "artwork_recorded:3"})
    assert killed.code not in (0, 1, 2), killed.err
    minted = pipeline(*MINT, "--json")
    assert minted.code == 0, minted.err
    assert minted.json["name"] == "Cats" and len(minted.json["tokens"]) == 8
    again = pipeline(*MINT, "--workspace", "other", "--stop-after", "generate")  # one seed, one collection
    assert again.code == 0, again.err
    for image in sorted((tmp_path / "workspace" / "images" / "1").glob("[0-9]*.png")):
        assert image.read_bytes() == (tmp_path / "other" / "images" / "1" / image.name).read_bytes()

    more = pipeline("mint", "--count", "4", "--more", "--json")
    assert more.code == 0, more.err  # counts are of the whole collection: no more crowns
    tokens = [traits(one) for result in (minted, more) for one in documents(tmp_path, result.json)]
    assert Counter(token.get("Hat") for token in tokens)["Crown"] == 2
    assert len({tuple(sorted(token.items())) for token in tokens}) == 12
    assert not any(token["Fur"] == "Grey" and token.get("Hat") == "Cap" for token in tokens)
    assert all(token["Background"] == "Gold" for token in tokens if token.get("Hat") == "Crown")

    must_be_handed_over(pipeline, tmp_path, tokens)
    proved = pipeline("verify", "--regenerate")
    assert proved.code == 0 and "12 with equal pixels" in proved.out + proved.err, proved.out + proved.err
    shutil.copytree(tmp_path / "cats", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "layers.toml").unlink()  # pictures are known by what they are, not by their names
    (tmp_path / "elsewhere" / "Fur" / "Red#1.png").rename(tmp_path / "elsewhere" / "x.png")
    by_digest = pipeline("verify", "--regenerate", "--layers", "elsewhere", "--sample", "6")
    assert by_digest.code == 0 and "6 with equal pixels" in by_digest.out + by_digest.err, by_digest.err

    before = pipeline("show", "6", "--json").json
    assert before["determinism"] == "A"
    for file in (tmp_path / "workspace").glob("ledger.sqlite*"):
        file.unlink()
    shutil.rmtree(tmp_path / "workspace" / "images")
    shutil.rmtree(tmp_path / "cats")
    repaired = pipeline("repair", "--from-chain", "--contract", minted.json["contract"], "--seed", "3")
    assert repaired.code == 0, repaired.err
    assert pipeline("verify").code == 0
    after = pipeline("show", "6", "--json").json
    assert {key: after[key] for key in KEPT} == {key: before[key] for key in KEPT}
    unchecked = pipeline("verify", "--regenerate", "--token", "1")
    assert unchecked.code == 4 and "--layers FOLDER" in unchecked.out + unchecked.err


def must_follow_another_plan(pipeline: Pipeline, folder: Path, draw: tuple[str, ...]) -> None:
    """Two tokens get each other's plan: those two are painted anew, and no other is."""
    images = [folder / "images" / "1" / f"{token_id}.png" for token_id in range(1, 9)]
    before = [(image.read_bytes(), image.stat().st_mtime_ns) for image in images]
    with Ledger(folder / "ledger.sqlite") as ledger:
        plans = ledger.tokens.plans(1)
        ledger.tokens.replan_art(1, {1: plans[1], 2: plans[0]})
        with pytest.raises(ConstraintBroken, match="token 99 is sealed, or not there"):
            ledger.tokens.replan_art(1, {3: plans[0], 99: plans[1]})
        assert ledger.tokens.plans(1) == [plans[1], plans[0], *plans[2:]]
    assert pipeline(*draw).code == 0
    after = [(image.read_bytes(), image.stat().st_mtime_ns) for image in images]
    assert [data for data, _ in after[:2]] == [before[1][0], before[0][0]] and after[2:] == before[2:]


def test_what_changes_under_a_drawn_run_is_named_and_the_rest_is_minted_without_the_folder(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = cats(tmp_path / "cats")
    draw = (*MINT, "--rpc-url", "http://127.0.0.1:9", "--stop-after", "generate")
    assert pipeline(*draw, env={"PIPELINE_CRASH_AT": "image_written:2"}).code not in (0, 1, 2)
    kept = (folder / "Fur" / "White#1.png").read_bytes()
    Image.new("RGBA", (32, 32), "lime").save(folder / "Fur" / "White#1.png")
    refused = pipeline(*draw)
    assert refused.code == 2 and "Fur=White is another one now" in refused.err
    (folder / "Fur" / "White#1.png").write_bytes(kept)
    drawn = pipeline(*draw)
    assert drawn.code == 0 and "rule" in drawn.err, drawn.err
    assert "planned together" in pipeline("reject", "1").err
    must_follow_another_plan(pipeline, tmp_path / "workspace", draw)
    shutil.rmtree(folder)
    minted = pipeline("mint", "--layers", "cats", "--count", "8", "--batch", "4", "--seed", "3")
    assert minted.code == 0, minted.err


def test_a_sheet_shows_what_would_be_minted_and_check_tells_what_keeps_it_from_that(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = cats(tmp_path / "cats")
    shown = pipeline("generate", "--layers", "cats", "--count", "9", "--seed", "1", "--sheet", "sheet.png", "--json")
    assert shown.code == 0, shown.err
    assert len(shown.json["tokens"]) == 9 and measure((tmp_path / "sheet.png").read_bytes()).width > 3 * 32
    assert not (tmp_path / "workspace").exists()
    sound = pipeline("check", "--layers", "cats", "--count", "9")
    assert sound.code == 0 and "mint --layers cats --count 9" in sound.err, sound.err
    (folder / "Hat" / "Cap#1.png").write_bytes(b"no picture")
    Image.new("RGBA", (64, 64)).save(folder / "Fur" / "Red#1.png")
    broken = pipeline("check", "--layers", "cats", "--count", "9", "--json")
    assert broken.code == 2 and {fault["file"] for fault in broken.json["faults"]} == {"Hat/Cap#1.png", "Fur/Red#1.png"}
    unsaid = pipeline("check", "--layers", "cats")
    assert unsaid.code == 2 and "--count" in unsaid.err


def test_settings_of_an_older_program_are_imported_once_and_every_count_is_told(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    shutil.copytree(Path(__file__).parent / "hashlips", tmp_path / "eyes")
    names = ("Background/Black#1.png", *(f"Eye color/{n}#1.png" for n in "abc"), "Lid/Up#1.png", "Lid/Down#1.png")
    paint(tmp_path / "eyes" / "layers", (*names, "Iris/Round#1.png"))
    imported = pipeline("layers", "import", "eyes")
    assert imported.code == 0 and "not carried over: baseUri" in imported.err, imported.err
    again = pipeline("layers", "import", "eyes")
    assert again.code == 2 and "is not overwritten" in again.err
    told = pipeline("layers", "counts", "eyes", "--json")
    assert told.code == 0 and told.json["tokens"] == 7, told.err
    assert [one["there"] for one in told.json["values"] if one["layer"] == "Eye color"] == [2, 2, 2]
    (tmp_path / "eyes" / "layers" / "Lid" / "Down#1.png").unlink()
    refused = pipeline("layers", "counts", "eyes")
    assert refused.code == 2 and "6 tokens are wanted, and there are 3 combinations (3 × 1)" in refused.err


def test_groups_one_of_ones_words_and_two_sizes_become_one_collection(pipeline: Pipeline, tmp_path: Path) -> None:
    text = """
    size = [48, 32]
    ground = "random 80%"
    singles = "rare"
    shuffled = true
    attributes = { Season = 1 }
    [[groups]]
    name = "lions"
    prefix = "Lion"
    count = 4
    numbered = true
    layers = [{ folder = "Lion", z = 1 }, { trait = "Motto", text = { values = { "AB" = 1, "CD" = 1 }, height = 9 } }]
    [[groups]]
    name = "tigers"
    count = 3
    layers = [{ folder = "Tiger" }]
    """
    write(tmp_path / "zoo", text, "Lion/a.png", "Lion/b.png", *(f"Tiger/{name}.png" for name in "xyz"))
    paint(tmp_path / "zoo" / "rare", ["Phoenix.png"])
    minted = pipeline("mint", "--layers", "zoo", "--seed", "2", "--json")  # the groups say how many
    assert minted.code == 0, minted.err
    tokens = documents(tmp_path, minted.json)
    found = [token["name"] for token in tokens]
    assert sorted(found)[:4] == ["Lion #1", "Lion #2", "Lion #3", "Lion #4"] and found.count("Phoenix") == 1
    assert {one["value"] for token in tokens for one in token["attributes"] if one["trait_type"] == "Season"} == {1}
    seen = measure((tmp_path / "workspace" / "images" / "1" / "1.png").read_bytes())
    assert (seen.width, seen.height) == (48, 32)
    assert pipeline("verify", "--regenerate").code == 0
    more = pipeline("mint", "--count", "2", "--more")
    assert more.code == 2 and "as many as its groups have" in more.err, more.err


def test_layers_that_move_become_an_animation_beside_a_still(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "waves", "".join(f'[[layers]]\nfolder = "{name}"\n' for name in ("Background", "Hat", "Sea"))
    )
    paint(folder, ["Background/Sand.png", "Background/Rock.png", "Hat/Cap.png"])
    for name, count in (("Sea/Calm.gif", 2), ("Hat/Bell.webp", 3)):
        moving(folder / name, count, 40)
    paint(folder, ["Sea/Ice.png"])
    minted = pipeline("mint", "--layers", "waves", "--count", "8", "--seed", "1", "--json")
    assert minted.code == 0, minted.err
    images = tmp_path / "workspace" / "images" / "1"
    told = documents(tmp_path, minted.json)
    for token_id, token in enumerate(map(traits, told), 1):
        loop = (2 if token["Sea"] == "Calm" else 1) * (3 if token["Hat"] == "Bell" else 1)
        assert (images / f"{token_id}.webp").exists() == (loop > 1)
        if loop > 1:
            shown = frames((images / f"{token_id}.webp").read_bytes())
            still = decode((images / f"{token_id}.png").read_bytes()).image.convert("RGBA")
            assert len(shown) == loop and {frame.shown_ms for frame in shown} == {40}
            assert shown[0].image.convert("RGBA").tobytes() == still.tobytes()
            ground = frames((folder / "Background" / f"{token['Background']}.png").read_bytes())[0].image
            assert still.getpixel((31, 31)) == ground.getpixel((31, 31)), "what moves is clear where it is not painted"
    animated = [document for document in told if "animation_url" in document]
    assert len(animated) == 6 and all(one["animation_url"].endswith(".webp") for one in animated)
    assert pipeline("verify", "--regenerate").code == 0
    for file in (tmp_path / "workspace").glob("ledger.sqlite*"):
        file.unlink()
    shutil.rmtree(images)
    assert pipeline("repair", "--from-chain", "--contract", minted.json["contract"]).code == 0
    assert len(list(images.glob("*.webp"))) == 6

    moving(folder / "Sea" / "Calm.gif", 2, 70)
    assert "frames of" in pipeline("check", "--layers", "waves", "--count", "8").out
    moving(folder / "Sea" / "Calm.gif", 31, 40)
    moving(folder / "Hat" / "Bell.webp", 29, 40)
    refused = pipeline("check", "--layers", "waves", "--count", "8")
    assert refused.code == 2 and "that is 899" in refused.out, refused.out


def moving(path: Path, count: int, shown_ms: int) -> None:
    """A picture of so many frames, no two alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.new("RGBA", (32, 32)) for _ in range(count)]
    for number, picture in enumerate(pictures):
        picture.paste((250, 8 * number, 40, 255), (number, 4, number + 6, 28))
    how: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {"disposal": 2}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=shown_ms, loop=0, **how)


def test_a_job_of_the_service_mints_layers(tmp_path: Path) -> None:
    write(tmp_path / "cats", CATS, *CAT_PICTURES)
    with (
        service(tmp_path, env={"PIPELINE_LAYERS": "cats"}) as running,
        running.client(new_token(tmp_path, "mint")) as client,
    ):
        wanted = {key: value for key, value in small("Cats", count=8).items() if key not in ("size", "model")}
        job = client.post("/v1/collections", json=wanted, headers={"Idempotency-Key": "one"}).json()
        ended = running.ended(client, job["id"])
        assert ended["state"] == "done", str(ended)
        token = client.get("/v1/collections/1/tokens/2").json()
        assert token["name"] == "Cat #2" and token["provenance"]["model"] == "layers"
        assert client.get(token["image"]).content.startswith(b"\x89PNG")
