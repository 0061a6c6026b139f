"""A training from what is asked for to its report: what the verb `train` and `pipeline.train` call.

settings = new_run("dcgan", data="digits", lr=1e-4)
report = train_model(Path("runs/x"), settings, Until(steps=300))
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.art.draw.artist import open_device
from pipeline.art.models.blueprint import CONSTANT, Blueprint, Recipe, Sizes, Staged, blueprint
from pipeline.art.models.family_gan import FamilyRecipe
from pipeline.art.models.painter import PainterConfig
from pipeline.art.train.data import ADVISED, DIGITS, Pictures, read_pictures, survey
from pipeline.art.train.family_game import DRAWN_HERE, FamilyGame
from pipeline.art.train.forecast import forecast
from pipeline.art.train.games import game_of
from pipeline.art.train.processes import joined_processes
from pipeline.art.train.runs import Report, Settings, Told, Until, begin_or_continue, read_settings, train
from pipeline.art.train.start import Start, must_be_allowed, open_start
from pipeline.art.train.trainer import Game, Trainer
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.observer import Observer, Silence
from pipeline.base.workspace import Workspace

LICENCES = {DIGITS: "CC BY 4.0", DRAWN_HERE: "drawn by this program"}  # of pictures that are known here
DIGITS_SIDE = 28
SHOWN_REASONS = 5  # of files that were set aside; data.txt has them all
LICENCE_ASKED = "whose pictures these are and under which licence, such as 'my own work' or 'CC BY 4.0, Jane Doe'"


def new_run(
    model: str | None,
    data: str | Path | None = None,
    licence: str = "",
    side: int | None = None,
    steps: int | None = None,
    *,
    capacity: str | None = None,
    noise: bool | None = None,
    on_gpu: bool = False,
    begun: Settings | None = None,
    start: str | Path | None = None,
    **recipe: Any,
) -> Settings:
    """What a new training is to be begun with: a model, its pictures, and numbers of its recipe that are not the usual.

    Colour and side are those of the pictures, unless the run `begun` has them already: a picture more must not change them.
    Weight of the penalty, learning rates and average follow side and batch; what `recipe` says stands as it is said.
    Raises BadArgument for an unknown model or number, and for pictures without a licence. A model that draws its own
    pictures takes neither `data` nor `side`. `steps` is how long it is meant to be: the length of the schedule, where the
    recipe has one. `start` is what weights begin as: a run's folder, a file, or `base`; it decides model and sizes.
    """
    begins = _opened(start, model, begun)
    known = blueprint(begins.trained.model.name if begins else _named(model, begun))
    source = _source(known, data)
    if known.draws_its_pictures and (begins or side is not None or capacity is not None or noise is not None):
        flag = "from" if begins else "size" if side is not None else "capacity" if capacity is not None else "noise"
        raise BadArgument(name=f"--{flag}", value="given", expected=f"nothing: {known.name} has none to choose")
    rights = LICENCES.get(source, licence.strip())
    if not rights:
        hint = "it is recorded in the weights; train only on what you may use"
        raise BadArgument(name="--licence", value=licence, expected=LICENCE_ASKED, hint=hint)
    has_schedule = bool(known.recipe.steps) or recipe.get("schedule", CONSTANT) != CONSTANT
    if steps is not None and has_schedule:
        recipe["steps"] = steps
    if known.draws_its_pictures:
        changed = _changed(known.recipe, recipe)
        return Settings(known.name, asdict(known.config()), asdict(changed), source, rights)  # type: ignore[call-overload]
    if begun and (begun.model, begun.data) != (known.name, source):
        begun = None
    chosen = {"size": side} if side is not None else {}
    chosen |= (known.capacity(capacity) if capacity else {}) | _with_noise(known, noise)
    _must_have(known, side)
    origin = begins.as_dict() if begins else begun.start if begun else {}
    if begins and not (begun and begun.start == origin):
        must_be_allowed(begins, rights)
        config = _as_base(begins, chosen)
        fitted = _fitted(known, config.size, recipe)
    elif begun:
        _, sizes, usual = begun.blueprint()
        config, fitted = known.config(**(asdict(sizes) | chosen)), _changed(usual, recipe)  # type: ignore[call-overload]
    else:
        config = known.config(**(_sizes(known, source, side, on_gpu=on_gpu) | chosen))
        fitted = _fitted(known, config.size, recipe)
    _must_be_freezable(known, config, fitted.frozen, origin)
    return Settings(known.name, asdict(config), asdict(fitted), source, rights, origin)  # type: ignore[call-overload]


def _opened(start: str | Path | None, model: str | None, begun: Settings | None) -> Start | None:
    """What a run is to begin from. A run that has begun needs it no more: it may be gone by then."""
    if start is None:
        return None
    try:
        found = open_start(start)
    except GenerationError:
        if begun and begun.start:
            return None
        raise
    if model and model != found.trained.model.name:
        raise BadArgument(
            name="--model", value=model, expected=f"{found.trained.model.name}, the model of --from, or nothing"
        )
    return found


def _named(model: str | None, begun: Settings | None) -> str:
    if not model and not (begun and begun.start):
        raise BadArgument(
            name="--model",
            value="",
            expected="a value",
            hint="`pipeline train --model dcgan --data digits --out runs/x`",
        )
    return model or (begun.model if begun else "")


def _as_base(start: Start, chosen: dict[str, Any]) -> Sizes:
    """The sizes of the weights that a run begins from. Raises BadArgument for one that was asked for and is another."""
    sizes: dict[str, Any] = asdict(start.trained.sizes)  # type: ignore[call-overload]
    for name, value in chosen.items():
        if sizes.get(name) != value:
            raise BadArgument(
                name=f"--{name}", value=value, expected=f"{sizes.get(name)}, as the weights of --from have, or nothing"
            )
    return start.trained.sizes


def _must_be_freezable(model: Blueprint, sizes: Sizes, frozen: int, origin: dict[str, str]) -> None:
    if not frozen:
        return
    if not origin:
        raise BadArgument(
            name="--freeze", value=frozen, expected="--from beside it: random layers are not worth keeping"
        )
    with torch.device("meta"):
        critic = model.partner(sizes)
    most = len(critic.stages()) if isinstance(critic, Staged) else 0
    if frozen > most:
        raise BadArgument(name="--freeze", value=frozen, expected=f"0 to {most} for {model.name} of {sizes.size} px")


def begun_in(folder: Path) -> Settings | None:
    """What the run in a folder began with; None where there is none, or none that can be read."""
    try:
        return read_settings(folder)
    except GenerationError:
        return None


def _must_have(model: Blueprint, side: int | None) -> None:
    sides = model.known_sides()
    if side is not None and side not in sides:
        near = sorted(sorted(sides, key=lambda known: abs(known - side))[:2])
        expected = f"a side that {model.name} has, such as {' or '.join(map(str, near))} ({sides[0]} to {sides[-1]})"
        raise BadArgument(name="--size", value=side, expected=expected)


def _sizes(model: Blueprint, source: str, side: int | None, *, on_gpu: bool) -> dict[str, Any]:
    """Channels and side of the pictures, and what follows from a side."""
    if source == DIGITS:
        sizes = {"channels": 1, "size": side or DIGITS_SIDE}
    else:
        seen = survey(Path(source))
        sizes = {"channels": 3 if seen.in_colour else 1, "size": side or model.side(seen.side, on_gpu=on_gpu)}
    return sizes | model.grown(sizes["size"])


def _with_noise(model: Blueprint, noise: bool | None) -> dict[str, Any]:
    if noise is None:
        return {}
    if not model.has("noise"):
        raise BadArgument(name="--noise", value="given", expected=f"nothing: {model.name} has none")
    return {"noise": noise}


def _fitted(model: Blueprint, side: int, given: dict[str, Any]) -> Recipe:
    """The recipe by the laws of side and batch; a number that was given stands as it was given."""
    loss = given.pop("loss", None)
    usual = model.recipe.with_loss(loss) if loss else model.recipe
    penalty = given.get("penalty")
    usual = replace(usual, penalty=penalty) if penalty else usual
    tuned = model.config()
    return _changed(usual.at(side, given.get("batch", usual.batch), tuned.size), given)


def _source(model: Blueprint, data: str | Path | None) -> str:
    if model.draws_its_pictures:
        if data not in (None, "", DRAWN_HERE):
            raise BadArgument(name="data", value=str(data), expected=f"nothing: {model.name} draws its own pictures")
        return DRAWN_HERE
    if not data:
        hint = f"`pipeline train --model {model.name} --data {DIGITS} --out runs/x`"
        raise BadArgument(name="--data", value="", expected="a folder of pictures", hint=hint)
    return DIGITS if is_digits(data) else str(Path(data).resolve())


def is_digits(data: str | Path) -> bool:
    """Whether pictures named so are the digits that are here: a folder called `digits` is a folder."""
    return str(data) == DIGITS and not Path(data).is_dir()


def rights_are_known(data: str | Path) -> bool:
    """Whether nobody has to say whose pictures these are."""
    return str(data) in LICENCES and not Path(data).is_dir()


def _changed(recipe: Recipe, numbers: dict[str, Any]) -> Recipe:
    loss = numbers.pop("loss", None)
    recipe = recipe.with_loss(loss) if loss else recipe
    try:
        return replace(recipe, **numbers)
    except TypeError as error:
        raise BadArgument(name="recipe", value=numbers, expected=str(error)) from error


def usual_end(settings: Settings) -> Until | None:
    """When a run is over unless somebody says otherwise: at its schedule's end, where its recipe has one."""
    steps = settings.recipe.get("steps")
    return Until(steps) if steps else None


