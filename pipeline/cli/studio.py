"""`studio`: changes to tokens before they are pinned, staged one by one and committed at once; the page in `serve` is the same."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_COUNT, MAX_EXACT
from pipeline.base.words import counted
from pipeline.cli.call import Call, Verb, chosen_name, number, say
from pipeline.cli.tables import print_json, print_table
from pipeline.settings import Scope

if TYPE_CHECKING:
    from pipeline.flow.studio import Look, Shown, Studio, Wish

LONG_TABLE = 40  # rows
_IDS = re.compile(r"([0-9]{1,16})(?:-([0-9]{1,16}))?")


def _studio(call: Call) -> int:
    from pipeline.flow.studio import open_studio

    action = call.arguments.action
    with open_studio(call.workspace, chosen_name(call)) as studio:
        if action in _ACTIONS:
            return _ACTIONS[action](call, studio)
        wish = _wish(action, call.arguments.words, tuple(call.arguments.lock or ()))
        seen = number("--at", call.arguments.at, 0, MAX_EXACT) if call.arguments.at else None
        version = studio.edit(wish, _author(call), seen)
        return _tell_edit(call, studio, version)


def _author(call: Call) -> str:
    if call.arguments.author:
        return str(call.arguments.author)
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "somebody"


# ── words of an edit ─────────────────────────────────────────────────────────────────────────────────────────


def _wish(action: str, words: Sequence[str], locked: tuple[str, ...]) -> Wish:
    from pipeline.flow.studio import KINDS, Wish

    kind = next(kind for kind in KINDS if kind == action)
    if kind in ("level", "undo", "discard"):
        _no_more(words)
        return Wish(kind)
    if kind == "count":
        choice, wanted = _two(words, "LAYER=VALUE and a number, or `weight`")
        layer, value = _pair(choice)
        return Wish(*(kind, (), (layer,), value), None if wanted == "weight" else number("count", wanted, 0, MAX_COUNT))
    if kind == "place":
        token, single = _two(words, "a token id and the name of a whole picture")
        return Wish(kind, _ids([token]), value=single)
    if kind == "choose":
        token, choice = _two(words, "a token id and LAYER=VALUE")
        layer, value = _pair(choice)
        return Wish(kind, _ids([token]), (layer,), value)
    if kind == "lock":
        ids = [word for word in words if _IDS.fullmatch(word)]
        return Wish(kind, _ids(ids), tuple(word for word in words if word not in ids))
    return Wish(kind, _ids(words), locked)


def _ids(words: Sequence[str]) -> tuple[int, ...]:
    """Token ids; `20-30` is all of them from the one to the other."""
    found: list[int] = []
    for word in words:
        match = _IDS.fullmatch(word)
        if match is None:
            raise BadArgument(name="token id", value=word, expected="a number, or two as in 20-30")
        first = number("token id", match[1], 1, MAX_EXACT)
        last = number("token id", match[2] or match[1], first, first + MAX_COUNT)
        found += range(first, last + 1)
    return tuple(found)


def _pair(word: str) -> tuple[str, str]:
    layer, sign, value = word.partition("=")
    if not sign:
        raise BadArgument(name="value", value=word, expected="a layer and one of its values, such as Hat=Crown")
    return layer, value


def _two(words: Sequence[str], expected: str) -> tuple[str, str]:
    if len(words) != 2:
        raise BadArgument(name="studio", value=" ".join(words), expected=expected)
    return words[0], words[1]


def _no_more(words: Sequence[str]) -> None:
    if words:
        raise BadArgument(name="studio", value=" ".join(words), expected="nothing more behind this word")


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────


def _tell_edit(call: Call, studio: Studio, version: int) -> int:
    from pipeline.flow.studio import edit_told

    look = studio.look()
    last = look.edits[-1] if look.edits and look.edits[-1].version == version else None
    touched = list(last.data.get("tokens", ())) if last else []
    if call.as_json:
        told = edit_told(last) if last else {"version": version}
        print_json(told | {"changed": look.changed, "values": [_plain(one) for one in _of(studio, touched)]})
        return 0
    _print_tokens(studio, touched)
    off = sum(one.wanted != one.there for one in look.counted)
    say(
        f"version {version}: {counted(len(look.edits), 'staged edit(s)')}, {counted(len(look.changed), 'token(s)')} other than planned"
        + (f", {counted(off, 'value(s)')} more or less often there than wanted" if off else "")
    )
    _next(call, look)
    return 0


def _of(studio: Studio, token_ids: Sequence[int]) -> list[Shown]:
    return studio.those(token_ids[:LONG_TABLE])


def _plain(one: Shown) -> dict[str, object]:
    return {
        "token_id": one.token_id,
        "mark": one.mark,
        "changed": one.is_changed,
        "pinned": not one.is_open,
        "locked": one.locked,
        "values": dict(one.cells) | ({"One of one": one.single} if one.single else {}),
    }


def _print_tokens(studio: Studio, token_ids: Sequence[int]) -> None:
    if not token_ids:
        return
    shown = _of(studio, token_ids)
    layers = list(dict.fromkeys(layer for one in shown for layer in one.cells))
    rows = [
        (
            one.token_id,
            one.mark or ("changed" if one.is_changed else ""),
            *(f"{one.cells.get(layer, '')}{' 🔒' if layer in one.locked else ''}" for layer in layers),
            one.single,
        )
        for one in shown
    ]
    print_table(("token id", "mark", *layers, "one of one"), rows)
    if len(token_ids) > LONG_TABLE:
        say(f"{len(token_ids) - LONG_TABLE:,} more: `--json` has them all")


def _status(call: Call, studio: Studio) -> int:
    from pipeline.flow.studio import edit_told

    _no_more(call.arguments.words)
    look = studio.look()
    if call.as_json:
        export = studio.export()
        del export["tokens"]
        print_json(export | {"closed": look.closed, "open": look.open, "approved": look.approved})
        return 0
    off = [one for one in look.counted if one.wanted != one.there]
    rows = [(one.layer, one.value, one.wanted, one.there, f"{one.there - one.wanted:+d}") for one in off]
    if rows:
        print_table(("layer", "value", "wanted", "there", "off by"), rows)
    broken = [(one.told, len(one.broken), ", ".join(map(str, one.broken[:8]))) for one in look.rules]
    if broken:
        print_table(("rule", "broken", "by"), broken)
    if look.edits:
        told = [edit_told(edit) for edit in look.edits[-LONG_TABLE:]]
        print_table(
            ("version", "who", "what", "tokens"),
            [
                (one["version"], one["author"], one["kind"], " ".join(map(str, one.get("tokens", ())[:12])))
                for one in told
            ],
        )
    say(
        f"{look.collection}, version {look.version}: {look.total:,} tokens, {look.open:,} of them open; "
        f"{look.approved:,} approved, {look.rejected:,} rejected, {len(look.changed):,} changed"
    )
    if look.closed:
        say(look.closed)
    elif look.is_arranged and not off:
        say("every count holds.")
    _next(call, look)
    return 0


def _next(call: Call, look: Look) -> None:
    if look.closed:
        return
    if any(one.wanted != one.there for one in look.counted):
        call.next("makes every count hold again", "studio", "level")
    elif look.edits:
        call.next("writes this into the plan and draws what changed", "studio", "commit", "--at", look.version)


def _show(call: Call, studio: Studio) -> int:
    token_ids = _ids(call.arguments.words) or tuple(range(1, 51))
    if call.as_json:
        print_json({"tokens": [_plain(one) for one in studio.those(token_ids)]})
    else:
        _print_tokens(studio, token_ids)
    return 0


def _commit(call: Call, studio: Studio) -> int:
    from pipeline.cli.terminal import progress_on_stderr

    _no_more(call.arguments.words)
    seen = number("--at", call.arguments.at, 0, MAX_EXACT) if call.arguments.at else studio.version()
    done = studio.commit(seen, _author(call))
    with progress_on_stderr() as observer:
        sheets = studio.draw(observer)
    if call.as_json:
        print_json({"version": done.version, "changed": done.changed, "redrawn": done.redrawn, "sheets": sheets})
        return 0
    for sheet in sheets:
        print(sheet)
    again = len(done.changed) + len(done.redrawn)
    say(f"version {done.version}: {counted(again, 'token(s)')} planned otherwise and drawn; no other was touched.")
    return 0


def _export(call: Call, studio: Studio) -> int:
    from pipeline.base.files import write_whole
    from pipeline.base.untrusted import json_text

    _no_more(call.arguments.words)
    if call.arguments.out is None:
        print_json(studio.export())
        return 0
    target = Path(call.arguments.out)
    write_whole(target, json_text(studio.export(), 2).encode())
    print_json({"file": target}) if call.as_json else print(target)
    return 0


_ACTIONS: dict[str, Callable[[Call, Studio], int]] = {
    "status": _status,
    "show": _show,
    "commit": _commit,
    "export": _export,
}
_WORDS = (
    *("status", "show", "approve", "reject", "clear", "lock", "reroll", "swap", "place", "choose", "count", "level"),
    *("undo", "discard", "commit", "export"),
)

VERBS = (
    Verb(
        "studio",
        _studio,
        "change tokens that are not pinned yet: what is staged is kept, a commit writes it at once; `serve` has a page for it",
        (
            "studio status",
            "studio show 1-20",
            "studio approve 1-6 9",
            "studio lock 7 Background Fur",
            "studio reroll 7 --lock Hat",
            "studio swap 3 12",
            "studio place 100 'Golden cat'",
            "studio choose 7 Hat=Crown",
            "studio count Hat=Crown 12",
            "studio level",
            "studio undo",
            "studio export --out staged.json",
            "studio commit --at 9 --json",
        ),
        (Scope.NAME,),
        (
            (
                "action",
                {
                    "metavar": "ACTION",
                    "choices": _WORDS,
                    "help": "status, show · approve, reject, clear · lock, reroll, swap, place, choose · count, level · "
                    "undo, discard · commit, export",
                },
            ),
            (
                "words",
                {"metavar": "WORD", "nargs": "*", "help": "token ids, such as 7 or 20-30, and what the action needs"},
            ),
            (
                "--lock",
                {"metavar": "LAYER", "action": "append", "help": "reroll: a layer whose value stays; several times"},
            ),
            ("--at", {"metavar": "VERSION", "help": "refuse where others staged something since this version"}),
            ("--author", {"metavar": "NAME", "help": "who stages it (your user name)"}),
            ("--out", {"metavar": "FILE", "help": "export: where to"}),
        ),
    ),
)
