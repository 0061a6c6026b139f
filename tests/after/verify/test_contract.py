"""Many tokens from the chain alone: the ledger is gone, and whoever gives the content may lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from after.verify.conftest import Minted, flip
from conftest import Ended, Pipeline
from pin.test_fetch import Liar

from pipeline.base.cid import CID
from pipeline.pin.car import CarReader, car_header, car_section

STEPS = ["contract", "owner", "token URI", "metadata", "image", "digest"]


def verified(pipeline: Pipeline, minted: Minted, *words: str, cwd: Path | None = None) -> Ended:
    return pipeline(
        "verify", "--contract", minted.contract, "--rpc-url", minted.url, *words, "--json", cwd=cwd or minted.folder
    )


def failed(ended: Ended) -> dict[int, str]:
    """Token id → the step that it failed at."""
    return _steps_that(ended, lambda step: step["ok"] is False)


def not_checked(ended: Ended) -> dict[int, str]:
    """Token id → the step at which nobody answered."""
    return _steps_that(ended, lambda step: step["not_checked"])


def _steps_that(ended: Ended, stands_out: Callable[[dict[str, Any]], bool]) -> dict[int, str]:
    steps = ((result["token_id"], step) for result in ended.json["results"] for step in result["steps"])
    return {token_id: step["name"] for token_id, step in steps if stands_out(step)}


@pytest.fixture
def blocks(original: Minted) -> dict[CID, bytes]:
    """All blocks of the collection, to be given back truly or not."""
    found: dict[CID, bytes] = {}
    for path in original.workspace.cars.glob("*.car"):
        with path.open("rb") as file:
            found.update((cid, block) for cid, _, block in CarReader(file, path))
    return found


@pytest.fixture
def gateway(liar: Callable[..., Liar], blocks: dict[CID, bytes]) -> str:
    """A gateway that gives one block at a time, whatever it has under its CID."""

    def answer(handler: Any) -> None:
        cid, _, form = handler.path.removeprefix("/ipfs/").partition("?format=")
        block = blocks.get(CID.parse(cid)) if form == "raw" else None
        handler.give(block or b"not here", "application/vnd.ipld.raw", 200 if block is not None else 404)

    return liar(answer).url


def test_a_deleted_ledger_is_not_missed(pipeline: Pipeline, minted: Minted) -> None:
    for path in minted.workspace.folder.glob("ledger*"):
        path.unlink()
    ended = verified(pipeline, minted)
    assert ended.code == 0, ended.out + ended.err
    assert ended.json["ok"] and ended.json["tokens"] == ended.json["total_supply"] == 5
    assert [[step["name"] for step in result["steps"]] for result in ended.json["results"]] == [STEPS] * 5
    assert [(step["name"], step["ok"]) for step in ended.json["sums"]] == [(name, True) for name in STEPS]
    assert not list(minted.workspace.folder.glob("ledger*"))  # it only looks


def test_a_stranger_needs_the_address_a_node_and_a_gateway(
    pipeline: Pipeline, original: Minted, kubo: Any, tmp_path: Path
) -> None:
    """In an empty folder: from a real Kubo's gateway, and from the node itself."""
    for path in original.workspace.cars.glob("*.car"):
        kubo.run("dag", "import", str(path))
    for words in (("--gateway", kubo.gateway), ("--kubo", "--ipfs-api", kubo.address)):
        ended = verified(pipeline, original, *words, cwd=tmp_path)
        assert ended.code == 0 and ended.json["tokens"] == 5, ended.out + ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_that_gives_blocks_alone_is_enough(
    pipeline: Pipeline, original: Minted, gateway: str, tmp_path: Path
) -> None:
    assert verified(pipeline, original, "--gateway", gateway, cwd=tmp_path).code == 0


def test_a_gateway_that_lies_about_one_image_is_caught_and_the_rest_stand(
    pipeline: Pipeline, original: Minted, gateway: str, blocks: dict[CID, bytes], tmp_path: Path
) -> None:
    image = CID(1, 0x55, bytes.fromhex(original.token(4)["image_sha256"]))  # a small file is one raw block
    blocks[image] = blocks[image][:-1] + bytes([blocks[image][-1] ^ 1])
    ended = verified(pipeline, original, "--gateway", gateway, cwd=tmp_path)
    assert ended.code == 3 and ended.json["failed"] == [4] and failed(ended) == {4: "image"}