def train_model(
    folder: Path,
    settings: Settings,
    until: Until,
    *,
    device: str = "auto",
    threads: int = 0,
    observer: Observer | None = None,
    told: Told | None = None,
    start: str | Path | None = None,
) -> Report | None:
    """Train, or continue, the run in `folder`; its report, or None in every process that torchrun started but the first.

    A run that has to begin from other weights takes them from `start`. It goes on with what its folder of pictures holds now.

    The folder is locked meanwhile. Raises BadArgument where another run is in it, GenerationError for a device that is
    not here, pictures that cannot be used and a training that went wrong; the last checkpoint stands.
    """
    with joined_processes() as processes:
        on = open_device(device)
        _, _, recipe = settings.blueprint()
        processes.check(recipe.batch)
        torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // processes.count))
        aloud = observer if observer and processes.first else Silence()
        heard = (told or Told(notice=aloud.notice)) if processes.first else Told()
        if torch.cuda.device_count() > processes.count:
            gpus = torch.cuda.device_count()
            aloud.notice(f"{gpus} GPUs are here: `torchrun --nproc-per-node {gpus} -m pipeline train …` uses them all")
        goes_on = (folder / "state.pt").exists()
        game = _game(settings, aloud, None if goes_on or not settings.start else _start_of(settings, start))
        if not goes_on:
            _foretell(Trainer(game, on, processes), settings, until, aloud)
        trainer = Trainer(game, on, processes)
        if not processes.first:
            train(folder, trainer, until, heard)
            return None
        with Workspace(folder).lock():
            begin_or_continue(folder, settings)
            aloud.notice(f"training {settings.model} in {folder}; stopped at any time, it continues")
            return train(folder, trainer, until, heard)


