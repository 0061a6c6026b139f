"""Verbs about pictures: `check`, `generate`, `voices`, `reject`, `judge`, `rarity`."""

from __future__ import annotations

import secrets
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_SEED, MAX_TOKEN_ID
from pipeline.cli.call import Call, Verb, chosen_name, number, say
from pipeline.cli.tables import print_json, print_table
from pipeline.settings import Scope

if TYPE_CHECKING:
    from pipeline.flow.preview import SheetDrawn
    from pipeline.ledger import Run

LONG_TABLE = 100  # rows after which nobody reads on


def _check(call: Call) -> int:
    from pipeline.cli.terminal import progress_on_stderr
    from pipeline.flow.check import check_art

    count = number("--count", call.arguments.count, 1, MAX_TOKEN_ID) if call.arguments.count is not None else None
    with progress_on_stderr() as observer:
        found = check_art(call.config, call.workspace, observer, count=count, more=call.arguments.more)
    if call.as_json:
        faults = [{"file": file, "expected": expected} for file, expected in found.faults]
        print_json({"folder": found.folder or None, "tokens": found.tokens, "sound": not faults, "faults": faults})
    elif found.faults:
        print_table(("file", "expected"), found.faults, wrap=True)
    if not found.faults:
        them = f"{found.tokens:,} token{'s' if found.tokens != 1 else ''}"
        say(f"{them}: nothing{f' in {found.folder}' if found.folder else ''} keeps them from being minted")
        is_another = call.standing().collections and not call.config.given("name")
        beside = ["--more"] if call.arguments.more else ["--new"] if is_another else []
        many = ["--count", count] if count else []
        call.next("pins and mints them", "mint", *call.chosen(Scope.COLLECTION, Scope.ART), *many, *beside)
    return 2 if found.faults else 0


def _generate(call: Call) -> int:
    from pipeline.flow.preview import MAX_SHEET, draw_seed, draw_sheet

    out, sheet, config = call.arguments.out, call.arguments.sheet, call.config
    if (out is None) == (sheet is None):
        raise BadArgument(
            name="--out or --sheet",
            value="both of them" if out else "",
            expected="one of the two: a picture of one seed, or a contact sheet",
            hint="`pipeline generate --seed 7 --out 7.png`, or `pipeline generate --count 36 --sheet sheet.png`",
        )
    if out is not None:
        if config.art.seed is None:
            raise BadArgument(name="--seed", value="not given", expected="the seed of a token, as `show` has it")
        if call.arguments.count is not None:
            raise BadArgument(
                name="--count", value=call.arguments.count, expected="nothing beside --out: it is one picture"
            )
        drawn = draw_seed(config, config.art.seed, Path(out))
        if drawn.flaw:
            say(f"`mint` would not take this picture, and draw the token's next attempt: it is {drawn.flaw}.")
        _tell_files(call, drawn, [drawn.file])
    else:
        from pipeline.cli.terminal import progress_on_stderr

        count = number("--count", call.arguments.count, 1, MAX_SHEET) if call.arguments.count is not None else None
        seed = secrets.randbelow(MAX_SEED + 1) if config.art.seed is None else config.art.seed
        with progress_on_stderr() as observer:
            sheets = draw_sheet(config, seed, count, Path(sheet), observer)
        _tell_how_to_mint(call, sheets)
        _tell_files(call, sheets, sheets.files)
    return 0


def _tell_files(call: Call, result: object, files: Sequence[Path]) -> None:
    if call.as_json:
        print_json(result)
        return
    for file in files:
        print(file)


def _voices(call: Call) -> int:
    from pipeline.art.voices import offer
    from pipeline.flow.preview import check_png

    sheet = call.arguments.sheet
    if sheet is not None:
        check_png("--sheet", Path(sheet))
    found = offer(Path(sheet) if sheet else None, call.config.art.seed or 0, call.config.palettes)
    if call.as_json:
        print_json(found)
        return 0
    print_table(("voice", "what it is"), [(told.voice, told.about) for told in found.voices], wrap=True)
    print_table(("material", "what it is"), [(told.material, told.about) for told in found.materials], wrap=True)
    width = min(100, shutil.get_terminal_size().columns)
    print(textwrap.fill(f"palettes: {', '.join(found.palettes)}", width))
    for file in found.files:
        print(file)
    if not found.files:
        call.next("shows each of them", "voices", "--sheet", "voices.png")
    return 0


def _tell_how_to_mint(call: Call, sheet: SheetDrawn) -> None:
    """The call that mints what the sheet shows: the same art, beside what the workspace holds already."""
    standing = call.standing()
    if standing.unfinished:
        return  # that run comes first
    beside = ["--new"] if standing.collections else []
    count = [] if sheet.whole else ["--count", len(sheet.tokens)]
    seed = ["--seed", sheet.collection_seed]
    call.next("mints these", "mint", *count, *seed, *call.chosen(Scope.ART, Scope.GATE), *beside)


def _reject(call: Call) -> int:
    from pipeline.cli.terminal import progress_on_stderr
    from pipeline.flow.preview import reject

    token_ids = [number("token id", text, 1, MAX_TOKEN_ID) for text in dict.fromkeys(call.arguments.token_id)]
    with progress_on_stderr() as observer:
        run, sheets = reject(call.workspace, token_ids, observer)
    tell_sheets(call, run, sheets)
    return 0


