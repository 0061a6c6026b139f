"""What a person kept and rejected of a collection, learned by a judge of its own: `mint --more --proofs 3` asks it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.after.report import reading
from pipeline.art.draw import load_generator
from pipeline.art.draw.taste import PROOF, learn, write_judge
from pipeline.art.drawn import is_installed
from pipeline.art.source import provenance_of
from pipeline.base.errors import BadArgument
from pipeline.base.observer import Observer
from pipeline.base.seeds import token_seed
from pipeline.base.workspace import Workspace
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.ledger import Run


@dataclass(frozen=True, slots=True)
class JudgeTrained:
    collection: str
    kept: int
    rejected: int
    held_out: float  # how often it puts a kept picture before a rejected one that it was not shown
    file: Path


def train_judge(settings: Settings, workspace: Workspace, name: str | None, observer: Observer) -> JudgeTrained:
    """Learn from a collection's decisions: kept are tokens that were pinned, rejected what `reject` was told.

    An earlier judge is replaced. Raises BadArgument for a collection that no generator here drew, and where a run waits
    whose tokens the earlier judge chooses; GenerationError for too few decisions.
    """
    with reading(workspace, name) as (ledger, collection):
        runs = ledger.runs.of(collection.id)
        kept = list(ledger.tokens.kept(collection.id).values())
        rejected = [token_seed(collection.seed, *one) for one in ledger.tokens.rejected(collection.id)]
    for run in runs:
        if run.state == "running" and int(run.arguments.get("proofs") or 1) > 1:
            raise BadArgument(
                name="--name",
                value=collection.name,
                expected="a collection without an unfinished run whose tokens its judge chooses",
                hint="finish that run, or `abandon` it",
            )
    model = _model(runs[0], settings)
    generator = load_generator(model, device=settings.art.device, threads=settings.art.threads or None)
    if generator.weights_sha256 != runs[0].weights_sha256:
        raise BadArgument(
            name="--model",
            value=model,
            expected=f"the weights of this collection's pictures, {runs[0].weights_sha256[:16]}…",
        )
    pictures, seeds = [], [*kept, *rejected]
    for done, seed in enumerate(seeds, 1):
        pictures.append(generator.draw(seed, PROOF).pixels)
        observer.progress("draw", done, len(seeds))
    learned = learn(pictures[: len(kept)], pictures[len(kept) :])
    path = workspace.judge(collection.seed)
    write_judge(path, learned.judge)
    return JudgeTrained(collection.name, learned.kept, learned.rejected, round(learned.held_out, 3), path)


def _model(run: Run, settings: Settings) -> str:
    if is_installed(run.model):
        return run.model
    if provenance_of(run) is None or not settings.given("model"):
        raise BadArgument(
            name="collection",
            value=run.model or "a folder of images",
            expected="one that a generator drew",
            hint="give its weights as --model FILE",
        )
    return settings.art.model
