"""What seeds decide before a point is computed, for a whole batch of tokens at once.

Every number is that of the token's own streams, and every product of its style is one of its own: a token is the same to
the last bit whichever others it is composed with. Only groups that a token opens are drawn at all. The whole of a batch
lies in few tensors on the host; `on` takes it to a device in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from pipeline.art.draw import seeds as streams
from pipeline.art.models.canvas import Numbers, draw_canvas
from pipeline.art.models.families import FAMILIES, INKS
from pipeline.art.models.painter import SHUT, Folded, Painter, draw_inks, paint_fields
from pipeline.art.models.vocabulary import GROUPS, fields, tabulated

CROSSES = 0.3  # share of tokens that cross two families
FOLDS = ("None", "Mirror", "Quad", "Kaleidoscope")  # each folds what the one before it does, and once more

_DECIDED = ("family", "crossed", "other", "symmetry", "palette")  # a number each


class Streams:
    """The numbers of some tokens, from one stream for each token and name; see `canvas.Noise`."""

    def __init__(self, drawn: Mapping[str, np.ndarray]) -> None:
        self._drawn = drawn

    @classmethod
    def of(cls, *, uniform: Mapping[str, tuple[Sequence[int], int]]) -> Streams:
        """Those of `name: (seeds, count)`."""
        wanted = [(seeds, f"0/{name}", count) for name, (seeds, count) in uniform.items()]
        return cls(dict(zip(uniform, streams.uniforms(wanted), strict=True)))

    def uniform(self, name: str, *shape: int) -> Tensor:
        drawn = self._drawn[name]
        return torch.from_numpy(drawn).view(len(drawn), *shape)

    def normal(self, name: str, *shape: int) -> Tensor:
        return self.uniform(name, *shape)

    def of_token(self, row: int) -> Chances:
        return Chances({name: float(self._drawn[name][row, 0]) for name in _DECIDED})


class Chances:
    """The single numbers of one token, in [0, 1)."""

    def __init__(self, drawn: Mapping[str, float]) -> None:
        self._drawn = drawn

    def number(self, name: str) -> float:
        return self._drawn[name]

    def choose(self, name: str, values: Sequence[str]) -> str:
        return values[int(self._drawn[name] * len(values))]


@dataclass(frozen=True)
class Token:
    """What a seed decides that has a name."""

    families: tuple[int, ...]  # one, or two that are crossed
    palette: str
    symmetry: str
    groups: tuple[str, ...]  # the open ones: what is computed

    @cached_property
    def family(self) -> str:
        return " × ".join(FAMILIES[family].capitalize() for family in self.families)


@dataclass(frozen=True)
class Batch:
    """Tokens that are painted together: B painters for the groups that any of them opens."""

    tokens: tuple[Token, ...]
    numbers: Numbers
    folded: Folded
    colours: Tensor  # (B, 5, 3)
    folds: Tensor  # (B, 1): how often each token's canvas is folded
    groups: tuple[str, ...]
    bent: bool  # whether any token bends its plane, and tilts it: known here, so that nobody waits for a device to say
    tilted: bool

    def on(self, device: torch.device) -> Batch:
        """The same batch where it is painted, with the tables that fields read; all of its numbers are one transfer."""
        if device.type == "cpu":
            return replace(self, numbers=tabulated(self.numbers))
        flat, rebuilt = _flat(self)
        packed = torch.cat([part.reshape(-1) for part in flat])
        packed = (packed.pin_memory() if device.type == "cuda" else packed).to(device, non_blocking=True)
        parts = torch.split(packed, [part.numel() for part in flat])
        moved = rebuilt([part.view(old.shape) for part, old in zip(parts, flat, strict=True)])
        return replace(moved, numbers=tabulated(moved.numbers))

    def fields(self, x: Tensor, y: Tensor) -> Tensor:
        """Fields (B, C, N) at (B, N) points."""
        one, *others = {token.symmetry for token in self.tokens}
        x, y = reflect_each(self.folds, x, y) if others else reflect(one, x, y)
        return fields(self.numbers, x, y, self.groups, bent=self.bent, tilted=self.tilted)

    def planes(self, x: Tensor, y: Tensor) -> Tensor:
        """Ink planes (B, 6, N) at (B, N) points."""
        return paint_fields(self.folded, self.fields(x, y))

    def blind_to(self, group: str, fields: Tensor) -> Tensor:
        """Ink planes (B, 6, N) of fields without those of one group."""
        keep = torch.tensor([i for i, name in enumerate(_owners(self.groups)) if name != group], device=fields.device)
        return paint_fields(self.folded.keep(keep), fields[:, keep])

    def steeper(self, by: float) -> Batch:
        """The same tokens with ink weights so many times as steep; shades are as they were."""
        folded = self.folded
        factor = folded.head.new_tensor([by] * INKS + [1.0])[:, None]
        return replace(self, folded=folded._replace(head=folded.head * factor, head_bias=folded.head_bias * factor))


def parts_of(batch: Batch) -> list[Tensor]:
    """All tensors of a batch: what goes to a device in one piece."""
    return _flat(batch)[0]


def _flat(batch: Batch) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Batch]]:
    """All tensors of a batch, and what puts others in their places."""
    names, hidden = list(batch.numbers), batch.folded.hidden
    plain = [name for name in Folded._fields if name != "hidden"]
    flat = [*batch.numbers.values(), *(getattr(batch.folded, name) for name in plain)]
    flat += [part for layer in hidden for part in layer]

    def rebuilt(parts: Sequence[Tensor]) -> Batch:
        *others, colours, folds = parts
        numbers = dict(zip(names, others, strict=False))
        whole = dict(zip(plain, others[len(names) :], strict=False))
        layers = others[len(names) + len(plain) :]
        pairs = tuple((layers[i], layers[i + 1]) for i in range(0, len(layers), 2))
        return replace(batch, numbers=numbers, folded=Folded(**whole, hidden=pairs), colours=colours, folds=folds)

    return [*flat, batch.colours, batch.folds], rebuilt


def _owners(groups: Sequence[str]) -> list[str]:
    """The group of each channel."""
    return [name for name in groups for _ in range(GROUPS[name].channels)]


# ── composing ────────────────────────────────────────────────────────────────────────────────────────────────


@torch.inference_mode()
def compose(
    seeds: Sequence[int],
    painter: Painter,
    truncation: float,
    decide: Callable[[Chances], tuple[tuple[int, ...], str, str]],
    colours: Callable[[str], Tensor],
) -> Batch:
    """A batch of seeds, on the host; `decide` says families, palette and symmetry, `colours` what a palette is."""
    width = painter.config.z_dim
    uniform = {
        name: (seeds, count)
        for name, count in [*((name, 1) for name in _DECIDED), ("inks", INKS), *_streams_of_the_canvas()]
    }
    noise = Streams.of(uniform=uniform)
    z = torch.from_numpy(streams.normals(seeds, "0/z", width)) * truncation
    decided = [decide(noise.of_token(row)) for row in range(len(seeds))]

    weights = torch.zeros(len(seeds), len(FAMILIES))
    for row, (families, _, _) in enumerate(decided):
        weights[row, list(families)] = 1 / len(families)
    opened = open_groups(painter, weights)
    groups = tuple(name for name in GROUPS if any(name in some for some in opened))

    numbers = draw_canvas(noise, weights)
    rows = {name: [row for row, some in enumerate(opened) if name in some] for name in groups}
    asked = {
        name: ([seeds[row] for row in rows[group]], count) for group in groups for name, count in _streams_of(group)
    }
    noise_of_groups = Streams.of(uniform=asked)
    for group in groups:
        drawn = GROUPS[group].draw(noise_of_groups)
        numbers |= drawn if len(rows[group]) == len(seeds) else _spread(drawn, rows[group], len(seeds))

    folded = painter.fold(z, weights, apart=True).with_inks(draw_inks(noise, weights))
    if len(groups) < len(GROUPS):
        folded = folded.keep(torch.tensor([name in groups for name in _owners(tuple(GROUPS))]).nonzero()[:, 0])
    return Batch(
        tokens=tuple(Token(*one, some) for one, some in zip(decided, opened, strict=True)),
        numbers=numbers,
        folded=folded,
        colours=torch.stack([colours(palette) for _, palette, _ in decided]),
        folds=torch.tensor([[float(FOLDS.index(symmetry))] for _, _, symmetry in decided]),
        groups=groups,
        bent=bool(numbers["canvas.bend"].any()),
        tilted=bool(numbers["canvas.tilt"].any()),
    )


def _spread(drawn: Numbers, rows: Sequence[int], count: int) -> Numbers:
    """Numbers of some tokens as those of all: one that has the group shut, and is blind to it, borrows those of the first."""
    place = torch.zeros(count, dtype=torch.long)
    place[list(rows)] = torch.arange(len(rows))
    return {name: value[place] for name, value in drawn.items()}


def open_groups(painter: Painter, weights: Tensor) -> list[tuple[str, ...]]:
    """The groups that families with (B, F) weights can be seen to open."""
    openness = painter.openness()
    gates = [(row @ openness)[0].tolist() for row in torch.split(weights, 1)]
    return [tuple(name for name, gate in zip(GROUPS, row, strict=True) if gate >= SHUT) for row in gates]


class _Asked:
    """A Noise that notes what it is asked for."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def uniform(self, name: str, *shape: int) -> Tensor:
        self.counts[name] = torch.Size(shape).numel()
        return torch.zeros(1, *shape)

    def normal(self, name: str, *shape: int) -> Tensor:
        raise AssertionError(f"{name}: numbers of the vocabulary are uniform")


