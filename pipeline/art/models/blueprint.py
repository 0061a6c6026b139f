"""What a trainable model is: two networks, their sizes, and how it is usually trained.

    model = blueprint("dcgan")
    generator = model.generator(model.config(size=28))
    images = generator(torch.randn(8, generator.latent_dim))  # (8, 1, 28, 28) in [-1, 1]

The trainer, checkpoints and the sampler know models only in this form. A model is a file in `models/` that reads top to
bottom; a line in MODELS makes it known.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from pipeline.art.models.augment import AUTO, kinds
from pipeline.art.models.losses import ELBO, LOSSES, PENALTIES
from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_SEED, MIN_SIDE

MAX_SIDE = 512  # of pictures that are trained on

# name -> "module:attribute" of a Blueprint
MODELS = {
    "default": "pipeline.art.models.family_gan:DEFAULT",
    "mlp_gan": "pipeline.art.models.mlp_gan:MLP_GAN",
    "mlp_gan_bn": "pipeline.art.models.mlp_gan:MLP_GAN_BN",
    "dcgan": "pipeline.art.models.dcgan:DCGAN",
    "dcgan_half": "pipeline.art.models.dcgan:DCGAN_HALF",
    "sngan": "pipeline.art.models.dcgan:SNGAN",
    "wgan_gp": "pipeline.art.models.wgan_gp:WGAN_GP",
    "stylegan2": "pipeline.art.models.stylegan2:STYLEGAN2",
    "fastgan": "pipeline.art.models.fastgan:FASTGAN",
    "vae": "pipeline.art.models.vae:VAE",
}


@runtime_checkable
class SelfTaught(Protocol):
    """A critic that has something to learn of real pictures beside telling them from others."""

    def taught(self, images: Tensor, quarter: int) -> tuple[Tensor, Tensor]:
        """Logits (N,) of real images, and a loss of its own; `quarter` is a number from 0 to 3."""


@runtime_checkable
class Mixing(Protocol):
    """A generator that tells composition from style."""

    def mixed(self, composes: Tensor, colours: Tensor) -> Tensor:
        """Pictures that the latents (N, latent_dim) `composes` lay out, in the style of `colours`."""


@runtime_checkable
class Staged(Protocol):
    """A critic whose first layers can be kept as another training left them (Mo et al. 2020)."""

    def stages(self) -> list[nn.Module]:
        """Its layers in groups, from the picture inwards."""


class Sizes(Protocol):
    """A model's own frozen dataclass of sizes; it raises ValueError for what its networks could not be built with."""

    @property
    def size(self) -> int: ...  # side of its pictures, before they are scaled
    @property
    def channels(self) -> int: ...  # 1 or 3


