"""The studio: changes to tokens that are planned or drawn and not pinned yet, staged by people, then committed at once.

    with open_studio(workspace, name) as studio:
        studio.edit(Wish("reroll", tokens=(7,)), author="ada")
        studio.commit(studio.look().version, author="ada")

Every edit is a row of the ledger before it is told, with what it changes and not how, so that a reload, a second editor and
a kill lose none. Plans, seeds and pictures stay as they are until a commit, which is one transaction; then the tokens that
became others are made anew, and no other is. What is pinned is read and never changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pipeline.art.arrangement import Arrangement, Arranging, Counted, Ruled, Table
from pipeline.art.source import ArtSource, Work, open_source, recorded
from pipeline.base.errors import BadArgument, NoSuch, Outdated, QueueFull, ReadOnly, UsageError
from pipeline.base.limits import IMAGE_BYTES, MAX_COUNT
from pipeline.base.observer import Observer, Silence
from pipeline.base.pictures import decode, plain_bytes
from pipeline.base.words import counted
from pipeline.base.workspace import Workspace
from pipeline.flow.preview import draw_run
from pipeline.ledger import Collection, Ledger, Run, Token
from pipeline.ledger.edits import Edit
from pipeline.ledger.rows import Standing
from pipeline.settings.table import near

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal[
    "approve", "reject", "clear", "lock", "reroll", "swap", "place", "choose", "count", "level", "undo", "discard"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
APPROVED, REJECTED = "approved", "rejected"
MAX_TOKENS = 10_000  # of one edit
MAX_AUTHOR = 80  # characters
TRIES = 20  # of an edit that others come before


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants changed. Each kind uses the fields that it needs."""

    kind: Kind
    tokens: tuple[int, ...] = ()
    layers: tuple[str, ...] = ()  # lock: those that stay from now on; count, choose: the one
    value: str = ""  # choose, count: of that layer; place: the whole picture
    wanted: int | None = None  # count: how many; None: by weight again