@cache
def _streams_of(group: str) -> tuple[tuple[str, int], ...]:
    """The streams that a group draws from, and how many numbers of each."""
    asked = _Asked()
    GROUPS[group].draw(asked)
    return tuple(asked.counts.items())


@cache
def _streams_of_the_canvas() -> tuple[tuple[str, int], ...]:
    asked = _Asked()
    draw_canvas(asked, torch.zeros(1, len(FAMILIES)))
    return tuple(asked.counts.items())


def choose_families(chances: Chances) -> tuple[int, ...]:
    """One family, or two different ones to cross."""
    first = int(chances.number("family") * len(FAMILIES))
    if chances.number("crossed") >= CROSSES:
        return (first,)
    return first, (first + 1 + int(chances.number("other") * (len(FAMILIES) - 1))) % len(FAMILIES)


# ── symmetry ─────────────────────────────────────────────────────────────────────────────────────────────────


def reflect(symmetry: str, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Fold the canvas onto the part that is painted: a half, a quarter, or an eighth of it."""
    if symmetry == "None":
        return x, y
    x, y = x.abs(), y if symmetry == "Mirror" else y.abs()
    return (torch.maximum(x, y), torch.minimum(x, y)) if symmetry == "Kaleidoscope" else (x, y)


def reflect_each(folds: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The same for (B, N) points of tokens whose canvas is folded (B, 1) times."""
    x, y = torch.where(folds >= 1, x.abs(), x), torch.where(folds >= 2, y.abs(), y)
    return torch.where(folds >= 3, torch.maximum(x, y), x), torch.where(folds >= 3, torch.minimum(x, y), y)
