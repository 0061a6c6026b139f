"""The one trainer of all models: it knows players, rates and checkpoints, and no model's name.

A Trainer is the state of a run. What is played is a Game: how a batch is drawn and what each player minimises. `advance`
takes one step; `state` and `restore` stop and continue it bit for bit on the same machine's CPU, since every random
number comes from two generators whose states are saved. What is written while it runs is in `runs.py`.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.draw.stage import is_out_of_memory
from pipeline.art.train.alarms import Alarm, Watch
from pipeline.art.train.memorisation import Memorised
from pipeline.art.train.processes import MemoryElsewhere, Processes
from pipeline.base.errors import GenerationError
from pipeline.base.files import open_regular, whole_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORD_EVERY = 10  # steps between two records
MAX_STATE_BYTES = 8 << 30
FEWEST = 4  # pictures in a batch: below, statistics of a batch say nothing
COARSE = 8  # side of the pictures whose distances are measured


class Game(Protocol):
    """A generator, the partner that it learns from, and what each of them minimises.

    Every number that it draws while playing comes from `trainer.rng`, or from torch's own generator.
    """

    @property
    def seed(self) -> int: ...
    @property
    def batch(self) -> int: ...  # of all processes together
    @property
    def ema(self) -> float: ...  # how much of themselves averaged weights keep in a step
    @property
    def advice(self) -> str: ...  # what to do where a training went wrong
    @property
    def settings(self) -> dict[str, Any]:
        """What a state belongs to. Plain values, so that they survive JSON."""

    def generator(self) -> nn.Module:
        """A new one; its initial weights come from torch's own generator."""

    def partner(self) -> nn.Module:
        """A new one: one critic or several, or an encoder."""

    def adams(self, generator: nn.Module, partner: nn.Module) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        """An optimiser for each, with the learning rates that a schedule of 1 gives."""

    def schedule(self, step: int) -> float:
        """What share of its learning rates a step is taken with."""

    def began_alike(self, name: str, began: Any) -> bool:
        """Whether what a state says of one of the settings is what it is here, whatever version wrote it."""

    def watch(self) -> Watch:
        """What looks out for trouble."""

    def play(self, trainer: Trainer, tell: bool) -> dict[str, float]:
        """One step of every player; its losses, where `tell` asks for them."""

    def publish(self, path: Path, average: nn.Module, step: int, fault: str) -> NDArray[np.uint8]:
        """Write the averaged weights to `path`; (N, S, S, 3) pictures that they draw, of the same seeds each time.

        `fault` says in the weights that they have collapsed; empty: they have not.
        """

    def measure(self, pictures: NDArray[np.uint8]) -> dict[str, float]:
        """Figures of what `publish` drew, `kid` among them where it can be told; the smaller that is, the better."""

    def find_copies(self, average: nn.Module) -> tuple[Memorised, NDArray[np.uint8]] | None:
        """How near fakes come to training pictures, and the nearest pairs; None where pictures are never seen twice."""

    def sources(self) -> list[str]:
        """What it learns from, and what became of each file: the lines of `data.txt`."""


