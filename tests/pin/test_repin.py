"""`pins`, `repin`, `unpin` and a quorum, as a user calls them, against a real Kubo daemon."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Pipeline
from pin.servers import Server, forward

from pipeline.pin.gateway import gateway_app, serve_gateway

MINT = ("mint", "--count", "2", "--size", "32", "--seed", "1", "--json")


def states(pipeline: Pipeline, place: str) -> set[str]:
    roots = pipeline("pins", "--json").json["roots"]
    return {pin["state"] for root in roots for pin in root["pins"] if pin["place"] == place}


def test_a_place_that_was_away_is_mended_by_repin_and_content_can_move_and_come_back(
    pipeline: Pipeline, new_repo: Callable[[str], Any], tmp_path: Path
) -> None:
    repo = new_repo("unixfs-v1-2025")
    kubo = ("--ipfs-api", repo.address)

    minted = pipeline(*MINT, "--pin", "embedded,kubo", "--quorum", "1", *kubo)
    assert minted.code == 0, minted.err
    assert "repin" in minted.err
    assert (states(pipeline, "embedded"), states(pipeline, "kubo")) == ({"proved"}, {"failed"})
    assert pipeline("show", "2", "--json").json["pinned_at"] == ["embedded"]
    away = pipeline("repin", "--pin", "kubo", *kubo)
    assert away.code == 3 and "refused" in away.err
    forgotten = pipeline("unpin", "--pin", "kubo", *kubo)  # nobody is asked for what was never taken
    assert forgotten.code == 0, forgotten.err
    assert (states(pipeline, "embedded"), states(pipeline, "kubo")) == ({"proved"}, set())

    repo.start()
    try:
        mended = pipeline("repin", "--pin", "kubo", *kubo)
        assert mended.code == 0, mended.err
        assert states(pipeline, "kubo") == {"proved"}
        roots = [root["root"] for root in pipeline("pins", "--json").json["roots"]]
        assert set(roots) <= set(repo.run("pin", "ls", "--type=recursive", "--quiet").split())
        assert pipeline("repin", "--pin", "embedded,kubo", *kubo, "--json").json["tried"] == 0

        before = {path.name: path.read_bytes() for path in (tmp_path / "workspace/car").glob("*.car")}
        assert pipeline("unpin", "--pin", "embedded", *kubo).code == 0
        assert list((tmp_path / "workspace/car").glob("*.car")) == []
        last = pipeline("unpin", "--pin", "kubo", *kubo)
        assert last.code == 1 and "no other place" in last.err
        assert set(roots) <= set(repo.run("pin", "ls", "--type=recursive", "--quiet").split())

        lost = pipeline("repin", "--pin", "embedded", *kubo)
        assert lost.code == 1 and "--gateway" in lost.err
        back = pipeline("repin", "--pin", "embedded", "--gateway", repo.gateway)
        assert back.code == 0, back.err
        assert {path.name: path.read_bytes() for path in (tmp_path / "workspace/car").glob("*.car")} == before
        assert pipeline("verify").code == 0

        assert pipeline("unpin", "--pin", "kubo", *kubo).code == 0
        assert not set(roots) & set(repo.run("pin", "ls", "--type=recursive", "--quiet").split())
        assert states(pipeline, "kubo") == set()
    finally:
        repo.stop()


def test_content_comes_back_through_a_gateway_that_is_busy_at_first(pipeline: Pipeline, tmp_path: Path) -> None:
    cars, elsewhere = tmp_path / "workspace" / "car", tmp_path / "elsewhere"
    assert pipeline(*MINT).code == 0
    shutil.copytree(cars, elsewhere)
    before = {path.name: path.read_bytes() for path in cars.glob("*.car")}

    with serve_gateway(gateway_app(elsewhere), 0) as url:
        gateway = Server(forward(url))
        contract = str(pipeline("show", "1", "--json").json["contract"])
        try:
            for verb in (("repin", "--all"), ("repair", "--from-chain", "--seed", "1", "--contract", contract)):
                for car in cars.glob("*.car"):
                    car.unlink()
                if verb[0] == "repair":
                    (tmp_path / "workspace" / "ledger.sqlite").unlink()
                gateway.rules.append(lambda *_: (503, {}, b""))
                ended = pipeline(*verb, "--gateway", gateway.url)
                assert ended.code == 0 and not gateway.rules, ended.err
                assert {path.name: path.read_bytes() for path in cars.glob("*.car")} == before
        finally:
            gateway.close()


def test_a_quorum_that_nobody_can_reach_is_refused_before_anything_is_planned(pipeline: Pipeline) -> None:
    refused = pipeline(*MINT, "--pin", "embedded", "--quorum", "2")
    assert refused.code == 2 and "at most 1" in refused.err
    assert pipeline("status", "--json").json["collections"] == []


def test_no_token_reaches_the_screen_the_ledger_or_any_file(pipeline: Pipeline, tmp_path: Path) -> None:
    secrets = {
        name: f"canary-{name.lower()}"
        for name in (
            "PIPELINE_PSA_TOKEN",
            "PIPELINE_PINATA_TOKEN",
            "PIPELINE_S3_ACCESS_KEY",
            "PIPELINE_S3_SECRET_KEY",
            "PIPELINE_IPFS_TOKEN",
        )
    }
    refusing = Server(lambda ask: (401, {}, json.dumps({"error": {"reason": str(ask.headers)}}).encode()))
    url = refusing.url
    places = ("--pin", "embedded,psa,pinata,filebase,kubo", "--gateway", url, "--psa-url", url)
    more = ("--pinata-url", url, "--s3-endpoint", url, "--s3-bucket", "art", "--ipfs-api", url)
    try:
        minted = pipeline(*MINT, *places, *more, "--quorum", "1", env=secrets)
    finally:
        refusing.close()
    assert minted.code == 0, minted.err
    assert len({ask.headers["Authorization"] for ask in refusing.seen}) >= 4
    assert states(pipeline, "filebase") == states(pipeline, "pinata") == states(pipeline, "psa") == {"failed"}
    told = minted.out + minted.err + pipeline("pins").out + pipeline("config", "--json", env=secrets).out
    assert "canary" not in told.lower()
    for path in (tmp_path / "workspace").rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes(), path


def test_words_that_make_no_sense_are_refused(pipeline: Pipeline) -> None:
    assert pipeline(*MINT).code == 0
    unnamed = pipeline("unpin")
    assert unnamed.code == 2 and "--pin" in unnamed.err
    unknown = pipeline("repin", "--pin", "kobu")
    assert unknown.code == 2 and "kubo" in unknown.err
    table = pipeline("pins").out
    assert "Warren 1-2 images" in table and "proved" in table and "embedded" in table


def test_a_damaged_car_is_set_aside_and_comes_back_through_a_gateway(pipeline: Pipeline, tmp_path: Path) -> None:
    assert pipeline(*MINT).code == 0
    cars = tmp_path / "workspace" / "car"
    shutil.copytree(cars, tmp_path / "elsewhere")
    car = max(cars.glob("*.car"), key=lambda path: path.stat().st_size)
    whole = car.read_bytes()
    damaged = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    car.write_bytes(damaged)

    alone = pipeline("repin", "--all")
    assert alone.code == 1 and car.stem in alone.err and "damaged" in alone.err and "--gateway" in alone.err
    with serve_gateway(gateway_app(tmp_path / "nothing"), 0) as url:
        away = pipeline("repin", "--all", "--gateway", url)
    assert away.code == 1 and car.read_bytes() == damaged  # as it was
    for number, kept in enumerate(("", "1")):
        car.write_bytes(damaged)
        with serve_gateway(gateway_app(tmp_path / "elsewhere"), 0) as url:
            mended = pipeline("repin", "--all", "--gateway", url)
        assert mended.code == 0, mended.err
        aside = cars / f"{car.name}.damaged{kept}"
        assert aside.name in mended.err and aside.read_bytes() == damaged
        assert car.read_bytes() == whole and len(list(cars.glob("*.damaged*"))) == number + 1
    assert pipeline("verify").code == 0