@dataclass(frozen=True)
class Staged:
    """What edits make of a run, over what the ledger has of it."""

    version: int = 0
    marks: Mapping[int, str] = field(default_factory=dict)
    locks: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    plans: Mapping[int, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()  # in effect, and not committed
    touched: Mapping[int, int] = field(default_factory=dict)  # the version that last changed a token


def staged(edits: Sequence[Edit], run: int) -> Staged:
    """Fold edits of a run. Undone ones have no effect, but what they touched was touched."""
    kept, live, touched = Edit(0, 0.0, "", {}), list[Edit](), dict[int, int]()
    for edit in edits:
        if edit.data.get("run") != run:
            continue
        taken = list[Edit]()
        if edit.data["kind"] == "kept":
            kept, live = edit, []
        elif edit.data["kind"] == "undo":
            taken = [live.pop()] if live else []
        elif edit.data["kind"] == "discard":
            taken, live = live, []
        else:
            live.append(edit)
        for token_id in (token for each in (edit, *taken) for token in each.data.get("tokens", ())):
            touched[token_id] = edit.version
    marks, locks, plans = dict[int, str](), dict[int, tuple[str, ...]](), dict[int, str]()
    counts: dict[str, dict[str, int]] = {}
    for edit in (kept, *live):
        data = edit.data
        marks |= {int(token): mark for token, mark in data.get("marks", {}).items()}
        locks |= {int(token): tuple(layers) for token, layers in data.get("locks", {}).items()}
        plans |= {int(token): plan for token, plan in data.get("plans", {}).items()}
        for layer, values in data.get("counts", {}).items():
            counts[layer] = counts.get(layer, {}) | values
    return Staged(
        version=edits[-1].version if edits else 0,
        marks={token: mark for token, mark in marks.items() if mark},
        locks={token: layers for token, layers in locks.items() if layers},
        plans=plans,
        counts={layer: {v: n for v, n in values.items() if n is not None} for layer, values in counts.items()},
        edits=tuple(live),
        touched=touched,
    )


@dataclass(frozen=True, slots=True)
class Look:
    """The studio at one version, for whoever shows it."""

    version: int
    collection: str
    closed: str  # why nothing can be changed; empty: it can
    is_arranged: bool  # whether tokens are rows of a table; else each is drawn from its seed
    total: int
    open: int  # tokens that may still become others
    undrawn: int
    approved: int
    rejected: int
    changed: tuple[int, ...]  # token ids that a commit makes anew
    edits: tuple[Edit, ...]
    layers: tuple[tuple[str, tuple[str, ...]], ...]
    singles: tuple[str, ...]
    counted: tuple[Counted, ...]
    rules: tuple[Ruled, ...]
    repeated: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One token in the studio; `key` is another whenever its picture is."""

    token_id: int
    key: str
    mark: str
    is_open: bool
    is_changed: bool
    is_drawn: bool
    version: int  # of the edit that last touched it
    single: str
    cells: Mapping[str, str]
    locked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did."""

    version: int
    collection: str
    changed: tuple[int, ...]
    redrawn: tuple[int, ...]  # rejected ones, which are drawn with their next attempt


@dataclass(frozen=True)
class _Shot:
    """One look at the ledger, and what is staged over it."""

    staged: Staged
    standing: Mapping[int, Standing]
    run: Run | None
    arrangement: Arrangement | None

    @property
    def changed(self) -> dict[int, str]:
        """Staged plans that are others than the ledger's."""
        return {token: plan for token, plan in self.staged.plans.items() if self.standing[token].plan != plan}

    @property
    def rejected(self) -> list[int]:
        return sorted(token for token, mark in self.staged.marks.items() if mark == REJECTED)

    @property
    def closed(self) -> str:
        if self.run is None:
            return "no run of it is unfinished: what is minted stays as it is"
        return "" if any(one.is_open for one in self.standing.values()) else "everything of it is pinned already"


class Studio:
    """One collection's. It keeps what it has read of the art, so that a service holds it open; any thread may ask."""

    def __init__(self, workspace: Workspace, ledger: Ledger, collection: Collection) -> None:
        self._workspace, self._ledger, self.collection = workspace, ledger, collection
        self._sources = dict[int, ArtSource]()
        self._last: tuple[object, _Shot] | None = None
        self._looked: tuple[_Shot, Look] | None = None

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────

    def look(self) -> Look:
        shot = self._shot()
        if self._looked is None or self._looked[0] is not shot:
            self._looked = shot, self._look(shot)
        return self._looked[1]

    def _look(self, shot: _Shot) -> Look:
        marks, arrangement = list(shot.staged.marks.values()), shot.arrangement
        return Look(
            version=shot.staged.version,
            collection=self.collection.name,
            closed=shot.closed,
            is_arranged=arrangement is not None,
            total=len(shot.standing),
            open=sum(one.is_open for one in shot.standing.values()),
            undrawn=sum(one.image_sha256 is None for one in shot.standing.values()),
            approved=marks.count(APPROVED),
            rejected=marks.count(REJECTED),
            changed=tuple(sorted(shot.changed)),
            edits=shot.staged.edits,
            layers=tuple((one.layer, one.values) for one in arrangement.layers) if arrangement else (),
            singles=tuple(arrangement.singles) if arrangement else (),
            counted=tuple(arrangement.counted()) if arrangement else (),
            rules=tuple(arrangement.rules()) if arrangement else (),
            repeated=tuple(arrangement.repeated()) if arrangement else (),
        )

    def version(self) -> int:
        return self._ledger.edits.version(self.collection.id)

    def tokens(self, first: int, count: int) -> list[Shown]:
        """Tokens from this id on, as they are staged."""
        return self.those(range(first, first + count))

    def those(self, token_ids: Sequence[int]) -> list[Shown]:
        """These tokens as they are staged, as far as they are there."""
        shot = self._shot()
        wanted, drawn = [shot.standing[token_id] for token_id in token_ids if token_id in shot.standing], {}
        if shot.arrangement is None and wanted:
            first, last = min(one.token_id for one in wanted), max(one.token_id for one in wanted)
            everything = self._ledger.tokens.of(self.collection.id, first, last - first + 1)
            drawn = {token.token_id: token for token in everything}
        return [self._shown(shot, one, drawn.get(one.token_id)) for one in wanted]

    def find(self, mark: str = "", layer: str = "", value: str = "") -> list[int]:
        """Token ids: all, or those with a mark (or `unmarked`, or `changed`), and with a value of a layer as it is staged."""
        shot = self._shot()
        found = list(shot.standing)
        if mark == "changed":
            found = sorted(shot.changed)
        elif mark:
            wanted = "" if mark == "unmarked" else mark
            found = [token_id for token_id in found if shot.staged.marks.get(token_id, "") == wanted]
        if layer:
            arrangement = _arranged(shot)
            _must_be_layers(arrangement, [layer])
            found = [token_id for token_id in found if arrangement.cells(token_id).get(layer) == value]
        return found

    def picture(self, token_id: int) -> Image:
        """A token's picture as it is staged. Raises NoSuch for one that is not drawn yet."""
        shot = self._shot()
        one = shot.standing.get(token_id)
        if one is None:
            raise NoSuch(what=f"token {token_id} in {self.collection.name!r}")
        if shot.arrangement is not None and one.is_open:
            from PIL import Image

            return Image.fromarray(shot.arrangement.picture(token_id, one.seed))
        path = self._workspace.image(self.collection.id, token_id, one.suffix)
        if one.image_sha256 is None or not path.exists():
            raise NoSuch(what=f"picture of token {token_id} yet", hint="the command that began the run draws it")
        return decode(plain_bytes(path, IMAGE_BYTES)).image

    def export(self) -> dict[str, Any]:
        """All that is staged, in plain values: every token with its traits and marks, counts, rules and edits."""
        look, shot = self.look(), self._shot()
        return {
            "collection": look.collection,
            "version": look.version,
            "changed": list(look.changed),
            "tokens": [
                {
                    "token_id": one.token_id,
                    "mark": one.mark,
                    "changed": one.is_changed,
                    "locked": list(one.locked),
                    "values": dict(one.cells) | ({"One of one": one.single} if one.single else {}),
                }
                for one in self.tokens(1, max(shot.standing, default=0))
            ],
            "counts": [
                {"layer": one.layer, "value": one.value, "wanted": one.wanted, "there": one.there}
                for one in look.counted
            ],
            "rules": [{"rule": one.told, "broken": list(one.broken)} for one in look.rules],
            "edits": [edit_told(edit) for edit in look.edits],
        }

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────

    def edit(self, wish: Wish, author: str, seen: int | None = None) -> int:
        """Stage one edit, and return the version that it makes; it is on the disk then.

        `seen` is the version that its author has seen: an edit of tokens that became others since is refused, an undo
        whenever anything was staged since. Raises ReadOnly, Outdated, BadArgument, and Impossible with a proof.
        """
        for _ in range(TRIES):
            shot = self._shot()
            if shot.run is None or shot.closed:
                raise ReadOnly(what=repr(self.collection.name), reason=shot.closed, hint="")
            _must_be_seen(shot.staged, wish, seen)
            data = {"run": shot.run.id, "kind": wish.kind} | _effect(shot, wish)
            version = self._ledger.edits.add(self.collection.id, author[:MAX_AUTHOR], data, shot.staged.version)
            if version is not None:
                return version
        raise QueueFull(waiting=TRIES)

    def commit(self, seen: int, author: str) -> Committed:
        """Write what is staged into the plans, all of it in one transaction. `seen` is the version that is meant.

        Raises Outdated where it is another now, ReadOnly where something of it is pinned by now, BadArgument where a rule
        would be broken or tokens are rejected that nothing was put in the place of.
        """
        with self._workspace.lock():
            shot = self._shot()
            if shot.run is None or shot.closed:
                raise ReadOnly(what=repr(self.collection.name), reason=shot.closed, hint="")
            if seen != shot.staged.version:
                raise Outdated(what="what is staged", now=shot.staged.version, seen=seen)
            changed, redrawn = shot.changed, shot.rejected if shot.arrangement is None else []
            self._must_hold(shot, changed, redrawn)
            marks = {str(t): mark for t, mark in shot.staged.marks.items() if mark == APPROVED}
            kept = {"run": shot.run.id, "kind": "kept", "marks": marks, "counts": shot.staged.counts}
            with self._ledger.atomic():
                if changed:
                    self._ledger.tokens.replan_art(self.collection.id, changed)
                if redrawn:
                    self._ledger.tokens.reject(self.collection.id, redrawn)
                version = self._ledger.edits.settle(self.collection.id, author[:MAX_AUTHOR], kept)
        return Committed(version, self.collection.name, tuple(sorted(changed)), tuple(redrawn))

    def draw(self, observer: Observer) -> list[Path]:
        """Make what the run lacks now, and the new contact sheet; pictures that did not change are left alone."""
        with self._workspace.lock():
            run = self._ledger.runs.unfinished_of(self.collection.id)
            if run is None:
                return []
            return draw_run(open_source(recorded(run)), Work(run, self._ledger, self._workspace, observer))

    def _must_hold(self, shot: _Shot, changed: Mapping[int, str], redrawn: Sequence[int]) -> None:
        assert shot.run is not None, "a run is open"
        if late := [token for token in (*changed, *redrawn) if not shot.standing[token].is_open]:
            raise ReadOnly(
                what=f"token {late[0]}",
                reason="it was pinned meanwhile",
                hint="`pipeline studio undo` takes edits back, `pipeline studio discard` all of them",
            )
        source = self._source(shot.run)
        work = Work(shot.run, self._ledger, self._workspace, Silence())
        if shot.arrangement is None:
            undrawn = [token for token in redrawn if shot.standing[token].image_sha256 is None]
            if undrawn:
                raise BadArgument(name="token id", value=undrawn[0], expected="a token that is drawn")
            if redrawn:
                source.must_redraw(redrawn, work)
                source.check(shot.run)
            return
        if shot.rejected:
            told = ", ".join(map(str, shot.rejected[:10]))
            raise BadArgument(
                name="rejected tokens",
                value=told,
                expected="none: each needs another combination first",
                hint=f"`pipeline studio reroll {' '.join(map(str, shot.rejected[:10]))}`, or `pipeline studio clear` them",
            )
        for rule in shot.arrangement.rules():
            if rule.broken:
                told = ", ".join(map(str, rule.broken[:10]))
                raise BadArgument(name=rule.told, value=f"broken by {told}", expected="no token that breaks a rule")
        if twins := shot.arrangement.repeated():
            raise BadArgument(name="token id", value=twins[0], expected="a combination that no other token has")
        shot.arrangement.must_be_painted(sorted(changed))

    # ── one look at everything ───────────────────────────────────────────────────────────────────────────────

    def _shot(self) -> _Shot:
        ledger, number = self._ledger, self.collection.id
        edits = ledger.edits.of(number)
        standing = {one.token_id: one for one in ledger.tokens.standing(number)}
        run = ledger.runs.unfinished_of(number)
        seen = (edits[-1].version if edits else 0, run.id if run else None, tuple(standing.values()))
        if self._last is not None and self._last[0] == seen:
            return self._last[1]
        now = staged(edits, run.id) if run else Staged(version=edits[-1].version if edits else 0)
        now = replace(now, plans={token: plan for token, plan in now.plans.items() if token in standing})
        shot = _Shot(now, standing, run, self._arrangement(now, standing, run))
        self._last = seen, shot
        return shot

    def _arrangement(self, now: Staged, standing: Mapping[int, Standing], run: Run | None) -> Arrangement | None:
        source: object = self._source(run) if run else None
        if not isinstance(source, Arranging):
            return None
        plans = {one.token_id: now.plans.get(one.token_id, one.plan) for one in standing.values()}
        movable = frozenset(one.token_id for one in standing.values() if one.is_open)
        return source.arrangement(
            Table(self.collection.seed, {t: plan for t, plan in plans.items() if plan}, movable, now.counts)
        )

    def _source(self, run: Run) -> ArtSource:
        if run.id not in self._sources:
            self._sources = {run.id: open_source(recorded(run))}
        return self._sources[run.id]

    def _shown(self, shot: _Shot, one: Standing, drawn: Token | None) -> Shown:
        token_id, now = one.token_id, shot.staged
        cells = {str(trait.trait_type): str(trait.value) for trait in drawn.attributes} if drawn else {}
        return Shown(
            token_id=token_id,
            key=_key(shot, one),
            mark=now.marks.get(token_id, ""),
            is_open=one.is_open,
            is_changed=token_id in now.plans and now.plans[token_id] != one.plan,
            is_drawn=one.image_sha256 is not None,
            version=now.touched.get(token_id, 0),
            single=shot.arrangement.single(token_id) if shot.arrangement else "",
            cells=shot.arrangement.cells(token_id) if shot.arrangement else cells,
            locked=now.locks.get(token_id, ()),
        )


def _key(shot: _Shot, one: Standing) -> str:
    """A name for a token's picture as it is staged: what it is made of, and nothing else."""
    plan = shot.staged.plans.get(one.token_id, one.plan)
    made_of = [plan, one.seed] if plan and one.is_open else [one.image_sha256.hex() if one.image_sha256 else ""]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]


