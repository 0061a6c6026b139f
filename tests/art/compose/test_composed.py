"""The composed generator: a name that says all, and pictures that follow from it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.art.compose import VOICES, Sheet, pieces
from pipeline.art.compose.flat import inks
from pipeline.art.compose.judge import PROOF, flaw_of
from pipeline.art.compose.palettes import KNOWN
from pipeline.art.draw import load_generator
from pipeline.art.draw.composed import choice_of, colours_of, composer
from pipeline.base.errors import GenerationError


def test_a_name_written_out_opens_the_same_generator_again() -> None:
    for seed in range(20):
        drawn = choice_of("compose", seed)
        assert choice_of(drawn.name, seed + 1) == drawn
    again, other = load_generator(choice_of("compose", 4).name), composer("compose", 4)
    assert np.array_equal(again.draw(9, 64).pixels, other.draw(9, 64).pixels)


def test_what_a_name_leaves_open_is_drawn_from_the_seed() -> None:
    found = [choice_of("compose:braid", seed) for seed in range(8)]
    assert {choice.voice for choice in found} == {"braid"}
    assert len({(choice.law, choice.palettes) for choice in found}) == 8
    assert all(4 <= len(choice.palettes) <= 6 for choice in found)


def test_a_name_does_not_tell_the_seed_that_it_was_drawn_from() -> None:
    """It stands in every token's metadata, and the seed draws tokens that nobody has yet."""
    assert not any(str(seed) in choice_of("compose", seed).name for seed in range(10_000, 10_050))


@pytest.mark.parametrize(
    ("top", "ink", "flaw"),
    [(0.5, 0, "bare"), (0.6, 4, "a strip"), (0.3, 4, ""), (0.0, 4, "choked"), (0.3, 1, "pale")],
)
def test_a_layout_is_judged_before_it_is_drawn(top: float, ink: int, flaw: str) -> None:
    sheet = Sheet()
    sheet.shape([(0.0, top), (1.0, top), (1.0, 1.0), (0.0, 1.0)], ink)
    sheet.shape([(0.0, top), (0.2, top), (0.2, 1.0), (0.0, 1.0)], ink and ink - 1 or ink)
    grey = colours_of("Mine=fafafaf6f6f6f2f2f2707070101010")
    assert flaw_of(inks(pieces(sheet.marks), PROOF), grey) == flaw


def test_a_collection_that_was_begun_with_an_earlier_edition_is_drawn_with_it() -> None:
    begun = choice_of("compose:fold:flat:12:Kiln,Lido")
    chosen = [choice_of(name) for name in ("compose:fold", "compose:fold:flat:12", "compose:FOLD.2:flat:12:Kiln")]
    assert begun.name == "compose:fold:flat:12:Kiln,Lido" and {choice.voice for choice in chosen} == {"fold.2"}
    assert choice_of(chosen[1].name).name == chosen[1].name
    assert not np.array_equal(composer(begun.name).draw(1, 64).pixels, composer(chosen[1].name).draw(1, 64).pixels)


def test_a_palette_of_ones_own_colours_every_token() -> None:
    own = "compose:raked:flat:1:Mine=fafafa103050405060a08090000000"
    drawing = composer(own).draw(3, 64)
    assert drawing.attributes[0].value == "Mine"
    assert {tuple(pixel) for pixel in drawing.pixels.reshape(-1, 3)[:1]} == {(250, 250, 250)}


@pytest.mark.parametrize(
    "name, told",
    [
        ("compose:brade", "'braid'"),
        ("compose:braid:oil", "known are flat, gouache, wash, print, chalk"),
        ("compose:braid.2", "no edition '2'"),
        ("compose:braid:flat:minus", "no number"),
        ("compose:braid:flat:1:Kiln,Oops", "palette 'Oops'"),
        ("compose:braid:flat:1:Mine=123", "five colours"),
        ("compose:braid:flat:1:kiln=f4ead6e4572e2a9d8fffc9142e282a", "choose Kiln as it is"),
        ("compose:braid:flat:1:Mine=f4ead6e4572ee4582e2a9d8f2e282a", "e4572e and e4582e differ by 0.0"),
        ("compose:braid:flat:1:Mine=f4ead6e4572e2a9d8fffc914d0c8b8", "ground and contrast are too close"),
        ("compose:braid:flat:1:Kiln:more", "more than four parts"),
        ("compose:braid:flat:1:" + ",".join(KNOWN), "256 at most"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_by_what_is_wrong(name: str, told: str) -> None:
    with pytest.raises(GenerationError) as caught:
        load_generator(name)
    assert told in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("voice", VOICES)
def test_tokens_of_a_voice_are_no_two_alike_and_counted(voice: str) -> None:
    generator = composer(f"compose:{voice}", 11)
    drawings = [generator.draw(seed, 48) for seed in range(6)]
    assert len({drawing.pixels.tobytes() for drawing in drawings}) == 6
    assert all(any(a.display_type == "number" for a in drawing.attributes) for drawing in drawings)
