"""The default generator as a model that is trained: the painter, its two critics, and the recipe that made the weights.

`painter.py` and `critic.py` are the networks. It draws the pictures that it learns from itself (`families.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pipeline.art.models.blueprint import CONSTANT, Blueprint, Recipe
from pipeline.art.models.critic import Critic
from pipeline.art.models.families import FAMILIES
from pipeline.art.models.painter import Painter, PainterConfig
from pipeline.base.errors import BadArgument

CANVAS, CROP = 64, 32  # sides of the squares that the two critics see


@dataclass(frozen=True, slots=True)
class FamilyRecipe(Recipe):
    """What the families' game adds to a recipe. A batch is of tokens, each of which gives one canvas and one crop."""

    loss: str = "relativistic"
    lr: float = 2e-3
    critic_lr: float = 6e-4
    beta1: float = 0.0
    beta2: float = 0.99
    batch: int = 6
    penalty: str = "r1+r2"
    gamma: float = 0.5
    penalty_every: int = 8
    steps: int = 13_000  # of the whole schedule
    canvas: int = CANVAS
    crop: int = CROP
    pictures: int = 60  # per family
    picture_side: int = 384
    lr_gates: float = 5e-3
    warm_up: int = 100  # steps
    decay_from: float = 0.62  # share of the run after which learning rates fall to a tenth
    mismatch: float = 0.5  # weight of telling a real picture from itself under another family's name
    gate_price: float = 0.03
    prune_at: int = 1000  # the step at which gates that training left nearly shut are shut for good
    prune_below: float = 0.12

    def __post_init__(self) -> None:
        Recipe.__post_init__(self)  # `super()` does not find its class in one with slots
        for name, only in (
            ("loss", "relativistic"),
            ("penalty", "r1+r2"),
            ("augment", "none"),
            ("critic_steps", 1),
            ("schedule", CONSTANT),
        ):
            if getattr(self, name) != only:
                raise BadArgument(name=name, value=getattr(self, name), expected=f"{only} for the default model")
        if self.steps < 1:
            raise BadArgument(name="steps", value=self.steps, expected="1 or more")


def critics(recipe: FamilyRecipe) -> nn.ModuleDict:
    """One for whole canvases and one for crops, both told which family they look at."""
    canvas = Critic(len(FAMILIES), recipe.canvas, (32, 64, 128, 192))
    return nn.ModuleDict({"canvas": canvas, "crop": Critic(len(FAMILIES), recipe.crop, (64, 128, 192))})


DEFAULT = Blueprint(
    "default",
    PainterConfig,
    {},
    Painter,
    lambda sizes: critics(FamilyRecipe()),
    FamilyRecipe(),
    draws_its_pictures=True,
)
