"""The two games of the models in `blueprint.py`, on a folder's pictures: against a critic, or together with an encoder.

    trainer = Trainer(game_of(model, model.config(), model.recipe, pictures, "digits"))

Which of the two it is follows from the recipe's loss. The default generator's own game is in `family_game.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.art.draw.checkpoint import COLLAPSED, write_trained
from pipeline.art.draw.sampler import draw_pictures, trait_cuts
from pipeline.art.models.augment import NUMBERS, augment, fitting, kinds
from pipeline.art.models.blueprint import Blueprint, Recipe, SelfTaught, Sizes, Staged, completed
from pipeline.art.models.losses import (
    ELBO,
    LOSSES,
    divergence,
    evidence_bound,
    one_centred,
    reconstruction,
    zero_centred,
)
from pipeline.art.train.alarms import Watch
from pipeline.art.train.data import DIGITS, Pictures
from pipeline.art.train.memorisation import Memorised, find_copies, picture_pairs
from pipeline.art.train.metrics import picture_figures
from pipeline.art.train.start import Start
from pipeline.art.train.trainer import Game, Trainer, gradient_norm, spread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = "pictures of a folder"  # weights are handed on: where they lay is nobody else's affair
PROBES = 128  # pictures whose traits give the cuts, and that are compared with the training pictures
FEWEST_PROBES = 48  # of them, however large: a grid has 36
MEASURED = 1000  # training pictures that snapshots are measured against


def game_of(
    model: Blueprint,
    sizes: Sizes,
    recipe: Recipe,
    pictures: Pictures,
    data: str,
    origin: Mapping[str, str] | None = None,
    start: Start | None = None,
) -> Game:
    """The game of a blueprint on pictures; `data` says where those are from, `origin` where weights began."""
    kind = Cooperation if recipe.loss == ELBO else Contest
    return kind(model, sizes, recipe, pictures, data, origin or {}, start)


@dataclass(frozen=True)
class _PictureGame:
    """What both have: a blueprint's networks, batches of pictures, latents, and weights that are written by its name."""

    model: Blueprint
    sizes: Sizes
    recipe: Recipe
    pictures: Pictures
    data: str
    origin: Mapping[str, str] = field(default_factory=dict)  # where the run began, if not from nothing
    start: Start | None = None  # what to begin from; None where a run goes on

    @property
    def seed(self) -> int:
        return self.recipe.seed

    @property
    def batch(self) -> int:
        return self.recipe.batch

    @property
    def ema(self) -> float:
        return self.recipe.ema

    @property
    def advice(self) -> str:
        return f"start anew with a lower --lr (it was {self.recipe.lr:g}) or another --loss"

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "model": self.model.name,
            "sizes": asdict(self.sizes),  # type: ignore[call-overload]
            "recipe": asdict(self.recipe),
            "pictures": self.pictures.digest,
        }

    def generator(self) -> nn.Module:
        generator = self.model.generator(self.sizes)
        if self.start:
            generator.load_state_dict(self.start.trained.tensors)
        return generator

    def partner(self) -> nn.Module:
        partner = self.model.partner(self.sizes)
        if self.start and self.start.critic:
            partner.load_state_dict(self.start.critic)
        if isinstance(partner, Staged):
            for stage in partner.stages()[: self.recipe.frozen]:
                stage.requires_grad_(False)
        return partner

    def adams(self, generator: nn.Module, partner: nn.Module) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        recipe = self.recipe
        betas = (recipe.beta1, recipe.beta2)
        return (
            torch.optim.Adam(generator.parameters(), recipe.lr, betas),
            torch.optim.Adam(partner.parameters(), recipe.critic_lr, betas),
        )

    def schedule(self, step: int) -> float:
        return self.recipe.share(step)

    def began_alike(self, name: str, began: Any) -> bool:
        """An earlier version did not write down what it did not know yet."""
        kinds = {"sizes": type(self.sizes), "recipe": type(self.recipe)}
        if name in kinds and isinstance(began, dict):
            began = completed(kinds[name], began)
        return bool(began == self.settings.get(name))

    # ── a batch ──────────────────────────────────────────────────────────────────────────────────────────────

    def _reals(self, trainer: Trainer) -> Tensor:
        picked = torch.randint(len(self.pictures.images), (trainer.batch,), generator=trainer.rng)
        reals = self.pictures.batch(trainer.processes.share(picked)).to(trainer.device)
        if not self.recipe.flips:
            return reals
        mirrored = trainer.mine(torch.rand(trainer.batch, generator=trainer.rng)) < 0.5
        return torch.where(mirrored[:, None, None, None], reals.flip(3), reals)

    def _latents(self, trainer: Trainer) -> Tensor:
        width: int = trainer.generator.latent_dim  # type: ignore[assignment]
        return trainer.mine(torch.randn(trainer.batch, width, generator=trainer.rng))

    def _augmented(self, trainer: Trainer, images: Tensor) -> Tensor:
        policy = fitting(self.recipe.augment, len(self.pictures.images))
        if not kinds(policy):
            return images
        return augment(images, policy, trainer.mine(torch.rand(trainer.batch, NUMBERS, generator=trainer.rng)))

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, path: Path, average: nn.Module, step: int, fault: str) -> NDArray[np.uint8]:
        pictures = draw_pictures(average, range(self._probes))
        notes: dict[str, Any] = {
            "steps": step,
            "data": self.data if self.data == DIGITS else FOLDER,
            "licence": self.pictures.licence,
            "pictures": len(self.pictures.images),
            "recipe": asdict(self.recipe),
            "cuts": trait_cuts(pictures),
        }
        notes |= {"from": dict(self.origin)} if self.origin else {}
        notes |= {COLLAPSED: fault} if fault else {}
        write_trained(path, self.model, self.sizes, average.state_dict(), notes)
        return pictures

    def measure(self, pictures: NDArray[np.uint8]) -> dict[str, float]:
        """Against the training pictures, or MEASURED of them, evenly spread: few artists have some to spare."""
        images = self.pictures.images
        reals = images[:: -(-len(images) // MEASURED)].float() / 255
        fakes = torch.from_numpy(pictures).permute(0, 3, 1, 2)[:, : reals.shape[1]].float() / 255
        return {name: round(value, 4) for name, value in picture_figures(fakes, reals).items()}

    def find_copies(self, average: nn.Module) -> tuple[Memorised, NDArray[np.uint8]]:
        fakes = draw_pictures(average, range(self._probes))
        found = find_copies(fakes, self.pictures)
        return found, picture_pairs(fakes, self.pictures, found)

    @property
    def _probes(self) -> int:
        """Fewer of large pictures: each is drawn alone, as a token is."""
        return max(FEWEST_PROBES, min(PROBES, PROBES * 128 // self.sizes.size))

    def sources(self) -> list[str]:
        pictures = self.pictures
        lines = [f"{len(pictures.images):,} pictures of {self.data}; licence: {pictures.licence}"]
        lines += [f"set aside: {line}" for line in pictures.refused]
        return lines + [f"changed: {line}" for line in pictures.changed]


class Contest(_PictureGame):
    """A critic tells fakes from reals, and the generator learns to pass for real (Goodfellow et al. 2014)."""

    def watch(self) -> Watch:
        return Watch(LOSSES[self.recipe.loss].won)

    def play(self, trainer: Trainer, tell: bool) -> dict[str, float]:
        """The critic's steps, then the generator's."""
        recipe, loss, critic = self.recipe, LOSSES[self.recipe.loss], trainer.partner
        with_penalty = recipe.penalty != "none" and trainer.step % recipe.penalty_every == 0
        for _ in range(recipe.critic_steps):
            raw, latents = self._reals(trainer), self._latents(trainer)
            with torch.no_grad():
                fakes = self._augmented(trainer, trainer.generator(latents))
            reals = self._augmented(trainer, raw).detach()  # a tensor of its own: its gradient is asked for
            zero_centre = with_penalty and recipe.penalty != "wgan-gp"
            reals.requires_grad_(zero_centre), fakes.requires_grad_(zero_centre and "r2" in recipe.penalty)
            on_real, lesson = self._look(trainer, reals)
            on_fake = critic(fakes)
            critic_loss = loss.critic(on_real, on_fake)
            penalty = self._penalty(trainer, reals, fakes, on_real, on_fake) if with_penalty else torch.zeros(())
            weight = recipe.gamma * recipe.penalty_every
            all_of_it = critic_loss + penalty.to(critic_loss.device) * weight
            trainer.descend(all_of_it if lesson is None else all_of_it + lesson, critic)

        with trainer.frozen_partner():
            made = trainer.generator(self._latents(trainer))
            baseline = None
            if loss.paired:
                with torch.no_grad():
                    baseline = critic(self._augmented(trainer, raw))
            generator_loss = loss.generator(critic(self._augmented(trainer, made)), baseline)
        trainer.descend(generator_loss, trainer.generator)
        if not tell:
            return {}
        return {
            "critic": critic_loss.item(),
            "generator": generator_loss.item(),
            "penalty": penalty.item(),
            "gap": (on_real.mean() - on_fake.mean()).item(),
            "generator_gradient": gradient_norm(trainer.generator),
            "spread": spread(made.detach()) / max(spread(raw), 1e-6),
        } | ({} if lesson is None else {"lesson": lesson.item()})

    def _look(self, trainer: Trainer, reals: Tensor) -> tuple[Tensor, Tensor | None]:
        """The critic's logits on reals, and the loss of what else it learns from them, where it does."""
        critic = trainer.partner
        if not isinstance(critic, SelfTaught):
            logits: Tensor = critic(reals)
            return logits, None
        return critic.taught(reals, int(torch.randint(4, (), generator=trainer.rng)))

    def _penalty(self, trainer: Trainer, reals: Tensor, fakes: Tensor, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """The recipe's penalty; zero-centred ones with the customary half."""
        if self.recipe.penalty == "wgan-gp":
            share = trainer.mine(torch.rand(trainer.batch, generator=trainer.rng))
            return one_centred(trainer.partner, reals, fakes, share)
        penalty = zero_centred(on_real, reals)
        if self.recipe.penalty == "r1+r2":
            penalty = penalty + zero_centred(on_fake, fakes)
        return penalty / 2


class Cooperation(_PictureGame):
    """Encoder and generator minimise the same bound (Kingma and Welling 2014)."""

    def watch(self) -> Watch:
        return Watch()

    def play(self, trainer: Trainer, tell: bool) -> dict[str, float]:
        """One step of both together."""
        sigma = self.recipe.sigma
        reals, latents = self._augmented(trainer, self._reals(trainer)), self._latents(trainer)
        mean, log_variance = trainer.partner(reals)
        decoded = trainer.generator(mean + latents * (log_variance / 2).exp())
        bound = evidence_bound(reals, decoded, mean, log_variance, sigma)
        trainer.descend(bound, trainer.generator, trainer.partner)
        if not tell:
            return {}
        return {
            "bound": bound.item(),
            "reconstruction": reconstruction(reals, decoded, sigma).item(),
            "divergence": divergence(mean, log_variance).item(),
            "generator_gradient": gradient_norm(trainer.generator),
            "spread": spread(decoded.detach()) / max(spread(reals), 1e-6),
        }