def edit_told(edit: Edit) -> dict[str, Any]:
    """An edit in plain values, without the plans that it makes."""
    data = {name: value for name, value in edit.data.items() if name not in ("run", "plans")}
    return {"version": edit.version, "time": edit.time, "author": edit.author} | data


# ── what an edit changes ─────────────────────────────────────────────────────────────────────────────────────


def _effect(shot: _Shot, wish: Wish) -> dict[str, Any]:
    if len(wish.tokens) > MAX_TOKENS:
        raise BadArgument(name="token ids", value=len(wish.tokens), expected=f"at most {MAX_TOKENS:,} at once")
    tokens = list(dict.fromkeys(wish.tokens))
    for token_id in tokens:
        _must_be_open(shot, token_id)
    return _EFFECTS[wish.kind](shot, replace(wish, tokens=tuple(tokens)))


def _marked(mark: str) -> Callable[[_Shot, Wish], dict[str, Any]]:
    def effect(shot: _Shot, wish: Wish) -> dict[str, Any]:
        _some(wish)
        return {"tokens": list(wish.tokens), "marks": {str(token): mark for token in wish.tokens}}

    return effect


def _locked(shot: _Shot, wish: Wish) -> dict[str, Any]:
    _some(wish)
    _must_be_layers(_arranged(shot), wish.layers)
    return {"tokens": list(wish.tokens), "locks": {str(token): sorted(set(wish.layers)) for token in wish.tokens}}


