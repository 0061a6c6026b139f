"""Metrics: what they say on cases with a known answer, and about the weights that ship."""

from __future__ import annotations

from pathlib import Path

import torch

import pipeline.art.draw
from pipeline.art.draw.artist import Artist
from pipeline.art.draw.checkpoint import read_checkpoint
from pipeline.art.models.families import FAMILIES
from pipeline.art.train.metrics import (
    agreement,
    embedding,
    evaluate,
    fake_pictures,
    family_classifier,
    kernel_distance,
    near_duplicates,
    neighbourhood,
    perceptual_hashes,
    real_pictures,
)

SHIPPED = Path(pipeline.art.draw.__file__).parent / "weights/default.safetensors"


def test_equal_distributions_are_at_distance_zero() -> None:
    torch.manual_seed(0)
    a, b, far = torch.randn(200, 16), torch.randn(200, 16), torch.randn(200, 16) + 1
    assert abs(kernel_distance(a, b)) < 0.1 < 1 < kernel_distance(a, far)


def test_neighbourhood_measures_know_perfection_and_collapse() -> None:
    torch.manual_seed(0)
    reals, others = torch.randn(150, 8), torch.randn(150, 8)
    good = neighbourhood(reals, others)
    assert min(good["precision"], good["recall"], good["coverage"]) > 0.7
    collapsed = neighbourhood(reals, reals[:1] + torch.randn(150, 8) * 0.01)
    assert collapsed["precision"] > 0.9 and collapsed["recall"] < 0.1 and collapsed["coverage"] < 0.1
    outside = neighbourhood(reals, others + 100)
    assert outside["precision"] == outside["coverage"] == 0


def test_hashes_find_a_copy_and_no_stranger() -> None:
    pictures, _ = real_pictures(11, 0)
    shaded = pictures.clone()
    shaded[:, -1] += 0.1
    assert near_duplicates(perceptual_hashes(pictures)) == 0
    assert near_duplicates(perceptual_hashes(torch.cat([pictures, shaded]))) == 11


def test_weights_that_ship_are_far_from_noise(untrained: Artist) -> None:
    """The same measures for fresh pictures (ceiling), the shipped weights and untrained ones (floor)."""
    reference, _ = real_pictures(110, 9000)
    classifier = family_classifier(*real_pictures(220, 1000), steps=100)
    shipped = Artist(SHIPPED).painter
    ours, labels = fake_pictures(shipped, 110, 1)
    noise, _ = fake_pictures(untrained.painter, 110, 1)
    embed = embedding(reference)
    distance, floor = (kernel_distance(embed(p), embed(reference)) for p in (ours, noise))
    assert distance < floor / 10
    found = evaluate(ours, labels, reference, classifier)
    assert found["family_agreement"] > 0.4 > 2 * agreement(classifier, noise, labels)
    assert found["coverage"] > 0.6 and found["blank_rate"] < 0.05
    assert found["near_duplicates"] <= 2  # before the gate, by its own hash: mandalas are alike


def test_the_weights_that_ship_are_small_and_say_how_they_came_about() -> None:
    assert SHIPPED.stat().st_size < 10_000_000
    notes = read_checkpoint(SHIPPED).notes
    assert notes["steps"] > 0 and len(notes["detail_cuts"]) == 3
    assert len(FAMILIES) == read_checkpoint(SHIPPED).config.families
