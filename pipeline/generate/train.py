"""The one trainer of all models: it knows blueprints, losses and recipes, and no model's name.

A Trainer is the state of a run. `advance` takes one step; `save` and `restore` stop and continue it bit for bit on the
same machine's CPU, since every random number comes from two generators whose states are saved. What is written while it
runs is in `runs.py`.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import GenerationError
from pipeline.files import whole_file
from pipeline.generate.alarms import Alarm, Watch
from pipeline.generate.augment import NUMBERS, augment, fitting, kinds
from pipeline.generate.blueprint import Blueprint, Recipe, Sizes
from pipeline.generate.data import Pictures
from pipeline.generate.losses import (
    ELBO,
    LOSSES,
    divergence,
    evidence_bound,
    one_centred,
    reconstruction,
    zero_centred,
)
from pipeline.generate.processes import Processes

RECORD_EVERY = 10  # steps between two records
MAX_STATE_BYTES = 8 << 30
FEWEST = 4  # pictures in a batch: below, statistics of a batch say nothing
COARSE = 8  # side of the pictures whose distances are measured


class Trainer:
    """A generator, its partner and everything else that the next step depends on."""

    def __init__(
        self,
        model: Blueprint,
        sizes: Sizes,
        recipe: Recipe,
        pictures: Pictures,
        device: torch.device | str = "cpu",
        processes: Processes | None = None,
    ) -> None:
        self.processes = processes or Processes()
        self.processes.check(recipe.batch)
        self.model, self.sizes, self.recipe = model, sizes, recipe
        self.pictures, self.device = pictures, torch.device(device)
        self.step, self.seconds, self.batch = 0, 0.0, recipe.batch
        self.rate, self.partner_rate = 1.0, 1.0  # what alarms left of the learning rates

        torch.manual_seed(recipe.seed)  # initial weights, the same in every process
        self.rng = torch.Generator().manual_seed(recipe.seed)  # the whole batch's numbers, the same in every process
        self.generator = model.generator(sizes).to(self.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.partner = model.partner(sizes).to(self.device)
        betas = (recipe.beta1, recipe.beta2)
        self.generator_adam = torch.optim.Adam(self.generator.parameters(), recipe.lr, betas)
        self.partner_adam = torch.optim.Adam(self.partner.parameters(), recipe.critic_lr, betas)
        torch.manual_seed(recipe.seed + 1 + self.processes.rank)  # dropout and the like: each process its own
        adversarial = recipe.loss != ELBO
        self.watch = Watch(LOSSES[recipe.loss].won if adversarial else None)
        self._play = self._compete if adversarial else self._cooperate

    # ── one step ─────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self) -> dict[str, float]:
        """One step of every player. Every RECORD_EVERY steps it returns a record, otherwise nothing."""
        self._set_rates()
        told = self._play(self.step % RECORD_EVERY == 0)
        self._follow()
        self.step += 1
        return self.processes.mean(told) if told else told

    def _compete(self, tell: bool) -> dict[str, float]:
        """The critic's steps, then the generator's."""
        recipe, loss = self.recipe, LOSSES[self.recipe.loss]
        with_penalty = recipe.penalty != "none" and self.step % recipe.penalty_every == 0
        for _ in range(recipe.critic_steps):
            raw, latents = self._reals(), self._latents()
            with torch.no_grad():
                fakes = self._augmented(self.generator(latents))
            reals = self._augmented(raw).detach()  # a tensor of its own: its gradient is asked for
            zero_centre = with_penalty and recipe.penalty != "wgan-gp"
            reals.requires_grad_(zero_centre), fakes.requires_grad_(zero_centre and "r2" in recipe.penalty)
            on_real, on_fake = self.partner(reals), self.partner(fakes)
            critic_loss = loss.critic(on_real, on_fake)
            penalty = self._penalty(reals, fakes, on_real, on_fake) if with_penalty else torch.zeros(())
            total = critic_loss + penalty.to(critic_loss.device) * (recipe.gamma * recipe.penalty_every)
            self._descend(self.partner_adam, self.partner, total)

        self.partner.requires_grad_(False)
        latents = self._latents()
        made = self.generator(latents)
        baseline = None
        if loss.paired:
            with torch.no_grad():
                baseline = self.partner(self._augmented(raw))
        generator_loss = loss.generator(self.partner(self._augmented(made)), baseline)
        self.partner.requires_grad_(True)
        self._descend(self.generator_adam, self.generator, generator_loss)
        if not tell:
            return {}
        return {
            "critic": critic_loss.item(),
            "generator": generator_loss.item(),
            "penalty": penalty.item(),
            "gap": (on_real.mean() - on_fake.mean()).item(),
            "generator_gradient": gradient_norm(self.generator),
            "spread": spread(made.detach()) / max(spread(raw), 1e-6),
        }

    def _cooperate(self, tell: bool) -> dict[str, float]:
        """Encoder and generator minimise the same bound."""
        reals, latents = self._augmented(self._reals()), self._latents()
        mean, log_variance = self.partner(reals)
        decoded = self.generator(mean + latents * (log_variance / 2).exp())
        bound = evidence_bound(reals, decoded, mean, log_variance, self.recipe.sigma)
        self.partner_adam.zero_grad()
        self._descend(self.generator_adam, self.generator, bound)
        self.processes.average_gradients(self.partner.parameters())
        self.partner_adam.step()
        if not tell:
            return {}
        return {
            "bound": bound.item(),
            "reconstruction": reconstruction(reals, decoded, self.recipe.sigma).item(),
            "divergence": divergence(mean, log_variance).item(),
            "generator_gradient": gradient_norm(self.generator),
            "spread": spread(decoded.detach()) / max(spread(reals), 1e-6),
        }

    def _penalty(self, reals: Tensor, fakes: Tensor, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """The recipe's penalty; zero-centred ones with the customary half."""
        if self.recipe.penalty == "wgan-gp":
            share = self._mine(torch.rand(self.batch, generator=self.rng))
            return one_centred(self.partner, reals, fakes, share)
        penalty = zero_centred(on_real, reals)
        if self.recipe.penalty == "r1+r2":
            penalty = penalty + zero_centred(on_fake, fakes)
        return penalty / 2

    def _descend(self, adam: torch.optim.Optimizer, player: nn.Module, loss: Tensor) -> None:
        adam.zero_grad()
        torch.autograd.backward(loss)
        self.processes.average_gradients(player.parameters())
        adam.step()

    def _reals(self) -> Tensor:
        picked = torch.randint(len(self.pictures.images), (self.batch,), generator=self.rng)
        return self.pictures.batch(self.processes.share(picked)).to(self.device)

    def _latents(self) -> Tensor:
        width: int = self.generator.latent_dim  # type: ignore[assignment]
        return self._mine(torch.randn(self.batch, width, generator=self.rng))

    def _augmented(self, images: Tensor) -> Tensor:
        policy = fitting(self.recipe.augment, len(self.pictures.images))
        if not kinds(policy):
            return images
        return augment(images, policy, self._mine(torch.rand(self.batch, NUMBERS, generator=self.rng)))

    def _mine(self, batch: Tensor) -> Tensor:
        return self.processes.share(batch).to(self.device)

    def _set_rates(self) -> None:
        for adam, lr in (
            (self.generator_adam, self.recipe.lr * self.rate),
            (self.partner_adam, self.recipe.critic_lr * self.rate * self.partner_rate),
        ):
            for group in adam.param_groups:
                group["lr"] = lr

    @torch.no_grad()
    def _follow(self) -> None:
        """The average follows the generator, with a short memory at first."""
        keep = min(self.recipe.ema, (self.step + 1) / (self.step + 10))
        followed = self.generator.state_dict()
        for name, tensor in self.average.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(followed[name], 1 - keep)
            else:
                tensor.copy_(followed[name])

    # ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────

    def judge(self, record: dict[str, float]) -> Alarm | None:
        """Look at a record, and lower the rates where it gives reason to."""
        alarm = self.watch.look(record)
        if alarm:
            self.rate *= alarm.rate
            self.partner_rate *= alarm.critic_rate
        return alarm

    def halve_batch(self) -> None:
        """Go on with half the batch. Raises GenerationError where that would be too small."""
        if self.processes.count > 1 or self.batch // 2 < FEWEST:
            raise GenerationError(
                reason=f"out of memory at step {self.step} with a batch of {self.batch}",
                hint="give a smaller --size or --batch" + (", or fewer processes" if self.processes.count > 1 else ""),
            )
        self.batch //= 2
        self.partner.requires_grad_(True)  # memory may have run out while it was frozen
        for adam in (self.generator_adam, self.partner_adam):
            adam.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def sound(self) -> bool:
        """Whether all weights are finite: what is not must never replace a checkpoint that is."""
        tensors = [*self.generator.state_dict().values(), *self.average.state_dict().values()]
        return all(bool(torch.isfinite(tensor).all()) for tensor in (*tensors, *self.partner.state_dict().values()))

    # ── stop and continue ────────────────────────────────────────────────────────────────────────────────────

    @property
    def settings(self) -> dict[str, Any]:
        """What a state belongs to. Plain values, so that they survive JSON."""
        return {
            "model": self.model.name,
            "sizes": asdict(self.sizes),  # type: ignore[call-overload]
            "recipe": asdict(self.recipe),
            "pictures": self.pictures.digest,
            "processes": self.processes.count,
        }

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "generator": self.generator,
            "average": self.average,
            "partner": self.partner,
            "generator_adam": self.generator_adam,
            "partner_adam": self.partner_adam,
        }

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on. Every process must ask, since each has a random state of its own."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        for name in ("step", "seconds", "batch", "rate", "partner_rate", "settings"):
            state[name] = getattr(self, name)
        on_device = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else torch.empty(0).byte()
        return state | {
            "watch": self.watch.state(),
            "rng": self.rng.get_state(),
            "own_rngs": self.processes.gather(torch.get_rng_state()),
            "device_rngs": self.processes.gather(on_device),
        }

    def restore(self, path: Path) -> None:
        """Continue from the state at `path`. Raises GenerationError for a damaged one, or that of another run."""
        state = read_state(path)
        for name, found in self.settings.items():
            if state.get("settings", {}).get(name) != found:
                raise GenerationError(
                    reason=f"{path} was trained with other {name}",
                    hint="continue it with its own: pipeline train --resume " + str(path.parent),
                )
        try:
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            for name in ("step", "seconds", "batch", "rate", "partner_rate"):
                setattr(self, name, state[name])
            self.watch.restore(state["watch"])
            self.rng.set_state(state["rng"])
            torch.set_rng_state(state["own_rngs"][self.processes.rank])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(state["device_rngs"][self.processes.rank], self.device)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise _damaged(path, str(error).splitlines()[0]) from error