def _rerolled(shot: _Shot, wish: Wish) -> dict[str, Any]:
    """Tokens drawn from seeds are rejected: the commit draws them with their next attempt."""
    _some(wish)
    if shot.arrangement is None:
        return _marked(REJECTED)(shot, wish)
    arrangement = shot.arrangement
    _must_be_layers(arrangement, wish.layers)
    locks = {token: {*shot.staged.locks.get(token, ()), *wish.layers} for token in wish.tokens}
    return _planned(arrangement.rerolled(wish.tokens, locks, _lot(shot)))


def _swapped(shot: _Shot, wish: Wish) -> dict[str, Any]:
    if len(wish.tokens) != 2:
        raise BadArgument(name="token ids", value=len(wish.tokens), expected="two different ones")
    return _planned(_arranged(shot).swapped(*wish.tokens))


def _placed(shot: _Shot, wish: Wish) -> dict[str, Any]:
    plans = _arranged(shot).placed(_one(wish), wish.value)
    for token_id in plans:  # where the picture stood may be pinned
        _must_be_open(shot, token_id)
    return _planned(plans)


def _chosen(shot: _Shot, wish: Wish) -> dict[str, Any]:
    if len(wish.layers) != 1:
        raise BadArgument(name="layer", value=", ".join(wish.layers), expected="one layer, with the value")
    return _planned(_arranged(shot).chosen(_one(wish), wish.layers[0], wish.value))


