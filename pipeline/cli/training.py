"""The verb `train`: a model of the field, or one for an artist's own pictures."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_SEED
from pipeline.cli.call import Call, Verb, number, say
from pipeline.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from pipeline.art.models.blueprint import Recipe
    from pipeline.art.train.data import Pictures
    from pipeline.art.train.processes import Processes
    from pipeline.art.train.runs import Report, Settings, Told, Until
    from pipeline.base.observer import Observer

DEFAULT_MINUTES = 10.0
MAX_STEPS = 100_000_000
MAX_MINUTES = 60 * 24 * 30
LINE_EVERY_S = 10.0  # between two lines of losses
WHOLE = {"batch": (2, 1 << 24), "seed": (0, MAX_SEED)}
DECIMAL = ("lr", "critic_lr", "gamma")
QUIET = ("step", "seconds", "generator_gradient", "penalty")  # not in the lines: they are in log.jsonl
SHOWN_REASONS = 5  # of files that were set aside; data.txt has them all


def _train(call: Call) -> int:
    from pipeline.art.train.processes import joined_processes

    with joined_processes() as processes:
        return _train_together(call, processes)


def _train_together(call: Call, processes: Processes) -> int:
    import torch

    from pipeline.art.draw.artist import open_device
    from pipeline.art.train.data import read_pictures
    from pipeline.art.train.games import game_of
    from pipeline.art.train.runs import begin_or_continue, train
    from pipeline.art.train.trainer import Trainer
    from pipeline.base.workspace import Workspace
    from pipeline.cli.terminal import progress_on_stderr

    until, (folder, settings) = _until(call), _settings(call)
    model, sizes, recipe = settings.blueprint()
    device = open_device(call.config.art.device)
    processes.check(recipe.batch)
    torch.set_num_threads(call.config.art.threads or max(1, (os.cpu_count() or 1) // processes.count))
    with progress_on_stderr() as observer:
        aloud = observer if processes.first else _Silence()
        pictures = read_pictures(
            settings.data,
            sizes.size,
            sizes.channels,
            settings.licence,
            lambda done, total: aloud.progress("read", done, total),
        )
        _tell_pictures(pictures, aloud)
        _tell_gpus(torch.cuda.device_count(), processes.count, aloud)
        trainer = Trainer(game_of(model, sizes, recipe, pictures, settings.data), device, processes)
        if not processes.first:
            train(folder, trainer, until, _told(aloud, until))
            return 0
        with Workspace(folder).lock():
            begin_or_continue(folder, settings)
            aloud.notice(f"training {settings.model} in {folder}; stopped at any time, it continues")
            report = train(folder, trainer, until, _told(aloud, until))
    _tell_report(call, folder, report)
    return 0


# ── what was asked for ───────────────────────────────────────────────────────────────────────────────────────


def _until(call: Call) -> Until:
    from pipeline.art.train.runs import Until

    given = call.arguments
    steps = None if given.steps is None else number("--steps", given.steps, 1, MAX_STEPS)
    minutes = None if given.minutes is None else _decimal("--minutes", given.minutes, 0.0, MAX_MINUTES)
    if steps is None and minutes is None:
        minutes = DEFAULT_MINUTES
    every = None if given.save_every is None else number("--save-every", given.save_every, 1, MAX_STEPS)
    return Until(steps, None if minutes is None else minutes * 60, every)


def _settings(call: Call) -> tuple[Path, Settings]:
    """The run's folder, and what it was, or is to be, begun with."""
    from pipeline.art.models.blueprint import blueprint
    from pipeline.art.train.data import DIGITS
    from pipeline.art.train.runs import Settings, read_settings

    given = call.arguments
    if given.resume:
        _refuse_beside_resume(given)
        return Path(given.resume), read_settings(Path(given.resume))
    for name, what in (("new_model", "--model"), ("data", "--data"), ("out", "--out")):
        if not getattr(given, name):
            raise BadArgument(
                name=what,
                value="",
                expected="a value",
                hint="`pipeline train --model dcgan --data digits --out runs/x`",
            )
    model = blueprint(given.new_model)
    sizes: dict[str, Any] = {}
    if given.data == DIGITS:
        sizes["channels"] = 1
        sizes["size"] = 28
    if given.side is not None:
        sizes["size"] = number("--size", given.side, 1, 1 << 20)
    config = model.config(**sizes)
    recipe = _recipe(given, model.recipe)
    data = given.data if given.data == DIGITS else str(Path(given.data).resolve())
    licence = "CC BY 4.0" if given.data == DIGITS else _licence(given.licence)
    return Path(given.out), Settings(model.name, asdict(config), asdict(recipe), data, licence)  # type: ignore[call-overload]


