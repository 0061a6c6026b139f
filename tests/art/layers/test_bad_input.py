"""What is refused of a folder of layers, or read in the only way that it can be meant: each by its name, before anything is planned."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from layered import paint, write
from PIL import Image, ImageCms

from pipeline.art.layers.design import read_design
from pipeline.art.layers.javascript import NotRead, read_constants
from pipeline.art.layers.pictures import Pictures, look_into
from pipeline.art.layers.proof import Impossible
from pipeline.art.layers.table import Row, absent, attributes_of, combinations_of, planned, rerolled
from pipeline.base.errors import BadArgument, PipelineError

ONE = '[[layers]]\nfolder = "Hat"\n'
TWO = f'{ONE}[[layers]]\nfolder = "Fur"\n'
FOUR = ("Hat/Crown#1.png", "Hat/Cap#1.png", "Fur/Red#1.png", "Fur/Grey#1.png")


class Deaf:
    def notice(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int) -> None:
        pass


def plan(folder: Path, count: int = 4) -> list[Row]:
    design = read_design(folder)
    look_into(design, Pictures(folder), Deaf())
    return planned(design, count, seed=1)


def refused(folder: Path, count: int = 4) -> str:
    with pytest.raises(PipelineError) as caught:
        plan(folder, count)
    assert caught.value.exit_code == 2
    return f"{caught.value} → {caught.value.hint}"


def values(folder: Path, layer: str, count: int) -> Counter[object]:
    design = read_design(folder)
    rows = planned(design, count, seed=1)
    return Counter(one.value for row in rows for one in attributes_of(design, row) if one.trait_type == layer)


@pytest.mark.parametrize(
    ("form", "names", "told"),
    [
        # weights
        (ONE, ("Hat/Crown#1.png", "Hat/Cap.png"), "Cap'; expected a weight, as others beside it have one"),
        (ONE, ("Hat/Crown#-5.png", "Hat/Cap#1.png"), "a weight is never negative"),
        (
            f"{ONE}weights = {{ Crown = -0.5, Cap = 1 }}",
            FOUR[:2],
            "layers[1].weights.Crown is '-0.5'; expected a number of 0",
        ),
        (ONE, ("Hat/Crown#0.png", "Hat/Cap#0.png"), "a value that can be chosen (all weights are 0)"),
        (f"{ONE}weights = {{ Crown = nan, Cap = 1 }}", FOUR[:2], "a number of 0 or more"),
        # counts
        (
            f"{ONE}counts = {{ Crown = 1, Cap = 2 }}",
            FOUR[:2],
            "counts of Hat is '3 in all'; expected 4, the number of tokens",
        ),
        (f"{ONE}counts = {{ Crown = 9 }}", FOUR[:2], "9 in all"),
        (f"{ONE}counts = {{ Crwon = 2 }}", FOUR[:2], "one of its values; did you mean 'Crown'"),
        (f"{ONE}counts = {{ Crown = 1.5 }}", FOUR[:2], "a whole number"),
        (f"{ONE}counts = {{ Crown = 1 }}\nweights = {{ Crown = 1 }}", FOUR[:2], "a count or a weight, not both"),
        # names
        (ONE, ("Hat/#5.png", "Hat/Cap#1.png"), "a name before '#'"),
        (ONE, ("Hat/Crown#1.png", "Hat/Crown#2.png"), "one value of that name (there are two)"),
        (ONE, ("Hat/Crown#1?blend=glow.png", "Hat/Cap#1.png"), "a blend mode"),
        (ONE, ("Hat/Crown#1?opacity=500.png", "Hat/Cap#1.png"), "an opacity from 0 to 100"),
        (ONE, ("Hat/Crown#1?size=5.png", "Hat/Cap#1.png"), "only blend and opacity"),
        (ONE, ("Hat/zx,Crown#1.png", "Hat/z,Cap#1.png"), "a depth such as z-1"),
        # folders
        ('[[layers]]\nfolder = "Hats"\n', FOUR, "a folder with pictures (there is none)"),
        ('[[layers]]\nfolder = "../Hat"\n', FOUR, "its name leads out of it"),
        ('[[layers]]\nfolder = "/etc"\n', FOUR, "its name leads out of it"),
        ('root = "../.."\n[[layers]]\nfolder = "Hat"\n', FOUR, "its name leads out of it"),
        # rules
        (
            f'{TWO}[[rules]]\nnever = ["Hat=Crwon", "Fur=Red"]',
            FOUR,
            "rule 1 (never Hat=Crwon with Fur=Red) is 'Hat=Crwon'",
        ),
        (f'{TWO}[[rules]]\nnever = ["Hats=Crown", "Fur=Red"]', FOUR, "a layer that there is; did you mean 'Hat'"),
        (f'{TWO}[[rules]]\nnever = ["Hat#royal", "Fur=Red"]', FOUR, "a tag that there is"),
        (f'{TWO}[[rules]]\nnever = ["Crown", "Fur=Red"]', FOUR, "a selector such as 'Hat=Crown'"),
        (f'{TWO}[[rules]]\nnever = ["Hat=Crown", "Hat=Cap"]', FOUR, "it would rule nothing out"),
        (f'{TWO}[[rules]]\nnever = ["Hat=Crown"]', FOUR, "two selectors or more"),
        (f'{TWO}[[rules]]\nif = "Hat=Crown"', FOUR, "one of never, match, only_with, always"),
        (f'{TWO}[[rules]]\nmatch = ["Hat.colour", "Fur.colour"]', FOUR, "a set that its layer has under `sets`"),
        (
            f'{TWO}[[rules]]\nif = "Hat=Crown"\nalways = "Fur=Red"\n[[rules]]\nnever = ["Hat=Crown", "Fur=Red"]',
            FOUR,
            "no token can have it: rule 1 (Hat=Crown always with Fur=Red); rule 2 (never Hat=Crown with Fur=Red)",
        ),
        # the form itself
        ("", FOUR, "at least one [[layers]]"),
        ("[[layers]\n", FOUR, "TOML"),
        (f"{ONE}colour = 1", FOUR, "a key that exists"),
        (f"{ONE}blend = 'multipy'", FOUR, "did you mean 'multiply'"),
        (f"{ONE}opacity = 2", FOUR, "a number from 0 to 1"),
        ('ground = "sky"\n' + ONE, ("Hat/\u202eCrown#1.png", "Hat/Cap#1.png"), "text without U+202E"),
    ],
)
def test_it_is_refused_by_name(tmp_path: Path, form: str, names: tuple[str, ...], told: str) -> None:
    said = refused(write(tmp_path / "art", form, *names))
    assert told in said, said


def test_a_cycle_of_rules_holds_where_its_counts_agree_and_is_refused_where_they_do_not(tmp_path: Path) -> None:
    rules = "".join(
        f'[[rules]]\nif = "{one}=x"\nalways = "{other}=x"\n' for one, other in (("A", "B"), ("B", "C"), ("C", "A"))
    )

    def form(*counts: int) -> str:
        layers = (
            f'[[layers]]\nfolder = "{name}"\ncounts = {{ x = {n} }}\n' for name, n in zip("ABC", counts, strict=True)
        )
        return "".join(layers) + '[[layers]]\nfolder = "D"\n' + rules

    names = [f"{layer}/{value}#1.png" for layer in "ABC" for value in "xyz"] + [f"D/{n}.png" for n in "abcd"]
    rows = plan(write(tmp_path / "even", form(3, 3, 3), *names), 12)
    assert sum(row.values[0] == 0 for row in rows) == 3
    assert all(len({value == 0 for value in row.values[:3]}) == 1 for row in rows)
    told = refused(write(tmp_path / "odd", form(3, 4, 3), *names), 12)
    assert "B=x is wanted 4 times" in told and "3 beside C=x" in told and "rule 2 (B=x always with C=x)" in told


def test_fractions_dashes_and_numbers_are_what_they_say(tmp_path: Path) -> None:
    names = ("Hat/half#0.5.png", "Hat/more - or less#1.5.png", "Hat/what?#2.png", "Hat/No #1 hat#4.png")
    many = [f"Fur/{n}.png" for n in range(9)]
    write(tmp_path / "art", TWO, *names[:2], *many)
    assert values(tmp_path / "art", "Hat", 8) == {"half": 2, "more - or less": 6}
    assert set(values(tmp_path / "art", "Fur", 9)) == set("012345678")
    paint(tmp_path / "art", names[3:])
    assert values(tmp_path / "art", "Hat", 12) == {"half": 1, "more - or less": 3, "No #1 hat": 8}


def test_two_sizes_are_refused_unless_a_size_was_chosen(tmp_path: Path) -> None:
    folder = write(tmp_path / "art", TWO, *FOUR)
    paint(folder, ["Hat/Cap#1.png"], side=48)
    told = refused(folder)
    assert "Cap#1.png" in told and "32 by 32" in told and "48 by 48" in told
    (folder / "layers.toml").write_text(f"size = [64, 64]\n{TWO}")
    assert len(plan(folder)) == 4


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "huge"])
def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path / "art", TWO, *FOUR)
    file = folder / "Hat" / "Cap#1.png"
    data = file.read_bytes()
    head = data[:16] + (60_000).to_bytes(4, "big") * 2 + data[24:]
    file.write_bytes({"cut": data[: len(data) // 2], "text": b"hello", "empty": b"", "huge": head}[damage])
    told = refused(folder)
    assert "Cap#1.png" in told and "memory" not in told


def test_an_empty_layer_and_an_svg_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "art", TWO, *FOUR[:2])
    (folder / "Fur").mkdir()
    assert "Fur" in (told := refused(folder)) and "it is empty" in told
    (folder / "Fur" / "Red#1.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert "nothing here paints an SVG: export it as PNG" in refused(folder)


def test_links_are_refused_wherever_they_are(tmp_path: Path) -> None:
    outside = paint(tmp_path / "outside", ["Cap#1.png"])
    folder = write(tmp_path / "art", TWO, *FOUR)
    (folder / "Hat" / "Link#1.png").symlink_to(outside / "Cap#1.png")
    (folder / "Fur" / "Way").symlink_to(outside)
    told = refused(folder)
    assert "2 faults" in told and "Hat/Link#1.png: expected a file or a folder (it is a link" in told
    (folder / "Hat" / "Link#1.png").unlink()
    (folder / "Fur" / "Way").unlink()
    (folder / "Hat").rename(tmp_path / "Hat")
    (folder / "Hat").symlink_to(tmp_path / "Hat")
    assert "it is a link" in refused(folder)
    (folder / "Hat").unlink()
    (tmp_path / "Hat").rename(folder / "Hat")
    os.mkfifo(folder / "Hat" / "Pipe#1.png")
    assert "it is a pipe or a device" in refused(folder)


def test_more_tokens_than_combinations_one_and_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "art", TWO, *FOUR)
    assert len(plan(folder, 4)) == 4 and len(plan(folder, 1)) == 1 and plan(folder, 0) == []
    with pytest.raises(Impossible, match=r"5 tokens are wanted, and there are 4 combinations \(2 × 2\)"):
        plan(folder, 5)


def test_five_thousand_files_are_one_layer(tmp_path: Path) -> None:
    folder = write(tmp_path / "art", ONE, "Hat/0.png")
    data = (folder / "Hat" / "0.png").read_bytes()
    for number in range(5_000):
        (folder / "Hat" / f"{number}.png").write_bytes(data)
    assert len(set(planned(read_design(folder), 5_000, seed=1))) == 5_000


def test_earlier_collections_are_read_and_their_combinations_do_not_come_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "art", f'earlier = ["old.json"]\n{TWO}', *FOUR)
    (folder / "old.json").write_text("[{}]")
    with pytest.raises(BadArgument, match="tokens with attributes"):
        combinations_of(read_design(folder))
    (folder / "old.json").write_text(
        '[{"attributes": [{"trait_type": "Hat", "value": "Cap"}, {"trait_type": "Fur", "value": "Red"}]}]'
    )
    design = read_design(folder)
    rows = planned(design, 2, seed=1, taken=combinations_of(design))
    told = [{one.trait_type: one.value for one in attributes_of(design, row)} for row in rows]
    assert len(told) == 2 and {"Hat": "Cap", "Fur": "Red"} not in told
    with pytest.raises(Impossible, match="4 tokens are wanted, and 3 combinations are free"):
        planned(design, 4, seed=1, taken=combinations_of(design))


def test_colours_match_tags_name_many_and_a_star_is_any_value_that_paints(tmp_path: Path) -> None:
    text = """
    [[layers]]
    folder = "Hair"
    sets.colour = { red = ["*red*"], blue = ["*blue*"] }
    tags.loud = ["*red*"]
    [[layers]]
    folder = "Beard"
    sets.colour = { red = "red beard", blue = "blue beard" }
    [[layers]]
    folder = "Mask"
    [[rules]]
    match = ["Hair.colour", "Beard.colour"]
    [[rules]]
    never = ["Hair#loud", "Mask=*"]
    """
    names = [f"Hair/{name}.png" for name in ("long red", "short red", "long blue", "bald")]
    names += [f"Beard/{name}.png" for name in ("red beard", "blue beard", "NONE")]
    folder = write(tmp_path / "art", text, *names, "Mask/NONE#3.png", "Mask/tin#1.png")
    design = read_design(folder)
    for row in planned(design, 8, seed=4):
        token = {one.trait_type: str(one.value) for one in attributes_of(design, row)}
        hair, beard = token["Hair"], token.get("Beard", "")
        assert not ({"red", "blue"} & set(hair.split()) and beard) or hair.split()[1] in beard
        assert "red" not in hair or "Mask" not in token


def test_cells_that_are_loose_exchange_their_values_and_all_others_stay(tmp_path: Path) -> None:
    text = f'{TWO}[[layers]]\nfolder = "Mask"\n[[rules]]\nnever = ["Hat=a", "Fur=b"]\n'
    names = [f"{layer}/{value}.png" for layer in ("Hat", "Fur", "Mask") for value in "abcd"]
    design = read_design(write(tmp_path / "art", text, *names))
    before = planned(design, 32, seed=1)
    loose = {place: ("Fur", "Mask") for place in (0, *range(16, 32))}
    after = rerolled(design, before, loose, seed=9)
    assert after[1:16] == before[1:16] and after != before and after[0].values[0] == before[0].values[0]
    for layer in range(3):
        assert Counter(row.values[layer] for row in after) == Counter(row.values[layer] for row in before)
    assert len(set(after)) == 32 and not any(row.values[:2] == (0, 1) for row in after)


def test_a_picture_with_a_profile_is_painted_in_srgb_and_a_broken_profile_is_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "art", ONE, "Hat/Cap.png")
    file = folder / "Hat" / "Cap.png"
    picture = Image.new("RGBA", (32, 32), (255, 0, 0, 255))
    for profile, colour in ((red_and_green_exchanged(), (0, 255, 0)), (b"no profile", (255, 0, 0))):
        picture.save(file, icc_profile=profile)
        (frame,) = Pictures(folder).frames("Hat/Cap.png")
        seen = frame.image.getpixel((4, 4))
        assert isinstance(seen, tuple)
        assert max(abs(one - other) for one, other in zip(seen, colour, strict=False)) <= 1


def red_and_green_exchanged() -> bytes:
    """An ICC profile whose red is sRGB's green, and the other way round."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12)}
    red, green = tags[b"rXYZ"] + 4, tags[b"gXYZ"] + 4
    data[red : red + 8], data[green : green + 8] = data[green : green + 8], data[red : red + 8]
    return bytes(data).replace(b"s\0R\0G\0B", b"t\0R\0G\0B").replace(b"sRGB", b"tRGB")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/* " * 300_000, None),  # comments that nobody closes
        ("`" + "${" * 300_000 + "`", None),
        ("[" + "[" * 10_000, "nests too deep"),
        ("-" * 10_000 + "1", "nests too deep"),
        ('["x"];' + "".join(f"const a{n} = [...a{n - 1}, ...a{n - 1}];" for n in range(1, 60)), "too large"),
        ('"x";' + "".join(f"const a{n} = `${{a{n - 1}}}${{a{n - 1}}}`;" for n in range(1, 60)), "too large"),
        ("0x" + "f" * 1_000, None),
        (", ".join(f"a{n} = 1" for n in range(20_000)), None),
    ],
)
def test_a_config_costs_no_more_than_its_length(said: str, told: str | None) -> None:
    """A stranger's file: each of these once took hours, or all memory, or a traceback. A timeout is the fault."""
    source = f"const a0 = {said}"
    if told is None:
        assert "a0" in read_constants(source, {})
    else:
        with pytest.raises(NotRead, match=told):
            read_constants(source, {})


def test_a_folder_of_a_name_that_no_disk_could_hold_is_not_there(tmp_path: Path) -> None:
    assert "there is none" in refused(write(tmp_path, f'[[layers]]\nfolder = "{"x" * 300}"\n', *FOUR))


@pytest.mark.parametrize("number", ["1e-999999999", "1e999999999", f"0x{'f' * 9_000}", "[0x" + "f" * 9_000 + "]"])
@pytest.mark.parametrize("key", ["weights.Cap", "opacity"])
def test_a_number_that_is_short_to_write_costs_no_more(tmp_path: Path, key: str, number: str) -> None:
    assert f"layers[1].{key}" in refused(write(tmp_path, f"{ONE}{key} = {number}\n", *FOUR))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e999 - 1e999", f"0x{'f' * 400}", "0.5"])
def test_a_number_that_is_no_count_is_refused(tmp_path: Path, number: str) -> None:
    paint(tmp_path, [f"layers/{name}" for name in FOUR])
    (tmp_path / "config.js").write_text(
        f'const layerConfigurations = [{{ growEditionSizeTo: {number}, layersOrder: [{{ name: "Hat" }}] }}];'
    )
    assert "a whole number from 1" in refused(tmp_path)


def test_escaped_halves_of_a_character_are_one_and_a_half_alone_is_none() -> None:
    assert read_constants(r'const a = "\ud83d\ude00\ud800"', {})["a"] == "\U0001f600\ufffd"


def test_pairs_that_no_token_has_are_told_with_what_keeps_them_apart(tmp_path: Path) -> None:
    names = ("Hat/Crown#1.png", "Hat/Cap#2.png", "Fur/Red#1.png", "Fur/Grey#2.png")
    design = read_design(write(tmp_path, f'{TWO}[[rules]]\nnever = ["Hat=Crown", "Fur=Red"]', *names))
    (pair,) = absent(design, planned(design, 3, seed=1))
    assert {pair.first, pair.second} == {"Hat=Crown", "Fur=Red"} and pair.ruled and pair.expected > 0
