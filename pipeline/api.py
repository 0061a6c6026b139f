"""What the command line does, as functions for a notebook or a program of your own. `import pipeline` has them all.

>>> import pipeline
>>> settings = pipeline.Settings.of(size=16, seed=7, workspace="lino")
>>> minted = pipeline.mint(settings, count=2)
>>> [token.token_id for token in minted.tokens]
[1, 2]
>>> pipeline.mint(settings.changed("here", {"seed": None}), count=1, more=True).tokens[0].token_id
3
>>> pipeline.verify(settings).ok
True
>>> len(pipeline.owners(settings).owners[0].token_ids)
3
>>> [path.name for path in pipeline.export(settings, formats=("csv", "json"))]
['tokens.csv', 'collection.json']

Settings are those of the command line (`pipeline config` lists them); neither flags, environment nor `pipeline.toml` are
read. Results are frozen dataclasses, `as_json` makes plain values of them, and whatever goes wrong is a PipelineError.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.after.export import export as write
from pipeline.after.report import drawn_report, owners_report, run_report
from pipeline.after.transfer import transfer as hand_over
from pipeline.after.verify import verify as verify_workspace
from pipeline.after.verify import verify_contract
from pipeline.base.observer import Observer, Silence
from pipeline.base.workspace import Workspace
from pipeline.flow.bill import dry_run
from pipeline.flow.consent import NOBODY
from pipeline.flow.run import mint_run
from pipeline.ledger import Ledger

if TYPE_CHECKING:
    from pipeline.after.report import Drawn, Minted, Owners
    from pipeline.after.transfer import Transferred
    from pipeline.after.verify import ContractReport, Proof, Scope
    from pipeline.art.train.runs import Report as Training
    from pipeline.flow.abandon import Abandoned
    from pipeline.flow.bill import Bill
    from pipeline.flow.consent import Person
    from pipeline.settings import Settings

DEFAULT_MINUTES = 10.0  # of a training, unless the model has an end of its own

__all__ = ["abandon", "bill", "draw", "export", "mint", "owners", "train", "transfer", "verify"]


def mint(
    settings: Settings,
    count: int | None = None,
    *,
    more: bool = False,
    new: bool = False,
    total: int | None = None,
    observer: Observer | None = None,
    person: Person | None = None,
) -> Minted:
    """Draw, pin and mint `count` tokens; the tokens of that run, once they are on the chain.

    Given again after any interruption it continues; given again after that it returns the same tokens and sends nothing.
    `more` adds `count` to the collection, `total` as many as it lacks to that number, `new` begins another. `count` is None where a file of recipients, or a folder, says it.
    `person` is asked for a keystore's password, and before real money is spent: without one, that is refused.
    """
    workspace = _workspace(settings)
    outcome = mint_run(
        settings, count, workspace, observer or Silence(), more=more, new=new, total=total, person=person or NOBODY
    )
    with Ledger(workspace.ledger) as ledger:
        minted = run_report(ledger, outcome)
        outcome.mark_reported(ledger)  # the caller has it: with `more`, the same call adds again
    return minted


def draw(
    settings: Settings,
    count: int | None = None,
    *,
    more: bool = False,
    new: bool = False,
    total: int | None = None,
    observer: Observer | None = None,
) -> Drawn:
    """Draw the tokens of a run and stop there; `mint` with the same arguments pins and mints what was drawn."""
    outcome = mint_run(
        settings,
        count,
        _workspace(settings),
        observer or Silence(),
        more=more,
        new=new,
        total=total,
        stop_after_generate=True,
    )
    return drawn_report(outcome.run, outcome.sheets)


def bill(
    settings: Settings, count: int | None = None, *, more: bool = False, new: bool = False, total: int | None = None
) -> Bill:
    """What `mint` with these arguments would cost now. Nothing is planned, signed or sent; raises what `mint` would."""
    return dry_run(settings, count, _workspace(settings), more=more, new=new, total=total)


def verify(
    settings: Settings, scope: Scope | None = None, *, observer: Observer | None = None
) -> Proof | ContractReport:
    """Check everything from the chain back to the pixels; what fails is in the report, whose `ok` is the verdict.

    Without a scope every collection of the workspace, or the one that the settings name, is checked with all that the
    workspace remembers of it; what is not minted yet is no failure, `verdict` and `pending` tell it. With a scope, tokens are walked from
    the chain alone: `Scope(regenerate=True)` draws each again, `Scope(contract="0x…", gateway="https://…")` needs no
    workspace.
    """
    workspace, name = _workspace(settings), _name(settings)
    if scope is None:
        return verify_workspace(workspace, settings, name, observer or Silence())
    return verify_contract(workspace, settings, name, scope, observer or Silence())


def owners(settings: Settings, at: int | None = None) -> Owners:
    """Who owns what now, or after block `at`, read from the chain."""
    return owners_report(_workspace(settings), settings, _name(settings), at)


def abandon(
    settings: Settings,
    *,
    observer: Observer | None = None,
    person: Person | None = None,
    chain_is_gone: bool = False,
) -> Abandoned | None:
    """End the unfinished run of the collection; None when there is none.

    What is neither on the chain nor in flight is let go of, what may still be mined is settled or withdrawn first, and
    what is on the chain stays. `chain_is_gone`: the chain, a development node's, began anew and will never come back.
    """
    from pipeline.flow.abandon import abandon as let_go
    from pipeline.flow.consent import NOBODY

    who = person or NOBODY
    workspace = _workspace(settings)
    return let_go(workspace, settings, _name(settings), observer or Silence(), who, chain_is_gone=chain_is_gone)


def transfer(
    settings: Settings,
    token_id: int,
    to: str,
    *,
    observer: Observer | None = None,
    person: Person | None = None,
) -> Transferred:
    """Give a token of the signing account to somebody else, exactly once: given again, it finds what was sent."""
    who, workspace = person or NOBODY, _workspace(settings)
    return hand_over(workspace, settings, _name(settings), token_id, to, observer or Silence(), who)


def export(
    settings: Settings, formats: Sequence[str] = ("car", "csv", "json"), out: Path | str | None = None
) -> list[Path]:
    """Write the collection as CARs, a CSV and a JSON manifest; the files, which are replaced when there."""
    return write(_workspace(settings), _name(settings), formats, Path(out) if out else None)


def train(
    model: str | None,
    out: Path | str,
    data: Path | str | None = None,
    *,
    licence: str = "",
    side: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    capacity: str | None = None,
    noise: bool | None = None,
    start: Path | str | None = None,
    device: str = "auto",
    threads: int = 0,
    observer: Observer | None = None,
    **recipe: Any,
) -> Training | None:
    """Train a model in the folder `out`, or continue there; then `Settings.of(model=out)` draws with its weights.

    `data` is a folder of pictures, whose `licence` is recorded, or `digits`; none for `default`, which draws its own.
    `capacity` is small, medium or large; `start` gives weights to begin from, and with them the model; `noise` switches what no style decides. `recipe` changes numbers of the model's
    recipe, such as `lr=1e-4`; weight of the penalty, rates and average follow side and batch otherwise. None in every process of torchrun but the first.
    """
    from pipeline.art.draw.artist import open_device
    from pipeline.art.train.runs import Until
    from pipeline.art.train.training import begun_in, new_run, train_model, usual_end

    wanted = new_run(
        *(model, data, licence, side, steps),
        capacity=capacity,
        noise=noise,
        start=start,
        on_gpu=open_device(device).type != "cpu",
        begun=begun_in(Path(out)),
        **recipe,
    )
    until = Until(steps, None if minutes is None else minutes * 60)
    if steps is None and minutes is None:
        until = usual_end(wanted) or Until(seconds=DEFAULT_MINUTES * 60)
    return train_model(Path(out), wanted, until, device=device, threads=threads, observer=observer, start=start)


def _workspace(settings: Settings) -> Workspace:
    return Workspace(settings.folder, settings.here.ledger)


def _name(settings: Settings) -> str | None:
    """The collection that is meant: the named one, or the last."""
    return settings.collection.name if settings.given("name") else None