def _refuse_beside_resume(given: Any) -> None:
    flags = {"new_model": "--model", "side": "--size", "train_seed": "--seed"}
    for name in (*flags, "data", "out", "licence", "loss", "penalty", "augment", "batch", *DECIMAL):
        value = getattr(given, name)
        if value is not None:
            flag = flags.get(name, "--" + name.replace("_", "-"))
            raise BadArgument(name=flag, value=value, expected="nothing beside --resume but --steps and --minutes")


def _recipe(given: Any, recipe: Recipe) -> Recipe:
    if given.loss:
        recipe = recipe.with_loss(given.loss)
    changes: dict[str, Any] = {name: getattr(given, name) for name in ("penalty", "augment") if getattr(given, name)}
    for name, (low, high) in WHOLE.items():
        text = given.train_seed if name == "seed" else getattr(given, name)
        if text is not None:
            changes[name] = number(f"--{name}", text, low, high)
    for name in DECIMAL:
        if getattr(given, name) is not None:
            changes[name] = _decimal("--" + name.replace("_", "-"), getattr(given, name), 0.0, 1e4)
    return replace(recipe, **changes)


def _licence(given: str | None) -> str:
    """Whose pictures these are: given, or asked for where somebody sits at the terminal."""
    from pipeline.cli.terminal import person_here

    ask = person_here().ask
    text = given or (ask("Whose pictures are these, and under which licence? ") if ask else "")
    if not text.strip():
        raise BadArgument(
            name="--licence",
            value=given or "",
            expected="whose pictures these are and under which licence, such as 'my own work' or 'CC BY 4.0, Jane Doe'",
            hint="it is recorded in the weights; train only on what you may use",
        )
    return text.strip()


