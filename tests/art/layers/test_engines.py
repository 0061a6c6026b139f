"""Folders of two older programs, read as they are: the traits that they would have, and their settings, which are never run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from layered import paint

from pipeline.art.layers.design import Design, form_of, read_design
from pipeline.art.layers.javascript import NotRead, Unread, read_constants
from pipeline.art.layers.table import attributes_of, known_count, name_of, planned
from pipeline.art.layers.toml import read_form, written
from pipeline.base.errors import BadArgument

HERE = Path(__file__).parent
EYES = (
    *("Background/Black#1.png", "Eye color/Cyan#1.png", "Eye color/Red#3.png", "Eye color/Yellow#10.png"),
    *("Eye color/NONE#0.5.png", "Lid/High#20.png", "Lid/Low#40.png", "Lid/Mid#30.png"),
    *("Lid/Shut#10.png", "Iris/Large.png", "Iris/Small.png"),
    *("Iris/Wide.png", "Iris/7.png", "Eye color/Green#4.8.png", "Eye color/Blue#0.2.png"),
)
HEADS = (
    *("Background/clouds#5.png", "Background/stars#5.png", "Head/a#3.png", "Head/b#3.png"),
    *("Clothes/Shirt three#44/3shadow.png", "Clothes/Shirt three#44/shirt-FILL.png", "Clothes/floral#30.png"),
    *("Clothes/tee#26.png", "Eyes/z1,eye#50/happy#50/eye2.png", "Eyes/z1,eye#50/normal#50/eye1.png"),
    *("Eyes/z1,star eyes#30.png", "Accessory/Helmet#10/Helmet.png", "Accessory/shades#1.png"),
    *("Accessory/NONE#100.png", "Accessory/Glasses#25/front.png", "Accessory/Glasses#25/z-10,back.png"),
)
# What both programs write for these folders, by their own rules: trait type -> values.
EYES_SCHEMA = {
    "Background": {"Black"},
    "Colour": {"Cyan", "Red", "Yellow", "NONE", "Green", "Blue"},
    "Lid": {"High", "Low", "Mid", "Shut"},
    "Iris": {"Large", "Small", "Wide", "7"},
}
HEADS_SCHEMA = {
    "Background": {"clouds", "stars"},
    "Head": {"a", "b"},
    "Clothes": {"Shirt three", "floral", "tee"},
    "Eyes": {"happy", "normal", "star eyes"},
    "Worn": {"Space Helmet", "shades", "Glasses"},
}


def project(folder: Path, engine: str, names: tuple[str, ...]) -> Path:
    shutil.copytree(HERE / engine, folder)
    paint(folder / "layers", names)
    return folder


@pytest.fixture
def eyes(tmp_path: Path) -> Path:
    return project(tmp_path / "eyes", "hashlips", EYES)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return project(tmp_path / "heads", "nftchef", HEADS)


def schema(design: Design) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for layer in (layer for kind in design.kinds for layer in kind.layers):
        for trait, said in (trait for value in layer.values for trait in value.traits):
            found.setdefault(trait, set()).add(said)
    return found


def test_a_hashlips_folder_has_the_traits_that_hashlips_writes(eyes: Path) -> None:
    design = read_design(eyes)
    assert schema(design) == EYES_SCHEMA  # NONE is a value there
    assert known_count(design) == 7 and [kind.form.count for kind in design.kinds] == [6, 1]
    colour, lid = design.kinds[0].layers[1:]
    piece = colour.values[0].pieces[0]
    assert (piece.blend, piece.opacity, colour.tells, lid.tells) == ("overlay", 0.7, True, True)
    assert not design.kinds[0].layers[0].tells
    assert design.form.ground == "random 80%" and design.form.size == (32, 32) and not design.form.smooth


def test_fractional_weights_are_what_they_say_and_a_number_is_its_own_weight_there(eyes: Path) -> None:
    kinds = read_design(eyes).kinds
    colour = {value.name: float(value.weight) for value in kinds[0].layers[1].values}
    assert colour == {"Cyan": 1, "Red": 3, "Yellow": 10, "NONE": 0.5, "Green": 4.8, "Blue": 0.2}
    assert {value.name: float(value.weight) for value in kinds[1].layers[1].values}["7"] == 7


def test_a_nftchef_tree_has_the_traits_that_nftchef_writes(heads: Path) -> None:
    design = read_design(heads)
    assert schema(design) == HEADS_SCHEMA  # NONE is none there
    clothes, eyes_, worn = design.kinds[0].layers[2:]
    shirt = clothes.values[0]
    assert shirt.name == "Shirt three" and len(shirt.pieces) == 2 and shirt.pieces[0].opacity == 0.9
    assert {value.name: float(value.weight) for value in eyes_.values} == {
        "eye/happy": 25,
        "eye/normal": 25,
        "star eyes": 30,
    }
    depths = {value.name: sorted(piece.z for piece in value.pieces) for value in worn.values}
    assert depths["Glasses"] == [-10, 0] and depths["NONE"] == []


def test_its_rules_hold_in_every_token_and_forced_values_are_as_frequent_as_they_have_to_be(heads: Path) -> None:
    design = read_design(heads)
    rows = planned(design, 24, seed=5)
    tokens = [{one.trait_type: one.value for one in attributes_of(design, row)} for row in rows]
    tees = [token for token in tokens if token["Clothes"] == "tee"]
    assert tees and all(token["Worn"] == "shades" for token in tees)
    assert not any(token["Clothes"] == "floral" and token.get("Worn") == "Space Helmet" for token in tokens)
    assert any("Worn" not in token for token in tokens) and name_of(design, rows[0], 1) == "Series 2 #1"


@pytest.mark.parametrize("engine", ["hashlips", "nftchef"])
def test_an_imported_form_says_the_same_as_the_settings_that_it_came_from(engine: str, eyes: Path, heads: Path) -> None:
    folder = eyes if engine == "hashlips" else heads
    form, left = form_of(folder)
    before = read_design(folder)
    assert any(line.startswith("baseUri") for line in left)
    (folder / "layers.toml").write_text(written(form, left))
    after = read_design(folder)
    for one, other in zip(before.kinds, after.kinds, strict=True):
        assert one.layers == other.layers and one.form.count == other.form.count
    assert [(rule.kind, rule.when, rule.then) for rule in read_form(folder / "layers.toml").rules] == [
        (rule.kind, rule.when, rule.then) for rule in form.rules
    ]
    assert planned(before, known_count(before) or 0, 3) == planned(after, known_count(after) or 0, 3)


# ── settings that are read, and never run ────────────────────────────────────────────────────────────────────


def changed(folder: Path, old: str, new: str) -> Path:
    config = folder / "src" / "config.js"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("growEditionSizeTo: 6", "growEditionSizeTo: Number(process.env.N)", "line 20: layerConfigurations[0].growE"),
        ("growEditionSizeTo: 7", "growEditionSizeTo: 6", "more than 6"),
        ("opacity: 0.7", "opacity: 70", "a number from 0 to 1"),
        ("MODE.overlay", "MODE.overly", "layersOrder[1].options.blend"),
        ('{ name: "Lid" }', '{ nam: "Lid" }', "layersOrder[2].name is 'not given'"),
        ("width: 32", "width: 32000", "format.width"),
        ("shuffleLayerConfigurations = false", "shuffleLayerConfigurations = coin()", "true or false, written out"),
        ("const namePrefix", "const @namePrefix", "line 8"),
        ("layerConfigurations = [", "layerConfigurations = load([", "layerConfigurations"),
    ],
)
def test_what_cannot_be_read_is_refused_by_line_and_key(eyes: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(BadArgument) as caught:
        read_design(changed(eyes, old, new))
    assert told in str(caught.value), str(caught.value)


def test_settings_do_nothing(eyes: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    changed(eyes, "const basePath = process.cwd();", f"const basePath = require('fs').writeFileSync('{gone}', 'x');")
    assert read_design(eyes).kinds and not gone.exists()


def test_a_mode_that_hashlips_paints_as_another_is_told(eyes: Path) -> None:
    form, left = form_of(changed(eyes, "MODE.overlay", "MODE.sourceAtop"))
    assert form.groups[0].layers[1].blend == "source-out" and any("sourceAtop" in line for line in left)


def test_literals_are_what_javascript_says_they_are() -> None:
    found = read_constants(
        r"""
        const a = [1, 0x10, .5, 1e3, -2, 2 / 128,], b = { 'x y': `t\n${name}`, ...base, a, }
        const name2 = "\u{1F600}\x41" + 'b' // comment, with const c = 5
        let later = name2; const f = (x) => { return [x, "}"] }; var last = a[0] ?? 5
        """,
        {"name": "N", "base": {"k": True}},
    )
    assert found["a"] == [1, 16, 0.5, 1000, -2, 2 / 128]
    assert found["b"] == {"x y": "t\nN", "k": True, "a": found["a"]}
    assert found["name2"] == found["later"] == "\U0001f600Ab"
    assert isinstance(found["f"], Unread) and isinstance(found["last"], Unread)


@pytest.mark.parametrize(
    "source", ["const a = {", "const a = [1", 'const a = "x', "const a = " + "[" * 5000, "const a = {]}"]
)
def test_broken_settings_are_an_error_and_no_crash(source: str) -> None:
    with pytest.raises(NotRead):
        read_constants(source, {})
