"""Training of the renderer: pairs of a layout and its simulated matter, with a critic or without one.

What a step learns from is drawn from its number alone, and everything else is in the run folder's `state.pt`: a run that
was cut into several gives the weights of one that was not, on the same machine, with the same canvases at the same steps.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.compose.chance import Chance
from pipeline.art.compose.palettes import KNOWN
from pipeline.art.draw.rendered import FORMAT
from pipeline.art.models.matter import INKS, colour
from pipeline.art.models.renderer import FINER, MatterCritic, Renderer, told
from pipeline.art.train.canvases import WINDOW, Pair, canvas, opened
from pipeline.base.files import write_whole

STATE, WEIGHTS, LOG = "state.pt", "material.safetensors", "log.jsonl"
TRIM = 8  # pixels at a crop's border that do not count: what lies beyond is not seen there
WARM = 60  # steps until the full rate
EMA = 0.9985  # of the weights that are kept, a step
PATCH_PENALTY = 0.3  # R1 and R2, for each patch: of their sum, clipping would hide that it reached a thousand
LAZY = 4  # steps between two penalties


@dataclass(frozen=True, slots=True)
class Recipe:
    steps: int
    batch: int = 8
    crop: int = 144
    rate: float = 6e-4
    cool: float = 0.3  # share of the steps, at the end, over which the rate goes down
    critic_from: int | None = None  # the step from which the critic plays; none: it never does
    critic_weight: float = 0.24

    def rate_at(self, step: int) -> float:
        left = (self.steps - step) / max(1.0, self.cool * self.steps)
        return self.rate * min(1.0, (step + 1) / WARM) * min(1.0, max(0.02, left))


@dataclass(frozen=True, slots=True)
class Batch:
    seen: Tensor  # (B, TOLD, H / 2, W / 2)
    matter: Tensor  # (B, 6, H, W)
    styles: Tensor  # (B, STYLE)
    palettes: Tensor  # (B, 5, 3)


class Bank:
    """The canvases that lie in a folder, from the first on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self._files: list[Path] = []
        self._opened = lru_cache(maxsize=None)(opened)

    def grow(self, most: int) -> int:
        """How many lie there without a gap, `most` at most."""
        while len(self._files) < most:
            file = self.folder / f"{canvas(len(self._files)).digest()}.safetensors"
            if not file.exists():
                break
            self._files.append(file)
        self.count = min(most, len(self._files))
        return self.count

    def pair(self, number: int) -> Pair:
        return self._opened(self._files[number])


PALETTES = torch.tensor([list(bytes.fromhex("".join(text.split()))) for text in KNOWN.values()]).view(-1, INKS, 3) / 255


