"""Verbs about layers: `layers import`, which writes our form of an older program's settings, and `layers counts`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_COUNT, MAX_SEED
from pipeline.cli.call import Call, Verb, number, say
from pipeline.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from pipeline.art.layers.table import Absent

LONG_TABLE = 40  # rows


def _layers(call: Call) -> int:
    folder = Path(call.arguments.folder)
    if call.arguments.action == "import":
        return _import(call, folder)
    return _counts(call, folder)


def _import(call: Call, folder: Path) -> int:
    from pipeline.art.layers.design import form_of, read_design
    from pipeline.art.layers.form import FORM_NAME
    from pipeline.art.layers.toml import written
    from pipeline.base.files import write_whole

    target = folder / FORM_NAME
    if target.exists():
        raise BadArgument(
            name="layers import",
            value=str(target),
            expected="a folder that has none yet: what somebody wrote is not overwritten",
            hint="move it away first; with it, `mint --layers` reads nothing else",
        )
    form, left = form_of(folder)
    text = written(form, ("", *(f"not carried over: {line}" for line in left)) if left else ())
    read_design(folder)
    write_whole(target, text.encode())
    if call.as_json:
        print_json({"file": str(target), "left": list(left)})
    else:
        print(target)
        for line in left:
            say(f"not carried over: {line}")
    many = [] if all(group.count is not None for group in form.groups) else ["--count", 100]
    call.next("shows what would be minted", "generate", "--layers", folder, *many, "--sheet", "sheet.png")
    return 0


def _counts(call: Call, folder: Path) -> int:
    from pipeline.art.layers.design import read_design
    from pipeline.art.layers.table import absent, combinations_of, counted, known_count, planned

    design = read_design(folder.resolve())
    given = call.arguments.count
    count = number("--count", given, 1, MAX_COUNT) if given else known_count(design)
    if count is None:
        raise BadArgument(
            name="--count", value="not given", expected="the number of tokens, which the folder does not say"
        )
    seed = secrets.randbelow(MAX_SEED + 1) if call.config.art.seed is None else call.config.art.seed
    rows = planned(design, count, seed, taken=combinations_of(design))
    found = counted(design, rows)
    if call.as_json:
        pairs = {"absent": absent(design, rows)} if call.arguments.pairs else {}
        print_json({"tokens": count, "seed": seed, "values": found} | pairs)
        return 0
    if call.arguments.pairs:
        return _pairs(absent(design, rows), count)
    table = [(one.kind, one.layer, one.value, one.there, f"{one.there / count:.2%}") for one in found]
    print_table(("group", "layer", "value", "tokens", "of all"), table)
    say(f"{count:,} tokens: every count holds exactly, no rule is broken, and no two agree.")
    call.next("mints them", "mint", "--layers", folder, "--count", count, "--seed", seed)
    return 0


def _pairs(pairs: list[Absent], count: int) -> int:
    rows = [
        (one.first, one.second, f"{one.expected:.1f}", "a rule" if one.ruled else "too few tokens")
        for one in pairs[:LONG_TABLE]
    ]
    print_table(("value", "and", "by chance", "kept apart by"), rows)
    if len(pairs) > LONG_TABLE:
        say(f"{len(pairs) - LONG_TABLE:,} more: `--json` has them all")
    say(f"{len(pairs):,} pairs of values come in none of {count:,} tokens.")
    return 0


VERBS = (
    Verb(
        "layers",
        _layers,
        "write layers.toml for a HashLips or nftchef folder, or tell how often every value would come",
        (
            "layers import my-hashlips-project",
            "layers counts my-layers --count 1000",
            "layers counts my-layers --count 1000 --pairs",
        ),
        ("seed",),
        (
            ("action", {"metavar": "import|counts", "choices": ("import", "counts"), "help": "what to do"}),
            ("folder", {"metavar": "FOLDER", "help": "the folder of the collection"}),
            ("--count", {"metavar": "N", "help": "number of tokens, where the folder does not say it"}),
            ("--pairs", {"action": "store_true", "help": "counts: the pairs of values that no token has, and why"}),
        ),
    ),
)