def test_a_gateway_that_has_nothing_proves_nothing(
    pipeline: Pipeline, original: Minted, gateway: str, blocks: dict[CID, bytes], tmp_path: Path
) -> None:
    blocks.clear()
    ended = verified(pipeline, original, "--gateway", gateway, cwd=tmp_path)
    assert ended.code == 4 and failed(ended) == {} and set(not_checked(ended).values()) == {"metadata"}
    assert ended.json["failed"] == [] and ended.json["not_checked"] == [1, 2, 3, 4, 5]


def test_a_gateway_with_another_document_in_the_place_is_caught(
    pipeline: Pipeline, original: Minted, liar: Callable[..., Liar], tmp_path: Path
) -> None:
    """Whatever the CAR is, it must lead from the root that the chain commits to."""
    other = b'{"image":"https://example.org/rug.png","name":"Other"}'
    car = car_header(CID.raw(other)) + car_section(CID.raw(other), other)
    ended = verified(
        pipeline, original, "--gateway", liar(lambda handler: handler.give(car)).url, "--token", "1", cwd=tmp_path
    )
    assert ended.code == 3 and failed(ended) == {1: "metadata"}


def test_a_flipped_bit_in_a_car_fails_its_batch_and_no_other(pipeline: Pipeline, minted: Minted) -> None:
    flip(minted.car(minted.token(3)["token_uri"]), 300)
    table = pipeline("verify", "--contract", minted.contract, "--rpc-url", minted.url, cwd=minted.folder)
    assert table.code == 3 and "2 of 5 tokens failed" in table.out and "✗" in table.out
    ended = verified(pipeline, minted)
    assert ended.code == 3 and failed(ended) == {3: "metadata", 4: "metadata"}


def test_a_sample_has_the_ends_and_strangers_cannot_know_the_rest(pipeline: Pipeline, original: Minted) -> None:
    ids = [result["token_id"] for result in verified(pipeline, original, "--sample", "3").json["results"]]
    assert len(ids) == 3 and ids[0] == 1 and ids[-1] == 5 and 1 < ids[1] < 5


def test_junit_has_a_case_for_every_step_and_nothing_that_xml_forbids(
    pipeline: Pipeline, minted: Minted, tmp_path: Path
) -> None:
    flip(minted.car(minted.token(1)["image"]), 500)
    file = tmp_path / "verified.xml"
    assert verified(pipeline, minted, "--junit", str(file), "--token", "1").code == 3
    suite = ElementTree.parse(file).getroot().find("testsuite")
    assert suite is not None and suite.get("name") == minted.contract
    assert (suite.get("tests"), suite.get("failures")) == ("5", "1")
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    failure = cases["image"].find("failure")
    assert failure is not None and "do not hash" in str(failure.get("message"))
    assert {case.get("classname") for case in cases.values()} == {"token 1"}


def test_one_token_is_shown_step_by_step_and_the_ledgers_contract_is_the_usual_one(
    pipeline: Pipeline, original: Minted
) -> None:
    words = ("--token", "2", "--regenerate", "--device", "cpu", "--rpc-url", original.url)
    ended = pipeline("verify", *words, cwd=original.folder)
    assert ended.code == 0, ended.err
    assert [line.split()[1] for line in ended.out.splitlines() if "✓" in line] == [
        *("contract", "owner", "token", "metadata", "image", "digest", "pixels")
    ]
    assert "equal pixels, equal bytes" in ended.out and "every step holds" in ended.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--contract", "0x1111111111111111111111111111111111111111"), "expected a contract of ours"),
        (("--contract", "0x11"), "40 hex digits"),
        (("--token", "1", "--sample", "2"), "one or the other"),
        (("--token", "0"), "--token"),
        (("--sample", "none"), "--sample"),
        (("--gateway", "ftp://example.org"), "http:// or https://"),
        (("--gateway", "http://u:p@example.org"), "without user"),
        (("--gateway", "https://example.org", "--kubo"), "one of them"),
        (("--junit", "nowhere/at/all.xml"), "a folder that is there"),
        (("--contract", "0x1111111111111111111111111111111111111111", "--token", "1"), ""),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    pipeline: Pipeline, original: Minted, words: tuple[str, ...], told: str
) -> None:
    ended = pipeline("verify", "--rpc-url", original.url, *words, cwd=original.folder)
    assert ended.code == (2 if told else 3) and told in ended.err and "Traceback" not in ended.err
    assert "u:p" not in ended.err
