"""The studio: what is staged over a planned run, by several people, and what a commit makes of it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from conftest import Ended, Pipeline, pipeline_in
from layered import bots

from pipeline.base.errors import BadArgument, Outdated
from pipeline.base.observer import Silence
from pipeline.base.workspace import Workspace
from pipeline.cli.main import main
from pipeline.flow.studio import Kind, Look, Shown, Studio, Wish, open_studio
from pipeline.ledger import Ledger

COUNT = 40


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tokens of layers, drawn and not pinned."""
    folder = tmp_path_factory.mktemp("studio")
    bots(folder / "bots")
    words = ("mint", "--layers", "bots", "--count", str(COUNT), "--seed", "3", "--stop-after", "generate")
    ended = pipeline_in(folder)(*words)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """A copy of them, to be changed."""
    shutil.copytree(drawn / "workspace", tmp_path / "workspace")
    return tmp_path


@pytest.fixture
def workspace(folder: Path) -> Workspace:
    return Workspace(folder / "workspace")


@pytest.fixture
def studio(workspace: Workspace) -> Iterator[Studio]:
    with open_studio(workspace, None) as opened:
        yield opened


def edit(studio: Studio, kind: Kind, *tokens: int, seen: int | None = None, author: str = "ada", **more: object) -> int:
    return studio.edit(Wish(kind, tokens, **more), author, seen)  # type: ignore[arg-type]


def token(studio: Studio, token_id: int) -> Shown:
    (found,) = studio.tokens(token_id, 1)
    return found


