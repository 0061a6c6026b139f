"""Verbs about where content is kept: `pins`, `repin`, `unpin`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.cli.call import CONTENT, Call, Takes, Verb, chosen_name, say
from pipeline.cli.tables import print_json, print_table
from pipeline.settings import Scope

PLACE_SETTINGS: Takes = (Scope.NAME, *CONTENT)


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.after.repin import Pins, RootPins


def _pins(call: Call) -> int:
    from pipeline.after.repin import pins_report

    report = pins_report(call.workspace, chosen_name(call))
    _print(call, report)
    wanting = {pin.place for root in report.roots for pin in root.pins if pin.state != "proved"}
    if wanting:
        call.next("tries again where content is not proved", "repin", "--pin", ",".join(sorted(wanting)))
    return 0


def _repin(call: Call) -> int:
    from pipeline.after.repin import repin
    from pipeline.cli.terminal import progress_on_stderr

    with progress_on_stderr() as observer:
        report = repin(call.workspace, call.config, chosen_name(call), observer, everything=call.arguments.all)
    _print(call, report)
    if report.failed:
        say(f"{report.failed:,} of {report.tried:,} pins could not be proved: see the reasons above.")
        call.repeat("tries those again, and sends nothing that is there")
        return 3
    say(f"{report.tried:,} pins proved now." if report.tried else "every root is proved there: nothing was sent.")
    call.next("where each root is kept", "pins")
    return 0


def _unpin(call: Call) -> int:
    from pipeline.after.repin import unpin
    from pipeline.cli.terminal import progress_on_stderr

    if call.arguments.site:
        return _unpin_site(call, call.arguments.site)
    with progress_on_stderr() as observer:
        report = unpin(call.workspace, call.config, chosen_name(call), observer)
    _print(call, report)
    if report.kept_for_others:
        say(f"{len(report.kept_for_others)} roots are another collection's as well, and were kept.")
    call.next("where each root is kept", "pins")
    return 0


def _unpin_site(call: Call, site: str) -> int:
    from pipeline.after.repin import unpin_site

    kept = unpin_site(call.workspace, call.config, site)
    if call.as_json:
        print_json({"sites": kept})
    else:
        _print_roots(kept)
    call.next("where each root is kept", "pins")
    return 0


def _print(call: Call, report: Pins) -> None:
    if call.as_json:
        print_json(report)
    else:
        _print_roots((*report.roots, *report.sites))


def _print_roots(roots: Sequence[RootPins]) -> None:
    from pipeline.after.repin import PinAt

    rows: list[tuple[object, ...]] = []
    for root in roots:
        what = (root.name, f"{root.root[:7]}…{root.root[-4:]}", f"{root.bytes:,}")
        for pin in root.pins or [PinAt("", "nowhere", "", 0)]:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(pin.told)) if pin.told else ""
            rows.append((*what, pin.place, pin.state, when, pin.reason))
            what = ("", "", "")
    print_table(("content", "root", "bytes", "place", "state", "told", "reason"), rows, wrap=True)


VERBS = (
    Verb(
        "pins",
        _pins,
        "where each root of the collection is kept, and whether that is proved",
        ("pins", "pins --json"),
        (Scope.NAME,),
    ),
    Verb(
        "repin",
        _repin,
        "put the collection's content into more places, or mend what failed",
        (
            "repin --pin kubo",
            "repin --pin embedded,kubo --all",
            "repin --pin embedded --gateway http://127.0.0.1:8080",
            "repin --pin filebase --s3-bucket art --gateway https://…",
        ),
        PLACE_SETTINGS,
        (("--all", {"action": "store_true", "help": "prove everything again, also what is known to be there"}),),
    ),
    Verb(
        "unpin",
        _unpin,
        "let go of the collection's content at some places, never at the last one",
        ("unpin --pin kubo", "unpin --pin filebase --name 'Night Linos'", "unpin --site bafybei…"),
        PLACE_SETTINGS,
        (
            (
                "--site",
                {
                    "metavar": "CID",
                    "help": "let go of a show that `export --site --pin` pinned, everywhere or at --pin",
                },
            ),
        ),
    ),
)
