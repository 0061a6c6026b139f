"""`lino`: the network of 0.1 with hard inks, one motif and few palettes a collection, and traits that can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.art.draw import Drawing, load_generator, token_seed
from pipeline.art.draw.artist import Artist
from pipeline.art.draw.gates import is_blurred
from pipeline.art.draw.layouts import distance
from pipeline.art.draw.lino import MOTIFS, Lino, choice_of
from pipeline.art.drawn import model_of
from pipeline.base.errors import PipelineError
from pipeline.settings import Settings


@pytest.fixture(scope="module")
def hills() -> Lino:
    return Lino(choice_of("lino:mandala-hills:Kiln,Tide,Riso,Lido"), threads=1)


def _traits(drawing: Drawing) -> dict[str, object]:
    return {attribute.trait_type: attribute.value for attribute in drawing.attributes}


def test_a_name_written_out_opens_the_same_generator_again(hills: Lino) -> None:
    assert hills.name == "lino:hills-mandala:Kiln,Tide,Riso,Lido"
    again = load_generator(hills.name, threads=2)
    assert (again.name, again.renderer, again.weights_sha256) == (hills.name, hills.renderer, hills.weights_sha256)
    assert np.array_equal(again.draw(4, 100).pixels, hills.draw(4, 100).pixels)


def test_what_a_name_leaves_open_is_drawn_from_the_seed_and_does_not_tell_it() -> None:
    found = [choice_of("lino", seed) for seed in range(30)]
    assert {choice.motif for choice in found} <= set(MOTIFS) and len({choice.motif for choice in found}) > 8
    assert all(4 <= len(choice.palettes) <= 6 for choice in found)
    assert choice_of(found[3].name, 99) == found[3]
    assert str(found[3]).find("3") == -1


def test_it_has_the_weights_of_the_first_version_and_another_renderer(hills: Lino) -> None:
    first = load_generator("default", threads=1)
    assert isinstance(first, Artist) and first.weights_sha256 == hills.weights_sha256
    assert first.renderer.startswith("vocabulary-4/") and hills.renderer.startswith("lino-1/")


def test_edges_that_the_network_draws_are_sharp_at_any_size() -> None:
    marble = Lino(choice_of("lino:marble:Kiln"), threads=1)
    soft = load_generator("default", threads=1)
    seed = token_seed(101, 1)  # a marble of 0.1
    assert is_blurred(soft.draw(seed, 512).pixels)
    assert not any(is_blurred(marble.draw(seed, size).pixels) for size in (128, 512, 1024))


def test_tokens_of_a_collection_are_one_motif_in_its_palettes_with_one_sun(hills: Lino) -> None:
    traits = [_traits(hills.draw(token_seed(5, token_id), 16)) for token_id in range(1, 13)]
    assert {told["Family"] for told in traits} == {"Hills × Mandala"}
    assert {told["Symmetry"] for told in traits} == {"None"}
    assert {told["Palette"] for told in traits} <= {"Kiln", "Tide", "Riso", "Lido"}


def test_petals_are_those_that_can_be_counted_along_the_rim() -> None:
    """Token 11 of collection 20777 was told by 0.1 to have 6, and showed 12."""
    mandalas = Lino(choice_of("lino:mandala:Riso"), threads=1)
    counted = {}
    for token_id in (1, 2, 5, 6, 8):
        drawing = mandalas.draw(token_seed(20777, token_id), 16)
        petals = _traits(drawing).get("Petals")
        assert (petals is None) == (_traits(drawing)["Symmetry"] != "None")
        counted[token_id] = petals
    numbers = mandalas.compose([token_seed(20777, 11)]).numbers
    assert int(numbers["petals.fold"][0]) == 6 and _traits(mandalas.draw(token_seed(20777, 11), 16)).get("Petals") in (
        None,
        12,
    )
    assert any(counted.values())


def test_a_layout_is_what_its_drawing_says(hills: Lino) -> None:
    drawing = hills.draw(8, 32)
    assert drawing.layout is not None and distance(hills.layout(8), drawing.layout) == 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "lino:hils"}, "'hills'"),
        ({"model": "lino", "voice": "hills-moire-glass"}, "3 families"),
        ({"model": "lino:hills", "voice": "moire"}, "--voice"),
        ({"model": "lino", "material": "flat"}, "--material"),
        ({"model": "lino", "palettes": "Klin"}, "'Kiln'"),
        ({"model": "lino:hills:Kiln:more"}, "more than three parts"),
        ({"model": "default", "palettes": "Kiln"}, "--palettes"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_by_what_is_wrong(settings: dict[str, str], told: str) -> None:
    with pytest.raises(PipelineError) as caught:
        model_of(Settings.of(**settings).art, 1)
    assert told in f"{caught.value} {caught.value.hint}"
