"""A training as a folder: begun, continued, watched, and at any time a generator.

    run.json            what `pipeline train` began with: model, sizes, recipe, the pictures and their licence
    state.pt            everything the next step depends on; the same command continues from it
    model.safetensors   the averaged weights: `pipeline mint --model <folder>` draws with them
    log.jsonl           a record every ten steps; what alarms said
    grids/              the same 36 seeds at each checkpoint
    tensorboard/        the same records and grids, for TensorBoard
    data.txt            what became of each file that was changed or set aside
    memorised.png       the fakes that are nearest to a training picture, each beside it, where pictures are learned from
    page.html           all of this on one page
    snapshots/, best.safetensors   what `snapshots.py` says

Killed at any instant, a run continues from its last checkpoint and ends with the weights of one that never stopped.
"""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.art.draw.checkpoint import mark_collapsed
from pipeline.art.draw.encode import encode_png
from pipeline.art.draw.notes import BEST, WEIGHTS
from pipeline.art.draw.sampler import contact_sheet
from pipeline.art.draw.stage import is_out_of_memory
from pipeline.art.models.blueprint import Blueprint, Recipe, Sizes, blueprint, completed
from pipeline.art.train.memorisation import Memorised
from pipeline.art.train.page import Curves, write_page
from pipeline.art.train.snapshots import Snapshots
from pipeline.art.train.trainer import Trainer, write_state
from pipeline.base.crash import crash_point
from pipeline.base.errors import BadArgument, GenerationError, Interrupted, WorkspaceUnwritable
from pipeline.base.files import read_regular, write_whole
from pipeline.base.installation import extra
from pipeline.base.untrusted import parse_json, printable

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FORMAT_OF_ANY = "nft-pipeline/run/"  # of any version
FORMAT = f"{FORMAT_OF_ANY}v1"
SETTINGS_BYTES, LOG_BYTES = 1 << 20, 1 << 30
GRID = 36  # pictures of a grid
SAVE_EVERY_S = 60.0  # what a kill may cost
MOST_OF_IT = 10  # times what a checkpoint took lie between two: pictures of 512 px are drawn for minutes on a CPU
LEAST_TILE = 96  # pixels of a picture in a grid: smaller ones are shown larger


@dataclass(frozen=True, slots=True)
class Settings:
    """What `run.json` says: everything needed to continue from nothing but the folder."""

    model: str
    sizes: dict[str, Any]
    recipe: dict[str, Any]
    data: str
    licence: str
    start: dict[str, str] = field(default_factory=dict)  # the weights that it began from; empty: none

    def as_dict(self) -> dict[str, Any]:
        """What `run.json` says of it: as version 0.1 did, where nothing newer is said."""
        return {name: value for name, value in asdict(self).items() if value or name != "start"}

    def blueprint(self) -> tuple[Blueprint, Sizes, Recipe]:
        """Raises BadArgument for what this version does not know."""
        model = blueprint(self.model)
        try:
            recipe = type(model.recipe)(**self.recipe)
        except TypeError as error:
            raise BadArgument(name="recipe", value=self.recipe, expected=str(error)) from error
        return model, model.config(**self.sizes), recipe

    def unknown(self) -> set[str]:
        """Names of sizes and of the recipe that this version does not know."""
        model = blueprint(self.model)
        known = {field.name for kind in (model.sizes, type(model.recipe)) for field in fields(kind)}
        return {*self.sizes, *self.recipe} - known

    def completed(self) -> dict[str, Any]:
        """All of it, with what the version that began the run did not know yet and so left as it is by default."""
        model = blueprint(self.model)
        return asdict(self) | {
            "sizes": completed(model.sizes, self.sizes),
            "recipe": completed(type(model.recipe), self.recipe),
        }


@dataclass(frozen=True, slots=True)
class Until:
    """When a run is over: after so many steps, or so many seconds of training, whichever is given."""

    steps: int | None = None
    seconds: float | None = None
    save_every: int | None = None  # steps; without it, a checkpoint a minute

    def over(self, trainer: Trainer) -> bool:
        return (self.steps is not None and trainer.step >= self.steps) or (
            self.seconds is not None and trainer.seconds >= self.seconds
        )