CONSTANT = "constant"
# What share of the learning rates is left, by how much of the run is over
SCHEDULES: dict[str, Callable[[float], float]] = {
    CONSTANT: lambda over: 1.0,
    "decay": lambda over: min(1.0, max(0.02, (1 - over) / 0.4)),  # straight down over the last two fifths
    "cosine": lambda over: 0.02 + 0.49 * (1 + math.cos(math.pi * over)),
}
ZERO_CENTRED = ("r1", "r1+r2")
FASTEST = 8.0  # times a recipe's learning rates: no law holds for ever


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number of a training that changes its result. Raises BadArgument for one that makes no sense."""

    loss: str = "non-saturating"
    lr: float = 2e-4
    critic_lr: float = 2e-4  # two time scales (Heusel et al. 2017) where it differs from lr
    beta1: float = 0.5
    beta2: float = 0.999
    batch: int = 64  # of all processes together
    critic_steps: int = 1  # for each of the generator's
    penalty: str = "none"
    gamma: float = 0.0  # weight of the penalty
    penalty_every: int = 1  # steps; its weight is multiplied by as much
    augment: str = "none"
    ema: float = 0.998  # of the weights that are kept (Yazici et al. 2019)
    sigma: float = 0.5  # deviation of a pixel around what a VAE decodes
    seed: int = 0
    flips: bool = False  # half of the pictures are mirrored left to right: not for writing
    schedule: str = CONSTANT
    steps: int = 0  # of the schedule; 0: it has none
    frozen: int = 0  # of the critic's groups of layers, from the picture inwards, that stay as a base had them

    def __post_init__(self) -> None:
        for name, low, high in BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadArgument(name=name, value=value, expected=f"{low:g} to {high:g}")
        for name, known in (("loss", (*LOSSES, ELBO)), ("penalty", PENALTIES), ("schedule", tuple(SCHEDULES))):
            if getattr(self, name) not in known:
                raise BadArgument(name=name, value=getattr(self, name), expected=" or ".join(known))
        if self.augment != AUTO:
            kinds(self.augment)
        if self.schedule != CONSTANT and not self.steps:
            raise BadArgument(
                name="schedule", value=self.schedule, expected="a length beside it", hint="give --steps as well"
            )

    def share(self, step: int) -> float:
        """What share of its learning rates a step is taken with."""
        return SCHEDULES[self.schedule](min(step / self.steps, 1.0)) if self.steps else 1.0

    def at(self, size: int, batch: int, usual_size: int) -> Recipe:
        """The recipe for pictures of another side, or another batch, than it was tuned with.

        A zero-centred penalty grows with the picture's area and falls with the batch (as in StyleGAN2-ADA's table), rates
        of Adam with the root of the batch (Krizhevsky 2014), and the average looks back over as many pictures.
        """
        bigger = batch / self.batch
        gamma = self.gamma
        if self.penalty in ZERO_CENTRED:
            gamma = _short(gamma * (size / usual_size) ** 2 / bigger)
        faster = min(math.sqrt(bigger), FASTEST)
        lr, critic_lr = _short(self.lr * faster), _short(self.critic_lr * faster)
        ema = min(round(self.ema**bigger, 5), 0.9999)
        return replace(self, lr=lr, critic_lr=critic_lr, gamma=gamma, ema=ema, batch=batch)

    def with_loss(self, name: str) -> Recipe:
        """The same recipe with another loss, and the penalty that belongs to that."""
        if type(self) is not Recipe:  # the game of a model's own knows one loss
            return replace(self, loss=name)
        if (name == ELBO) != (self.loss == ELBO) or name not in (*LOSSES, ELBO):
            expected = ELBO if self.loss == ELBO else " or ".join(LOSSES)
            raise BadArgument(name="loss", value=name, expected=f"{expected} for this model")
        if name in (ELBO, self.loss):
            return self
        loss = LOSSES[name]
        return replace(self, loss=name, penalty=loss.penalty, gamma=loss.gamma)


def _short(value: float) -> float:
    """Four digits: what a person reads in `run.json` is what is computed with."""
    return float(f"{value:.4g}")


BOUNDS = (
    ("lr", 1e-7, 1.0),
    ("critic_lr", 1e-7, 1.0),
    ("beta1", 0.0, 0.999),
    ("beta2", 0.0, 0.9999),
    ("batch", 2, 1 << 24),
    ("critic_steps", 1, 100),
    ("gamma", 0.0, 1e4),
    ("penalty_every", 1, 1000),
    ("ema", 0.0, 0.99999),
    ("sigma", 1e-3, 10.0),
    ("seed", 0, MAX_SEED),
    ("steps", 0, 1 << 40),
    ("frozen", 0, 32),
)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A model: `partner` is what the generator learns from, a critic (images to (N,) logits) or, for a VAE, an encoder."""

    name: str
    sizes: type[Any]
    defaults: dict[str, Any]  # of the sizes, where this variant differs from the class's
    generator: Callable[[Any], nn.Module]
    partner: Callable[[Any], nn.Module]
    recipe: Recipe
    draws_its_pictures: bool = False  # it learns from none of the user's
    sides: tuple[int, int] = (64, 64)  # that it usually trains on, where pictures have as many pixels: a CPU's, a GPU's
    advised: int = 50_000  # pictures that it should have seen before anybody judges it
    capacities: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # sizes by how much it can hold

    def config(self, **given: Any) -> Sizes:
        """Sizes of a new model, or those of a checkpoint. Raises BadArgument for what cannot be built."""
        known = {field.name for field in fields(self.sizes)}
        for name in given:
            if name not in known:
                raise BadArgument(name=name, value=given[name], expected="no such size of this model")
        try:
            sizes: Sizes = self.sizes(**(self.defaults | given))
        except (ValueError, TypeError) as error:
            raise BadArgument(name=f"sizes of {self.name}", value=given, expected=str(error)) from error
        return sizes

    def side(self, pictures: int, *, on_gpu: bool) -> int:
        """The side that it trains on where nobody said one: a usual one, unless the pictures have fewer pixels."""
        most = min(pictures, self.sides[on_gpu])
        return max((side for side in self.known_sides() if side <= most), default=self.known_sides()[0])

    def known_sides(self) -> list[int]:
        """Every side that it can be built for, from the smallest that can be drawn."""

        def is_one(side: int) -> bool:
            try:
                self.sizes(**(self.defaults | {"size": side}))
            except ValueError:
                return False
            return True

        return [side for side in range(MIN_SIDE, MAX_SIDE + 1) if is_one(side)]

    def has(self, name: str) -> bool:
        """Whether that is one of its sizes."""
        return any(field.name == name for field in fields(self.sizes))

    def grown(self, side: int) -> dict[str, int]:
        """The sizes that follow from a picture's side: a larger one keeps its channels up to a larger side."""
        return {"narrow_from": max(8, side // 8)} if self.has("narrow_from") else {}

    def capacity(self, name: str) -> dict[str, int]:
        """The sizes of that capacity. Raises BadArgument for one that this model does not come in."""
        if name not in self.capacities:
            expected = " or ".join(self.capacities) or f"none: {self.name} comes in one size"
            raise BadArgument(name="--capacity", value=name, expected=expected)
        return dict(self.capacities[name])


def completed(kind: type[Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """A dataclass's values as an earlier version wrote them, with those that it did not know yet: they meant the default."""
    return {f.name: f.default for f in fields(kind) if f.default is not MISSING} | dict(found)


def blueprint(name: str) -> Blueprint:
    """The model of that name. Raises BadArgument with a near one for a name that is not known."""
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 1)
        hint = f"did you mean {near[0]!r}?" if near else None
        raise BadArgument(name="model", value=name, expected="one of " + ", ".join(MODELS), hint=hint)
    module, _, attribute = MODELS[name].partition(":")
    found: Blueprint = getattr(import_module(module), attribute)
    return found


def check_sizes(sizes: object, **bounds: tuple[int, int]) -> None:
    """Raise ValueError unless each named size is a whole number within its bounds: a file may claim anything."""
    for name, (low, high) in bounds.items():
        value = getattr(sizes, name)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}; expected {low} to {high}")
    if getattr(sizes, "channels", 1) not in (1, 3):
        raise ValueError("channels are 1 (grey) or 3 (RGB)")


def halvings(size: int) -> tuple[int, int]:
    """How small convolutions start: (base, doublings) with base · 2^doublings = size and a base of 4 to 7.

    28 is 7 · 2², 64 is 4 · 2⁴. Raises ValueError for a size that is no such product.
    """
    base, doublings = size, 0
    while base > 7 and base % 2 == 0:
        base, doublings = base // 2, doublings + 1
    if not 4 <= base <= 7 or doublings < 1:
        raise ValueError(f"size is {size}; expected 4, 5, 6 or 7 times a power of two, such as 28, 32, 64, 96 or 128")
    return base, doublings