def _counts(shot: _Shot, wish: Wish) -> dict[str, Any]:
    arrangement = _arranged(shot)
    if len(wish.layers) != 1:
        raise BadArgument(name="layer", value=", ".join(wish.layers), expected="one layer, with the value")
    layer = wish.layers[0]
    if wish.wanted is not None:
        if not 0 <= wish.wanted <= MAX_COUNT:
            raise BadArgument(name="count", value=wish.wanted, expected=f"0 to {MAX_COUNT:,}")
        arrangement.must_count(layer, wish.value, wish.wanted)
    return {"counts": {layer: {wish.value: wish.wanted}}}


def _levelled(shot: _Shot, wish: Wish) -> dict[str, Any]:
    held = {token for token, mark in shot.staged.marks.items() if mark == APPROVED}
    return _planned(_arranged(shot).levelled(held, shot.staged.locks, _lot(shot)))


def _undone(shot: _Shot, wish: Wish) -> dict[str, Any]:
    if not shot.staged.edits:
        raise BadArgument(name="undo", value="", expected="an edit that is staged; there is none")
    return {}


_EFFECTS: dict[Kind, Callable[[_Shot, Wish], dict[str, Any]]] = {
    "approve": _marked(APPROVED),
    "reject": _marked(REJECTED),
    "clear": _marked(""),
    "lock": _locked,
    "reroll": _rerolled,
    "swap": _swapped,
    "place": _placed,
    "choose": _chosen,
    "count": _counts,
    "level": _levelled,
    "undo": _undone,
    "discard": _undone,
}