def batch_of(bank: Bank, step: int, recipe: Recipe, device: torch.device) -> Batch:
    chance = Chance(step, "material/batch")
    seen, matter, styles, palettes = [], [], [], []
    for _ in range(recipe.batch):
        pair = bank.pair(chance.whole(0, bank.count - 1))
        left, top = (2 * chance.whole(0, (WINDOW - recipe.crop) // 2) for _ in range(2))
        rows, columns = slice(top, top + recipe.crop), slice(left, left + recipe.crop)
        fine_rows, fine_columns = (slice(one.start * FINER, one.stop * FINER) for one in (rows, columns))
        inks = pair.inks[None, :, fine_rows, fine_columns].to(device)
        seen.append(told(inks, pair.features[None, :, rows, columns].to(device).float(), pair.size))
        matter.append(pair.matter[:, rows, columns])
        styles.append(pair.style)
        palettes.append(PALETTES[chance.whole(0, len(PALETTES) - 1)])
    return Batch(
        torch.cat(seen),
        torch.stack(matter).to(device),
        torch.stack(styles).to(device),
        torch.stack(palettes).to(device),
    )


def losses(made: Tensor, batch: Batch) -> dict[str, Tensor]:
    """How far matter is from the simulation's, by its weights in the sum."""
    real = batch.matter[..., TRIM:-TRIM, TRIM:-TRIM]
    made = made[..., TRIM:-TRIM, TRIM:-TRIM]
    weight = made.new_tensor([1.0] * INKS + [1.6]).view(1, -1, 1, 1)
    steps = torch.stack([(made.diff(dim=axis) - real.diff(dim=axis)).abs().mean() for axis in (2, 3)])
    return {
        "l1": 6 * ((made - real).abs() * weight).mean(),
        "edges": 4 * steps.sum(),
        "colour": 4 * (colour(made, batch.palettes) - colour(real, batch.palettes)).abs().mean(),
        "areas": 3 * (F.avg_pool2d(made, 8) - F.avg_pool2d(real, 8)).abs().mean(),
    }


class Training:
    """A renderer, its critic, and how far they are."""

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe, self.device, self.step = recipe, torch.device(device), 0
        torch.manual_seed(0)
        self.renderer = Renderer().to(self.device).to(memory_format=torch.channels_last)
        self.critic = MatterCritic().to(self.device).to(memory_format=torch.channels_last)
        self.kept = copy.deepcopy(self.renderer).requires_grad_(False)
        self.adam = torch.optim.AdamW(self.renderer.parameters(), recipe.rate, (0.8, 0.99), weight_decay=1e-5)
        self.critic_adam = torch.optim.AdamW(self.critic.parameters(), recipe.rate, (0.0, 0.99), weight_decay=1e-5)
        self.seconds = 0.0  # of training so far
        self.sizes: list[tuple[int, int]] = []  # from which step on, how many canvases
        self.begun_from = ""  # digest of the weights that it began with

    def begin_from(self, tensors: dict[str, Tensor], digest: str) -> None:
        for network in (self.renderer, self.kept):
            network.load_state_dict(tensors)
        self.begun_from = digest

    @contextmanager
    def _half(self) -> Iterator[None]:
        """Products in bfloat16."""
        with torch.autocast(self.device.type, torch.bfloat16):
            yield

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step of both players."""
        recipe, step = self.recipe, self.step
        plays = recipe.critic_from is not None and step >= recipe.critic_from
        for adam, share in ((self.adam, 1.0), (self.critic_adam, 0.5)):
            for group in adam.param_groups:
                group["lr"] = recipe.rate_at(step) * share
        with self._half():
            made = self.renderer(batch.seen, batch.styles)
        parts = losses(made, batch)
        if plays and recipe.critic_from is not None:
            grown = min(1.0, (step - recipe.critic_from + 1) / 200)
            parts["critic"] = recipe.critic_weight * grown * self._fooling(made, batch)
        self.adam.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(parts.values())).sum())
        nn.utils.clip_grad_norm_(self.renderer.parameters(), 1.0)
        self.adam.step()
        told_ = {name: float(value.detach()) for name, value in parts.items()}
        if plays:
            told_ |= self._teach_critic(made.detach(), batch)
        with torch.no_grad():
            decay = min(EMA, (step + 1) / (step + 10))
            for kept, new in zip(self.kept.parameters(), self.renderer.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        self.step += 1
        return told_

    def _fooling(self, made: Tensor, batch: Batch) -> Tensor:
        """Paired and relativistic: how much more real the simulation looks than what was made of the same layout."""
        self.critic.requires_grad_(False)
        with self._half():
            real = self.critic(batch.matter, batch.seen, batch.styles).detach()
            loss = F.softplus(real - self.critic(made, batch.seen, batch.styles)).mean()
        self.critic.requires_grad_(True)
        return loss

    def _teach_critic(self, made: Tensor, batch: Batch) -> dict[str, float]:
        with self._half():
            apart = self.critic(made, batch.seen, batch.styles) - self.critic(batch.matter, batch.seen, batch.styles)
            loss = F.softplus(apart).mean()
        told_ = {"critic's": float(loss.detach())}
        if self.step % LAZY == 0:
            penalty = self._steepness(made, batch) + self._steepness(batch.matter, batch)
            loss = loss + 0.5 * LAZY * PATCH_PENALTY * penalty
            told_["steepness"] = float(penalty.detach())
        self.critic_adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.critic.parameters(), 5.0)
        self.critic_adam.step()
        return told_

    def _steepness(self, matter: Tensor, batch: Batch) -> Tensor:
        matter = matter.detach().clone().requires_grad_()
        judged = self.critic(matter, batch.seen, batch.styles)
        (gradient,) = torch.autograd.grad(judged.sum(), matter, create_graph=True)
        penalty: Tensor = gradient.square().sum((1, 2, 3)).mean() / (judged.shape[2] * judged.shape[3])
        return penalty

    # ── on disk ───────────────────────────────────────────────────────────────────────────────────────────────────

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "networks": {name: getattr(self, name).state_dict() for name in ("renderer", "critic", "kept")},
            "optimisers": {name: getattr(self, name).state_dict() for name in ("adam", "critic_adam")},
            "so far": {"step": self.step, "seconds": self.seconds, "sizes": self.sizes, "begun_from": self.begun_from},
        }
        part = folder / f"{STATE}.part"
        torch.save(state, part)
        part.replace(folder / STATE)
        write_whole(folder / WEIGHTS, self.weights())

    def load(self, folder: Path) -> None:
        state = torch.load(folder / STATE, map_location=self.device, weights_only=True)
        for name in ("renderer", "critic", "kept"):
            getattr(self, name).load_state_dict(state["networks"][name])
        for name in ("adam", "critic_adam"):
            getattr(self, name).load_state_dict(state["optimisers"][name])
        for name, value in state["so far"].items():
            setattr(self, name, value)

    def weights(self) -> bytes:
        """The averaged renderer in half precision, as it ships."""
        tensors = {
            name: value.detach().to("cpu", torch.float16).contiguous() for name, value in self.kept.state_dict().items()
        }
        notes = {
            "format": FORMAT,
            "recipe": asdict(self.recipe),
            "step": self.step,
            "canvases": self.sizes,
            "begun_from": self.begun_from,
        }
        one_key = {"renderer": json.dumps(notes, sort_keys=True)}  # several are in another order each time
        return save(tensors, one_key)


def read_start(file: Path) -> dict[str, Tensor]:
    """The tensors of weights to begin from."""
    with safe_open(file, "pt") as found:
        return {name: found.get_tensor(name).float() for name in found.keys()}


def train(
    training: Training,
    bank: Bank,
    folder: Path,
    canvases: int,
    minutes: float | None = None,
    stop_at: int | None = None,
    save_every_s: float = 60.0,
    tell: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train until the recipe's steps are done, or some of them, or for some minutes. The folder has the state, the weights and a log."""
    began = saved = last = clock()
    before = training.seconds
    sums: dict[str, float] = {}
    counted = 0
    if training.sizes:
        bank.grow(training.sizes[-1][1])  # as many as it last learned from; new ones come in at their own steps
    last_step = min(training.recipe.steps, stop_at or training.recipe.steps)
    while training.step < last_step:
        if training.step % 25 == 0 and bank.grow(canvases) > (training.sizes[-1][1] if training.sizes else 0):
            training.sizes.append((training.step, bank.count))
        for name, value in training.learn(batch_of(bank, training.step, training.recipe, training.device)).items():
            sums[name] = sums.get(name, 0.0) + value
        counted += 1
        now = clock()
        training.seconds = before + now - began
        if training.step % 25 == 0:
            mean = {name: round(value / counted, 5) for name, value in sums.items()}
            line = {"step": training.step, "seconds": round(training.seconds), "canvases": bank.count, **mean}
            with (folder / LOG).open("a") as log:
                log.write(json.dumps(line) + "\n")
            tell(f"{json.dumps(line)} {counted / max(1e-9, now - last):.2f} steps/s")
            sums, counted, last = {}, 0, now
        if now - saved > save_every_s:
            training.save(folder)
            saved = now
        if minutes is not None and now - began > 60 * minutes:
            break
    training.save(folder)