def write_state(path: Path, state: dict[str, Any]) -> None:
    with whole_file(path) as file:
        torch.save(state, file)


def read_state(path: Path) -> dict[str, Any]:
    """The state at `path`, read as data: a pickle with code in it is refused, and the code is not run."""
    try:
        if path.stat().st_size > MAX_STATE_BYTES:
            raise _damaged(path, f"more than {MAX_STATE_BYTES >> 30} GB")
        with path.open("rb") as file:
            if file.read(2) != b"PK":  # what `write_state` writes is an archive; a bare pickle is not even parsed
                raise _damaged(path, "it is cut short, or no state at all")
        state = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError as error:
        raise GenerationError(reason=f"there is no training at {path.parent}", hint="check the path") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        told = "it holds more than plain data; it was not run" if "weights_only" in str(error) else "it cannot be read"
        raise _damaged(path, told) from error
    if not isinstance(state, dict):
        raise _damaged(path, "it holds no state")
    return state


def _damaged(path: Path, reason: str) -> GenerationError:
    return GenerationError(
        reason=f"cannot continue from {path}: {reason}",
        hint="start anew with another --out; the weights beside it stand",
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether this is an allocator's refusal, on whatever device."""
    told = str(error)
    known = ("can't allocate memory", "not enough memory", "out of memory", "could not create a memory object")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(text in told for text in known)


def gradient_norm(module: nn.Module) -> float:
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))


def spread(images: Tensor) -> float:
    """Mean distance between the coarse pictures of a batch (N, C, H, W)."""
    return float(torch.pdist(F.adaptive_avg_pool2d(images, COARSE).flatten(1)).mean())