def _planned(plans: Mapping[int, str]) -> dict[str, Any]:
    """Other plans. A mark was about what was seen, and goes."""
    return {
        "tokens": sorted(plans),
        "plans": {str(token): plan for token, plan in plans.items()},
        "marks": {str(token): "" for token in plans},
    }


def _lot(shot: _Shot) -> int:
    """A seed of its own for each edit."""
    text = f"nft-pipeline/studio/v1\0{shot.run.id if shot.run else 0}\0{shot.staged.version}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def _arranged(shot: _Shot) -> Arrangement:
    if shot.arrangement is None:
        raise BadArgument(
            name="studio",
            value="tokens that are drawn",
            expected="tokens that are composed of layers",
            hint="a drawn token can be approved and rejected: a commit draws rejected ones again",
        )
    return shot.arrangement


def _some(wish: Wish) -> None:
    if not wish.tokens:
        raise BadArgument(name="token ids", value="", expected="one or more")


def _one(wish: Wish) -> int:
    if len(wish.tokens) != 1:
        raise BadArgument(name="token ids", value=len(wish.tokens), expected="exactly one")
    return wish.tokens[0]


def _must_be_open(shot: _Shot, token_id: int) -> None:
    one = shot.standing.get(token_id)
    if one is None:
        last = max(shot.standing, default=0)
        raise BadArgument(name="token id", value=token_id, expected=f"a token of the collection: 1 to {last:,}")
    if not one.is_open:
        raise ReadOnly(what=f"token {token_id}", reason="it is pinned, and its content is fixed", hint="")


def _must_be_layers(arrangement: Arrangement, layers: Sequence[str]) -> None:
    known = [one.layer for one in arrangement.layers]
    for layer in layers:
        if layer not in known:
            raise BadArgument(name="layer", value=layer, expected=f"one of {', '.join(known)}{near(layer, known)}")


def _must_be_seen(now: Staged, wish: Wish, seen: int | None) -> None:
    if seen is None:
        return
    if wish.kind in ("undo", "discard", "level") and seen != now.version:
        raise Outdated(what="what is staged", now=now.version, seen=seen)
    for token_id in wish.tokens:
        if now.touched.get(token_id, 0) > seen:
            raise Outdated(what=f"token {token_id}", now=now.touched[token_id], seen=seen)


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def open_studio(workspace: Workspace, name: str | None) -> Iterator[Studio]:
    """The studio of the collection with this name, or of the one that has an unfinished run. Raises NoSuch."""
    if not Ledger.exists(workspace.ledger):
        raise NoSuch(
            what="collection here yet", hint="`pipeline mint --count 50 --stop-after generate` draws one and waits"
        )
    with Ledger(workspace.ledger) as ledger:
        yield Studio(workspace, ledger, _wanted(ledger, name))


def _wanted(ledger: Ledger, name: str | None) -> Collection:
    if name is not None:
        found = ledger.collections.named(name)
        if found is None:
            raise NoSuch(what=f"collection {name!r}", hint="`pipeline status` lists them")
        return found
    run = ledger.runs.unfinished()
    if run is not None:
        return ledger.collections.get(run.collection)
    everything = ledger.collections.all()
    if not everything:
        raise NoSuch(
            what="collection here yet", hint="`pipeline mint --count 50 --stop-after generate` draws one and waits"
        )
    return everything[-1]


def must_be_committed(ledger: Ledger, run: Run) -> None:
    """Raise UsageError where edits are staged over a run that is to be pinned: whoever staged them means them."""
    waiting = staged(ledger.edits.of(run.collection), run.id).edits
    if waiting:
        raise UsageError(
            reason=f"{counted(len(waiting), 'edit(s)')} of its studio are not committed",
            hint="`pipeline studio commit` writes them into the plan, `pipeline studio discard` drops them",
        )
