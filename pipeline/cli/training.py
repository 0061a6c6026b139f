"""The verb `train`: a model of the field, or one for an artist's own pictures."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_SEED
from pipeline.cli.call import Call, Verb, number, say
from pipeline.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from pipeline.art.train.runs import Report, Settings, Told, Until
    from pipeline.base.observer import Observer

DEFAULT_MINUTES = 10.0
MAX_STEPS = 100_000_000
MAX_MINUTES = 60 * 24 * 30
LINE_EVERY_S = 10.0  # between two lines of losses
WHOLE = {"batch": (2, 1 << 24), "seed": (0, MAX_SEED)}
DECIMAL = ("lr", "critic_lr", "gamma")
NAMED = ("loss", "penalty", "augment", "schedule")
QUIET = ("step", "seconds", "generator_gradient", "penalty")  # not in the lines: they are in log.jsonl


def _train(call: Call) -> int:
    from pipeline.art.train.training import train_model
    from pipeline.cli.terminal import progress_on_stderr

    folder, settings = _settings(call)
    until = _until(call, settings)
    with progress_on_stderr() as observer:
        report = train_model(
            folder,
            settings,
            until,
            device=call.config.art.device,
            threads=call.config.art.threads,
            observer=observer,
            told=_told(observer, until),
            new_pictures=call.arguments.new_pictures,
        )
    if report:  # None where another of several processes tells it
        _tell_report(call, folder, report)
    return 0


# ── what was asked for ───────────────────────────────────────────────────────────────────────────────────────


def _until(call: Call, settings: Settings) -> Until:
    from pipeline.art.train.runs import Until
    from pipeline.art.train.training import usual_end

    given = call.arguments
    steps = _steps(given)
    minutes = None if given.minutes is None else _decimal("--minutes", given.minutes, 0.0, MAX_MINUTES)
    every = None if given.save_every is None else number("--save-every", given.save_every, 1, MAX_STEPS)
    if steps is None and minutes is None:
        usual = usual_end(settings) or Until(seconds=DEFAULT_MINUTES * 60)
        return replace(usual, save_every=every)
    return Until(steps, None if minutes is None else minutes * 60, every)


def _settings(call: Call) -> tuple[Path, Settings]:
    """The run's folder, and what it was, or is to be, begun with."""
    from pipeline.art.draw.artist import open_device
    from pipeline.art.train.runs import read_settings
    from pipeline.art.train.training import begun_in, new_run, rights_are_known

    given = call.arguments
    if given.new_pictures and not given.resume:
        raise BadArgument(name="--new-pictures", value="given", expected="--resume beside it: it goes on with a run")
    if given.resume:
        _refuse_beside_resume(given)
        return Path(given.resume), read_settings(Path(given.resume))
    for name, what in (("new_model", "--model"), ("out", "--out")):
        if not getattr(given, name):
            hint = "`pipeline train --model dcgan --data digits --out runs/x`"
            raise BadArgument(name=what, value="", expected="a value", hint=hint)
    side = None if given.side is None else number("--size", given.side, 1, 1 << 20)
    licence = given.rights or (_asked_licence() if given.data and not rights_are_known(given.data) else "")
    wanted = new_run(
        *(given.new_model, given.data, licence, side, _steps(given)),
        capacity=given.capacity,
        noise=_noise(given.noise),
        on_gpu=open_device(call.config.art.device).type != "cpu",
        begun=begun_in(Path(given.out)),
        **_recipe(given),
    )
    return Path(given.out), wanted


def _noise(text: str | None) -> bool | None:
    if text not in (None, "on", "off"):
        raise BadArgument(name="--noise", value=text, expected="on or off")
    return None if text is None else text == "on"


def _steps(given: Any) -> int | None:
    return None if given.steps is None else number("--steps", given.steps, 1, MAX_STEPS)


def _refuse_beside_resume(given: Any) -> None:
    flags = {
        "new_model": "--model",
        "side": "--size",
        "train_seed": "--seed",
        "train_batch": "--batch",
        "rights": "--licence",
    }
    for name in (*flags, "data", "out", "capacity", "noise", "flips", *NAMED, *DECIMAL):
        value = getattr(given, name)
        if value not in (None, False):
            flag = flags.get(name, "--" + name.replace("_", "-"))
            raise BadArgument(name=flag, value=value, expected="nothing beside --resume but --steps and --minutes")


def _recipe(given: Any) -> dict[str, Any]:
    """The numbers of the recipe that were given."""
    changes: dict[str, Any] = {name: getattr(given, name) for name in NAMED if getattr(given, name)}
    if given.flips:
        changes["flips"] = True
    for name, (low, high) in WHOLE.items():
        text = getattr(given, f"train_{name}")
        if text is not None:
            changes[name] = number(f"--{name}", text, low, high)
    for name in DECIMAL:
        if getattr(given, name) is not None:
            changes[name] = _decimal("--" + name.replace("_", "-"), getattr(given, name), 0.0, 1e4)
    return changes


def _asked_licence() -> str:
    """Whose pictures these are, where somebody sits at the terminal and says it."""
    from pipeline.cli.terminal import person_here

    ask = person_here().ask
    return ask("Whose pictures are these, and under which licence? ") if ask else ""


def _decimal(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = low - 1
    if not low < value <= high:
        raise BadArgument(name=name, value=text, expected=f"a number above {low:g}, up to {high:g}")
    return value


# ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────


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
            "train --model default --out runs/lino",
            "train --resume runs/x --minutes 60",
            "mint --count 50 --model runs/x",
        ),
        ("device", "threads"),
        (
            _flag(
                "--model",
                "NAME",
                "default, mlp_gan, mlp_gan_bn, dcgan, dcgan_half, sngan, wgan_gp, stylegan2 or vae",
                "new_model",
            ),
            _flag(
                "--data",
                "FOLDER",
                "pictures to learn from; `digits`: 1,797 handwritten ones that are here; none for default",
            ),
            _flag(
                "--licence",
                "TEXT",
                "whose pictures these are and under which licence; recorded in the weights",
                "rights",
            ),
            _flag("--out", "DIR", "folder of the run"),
            _flag("--resume", "DIR", "continue the run in this folder with its own settings"),
            ("--new-pictures", {"action": "store_true", "help": "with --resume: go on with what the folder holds now"}),
            _flag("--steps", "N", "train until this step"),
            _flag(
                "--minutes",
                "MIN",
                f"train for so long altogether ({DEFAULT_MINUTES:g}, unless --steps is given or the model has an end of its own)",
            ),
            _flag("--save-every", "N", "steps between checkpoints (one a minute)"),
            _flag(
                "--size", "PX", "side of the pictures that are trained on (the pictures' own, as far as fits)", "side"
            ),
            _flag("--capacity", "NAME", "small, medium or large: how much the model can hold (medium)"),
            _flag("--noise", "on|off", "stylegan2, fastgan: grain that no style decides; off for flat art"),
            ("--flips", {"action": "store_true", "help": "mirror half of the pictures left to right: not for writing"}),
            _flag("--schedule", "NAME", "constant, decay or cosine: of the learning rates, over --steps"),
            _flag("--batch", "N", "pictures per step, of all processes together", "train_batch"),
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