def _decimal(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = low - 1
    if not low < value <= high:
        raise BadArgument(name=name, value=text, expected=f"a number above {low:g}, up to {high:g}")
    return value


# ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────


class _Silence:
    """The observer of processes that do not speak."""

    def notice(self, text: str) -> None: ...

    def progress(self, stage: str, done: int, total: int) -> None: ...


def _tell_pictures(pictures: Pictures, observer: Observer) -> None:
    from pipeline.art.train.data import ADVISED

    count, aside, changed = len(pictures.images), len(pictures.refused), len(pictures.changed)
    observer.notice(f"{count:,} pictures; {aside} set aside, {changed} changed (the run's data.txt lists them)")
    for line in pictures.refused[:SHOWN_REASONS]:
        observer.notice(f"  set aside: {line}")
    if count < ADVISED:
        observer.notice(f"  fewer than {ADVISED} pictures are soon learned by heart: look at memorised.png at the end")


def _tell_gpus(gpus: int, processes: int, observer: Observer) -> None:
    if gpus > processes:
        observer.notice(f"{gpus} GPUs are here: `torchrun --nproc-per-node {gpus} -m pipeline train …` uses them all")


def _told(observer: Observer, until: Until) -> Told:
    """Progress at each record, and a line of losses now and then."""
    from pipeline.art.train.runs import Told

    last = [time.monotonic(), 0.0]

    def record(found: dict[str, float]) -> None:
        step, seconds = int(found["step"]), found["seconds"]
        if until.steps:
            observer.progress("train", min(step, until.steps), until.steps)
        else:
            observer.progress("train", min(int(seconds), int(until.seconds or 0)), int(until.seconds or 0))
        now = time.monotonic()
        if now - last[0] < LINE_EVERY_S:
            return
        rate = (step - last[1]) / (now - last[0])
        last[:] = [now, step]
        losses = ", ".join(f"{name.replace('_', ' ')} {found[name]:.3g}" for name in found if name not in QUIET)
        observer.notice(f"  step {step:,}: {losses} ({rate:.3g} steps/s)")

    return Told(record, observer.notice)


def _tell_report(call: Call, folder: Path, report: Report) -> None:
    rows: dict[str, Any] = {
        "weights": str(report.weights),
        "steps": report.steps,
        "seconds": round(report.seconds, 1),
        "grid": str(max((folder / "grids").glob("*.png"), default="")),
    }
    memorised = report.memorised
    if memorised:
        rows["compared with the training pictures"] = memorised.compared
        rows["copies of one"] = len(memorised.copies)
        rows["median distance to the nearest"] = round(memorised.median, 3)
    if call.as_json:
        print_json({name.replace(" ", "_"): value for name, value in rows.items()})
    else:
        print_table(("", ""), list(rows.items()), wrap=True)
    if memorised and memorised.copies:
        say(
            f"{len(memorised.copies)} of {memorised.compared} pictures are next to a training picture: see "
            f"{folder / 'memorised.png'}. More pictures, or fewer steps, make fewer copies."
        )
    say(f"look at {rows['grid']}; tensorboard --logdir {folder / 'tensorboard'} shows how it went.")
    standing = call.standing()
    if not standing.unfinished:
        beside = ["--new"] if standing.collections else []
        call.next("mints with these weights", "mint", "--count", 50, "--model", folder, *beside)


def _flag(word: str, form: str, help: str, dest: str | None = None) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"metavar": form, "help": help}
    return word, options | ({"dest": dest} if dest else {})


VERBS = (
    Verb(
        "train",
        _train,
        "train a model on pictures of your own; given again, continue",
        (
            "train --model stylegan2 --data my-art --licence 'my own work' --out runs/x",
            "train --model dcgan --data digits --out runs/digits --steps 300",
            "train --model dcgan --data digits --out runs/hinge --loss hinge --minutes 2",
            "train --resume runs/x --minutes 60",
            "mint --count 50 --model runs/x",
        ),
        ("device", "threads"),
        (
            _flag(
                "--model",
                "NAME",
                "mlp_gan, mlp_gan_bn, dcgan, dcgan_half, sngan, wgan_gp, stylegan2 or vae",
                "new_model",
            ),
            _flag("--data", "FOLDER", "pictures to learn from; `digits`: scikit-learn's handwritten ones"),
            _flag("--licence", "TEXT", "whose pictures these are and under which licence; recorded in the weights"),
            _flag("--out", "DIR", "folder of the run"),
            _flag("--resume", "DIR", "continue the run in this folder with its own settings"),
            _flag("--steps", "N", "train until this step"),
            _flag("--minutes", "MIN", f"train for so long altogether ({DEFAULT_MINUTES:g}, unless --steps is given)"),
            _flag("--save-every", "N", "steps between checkpoints (one a minute)"),
            _flag("--size", "PX", "side of the pictures that are trained on (64, or 28 for simpler models)", "side"),
            _flag("--batch", "N", "pictures per step, of all processes together"),
            _flag("--loss", "NAME", "minimax, non-saturating, hinge, wgan-gp or relativistic"),
            _flag("--penalty", "NAME", "none, r1, r1+r2 or wgan-gp; unless given, the loss's own"),
            _flag("--gamma", "X", "weight of the penalty"),
            _flag("--lr", "X", "learning rate of the generator"),
            _flag("--critic-lr", "X", "learning rate of the critic, or encoder"),
            _flag("--augment", "KINDS", "auto, none, or a list of colour, translation, cutout"),
            _flag("--seed", "INT", "seed of the training (0)", "train_seed"),
        ),
    ),
)