def images(workspace: Workspace) -> dict[int, tuple[bytes, int]]:
    paths = (workspace.folder / "images" / "1").glob("[0-9]*.png")
    return {int(path.stem): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def off(look: Look) -> dict[str, int]:
    """The values that come more or less often than they are wanted."""
    return {f"{one.layer}={one.value}": one.there - one.wanted for one in look.counted if one.there != one.wanted}


def must_hold(studio: Studio) -> None:
    look = studio.look()
    assert off(look) == {} and look.repeated == () and not any(rule.broken for rule in look.rules)


def some_with(studio: Studio, **values: str) -> list[int]:
    everything = studio.tokens(1, COUNT)
    return [one.token_id for one in everything if all(one.cells.get(name) == said for name, said in values.items())]


def said(folder: Path, *words: str) -> Ended:
    """`pipeline studio …` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["studio", *words])
    return Ended(code, out.getvalue(), err.getvalue())


def test_a_reroll_keeps_what_is_locked_and_touches_no_other_token(studio: Studio) -> None:
    before = studio.tokens(1, COUNT)
    edit(studio, "lock", 7, layers=("Background", "Body"))
    edit(studio, "reroll", 7)
    after = studio.tokens(1, COUNT)
    old, new = before[6], after[6]
    assert new.cells != old.cells and new.key != old.key and new.is_changed
    assert [new.cells[name] for name in ("Background", "Body")] == [old.cells[name] for name in ("Background", "Body")]
    assert [one.key for one in after if one.token_id != 7] == [one.key for one in before if one.token_id != 7]
    look = studio.look()
    assert sum(off(look).values()) == 0 and off(look) and look.repeated == ()
    assert not any(rule.broken for rule in look.rules)


def test_rerolling_several_makes_each_another_and_none_of_them_again(studio: Studio) -> None:
    rejected = [3, 9, 14, 22, 31]
    before = {tuple(token(studio, one).cells.items()) for one in rejected}
    edit(studio, "reject", *rejected)
    edit(studio, "reroll", *rejected)
    assert not before & {tuple(token(studio, one).cells.items()) for one in rejected}
    assert {token(studio, one).mark for one in rejected} == {""}


def test_changed_counts_show_who_is_over_and_under_and_level_makes_them_hold(studio: Studio) -> None:
    edit(studio, "approve", *range(1, 9))
    approved = studio.tokens(1, 8)
    bows = len(some_with(studio, Hat="Bow"))
    edit(studio, "count", layers=("Hat",), value="Bow", wanted=bows + 2)
    assert off(studio.look())["Hat=Bow"] == -2
    edit(studio, "level")
    must_hold(studio)
    assert len(some_with(studio, Hat="Bow")) == bows + 2
    assert [one.key for one in studio.tokens(1, 8)] == [one.key for one in approved]


def test_swap_place_and_choose_move_what_they_name(studio: Studio) -> None:
    first, second = token(studio, 4), token(studio, 9)
    edit(studio, "swap", 4, 9)
    assert (token(studio, 4).cells, token(studio, 9).cells) == (second.cells, first.cells)
    (stood,) = [one.token_id for one in studio.tokens(1, COUNT) if one.single]
    target = 11 if stood != 11 else 12
    there = token(studio, target)
    edit(studio, "place", target, value="Golden")
    assert token(studio, target).single == "Golden" and token(studio, stood).cells == there.cells
    must_hold(studio)


def test_a_value_that_a_rule_forbids_is_not_chosen(studio: Studio) -> None:
    grey = some_with(studio, Body="Grey")[0]
    with pytest.raises(BadArgument, match="never Body=Grey with Hat=Cap"):
        edit(studio, "choose", grey, layers=("Hat",), value="Cap")
    assert studio.version() == 0


def test_a_commit_is_one_change_of_the_plan_and_paints_only_what_changed(workspace: Workspace, studio: Studio) -> None:
    before = images(workspace)
    edit(studio, "approve", 1, 2)
    edit(studio, "reroll", 7)
    edit(studio, "swap", 4, 9)
    done = studio.commit(3, "ada")
    assert done.changed == (4, 7, 9) and done.version == 4
    studio.draw(Silence())
    after = images(workspace)
    assert {one for one in after if after[one] != before[one]} == {4, 7, 9}
    assert after[4][0] == before[9][0] and after[9][0] == before[4][0]
    look = studio.look()
    assert look.edits == () and look.changed == () and look.approved == 2 and look.undrawn == 0
    with Ledger(workspace.ledger) as ledger:
        ledger.check()


def test_a_commit_of_a_stale_page_is_refused_and_so_is_an_edit_of_what_it_has_not_seen(studio: Studio) -> None:
    edit(studio, "reroll", 7, author="ada")
    edit(studio, "approve", 8, seen=0, author="bob")  # another token: nothing of it is lost
    with pytest.raises(Outdated, match="token 7: it is at version 1 now, and version 0 was seen"):
        edit(studio, "approve", 7, seen=0, author="bob")
    with pytest.raises(Outdated):
        studio.commit(1, "ada")
    with pytest.raises(Outdated):
        edit(studio, "undo", seen=1)
    assert studio.look().changed == (7,) and token(studio, 8).mark == "approved"


def test_undo_takes_back_edit_by_edit_and_discard_all(studio: Studio) -> None:
    keys = [one.key for one in studio.tokens(1, COUNT)]
    edit(studio, "reroll", 7)
    edit(studio, "count", layers=("Hat",), value="Bow", wanted=9)
    edit(studio, "reroll", 8)
    edit(studio, "undo")
    assert studio.look().changed == (7,) and off(studio.look())["Hat=Bow"] < 0
    edit(studio, "undo")
    assert "Hat=Bow" not in off(studio.look()) or off(studio.look())["Hat=Bow"] in (-1, 1)
    edit(studio, "undo")
    assert [one.key for one in studio.tokens(1, COUNT)] == keys and studio.version() == 6
    with pytest.raises(BadArgument, match="there is none"):
        edit(studio, "undo")
    edit(studio, "swap", 1, 2)
    edit(studio, "discard")
    assert [one.key for one in studio.tokens(1, COUNT)] == keys


def test_two_editors_at_once_lose_nothing(workspace: Workspace) -> None:
    def approve(first: int) -> None:
        with open_studio(workspace, None) as own:
            for token_id in range(first, COUNT + 1, 2):
                edit(own, "approve", token_id, author=f"editor {first}")

    editors = [Thread(target=approve, args=(first,)) for first in (1, 2)]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join()
    with open_studio(workspace, None) as studio:
        look = studio.look()
        assert (look.version, look.approved) == (COUNT, COUNT)
        assert Counter(one.author for one in look.edits) == {"editor 1": COUNT // 2, "editor 2": COUNT // 2}


def test_a_kill_loses_no_edit_and_no_half_of_a_commit(folder: Path) -> None:
    pipeline = pipeline_in(folder)
    killed = pipeline("studio", "reroll", "7", env={"PIPELINE_CRASH_AT": "edit_staged:1"})
    assert killed.code not in (0, 1, 2), killed.err
    assert said(folder, "status", "--json").json["changed"] == [7]
    halved = pipeline("studio", "commit", "--at", "1", env={"PIPELINE_CRASH_AT": "inside_ledger_commit:1"})
    assert halved.code not in (0, 1, 2), halved.err
    still = said(folder, "status", "--json").json
    assert (still["version"], still["changed"]) == (1, [7])
    done = said(folder, "commit", "--at", "1", "--json")
    assert done.code == 0 and done.json["changed"] == [7], done.err


def test_what_is_staged_is_committed_before_it_is_minted_and_read_only_afterwards(folder: Path, drawn: Path) -> None:
    pipeline = pipeline_in(folder)
    mint = ("mint", "--layers", drawn / "bots", "--count", str(COUNT), "--seed", "3")
    rerolled = said(folder, "reroll", "5", "--json").json
    refused = pipeline(*mint)
    assert refused.code == 2 and "1 edit of its studio are not committed" in refused.err, refused.err
    assert said(folder, "commit").code == 0
    minted = pipeline(*mint, "--json")
    assert minted.code == 0, minted.err
    shown = {one["trait_type"]: one["value"] for one in pipeline("show", "5", "--json").json["attributes"]}
    assert shown == {name: said for name, said in rerolled["values"][0]["values"].items() if said != "NONE"}
    late = said(folder, "reroll", "6")
    assert late.code == 2 and "'Bots' cannot be changed: no run of it is unfinished" in late.err
    status = said(folder, "status", "--json").json
    assert status["open"] == 0 and status["closed"]


def test_drawn_tokens_are_approved_and_rejected_and_drawn_again_by_the_commit(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    words = ("mint", "--count", "6", "--size", "64", "--seed", "5", "--voice", "braid", "--stop-after", "generate")
    assert pipeline(*words).code == 0
    workspace = Workspace(tmp_path / "workspace")
    before = images(workspace)
    with open_studio(workspace, None) as studio:
        edit(studio, "approve", 1, 2)
        edit(studio, "reroll", 3)  # of a drawing it means: another one
        with pytest.raises(BadArgument, match="tokens that are composed of layers"):
            edit(studio, "swap", 1, 2)
    done = said(tmp_path, "commit", "--json")
    assert done.code == 0 and done.json["redrawn"] == [3], done.err
    after = images(workspace)
    assert {one for one in after if after[one] != before[one]} == {3}
    status = said(tmp_path, "status", "--json").json
    assert (status["approved"], status["edits"]) == (2, [])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("reroll", "99"), "token id is 99; expected a token of the collection: 1 to 40"),
        (("reroll",), "token ids is not given; expected one or more"),
        (("reroll", "7", "--lock", "Hut"), "layer is 'Hut'; expected one of Background, Body, Hat, Eyes"),
        (("swap", "7"), "token ids is 1; expected two different ones"),
        (("swap", "7", "7"), "expected two different ones"),
        (("place", "7", "Goldn"), "did you mean 'Golden'"),
        (("choose", "7", "Hat"), "a layer and one of its values, such as Hat=Crown"),
        (("count", "Hat=Crown", "-1"), "count is '-1'"),
        (("count", "Hat=Crown", "4000"), "4,000 in all"),
        (("approve", "x"), "token id is 'x'; expected a number, or two as in 20-30"),
        (("level", "7"), "nothing more behind this word"),
        (("commit", "--at", "7"), "it is at version 0 now, and version 7 was seen"),
    ],
)
def test_bad_words_are_refused_by_name(folder: Path, words: tuple[str, ...], told: str) -> None:
    ended = said(folder, *words)
    assert ended.code == 2 and told in ended.err, ended.err
    with Ledger(folder / "workspace" / "ledger.sqlite") as ledger:
        assert ledger.edits.version(1) == 0


def test_the_staged_state_is_exported_whole(folder: Path, studio: Studio) -> None:
    edit(studio, "reroll", 7)
    edit(studio, "approve", 8)
    assert said(folder, "export", "--out", "staged.json").code == 0
    found = json.loads((folder / "staged.json").read_text())
    assert found["version"] == 2 and found["changed"] == [7] and len(found["tokens"]) == COUNT
    assert found["tokens"][7]["mark"] == "approved" and found["tokens"][6]["changed"]
    assert found["tokens"][6]["values"] == dict(token(studio, 7).cells)
    assert [one["kind"] for one in found["edits"]] == ["reroll", "approve"] and len(found["rules"]) == 2
