"""The stage: order, proof, retries, and nothing leaves the machine before it was checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.cid import CID
from pipeline.base.errors import Corrupt, DigestMismatch, PinnerUnavailable
from pipeline.base.metadata import BadJson, token_metadata
from pipeline.base.records import Artwork, Pin, Provenance, TokenWords
from pipeline.pin import Pinner
from pipeline.pin.kubo import KuboPinner
from pipeline.pin.patience import TRIES
from pipeline.pin.places import Places
from pipeline.pin.stage import pin, pin_directory
from pipeline.pin.store import CarStore
from pipeline.testing import MemoryPinner

PROVENANCE = Provenance("lino", "ab" * 32, "lino-1", "png-1", 512)


def describe(artwork: Artwork, images: CID) -> bytes:
    uri = f"ipfs://{images}/{artwork.token_id}.png"
    return token_metadata(artwork, TokenWords(f"Lino #{artwork.token_id}", "A print."), uri, PROVENANCE)


def pinned_by(pinner: MemoryPinner) -> list[tuple[CID, str]]:
    return [(root.cid, name) for root, name in pinner.pinned.items()]


def places(*pinners: Pinner, quorum: int = 0, pause: Callable[[float], None] = lambda pause_s: None) -> Places:
    return Places({pinner.name: pinner for pinner in pinners}, quorum, pause)


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


def test_batches_come_out_in_order_readable_and_linked(store: CarStore, batch: Callable[..., Any]) -> None:
    recorder = MemoryPinner("recorder")
    batches = [batch(1, 3), batch(4, 2)]
    pinned = list(pin(batches, describe, store, places(store, recorder), "Lino"))
    assert [result.plan for result in pinned] == [plan for plan, _ in batches]
    for result, (_, artworks) in zip(pinned, batches, strict=True):
        for artwork in artworks:
            document = json.loads(store.read(result.metadata.cid, f"{artwork.token_id}.json"))
            assert document["image"] == f"ipfs://{result.images.cid}/{artwork.token_id}.png"
            assert store.read(result.images.cid, f"{artwork.token_id}.png") == artwork.path.read_bytes()
    first, second = pinned
    assert pinned_by(recorder) == [
        (first.images.cid, "Lino 1-3 images"),
        (first.metadata.cid, "Lino 1-3 metadata"),
        (second.images.cid, "Lino 4-5 images"),
        (second.metadata.cid, "Lino 4-5 metadata"),
    ]


def test_batches_stream(store: CarStore, batch: Callable[..., Any]) -> None:
    """A batch is done before the next one is asked for."""
    asked = []

    def batches() -> Any:
        for start in (1, 2, 3):
            asked.append(start)
            yield batch(start, 1)

    stage = pin(batches(), describe, store, places(store), "Lino")
    assert next(stage).plan.start == 1
    assert asked == [1]


def test_pinning_the_same_batch_twice_gives_the_same_roots(store: CarStore, batch: Callable[..., Any]) -> None:
    once, twice = pin([batch(), batch()], describe, store, places(store), "Lino")
    assert once == twice
    assert len(store.roots()) == 2


def test_an_outage_is_waited_out_with_growing_pauses(store: CarStore, batch: Callable[..., Any]) -> None:
    outage = PinnerUnavailable(pinner="recorder", reason="gone")
    recorder, pauses = MemoryPinner("recorder", *[outage] * (TRIES - 1)), list[float]()
    assert list(pin([batch()], describe, store, places(recorder, pause=pauses.append), "Lino"))
    assert len(recorder.pinned) == 2
    assert len(pauses) == TRIES - 1
    assert all(0.5 * 2**n <= pause <= 1.5 * 2**n for n, pause in enumerate(pauses))


def test_a_long_outage_ends_the_stage_with_the_cause(store: CarStore, batch: Callable[..., Any]) -> None:
    recorder = MemoryPinner("recorder", *[PinnerUnavailable(pinner="recorder", reason="gone")] * TRIES)
    with pytest.raises(PinnerUnavailable, match="gone"):
        list(pin([batch()], describe, store, places(recorder), "Lino"))
    assert not recorder.pinned


def test_a_mismatch_is_not_tried_again(store: CarStore, batch: Callable[..., Any]) -> None:
    recorder, pauses = MemoryPinner("recorder", DigestMismatch(where="there", got=1, expected=2)), list[float]()
    with pytest.raises(DigestMismatch):
        list(pin([batch()], describe, store, places(recorder, pause=pauses.append), "Lino"))
    assert pauses == []


def test_a_flipped_bit_in_an_image_is_found_before_anything_is_pinned(
    store: CarStore, batch: Callable[..., Any]
) -> None:
    plan, artworks = batch()
    data = bytearray(artworks[1].path.read_bytes())
    data[1_000] ^= 4
    artworks[1].path.write_bytes(data)
    recorder = MemoryPinner("recorder")
    with pytest.raises(Corrupt, match="2.png"):
        list(pin([(plan, artworks)], describe, store, places(recorder), "Lino"))
    assert (recorder.pinned, store.roots()) == ({}, [])


def test_a_document_that_wallets_refuse_is_found_before_anything_is_pinned(
    store: CarStore, batch: Callable[..., Any]
) -> None:
    recorder = MemoryPinner("recorder")
    with pytest.raises(BadJson, match="token 1"):
        list(pin([batch()], lambda artwork, images: b'{"name":"x"}', store, places(recorder), "Lino"))
    assert not recorder.pinned


def test_a_batch_with_other_tokens_than_planned_is_refused(store: CarStore, batch: Callable[..., Any]) -> None:
    plan, artworks = batch()
    for wrong in artworks[:2], artworks[::-1], [*artworks, artworks[0]]:
        with pytest.raises(ValueError, match="wants tokens"):
            list(pin([(plan, wrong)], describe, store, places(store), "Lino"))


def test_a_single_directory_is_stored_and_pinned_under_its_label(store: CarStore) -> None:
    recorder = MemoryPinner("recorder", PinnerUnavailable(pinner="recorder", reason="gone"))
    root, pins = pin_directory([("collection.json", b"{}")], "Lino collection", store, places(recorder))
    assert pins == (Pin(root.cid, "recorder", "proved"),)
    assert pinned_by(recorder) == [(root.cid, "Lino collection")]
    assert store.read(root.cid, "collection.json") == b"{}"


def test_a_real_node_ends_with_both_roots_pinned_by_name(kubo: Any, store: CarStore, batch: Callable[..., Any]) -> None:
    node = KuboPinner(kubo.address, timeout_s=30)
    [pinned] = pin([batch(1, 5)], describe, store, places(store, node), "Lino stage")
    names = kubo.run("pin", "ls", "--type=recursive", "--names")
    assert "Lino stage 1-5 images" in names
    assert "Lino stage 1-5 metadata" in names
    document = json.loads(kubo.run("cat", f"{pinned.metadata.cid}/5.json"))
    assert document["image"] == f"ipfs://{pinned.images.cid}/5.png"