def _foretell(trainer: Trainer, settings: Settings, until: Until, aloud: Observer) -> None:
    """Say what the time will suffice for; a model that draws its own pictures has an end of its own."""
    known = blueprint(settings.model)
    if known.draws_its_pictures:
        return
    if found := forecast(trainer, known.advised):
        aloud.notice(found.told(until))


def _start_of(settings: Settings, start: str | Path | None) -> Start:
    """The weights that a run's settings say it begins from. Raises BadArgument for others, or none."""
    if start is None:
        raise BadArgument(
            name="--from",
            value="",
            expected="the weights that this run begins from: it took no step yet",
            hint="give the command that began it again",
        )
    found = open_start(start)
    if found.as_dict() != settings.start:
        raise BadArgument(name="--from", value=str(start), expected=f"the weights {settings.start['sha256'][:16]}…")
    return found


def _game(settings: Settings, observer: Observer, start: Start | None = None) -> Game:
    model, sizes, recipe = settings.blueprint()
    if isinstance(recipe, FamilyRecipe):
        return FamilyGame(recipe, PainterConfig(**settings.sizes))
    pictures = read_pictures(
        settings.data,
        sizes.size,
        sizes.channels,
        settings.licence,
        lambda done, total: observer.progress("read", done, total),
    )
    _tell(pictures, observer)
    return game_of(model, sizes, recipe, pictures, settings.data, settings.start, start)


def _tell(pictures: Pictures, observer: Observer) -> None:
    count, aside, changed = len(pictures.images), len(pictures.refused), len(pictures.changed)
    _, channels, side, _ = pictures.images.shape
    colour = "in colour" if channels == 3 else "in grey, as all of them are"
    observer.notice(f"trained on at {side} by {side} pixels, {colour}")
    observer.notice(f"{count:,} pictures; {aside} set aside, {changed} changed (the run's data.txt lists them)")
    for line in pictures.refused[:SHOWN_REASONS]:
        observer.notice(f"  set aside: {line}")
    if count < ADVISED:
        observer.notice(f"  fewer than {ADVISED} pictures are soon learned by heart: look at memorised.png at the end")
