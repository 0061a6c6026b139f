"""The verb `train`: a model of the field, or one for an artist's own pictures."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_SEED
from pipeline.cli.call import Call, Verb, number, say
from pipeline.cli.tables import print_json, print_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.art.train.runs import Report, Settings, Told, Until
    from pipeline.base.observer import Observer

DEFAULT_MINUTES = 10.0
MAX_STEPS = 100_000_000
MAX_MINUTES = 60 * 24 * 30
LINE_EVERY_S = 10.0  # between two lines of losses
WHOLE = {"batch": (2, 1 << 24), "seed": (0, MAX_SEED)}
DECIMAL = ("lr", "critic_lr", "gamma")
NAMED = ("loss", "penalty", "augment", "schedule")
USUAL_NAMES = {"grid": "-grid.png", "mix": "-mix.png", "film": "-film.webp", "project": "-nearest.png"}
USUAL_COUNTS = {"grid": 36, "mix": 6, "film": 6, "project": 1}
USUAL_SECONDS, MAX_SECONDS, USUAL_STEPS = 12, 600, 200
MAX_SHOWN = 1024  # pictures
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
            start=call.arguments.start,
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
    if given.resume:
        _refuse_beside_resume(given)
        return Path(given.resume), read_settings(Path(given.resume))
    for name, what in (("new_model", "--model"), ("out", "--out")):
        if name == "new_model" and given.start:
            continue  # those weights say it
        if not getattr(given, name):
            hint = "`pipeline train --model dcgan --data digits --out runs/x`"
            raise BadArgument(name=what, value="", expected="a value", hint=hint)
    side = None if given.side is None else number("--size", given.side, 1, 1 << 20)
    licence = given.rights or (_asked_licence() if given.data and not rights_are_known(given.data) else "")
    wanted = new_run(
        *(given.new_model, given.data, licence, side, _steps(given)),
        capacity=given.capacity,
        noise=_noise(given.noise),
        start=given.start,
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
        "start": "--from",
    }
    for name in (*flags, "data", "out", "start", "freeze", "capacity", "noise", "flips", *NAMED, *DECIMAL):
        value = getattr(given, name)
        if value not in (None, False):
            flag = flags.get(name, "--" + name.replace("_", "-"))
            raise BadArgument(name=flag, value=value, expected="nothing beside --resume but --steps and --minutes")


def _recipe(given: Any) -> dict[str, Any]:
    """The numbers of the recipe that were given."""
    changes: dict[str, Any] = {name: getattr(given, name) for name in NAMED if getattr(given, name)}
    if given.flips:
        changes["flips"] = True
    if given.freeze is not None:
        changes["frozen"] = number("--freeze", given.freeze, 0, 32)
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
    return ask("Whose pictures are these, and under which licence? ").strip() if ask else ""


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
        "page": str(folder / "page.html"),
    }
    for name in ("kid", "coverage", "recall"):
        if name in report.figures:
            rows[name.upper() if name == "kid" else name] = round(report.figures[name], 3)
    if report.best:
        best, step, kid = report.best
        rows |= {"best weights": str(best), "their step": step, "their KID": round(kid, 3)}
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


# ── looking around in what was trained ───────────────────────────────────────────────────────────────────────


def _sample(call: Call) -> int:
    from pipeline.art.draw.explore import Explorer, film_format, tiled, write_film
    from pipeline.flow.preview import check_png

    given = call.arguments
    chosen = [name for name in ("mix", "film", "project") if getattr(given, name)]
    if len(chosen) > 1:
        raise BadArgument(
            name=f"--{chosen[1]}", value="given", expected=f"one of them: --{chosen[0]} is another picture"
        )
    kind = chosen[0] if chosen else "grid"
    out = Path(given.out or Path(given.run_folder).with_suffix("").name + USUAL_NAMES[kind])
    film_format(out) if kind == "film" else check_png("--out", out)
    count = number("--count", given.count, 1, MAX_SHOWN) if given.count else USUAL_COUNTS[kind]
    seeds = range(call.config.art.seed or 0, (call.config.art.seed or 0) + count)
    truncations = [_decimal("--psi", text, 0.0, 1.0) for text in (given.psi or "0.9").split(",")]
    if kind != "grid" and len(truncations) > 1:
        raise BadArgument(name="--psi", value=given.psi, expected="one number: rows of several are for a grid")
    psi = truncations[0]
    explorer = Explorer(Path(given.run_folder), call.config.art.device)
    if kind == "film":
        seconds = _decimal("--seconds", given.seconds or str(USUAL_SECONDS), 0.0, MAX_SECONDS)
        write_film(out, list(explorer.film(seeds, psi, seconds)))
    elif kind == "project":
        steps = number("--steps", given.steps or str(USUAL_STEPS), 1, 100_000)
        found = explorer.project(Path(given.project), steps, psi)
        write_picture(out, tiled(found.sheet))
        say(f"your picture, the nearest of some seeds ({found.seed}), and the nearest that was found from there.")
        say(f"it is {found.after:.1f} levels away from yours on average; the seed's was {found.before:.1f}.")
    elif kind == "mix":
        write_picture(out, tiled(explorer.mixed(seeds, psi)))
    elif len(truncations) > 1:
        write_picture(out, tiled(explorer.grid(seeds, truncations)))
    else:
        write_picture(out, tiled(_square(explorer.grid(seeds, truncations)[0])))
    print(out)
    return 0


def _square(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, …) in rows that make about a square; what is missing of the last row is white."""
    import numpy as np

    across = math.ceil(len(pictures) ** 0.5)
    rows = -(-len(pictures) // across)
    whole = np.full((rows * across, *pictures.shape[1:]), 255, np.uint8)
    whole[: len(pictures)] = pictures
    return whole.reshape(rows, across, *pictures.shape[1:])


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    from pipeline.art.draw.encode import encode_png
    from pipeline.base.files import write_whole

    write_whole(path, encode_png(pixels))


def _flag(word: str, form: str, help: str, dest: str | None = None) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"metavar": form, "help": help}
    return word, options | ({"dest": dest} if dest else {})