def tell_sheets(call: Call, run: Run, sheets: Sequence[Path]) -> None:
    """What to look at, and how to go on, once a run is drawn and waits."""
    from pipeline.after.report import drawn_report
    from pipeline.art.source import open_source, recorded
    from pipeline.flow.plan import words_of

    _tell_files(call, drawn_report(run, sheets), sheets)
    say("nothing is pinned or sent yet.")
    say(open_source(recorded(run)).disliked())
    call.next("pins and mints what was drawn", *words_of(run, call.config))


def _judge(call: Call) -> int:
    from pipeline.after.judging import train_judge
    from pipeline.cli.terminal import progress_on_stderr

    with progress_on_stderr() as observer:
        found = train_judge(call.config, call.workspace, chosen_name(call), observer)
    if call.as_json:
        print_json(found)
        return 0
    print(found.file)
    say(f"learned from {found.kept} kept and {found.rejected} rejected pictures of {found.collection}.")
    say(
        f"of decisions that it was not shown it put the kept picture first in {found.held_out:.0%} of pairs; chance is 50 %."
    )
    call.next(
        "lets it take the best of three", "mint", "--count", 10, "--more", "--proofs", 3, "--name", found.collection
    )
    return 0


def _rarity(call: Call) -> int:
    from pipeline.after.rarity import rarity_report

    report = rarity_report(call.workspace, chosen_name(call))
    if call.as_json:
        print_json(report)
        return 0
    rows: list[tuple[object, ...]] = [
        (
            token.rank,
            token.token_id,
            f"{token.score:.3f}",
            f"{token.rarest.trait_type}: {token.rarest.value}" if token.rarest else "",
            f"{token.rarest.share:.1%}" if token.rarest else "",
        )
        for token in report.tokens[:LONG_TABLE]
    ]
    if len(report.tokens) > LONG_TABLE:
        rows.append(("…", "", "", f"{len(report.tokens) - LONG_TABLE:,} more: `--json` has them all", ""))
    print_table(("rank", "token id", "score", "its rarest trait", "of tokens"), rows)
    if report.ranked < report.planned:
        say(f"{report.ranked:,} of {report.planned:,} tokens are drawn: ranks change with the others.")
    if report.plot:
        say(f"plot: {report.plot}")
    call.next("shows the rarest token", "show", report.tokens[0].token_id)
    return 0


VERBS = (
    Verb(
        "check",
        _check,
        "look at art as `mint` would, a folder of images or layers above all, and tell all of its faults",
        (
            "check --images my-art",
            "check --images my-art --json",
            "check --images more-art --more --name Cats",
            "check --layers my-layers --count 1000",
        ),
        (Scope.NAME, Scope.COLLECTION, Scope.ART, Scope.MACHINE),
        (
            ("--count", {"metavar": "N", "help": "how many tokens, where the art does not say it"}),
            ("--more", {"action": "store_true", "help": "as further tokens of the last (or --name'd) collection"}),
        ),
    ),
    Verb(
        "generate",
        _generate,
        "draw pictures without minting: one seed, or a contact sheet",
        (
            "generate --seed 8629932815222832 --out token.png",
            "generate --count 36 --sheet sheet.png",
            "generate --count 36 --seed 5 --sheet sheet.png --model default --size 256 --threads 1",
            "generate --layers my-layers --count 100 --sheet sheet.png",
        ),
        (Scope.ART, "seed", Scope.MACHINE, Scope.GATE),
        (
            ("--out", {"metavar": "FILE", "help": "the picture of --seed, the seed of a token, as PNG"}),
            (
                "--sheet",
                {"metavar": "FILE", "help": "a contact sheet of tokens 1 to --count; --seed is the collection's"},
            ),
            ("--count", {"metavar": "N", "help": "pictures on the sheet (36)"}),
        ),
    ),
    Verb(
        "voices",
        _voices,
        "list the voices, materials and palettes of composed art, with pictures",
        ("voices", "voices --sheet voices.png", "mint --count 36 --voice braid --palettes Kiln,Tide,Moss,Lido"),
        ("seed",),
        (
            (
                "--sheet",
                {"metavar": "FILE", "help": "three pictures of each voice and material, as PNG; --seed for others"},
            ),
        ),
    ),
    Verb(
        "reject",
        _reject,
        "have tokens drawn again, before they are pinned",
        ("reject 7 12", "reject 7 --json"),
        (),
        (("token_id", {"metavar": "TOKEN_ID", "nargs": "+", "help": "ids of drawn tokens of the unfinished run"}),),
    ),
    Verb(
        "judge",
        _judge,
        "learn which pictures of a collection you keep, from what you rejected; --proofs asks it",
        ("judge", "judge --name 'Night Linos' --json", "mint --count 10 --more --proofs 3"),
        (Scope.NAME, "model", Scope.MACHINE),
    ),
    Verb(
        "rarity",
        _rarity,
        "rank the tokens by how rare their traits are",
        ("rarity", "rarity --name 'Night Linos' --json"),
        (Scope.NAME,),
    ),
)
