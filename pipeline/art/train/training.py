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
from pipeline.art.models.blueprint import Blueprint, Recipe, blueprint
from pipeline.art.models.family_gan import FamilyRecipe
from pipeline.art.models.painter import PainterConfig
from pipeline.art.train.data import ADVISED, DIGITS, Pictures, read_pictures
from pipeline.art.train.family_game import DRAWN_HERE, FamilyGame
from pipeline.art.train.games import game_of
from pipeline.art.train.processes import joined_processes
from pipeline.art.train.runs import Report, Settings, Told, Until, begin_or_continue, train
from pipeline.art.train.trainer import Game, Trainer
from pipeline.base.errors import BadArgument
from pipeline.base.observer import Observer, Silence
from pipeline.base.workspace import Workspace

LICENCES = {DIGITS: "CC BY 4.0", DRAWN_HERE: "drawn by this program"}  # of pictures that are known here
SHOWN_REASONS = 5  # of files that were set aside; data.txt has them all
LICENCE_ASKED = "whose pictures these are and under which licence, such as 'my own work' or 'CC BY 4.0, Jane Doe'"


def new_run(
    model: str,
    data: str | Path | None = None,
    licence: str = "",
    side: int | None = None,
    steps: int | None = None,
    **recipe: Any,
) -> Settings:
    """What a new training is to be begun with: a model, its pictures, and numbers of its recipe that are not the usual.

    Raises BadArgument for an unknown model or number, and for pictures without a licence. A model that draws its own
    pictures takes neither `data` nor `side`. `steps` is how long it is meant to be: the length of the schedule, where the
    recipe has one.
    """
    known = blueprint(model)
    source = _source(known, data)
    sizes: dict[str, Any] = {"channels": 1, "size": 28} if source == DIGITS else {}
    if side is not None:
        if known.draws_its_pictures:
            raise BadArgument(name="size", value=side, expected=f"nothing: {model} has no size of its own")
        sizes["size"] = side
    rights = LICENCES.get(source, licence.strip())
    if not rights:
        hint = "it is recorded in the weights; train only on what you may use"
        raise BadArgument(name="--licence", value=licence, expected=LICENCE_ASKED, hint=hint)
    if steps is not None and hasattr(known.recipe, "steps"):
        recipe["steps"] = steps
    changed = _changed(known.recipe, recipe)
    return Settings(known.name, asdict(known.config(**sizes)), asdict(changed), source, rights)  # type: ignore[call-overload]


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
    new_pictures: bool = False,
) -> Report | None:
    """Train, or continue, the run in `folder`; its report, or None in every process that torchrun started but the first.

    With `new_pictures` it goes on with those that its folder holds now.

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
        trainer = Trainer(_game(settings, aloud), on, processes, new_pictures=new_pictures)
        if not processes.first:
            train(folder, trainer, until, heard)
            return None
        with Workspace(folder).lock():
            begin_or_continue(folder, settings)
            aloud.notice(f"training {settings.model} in {folder}; stopped at any time, it continues")
            return train(folder, trainer, until, heard)


def _game(settings: Settings, observer: Observer) -> Game:
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
    return game_of(model, sizes, recipe, pictures, settings.data)


def _tell(pictures: Pictures, observer: Observer) -> None:
    count, aside, changed = len(pictures.images), len(pictures.refused), len(pictures.changed)
    observer.notice(f"{count:,} pictures; {aside} set aside, {changed} changed (the run's data.txt lists them)")
    for line in pictures.refused[:SHOWN_REASONS]:
        observer.notice(f"  set aside: {line}")
    if count < ADVISED:
        observer.notice(f"  fewer than {ADVISED} pictures are soon learned by heart: look at memorised.png at the end")