VERBS = (
    Verb(
        "sample",
        _sample,
        "look around in a trained model: a grid, mixed styles, a film, the picture nearest to one of yours",
        (
            "sample runs/x",
            "sample runs/x --count 8 --psi 0.3,0.6,1",
            "sample runs/x --mix --seed 7",
            "sample runs/x/best.safetensors --film --seconds 20 --out walk.gif",
            "sample runs/x --project photo.jpg",
        ),
        ("seed", "device"),
        (
            ("run_folder", {"metavar": "RUN", "help": "a training's folder, or a weights file"}),
            _flag("--out", "FILE", "where to; .png, and for a film .gif, .webp or .apng (named after the run)"),
            _flag("--count", "N", "pictures of a grid (36), styles (6) or stations of a film (6), from --seed on"),
            _flag("--psi", "X,…", "how far styles may be from their mean, up to 1 (0.9); several: a row for each"),
            ("--mix", {"action": "store_true", "help": "each seed's composition in each seed's style"}),
            ("--film", {"action": "store_true", "help": "a walk from picture to picture that ends where it began"}),
            _flag("--seconds", "S", f"how long the film is ({USUAL_SECONDS})"),
            _flag("--project", "PICTURE", "search the model's picture that is nearest to this one"),
            _flag("--steps", "N", f"of that search ({USUAL_STEPS})"),
        ),
    ),
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
            "train --from runs/x --data more-art --licence 'my own work' --out runs/y --freeze 2",
            "mint --count 50 --model runs/x",
        ),
        ("device", "threads"),
        (
            _flag(
                "--model",
                "NAME",
                "default, mlp_gan, mlp_gan_bn, dcgan, dcgan_half, sngan, wgan_gp, stylegan2, fastgan or vae",
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
            _flag("--from", "DIR|FILE", "begin from the weights of another run, or from `base`", "start"),
            _flag("--freeze", "N", "with --from: groups of the critic's layers, from the picture inwards, that stay"),
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
            _flag("--noise", "on|off", "stylegan2: grain that no style decides; off for flat art"),
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
