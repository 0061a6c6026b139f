"""What a trainable model is: two networks, their sizes, and how it is usually trained.

    model = blueprint("dcgan")
    generator = model.generator(model.config(size=28))
    images = generator(torch.randn(8, generator.latent_dim))  # (8, 1, 28, 28) in [-1, 1]

The trainer, checkpoints and the sampler know models only in this form. A model is a file in `models/` that reads top to
bottom; a line in MODELS makes it known.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any, Protocol

from torch import nn

from pipeline.art.models.augment import AUTO, kinds
from pipeline.art.models.losses import ELBO, LOSSES, PENALTIES
from pipeline.base.errors import BadArgument

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
    "vae": "pipeline.art.models.vae:VAE",
}


class Sizes(Protocol):
    """A model's own frozen dataclass of sizes; it raises ValueError for what its networks could not be built with."""

    @property
    def size(self) -> int: ...  # side of its pictures, before they are scaled
    @property
    def channels(self) -> int: ...  # 1 or 3


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

    def __post_init__(self) -> None:
        for name, low, high in BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadArgument(name=name, value=value, expected=f"{low:g} to {high:g}")
        for name, known in (("loss", (*LOSSES, ELBO)), ("penalty", PENALTIES)):
            if getattr(self, name) not in known:
                raise BadArgument(name=name, value=getattr(self, name), expected=" or ".join(known))
        if self.augment != AUTO:
            kinds(self.augment)

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
    ("seed", 0, 2**53 - 1),
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