class Trainer:
    """A game's players and everything else that the next step depends on."""

    def __init__(
        self,
        game: Game,
        device: torch.device | str = "cpu",
        processes: Processes | None = None,
    ) -> None:
        self.processes = processes or Processes()
        self.processes.check(game.batch)
        self.game, self.device = game, torch.device(device)
        self.other_pictures = False  # whether those of the state that it was restored from were others
        self.step, self.seconds, self.batch = 0, 0.0, game.batch
        self.rate, self.partner_rate = 1.0, 1.0  # what alarms left of the learning rates

        torch.manual_seed(game.seed)  # initial weights, the same in every process
        self.rng = torch.Generator().manual_seed(game.seed)  # the whole batch's numbers, the same in every process
        self.generator = game.generator().to(self.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.partner = game.partner().to(self.device)
        self.generator_adam, self.partner_adam = game.adams(self.generator, self.partner)
        self._peaks = {adam: [group["lr"] for group in adam.param_groups] for adam in self._adams()}
        torch.manual_seed(game.seed + 1 + self.processes.rank)  # dropout and the like: each process its own
        self.watch = game.watch()

    # ── one step ─────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self) -> dict[str, float]:
        """One step of every player. Every RECORD_EVERY steps it returns a record, otherwise nothing.

        Where memory does not suffice, in this process or another, all of them raise, and may go on after `halve_batch`.
        """
        self._set_rates()
        try:
            told = self.game.play(self, self.step % RECORD_EVERY == 0)
            self._follow()
            self.processes.agree()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error) and not isinstance(error, MemoryElsewhere):
                self.processes.give_up()
            raise
        self.step += 1
        return self.processes.mean(told) if told else told

    def descend(self, loss: Tensor, *players: nn.Module) -> None:
        """One step of each player along the gradient of `loss`, averaged over all processes."""
        adams = [
            adam
            for player, adam in ((self.generator, self.generator_adam), (self.partner, self.partner_adam))
            if player in players
        ]
        for adam in adams:
            adam.zero_grad()
        torch.autograd.backward(loss)
        self.processes.average_gradients(parameter for player in players for parameter in player.parameters())
        for adam in adams:
            adam.step()

    @contextmanager
    def frozen_partner(self) -> Iterator[None]:
        """No gradients for the partner, while the generator's are computed through it."""
        learning = [parameter for parameter in self.partner.parameters() if parameter.requires_grad]
        self.partner.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)

    def mine(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch that is the same everywhere, on its device."""
        return self.processes.share(batch).to(self.device)

    def _adams(self) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        return self.generator_adam, self.partner_adam

    def _set_rates(self) -> None:
        schedule = self.game.schedule(self.step)
        for adam, left in zip(self._adams(), (self.rate, self.rate * self.partner_rate), strict=True):
            for group, peak in zip(adam.param_groups, self._peaks[adam], strict=True):
                group["lr"] = peak * schedule * left

    @torch.no_grad()
    def _follow(self) -> None:
        """The average follows the generator, with a short memory at first."""
        keep = min(self.game.ema, (self.step + 1) / (self.step + 10))
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
        """Go on with half the batch, in all processes. Raises GenerationError where that would be too small."""
        half, count = self.batch // 2, self.processes.count
        if half < max(FEWEST, 2 * count) or half % count:
            raise GenerationError(
                reason=f"out of memory at step {self.step} with a batch of {self.batch}",
                hint="give a smaller --size or --batch" + (", or fewer processes" if count > 1 else ""),
            )
        self.batch = half
        for adam in self._adams():
            adam.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._follow_first()

    def _follow_first(self) -> None:
        """Processes left the step at different places: all go on from where the first one is."""
        if self.processes.count == 1:
            return
        own: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        first = self.processes.from_first(own | {"rng": self.rng.get_state()})
        for name, part in self._parts().items():
            part.load_state_dict(first[name])
        self.rng.set_state(first["rng"])

    def sound(self) -> bool:
        """Whether all weights are finite: what is not must never replace a checkpoint that is."""
        tensors = [*self.generator.state_dict().values(), *self.average.state_dict().values()]
        return all(bool(torch.isfinite(tensor).all()) for tensor in (*tensors, *self.partner.state_dict().values()))

    # ── stop and continue ────────────────────────────────────────────────────────────────────────────────────

    @property
    def settings(self) -> dict[str, Any]:
        """What a state belongs to."""
        return self.game.settings | {"processes": self.processes.count}

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
        """Continue from the state at `path`. Raises GenerationError for a damaged one, or that of another run.

        Other pictures than it was trained with end no run: `other_pictures` says it.
        """
        state = read_state(path)
        for name, found in self.settings.items():
            began = state.get("settings", {}).get(name)
            if began != found and name == "processes":
                raise GenerationError(
                    reason=f"{path} was trained by {began} processes together, and here is another number: {found}",
                    hint=f"continue it with as many: torchrun --nproc-per-node {began} -m pipeline train --resume {path.parent}",
                )
            alike = began == found if name == "processes" else self.game.began_alike(name, began)
            if not alike and name == "pictures":
                self.other_pictures = True
            elif not alike:
                raise GenerationError(
                    reason=f"{path} was trained with other {name}",
                    hint="continue it with what it began with, or begin another in another folder",
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
        with open_regular(path) as file:
            if file.read(2) != b"PK":  # what `write_state` writes is an archive; a bare pickle is not even parsed
                raise _damaged(path, "it is cut short, or no state at all")
            file.seek(0)
            state = torch.load(file, weights_only=True, map_location="cpu")
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


def gradient_norm(module: nn.Module) -> float:
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))


def spread(images: Tensor) -> float:
    """Mean distance between the coarse pictures of a batch (N, C, H, W)."""
    return float(torch.pdist(F.adaptive_avg_pool2d(images, COARSE).flatten(1)).mean())