@dataclass(frozen=True, slots=True)
class Told:
    """How somebody follows a run: each record, and each sentence worth reading."""

    record: Callable[[dict[str, float]], None] = lambda record: None
    notice: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended."""

    steps: int
    seconds: float
    weights: Path
    memorised: Memorised | None  # None where no picture is seen twice
    figures: dict[
        str, float
    ]  # of the last checkpoint's pictures beside the training pictures: KID, coverage, recall, …
    best: tuple[Path, int, float] | None  # the weights with the least KID, their step, and that


def begin_or_continue(folder: Path, wanted: Settings) -> Settings:
    """Write `run.json`, or compare with the one that is there. Raises BadArgument for a run with other settings."""
    path = folder / "run.json"
    if not path.exists():
        text = json.dumps({"format": FORMAT} | wanted.as_dict(), indent=2, ensure_ascii=False)
        write_whole(path, text.encode())
        return wanted
    found = read_settings(folder)
    there, here = found.completed(), wanted.completed()
    different = [name for name, value in there.items() if value != here[name]]
    if different:
        changes = ", ".join(_difference(name, there[name], here[name]) for name in different)
        hint = f"continue it with `pipeline train --resume {shlex.quote(str(folder))}`, or give another --out"
        raise BadArgument(
            name="out", value=str(folder), expected=f"a new folder: the run there has {changes}", hint=hint
        )
    return found


def read_settings(folder: Path) -> Settings:
    """The settings of the run in `folder`. Raises GenerationError where there is none, or a damaged one."""
    path = folder / "run.json"
    try:
        found = parse_json(read_regular(path, SETTINGS_BYTES))
        if (form := found.pop("format")) != FORMAT:
            raise _OtherVersion(form) if str(form).startswith(FORMAT_OF_ANY) else ValueError("it is no run of ours")
        settings = Settings(**found)
        unknown = settings.unknown()
        if unknown:
            raise _OtherVersion(f"with {', '.join(sorted(map(printable, unknown)))}")
        return settings
    except FileNotFoundError as error:
        raise GenerationError(reason=f"there is no training at {folder}", hint="check the path") from error
    except _OtherVersion as other:
        raise GenerationError(
            reason=f"{path} is a run of another version ({printable(other)}), and this one continues {FORMAT}",
            hint="continue it with the version that began it, or begin another in another --out",
        ) from other
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise GenerationError(reason=f"{path} cannot be read: {error}", hint="start anew with another --out") from error


class _OtherVersion(Exception):
    """A run whose `run.json` says more, or other things, than this version knows; its text says what."""


def _difference(name: str, found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in found if found[key] != wanted.get(key)]
        return ", ".join(f"{key} {found[key]} (not {wanted.get(key)})" for key in keys)
    return f"{name} {found!r} (not {wanted!r})"


def train(folder: Path, trainer: Trainer, until: Until, told: Told) -> Report:
    """Train, or continue, until it is over; the report. The folder then holds a checkpoint of the last step.

    SIGINT and SIGTERM are held back until a step is over and its checkpoint written; then Interrupted is raised, or what
    their handlers raise. Raises GenerationError where the training diverged, collapsed or does not fit into memory, and
    WorkspaceUnwritable for a full disk; the last checkpoint stands in each case.
    """
    if (folder / "state.pt").exists():
        trainer.restore(folder / "state.pt")
        told.notice(f"continuing at step {trainer.step:,}")
    with _deferred_signals() as asked, _Diary(folder, trainer, told) as diary:
        if trainer.other_pictures:
            now = trainer.game.sources()[0]
            diary.event("pictures", f"the folder changed before step {trainer.step + 1:,}: going on with {now}")
        saved, saved_at, took = trainer.step, time.monotonic(), 0.0
        while not until.over(trainer):
            _step(trainer, diary)
            stop = trainer.processes.any(bool(asked))
            patience = max(SAVE_EVERY_S, MOST_OF_IT * took)
            due = time.monotonic() - saved_at >= patience if until.save_every is None else False
            due = trainer.step % until.save_every == 0 if until.save_every else trainer.processes.any(due)
            if stop or due:
                began = time.monotonic()
                diary.checkpoint()
                saved, saved_at = trainer.step, time.monotonic()
                took = saved_at - began
            if stop:
                raise Interrupted
        missing = trainer.processes.first and not (folder / WEIGHTS).exists()  # others may look before it is written
        if trainer.processes.any(missing or saved != trainer.step):
            diary.checkpoint()
        memorised = diary.compare()
        return Report(trainer.step, trainer.seconds, folder / WEIGHTS, memorised, diary.figures(), diary.best())


def _step(trainer: Trainer, diary: _Diary) -> None:
    """One step, with half the batch where the whole does not fit into memory."""
    began = time.monotonic()
    try:
        record = trainer.advance()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        record, batch = None, trainer.batch
    if record is None:  # outside of the handler, whose traceback keeps the tensors alive
        trainer.halve_batch()
        diary.event("memory", f"a batch of {batch} does not fit into memory: going on with {trainer.batch}")
        return
    trainer.seconds += time.monotonic() - began
    if record:
        diary.record(record)


class _Diary:
    """Everything that is written and said while a run goes on; only the first of several processes has a pen."""

    def __init__(self, folder: Path, trainer: Trainer, told: Told) -> None:
        self.folder, self.trainer, self.told = folder, trainer, told
        self.writes = trainer.processes.first
        self.board: SummaryWriter | None = None
        self.curves, self.told_of = Curves(), list[str]()
        self.snapshots: Snapshots | None = None

    def __enter__(self) -> _Diary:
        if self.writes:
            self._drop_later_records()
            with _full_disk(self.folder):
                self.snapshots = Snapshots(self.folder, self.trainer.step)
            self._report_data()
            self.board = _tensorboard(self.folder / "tensorboard", self.trainer.step)
        return self

    def __exit__(self, *_: object) -> None:
        if self.board:
            with _full_disk(self.folder):
                self.board.close()

    def record(self, record: dict[str, float]) -> None:
        """Write a record, and act on what it shows. Raises GenerationError where the run must stop."""
        trainer = self.trainer
        adams = {"lr": trainer.generator_adam, "critic_lr": trainer.partner_adam}
        rates = {name: adam.param_groups[0]["lr"] for name, adam in adams.items()}
        self._write({"step": trainer.step, "seconds": round(trainer.seconds, 2)} | record | rates)
        self.curves.add({"step": trainer.step} | record)
        if self.board:
            with _full_disk(self.folder):
                for name, value in (record | rates).items():
                    self.board.add_scalar(name, value, trainer.step)
        self.told.record({"step": trainer.step, "seconds": trainer.seconds} | record)
        alarm = trainer.judge(record)
        if not alarm:
            return
        done = (
            "the run is stopped"
            if alarm.stop
            else f"rates are now {trainer.rate:g} and, for the critic, {trainer.rate * trainer.partner_rate:g} of the recipe's"
        )
        self.event(alarm.kind, f"{alarm.kind} at step {trainer.step:,}: {alarm.reason}; {done}")
        if alarm.stop and alarm.kind == "collapse" and self.writes:
            self._mark_collapsed(alarm.reason)
        if alarm.stop:
            raise GenerationError(
                reason=f"training {alarm.kind} at step {trainer.step:,}: {alarm.reason}",
                hint=f"the last checkpoint in {self.folder} stands{self._so_does_the_best()}; {trainer.game.advice}",
            )

    def _so_does_the_best(self) -> str:
        best = self.best()
        return f", and the best one, of step {best[1]:,}, in {best[0].name}" if best else ""

    def event(self, kind: str, text: str) -> None:
        self._write({"step": self.trainer.step, "alarm": kind, "text": text})
        self.told_of.append(text)
        self.told.notice(text)

    def _mark_collapsed(self, why: str) -> None:
        """The last checkpoint's pictures are as good as those of the step at which it stopped: nobody shall mint them unawares."""
        if not (self.folder / WEIGHTS).exists():
            return
        with _full_disk(self.folder):
            mark_collapsed(self.folder / WEIGHTS, why)
            self._write_page()

    def checkpoint(self) -> None:
        """Weights, a grid, and last the state: a kill in between repeats steps and loses none."""
        trainer, state = self.trainer, self.trainer.state()
        if not trainer.sound():
            raise GenerationError(
                reason=f"training diverged at step {trainer.step:,}: its weights hold NaN or infinity",
                hint=f"the last checkpoint in {self.folder} stands; {trainer.game.advice}",
            )
        if not self.writes:
            return
        with _full_disk(self.folder):
            fault = trainer.watch.fallen
            pictures = trainer.game.publish(self.folder / WEIGHTS, trainer.average, trainer.step, fault)
            if self.snapshots:
                self.snapshots.take(trainer.step, trainer.game.measure(pictures), collapsed=bool(fault))
            larger = max(1, -(-LEAST_TILE // pictures.shape[1]))
            sheet = contact_sheet(pictures[:GRID].repeat(larger, 1).repeat(larger, 2))
            write_whole(self.folder / "grids" / f"{trainer.step:07d}.png", encode_png(sheet))
            if self.board:
                self.board.add_image("grid", sheet, trainer.step, dataformats="HWC")
                self.board.flush()
            crash_point("state_not_written")
            self._write_page()
            write_state(self.folder / "state.pt", state)
            crash_point("state_written")

    def compare(self) -> Memorised | None:
        """How near fakes come to training pictures; the nearest go into a picture."""
        compared = self.trainer.game.find_copies(self.trainer.average)
        if compared is None:
            return None
        found, pairs = compared
        if self.writes:
            with _full_disk(self.folder):
                write_whole(self.folder / "memorised.png", encode_png(pairs))
                self._write({"step": self.trainer.step} | found.as_dict())
                self._write_page()
        return found

    def figures(self) -> dict[str, float]:
        """Those of the last snapshot."""
        taken = self.snapshots.taken if self.snapshots else []
        return {name: value for name, value in taken[-1].items() if name != "step"} if taken else {}

    def best(self) -> tuple[Path, int, float] | None:
        """The weights with the least KID, where there are any."""
        best = self.snapshots.best if self.snapshots else None
        return (self.folder / BEST, best["step"], best["kid"]) if best else None

    def _write_page(self) -> None:
        trainer, best = self.trainer, self.best()
        settings = {name: value for name, value in trainer.game.settings.items() if name != "pictures"}
        facts: dict[str, object] = {
            "learned from": trainer.game.sources()[0],
            "step": f"{trainer.step:,} after {trainer.seconds / 60:,.0f} minutes",
            **{f"{name} now": value for name, value in self.figures().items()},
            "best": f"step {best[1]:,}, KID {best[2]:.3f}: {best[0].name}" if best else "",
            **{name: json.dumps(value) if isinstance(value, dict) else value for name, value in settings.items()},
        }
        taken = self.snapshots.taken if self.snapshots else []
        write_page(self.folder, facts, self.curves, taken, self.told_of)

    def _write(self, record: dict[str, Any]) -> None:
        if not self.writes:
            return
        with _full_disk(self.folder), (self.folder / "log.jsonl").open("a+") as log:
            log.write(json.dumps(record) + "\n")

    def _drop_later_records(self) -> None:
        """A kill may leave records of steps that are about to be taken again, and half a line."""
        path = self.folder / "log.jsonl"
        with _full_disk(self.folder):
            lines = read_regular(path, LOG_BYTES).decode(errors="replace").splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= self.trainer.step and '"copies"' not in line]
        if kept != lines or not path.exists():
            write_whole(path, "".join(line + "\n" for line in kept).encode())
        for record in map(_record_of, kept):
            if "alarm" in record:
                self.told_of.append(str(record.get("text", "")))
            else:
                self.curves.add({name: value for name, value in record.items() if isinstance(value, int | float)})

    def _report_data(self) -> None:
        lines = self.trainer.game.sources()
        write_whole(self.folder / "data.txt", ("\n".join(lines) + "\n").encode())


def _step_of(line: str) -> float:
    try:
        return float(_record_of(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _record_of(line: str) -> dict[str, Any]:
    found: dict[str, Any] = parse_json(line, parse_constant=float)  # a loss may have been NaN
    return found


def _tensorboard(folder: Path, step: int) -> SummaryWriter:
    with extra("train"):
        from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)


@contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    """Say of a disk that takes no more what that means for a training."""
    hint = "the last checkpoint stands; free space, then give the same command again: it continues"
    try:
        yield
    except WorkspaceUnwritable as error:
        raise WorkspaceUnwritable(**error.fields, hint=hint) from error
    except OSError as error:
        raise WorkspaceUnwritable(path=folder, reason=error.strerror or str(error), hint=hint) from error


@contextmanager
def _deferred_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM while a step is under way; whoever handled them before gets them at the end."""
    asked: list[int] = []
    try:
        before = {
            number: signal.signal(number, lambda n, _: asked.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
        }
    except ValueError:  # not in the main thread, which is where signals arrive
        before = {}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked:
            signal.raise_signal(asked[0])
