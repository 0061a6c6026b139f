"""One token, walked from the chain to its pixels, and every place where the way can end."""

from __future__ import annotations

import hashlib
import json

import pytest
from after.verify.conftest import Minted, flip

from pipeline.after.verify import Content, Source, Step, redraw_with, verify_token
from pipeline.after.verify.walk import Found, follow_uri, sample_of
from pipeline.base.cid import CID
from pipeline.base.errors import PinError
from pipeline.base.records import Address
from pipeline.mint.chain import connect
from pipeline.mint.collection import Collection
from pipeline.pin.store import CarStore
from pipeline.settings import load_settings

ROOT = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
NOBODY = Address("0x1111111111111111111111111111111111111111")


def source(minted: Minted, content: Content | None = None) -> Source:
    contract = Collection(connect(minted.url), minted.contract)
    return Source(contract, content or CarStore(minted.workspace.cars))


class Document:
    """A giver of content that holds one document and an image."""

    def __init__(self, document: object, image: bytes = b"") -> None:
        self.files = {"1.json": json.dumps(document).encode(), "1.png": image}

    def read(self, root: CID, path: str, limit: int) -> bytes:
        if path not in self.files:
            raise PinError(reason=f"{path} is not here")
        return self.files[path]


def behind(document: object, image: bytes = b"") -> list[Step]:
    return list(follow_uri(Document(document, image), Found(1, f"ipfs://{ROOT}/1.json")))


def test_every_step_is_told_in_order_and_holds(original: Minted) -> None:
    token = original.token(3)
    steps = {step.name: step for step in verify_token(source(original), 3)}
    assert list(steps) == ["contract", "owner", "token URI", "metadata", "image", "digest"]
    assert all(step.ok for step in steps.values()), steps
    assert token["owner"] in steps["owner"].detail and steps["token URI"].detail == token["token_uri"]
    assert token["image_sha256"] in steps["digest"].detail


def test_steps_come_as_they_are_done(minted: Minted) -> None:
    """What a step needs is fetched when its turn comes, so that a page can show the one before it meanwhile."""
    steps = verify_token(source(minted), 1)
    assert [next(steps).name for _ in range(4)] == ["contract", "owner", "token URI", "metadata"]
    minted.car(minted.token(1)["image"]).unlink()
    assert [(step.name, step.ok) for step in steps] == [("image", False)]


def test_owners_and_uris_of_many_tokens_are_asked_for_at_once(original: Minted) -> None:
    asked = source(original)
    expected = list(verify_token(asked, 2))
    asked.look_ahead([1, 2])
    asked.contract.chain.rpc.close()
    asked.contract.chain.rpc.call = None  # type: ignore[method-assign, assignment]
    asked.contract.chain.rpc.batch = None  # type: ignore[method-assign, assignment]
    assert list(verify_token(asked, 2)) == expected


@pytest.mark.parametrize(("token_id", "last"), [(6, "owner"), (0, "owner"), (2**200, "owner")])
def test_a_token_that_is_not_there(original: Minted, token_id: int, last: str) -> None:
    steps = list(verify_token(source(original), token_id))
    assert (steps[-1].name, steps[-1].ok) == (last, False)
    assert f"no token {token_id}" in steps[-1].detail


def test_an_address_without_a_contract(original: Minted) -> None:
    chain = connect(original.url)
    [step] = verify_token(Source(Collection(chain, NOBODY), CarStore(original.workspace.cars)), 1)
    assert (step.name, step.ok) == ("contract", False) and "no contract" in step.detail


def test_a_flipped_bit_in_a_document_ends_the_way_there(minted: Minted) -> None:
    uri = minted.token(1)["token_uri"]
    flip(minted.car(uri), 200)
    steps = list(verify_token(source(minted), 1))
    assert [(step.name, step.ok) for step in steps][3:] == [("metadata", False)]
    assert "do not hash" in steps[-1].detail and minted.car(uri).name in steps[-1].detail


def test_a_flipped_bit_in_an_image_is_found_by_its_block(minted: Minted) -> None:
    car = minted.car(minted.token(5)["image"])
    flip(car, car.stat().st_size // 2)
    steps = list(verify_token(source(minted), 5))
    assert [(step.name, step.ok) for step in steps][4:] == [("image", False)]


def test_a_chain_that_does_not_answer_is_a_step_and_no_crash(original: Minted) -> None:
    contract = Collection(connect(original.url, patience_s=0), original.contract)
    contract.chain.rpc._target = "http://127.0.0.1:1/"
    [step] = verify_token(Source(contract, CarStore(original.workspace.cars)), 1)
    assert (step.name, step.ok, step.not_checked) == ("contract", None, True) and "no usable answer" in step.detail


@pytest.mark.parametrize(
    "uri",
    ["", "https://example.org/1.json", f"http://127.0.0.1/ipfs/{ROOT}/1.json", "ipfs://nonsense/1.json", "ipfs://"],
)
def test_a_uri_whose_content_could_change_is_not_followed(uri: str) -> None:
    [step] = follow_uri(Document({}), Found(1, uri))
    assert (step.name, step.ok) == ("metadata", False)


def test_a_document_that_lies_about_its_image_is_told_with_both_digests() -> None:
    document = {"name": "One", "image": f"ipfs://{ROOT}/1.png", "image_sha256": "00" * 32}
    digest = behind(document, b"pixels")[-1]
    assert (digest.name, digest.ok) == ("digest", False)
    assert hashlib.sha256(b"pixels").hexdigest() in digest.detail and "00" * 32 in digest.detail


def test_a_document_without_a_digest_is_not_called_proven() -> None:
    assert behind({"name": "One", "image": f"ipfs://{ROOT}/1.png"}, b"pixels")[-1].ok is None


def test_an_image_on_a_server_is_not_followed() -> None:
    steps = behind({"name": "One", "image": "https://example.org/1.png"})
    assert [(step.name, step.ok) for step in steps] == [("metadata", True), ("image", False)]


def test_what_a_stranger_wrote_is_shown_without_what_acts_on_a_terminal() -> None:
    steps = behind({"name": "\x1b[2Jgone\u202e", "image": "ipfs://x"})
    assert "\x1b" not in steps[0].detail and "\u202e" not in steps[0].detail
    assert Step("x", True, "a\x1b[2J\u202eb\u2028").detail == "a\\u{1b}[2J\\u{202e}b\\u{2028}"


def test_pixels_are_drawn_again_and_equal_on_the_same_stack(original: Minted) -> None:
    walked = source(original)
    walked.redraw = redraw_with(load_settings({"device": "cpu"}, {}, original.folder))
    pixels = list(verify_token(walked, 4))[-1]
    assert (pixels.name, pixels.ok) == ("pixels", True), pixels
    assert "equal pixels, equal bytes" in pixels.detail and "the same stack" in pixels.detail


def test_a_sample_has_the_ends_and_is_no_larger_than_asked() -> None:
    assert [list(sample_of(total, sample)) for total, sample in ((1, 1), (2, 5), (3, None), (5, 1), (5, 2))] == [
        *([1], [1, 2], [1, 2, 3], [1], [1, 5])
    ]
    for _ in range(20):
        ids = list(sample_of(1000, 10))
        assert ids == sorted(set(ids)) and len(ids) == 10 and (ids[0], ids[-1]) == (1, 1000)
    assert len({tuple(sample_of(1000, 10)) for _ in range(5)}) > 1  # nobody can know it beforehand
