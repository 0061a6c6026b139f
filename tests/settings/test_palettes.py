"""Palettes of one's own, from `[palettes]` of pipeline.toml to the name that a collection records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.art.draw import load_generator
from pipeline.art.drawn import model_of
from pipeline.base.errors import PipelineError
from pipeline.settings import load_settings

MINE = 'Mine = "f4ead6 #E4572E 2a9d8f ffc914 2e282a"\n'


def _model(folder: Path, table: str, palettes: str = "mine,Kiln") -> str:
    (folder / "pipeline.toml").write_text(f"[palettes]\n{table}")
    return model_of(load_settings({"voice": "braid", "palettes": palettes}, {}, folder).art, 5)


def test_a_palette_of_the_file_is_chosen_by_its_name_and_recorded_with_its_colours(tmp_path: Path) -> None:
    model = _model(tmp_path, MINE)
    assert model.endswith(":Mine=f4ead6e4572e2a9d8fffc9142e282a,Kiln")
    assert _model(tmp_path, 'Mine = ["f4ead6", "e4572e", "2a9d8f", "ffc914", "2e282a"]\n') == model
    (tmp_path / "pipeline.toml").unlink()  # elsewhere: whoever has the name draws the same
    colours = {tuple(pixel) for pixel in np.unique(load_generator(model).draw(3, 64).pixels.reshape(-1, 3), axis=0)}
    assert (0xF4, 0xEA, 0xD6) in colours or (0xEF, 0xE6, 0xDD) in colours


def test_the_file_may_choose_its_own_palettes_itself(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(f'[art]\npalettes = ["Mine"]\n[palettes]\n{MINE}')
    assert load_settings({}, {}, tmp_path).art.palettes == "Mine=f4ead6e4572e2a9d8fffc9142e282a"
    assert load_settings({}, {"PIPELINE_PALETTES": "MINE"}, tmp_path).art.palettes.startswith("Mine=")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('Mine = "f4ead6 e4572e"\n', ("Mine", "2 colours", "five: ground")),
        ('Mine = "f4ead6 e4572e 2a9d8f ffc914 red"\n', ("Mine", "red", "six hex digits")),
        ("Mine = 5\n", ("Mine", "0 colours", "five")),
        (f"Mine = [0x{'f' * 9_000}]\n", ("Mine", "too long", "six hex digits")),
        ('"Grün" = "f4ead6 e4572e 2a9d8f ffc914 2e282a"\n', ("Grün", "without accents")),
        (MINE + MINE.replace("Mine", "MINE"), ("MINE", "another name than 'Mine'")),
        ('Mine = "f4ead6 e4572e e4582e ffc914 2e282a"\n', ("'Mine'", "too close", "e4572e and e4582e")),
        (MINE + 'kiln = "f4ead6 e4572e 2a9d8f ffc914 2e282a"\n', ("'kiln'", "choose Kiln")),
        ("", ("no palette 'mine'",)),
    ],
)
def test_a_palette_that_cannot_be_is_refused_by_what_is_wrong(
    tmp_path: Path, table: str, told: tuple[str, ...]
) -> None:
    with pytest.raises(PipelineError) as caught:
        _model(tmp_path, table)
    assert all(words in f"{caught.value} {caught.value.hint}" for words in told)


def test_palettes_that_are_no_table_are_told_where_the_choice_stands(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text('palettes = ["Kiln"]\n')
    with pytest.raises(PipelineError, match="a table of palettes"):
        load_settings({}, {}, tmp_path)
