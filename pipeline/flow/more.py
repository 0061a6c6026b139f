"""What a call of `mint` takes from the collection that it adds to, and how many tokens that makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.art.source import open_source, taken_over
from pipeline.base.errors import BadArgument, UsageError
from pipeline.base.limits import MAX_COUNT, MAX_TOKEN_ID
from pipeline.base.records import NOTHING, Fingerprint
from pipeline.base.workspace import Workspace
from pipeline.flow.plan import wanted_collection
from pipeline.ledger import Collection, Ledger, Run
from pipeline.settings import Scope, Settings, every_setting
from pipeline.settings.table import IDLE_WHEN_DONE


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call of `mint` wants, seen beside the workspace: `complete` is the run that it finds done, if that is all."""

    settings: Settings
    count: int | None
    more: bool
    complete: Run | None = None


def wish_of(
    settings: Settings,
    count: int | None,
    workspace: Workspace,
    tell: Callable[[str], None],
    *,
    more: bool,
    new: bool,
    total: int | None = None,
) -> Wish:
    """The call with what it takes from the workspace: the art of the collection that it adds to, the number that is missing.

    `total` says how many tokens the collection shall have in all, so that the same call twice adds nothing the second time.
    Raises BadArgument where these cannot be meant together.
    """
    for name, number, most in (("--count", count, MAX_COUNT), ("--total", total, MAX_TOKEN_ID)):
        if number is not None and not (type(number) is int and 1 <= number <= most):
            raise BadArgument(name=name, value=number, expected=f"a whole number from 1 to {most:,}")
    if total is not None and (count is not None or open_source(settings).count(None, list) is not None):
        raise BadArgument(
            name="--total", value=total, expected="nothing beside it that says how many: neither --count nor --images"
        )
    if more and new:
        raise UsageError(
            reason="--more and --new contradict each other: one adds to a collection, the other begins one",
            hint="leave one of them out",
        )
    if not Ledger.exists(workspace.ledger) or new:
        return Wish(settings, total if count is None else count, more)
    with Ledger(workspace.ledger, readonly=True) as ledger:
        wish = Wish(settings, count, more) if total is None else _with_total(ledger, settings, total, more=more)
        if wish.more:
            return replace(wish, settings=with_its_art(ledger, wish.settings, tell))
        return replace(wish, settings=with_art_as_before(ledger, wish.settings))


def with_art_as_before(ledger: Ledger, settings: Settings) -> Settings:
    """The settings of a call that may go on with a run, or find it again: art that nobody chose is the run's.

    So a default that another version changed stands between no run and the call that began it.
    """
    collection = wanted_collection(ledger, settings, more=False)
    run = ledger.runs.unfinished() or next(iter(ledger.runs.of(collection.id) if collection else []), None)
    if run is None:
        return settings
    lines = [line for line in every_setting() if line.scope is Scope.ART and not settings.given(line.name)]
    own = {line.name: run.arguments[line.name] for line in lines if run.arguments.get(line.name, "") != ""}
    return settings.changed(
        f"run {run.id}", {name: value for name, value in own.items() if settings.value(name) != value}
    )


def _with_total(ledger: Ledger, settings: Settings, total: int, *, more: bool) -> Wish:
    collection = wanted_collection(ledger, settings, more=more)
    runs = ledger.runs.of(collection.id) if collection else []
    if collection is None or not runs:
        return Wish(settings, total, more)
    unfinished, have = ledger.runs.unfinished_of(collection.id), ledger.runs.next_token(collection) - 1
    if unfinished is not None:
        have = unfinished.start - 1
    if have > total:
        raise BadArgument(name="--total", value=total, expected=f"{have:,} or more: so many {collection.name!r} has")
    if have == total:
        return Wish(settings, runs[0].count, more=False, complete=runs[0])
    return Wish(settings, total - have, more=have > 0)


def with_its_art(ledger: Ledger, settings: Settings, tell: Callable[[str], None]) -> Settings:
    """The settings of a call that adds to a collection: what draws it is taken from its last run, unless this call says it.

    What the call says otherwise is told as a warning; so is what the file or the environment says and has no effect.
    Raises BadArgument where what made the tokens so far makes no more, and this call does not say what else does.
    """
    collection = wanted_collection(ledger, settings, more=True)
    runs = ledger.runs.of(collection.id) if collection else []
    if collection is None or not runs:
        return settings
    _tell_what_is_fixed(collection, settings, tell)
    own_art, taken = taken_over(runs[0], settings), dict[str, object]()
    for line in every_setting():
        own = own_art.get(line.name)
        if line.name not in own_art or settings.value(line.name) == own:
            continue
        if settings.said_now(line.name):
            now = settings.text(line.name)
            tell(
                f"warning: the tokens of {collection.name!r} so far have {line.flag} {line.said(own)}; these have {now}"
            )
        else:
            taken[line.name] = own
    return settings.changed(f"the collection {collection.name!r}", taken)


def must_have_its_weights(last: Run, now: Fingerprint, settings: Settings) -> None:
    """Raise BadArgument where more tokens would be drawn by other weights than the last ones, and nobody said so."""
    are_drawn = NOTHING not in (last.encoder, now.encoder)
    if are_drawn and last.weights_sha256 != now.weights_sha256 and not settings.said_now("model"):
        raise BadArgument(
            name="--model",
            value=settings.art.model,
            expected=f"the weights of the tokens so far ({last.weights_sha256[:16]}…), not {now.weights_sha256[:16]}…",
            hint="give --model to say that these tokens shall be drawn by others",
        )


def idle(settings: Settings, run: Run) -> list[str]:
    """The flags of a call that only finds a finished run again and that had no effect on it."""
    said = [line for line in every_setting() if line.scope in IDLE_WHEN_DONE and settings.said_now(line.name)]
    return [
        line.flag for line in said if line.name != "duplicate_bits" or run.duplicate_bits != settings.art.duplicate_bits
    ]


def _tell_what_is_fixed(collection: Collection, settings: Settings, tell: Callable[[str], None]) -> None:
    """What stands around the call is meant for new collections; what it says itself is refused elsewhere."""
    for line in every_setting():
        value, planned = settings.value(line.name), getattr(collection, line.name, None)
        ambient = settings.given(line.name) and not settings.said_now(line.name)
        if line.scope is Scope.COLLECTION and ambient and planned is not None and value not in ("", None, planned):
            tell(
                f"{line.name} of {settings.source(line.name)} has no effect: {collection.name!r} was deployed with its own"
            )
