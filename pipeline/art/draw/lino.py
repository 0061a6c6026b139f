"""The second built-in, `lino`: the network of version 0.1, printed with hard inks, one motif and few palettes a collection.

The weights are those of `default`; what is done with them is not, so its renderer has a name of its own. An edge that the
network draws is a share of the canvas wide; here ink weights are made as much steeper as the picture is larger, so it is
about a pixel wide at any size. A collection decides once which family it prints, or which two it crosses, and in which
palettes: `lino:hills-mandala:Kiln,Tide,Moss,Lido` is the generator's name, and what it leaves open is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.art.compose.chance import Chance
from pipeline.art.compose.judge import is_pale
from pipeline.art.draw import LINO as NAME
from pipeline.art.draw import Drawing
from pipeline.art.draw.artist import Artist, Batch, SeedNoise, Token, renderer_id
from pipeline.art.draw.composed import colours_of, known_one, palette_of, suited_palettes
from pipeline.art.draw.traits import PROOF
from pipeline.art.models.families import FAMILIES, INKS, UPRIGHT
from pipeline.base.errors import BadArgument, GenerationError

RENDERER = "lino-1"  # goes up whenever this code gives other pixels for the same seed and weights
STEEP, AT = 6.0, 512  # how much steeper inks are than as they were trained, at this size
CELLS = 8  # across and down, of a layout
CLEAR, SMEARED = 0.85, 0.1  # an ink that leads, and the share of the proof where none does over three by three points
SYMMETRIES = ("None", "None", "None", "None", "None", "Mirror", "Quad", "Kaleidoscope")
MOTIFS = (  # of 66 families and pairs those whose sheets hold up
    *("flow", "hills", "moire", "mandala"),
    *("flow-hills", "flow-bauhaus", "flow-kandinsky", "flow-marble", "hills-bauhaus"),
    *("bauhaus-truchet", "bauhaus-mandala", "bauhaus-cutout", "glass-kandinsky"),
    *("moire-mandala", "moire-cutout", "truchet-mandala", "mandala-cutout"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a collection decided once."""

    motif: str  # a family, or two in the order of FAMILIES, with a hyphen between them
    palettes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{NAME}:{self.motif}:{','.join(self.palettes)}"

    @property
    def families(self) -> tuple[int, ...]:
        return tuple(FAMILIES.index(name) for name in self.motif.split("-"))


def choice_of(name: str, seed: int = 0, motif: str = "", palettes: str = "") -> Choice:
    """The choice that a name and flags stand for; what they leave open is drawn from `seed`, and does not tell it.

    Raises BadArgument where name and flags differ, GenerationError for a motif or a palette that is not there.
    """
    _, *said = name.split(":")
    if len(said) > 2:
        raise GenerationError(
            reason=f"cannot read the choice {name!r}: it has more than three parts", hint=f"write {NAME}:MOTIF"
        )
    of_name = dict(zip(("voice", "palettes"), [*said, "", ""], strict=False))
    for what, value in (("voice", motif), ("palettes", palettes)):
        if of_name[what] and value and of_name[what].lower() != value.lower():
            raise BadArgument(
                name=f"--{what}",
                value=value,
                expected=f"{of_name[what]}, which --model says, or a model that leaves it open",
                hint=f"give --model {NAME}",
            )
    chance = Chance(seed, f"{NAME}/choice")
    drawn = chance.of(MOTIFS)
    chosen = tuple(palette_of(one) for one in (palettes or of_name["palettes"]).split(",") if one)
    motif = motif or of_name["voice"]
    return Choice(_canonical(motif) if motif else drawn, chosen or suited_palettes(chance))


def _canonical(motif: str) -> str:
    """One family, or two in their order. Raises GenerationError for what is neither."""
    parts = dict.fromkeys(known_one(part.strip(), FAMILIES, "family of lino") for part in motif.split("-"))
    if len(parts) > 2:
        raise GenerationError(
            reason=f"{motif!r} are {len(parts)} families", hint="give one, or two as in hills-mandala"
        )
    return "-".join(sorted(parts, key=FAMILIES.index))


def lino(name: str, device: str, threads: int | None, seed: int = 0) -> Lino:
    """The generator of that name, with the weights that ship with the package."""
    return Lino(choice_of(name, seed), device, threads)


class Lino(Artist):
    """Draws the tokens of one choice."""

    def __init__(self, choice: Choice, device: str = "cpu", threads: int | None = None) -> None:
        weights = resources.files("pipeline.art.draw") / "weights" / "default.safetensors"
        super().__init__(Path(str(weights)), device, threads, choice.name)
        self.choice = choice
        self.renderer = renderer_id(RENDERER, self.batch, self._device)
        self._palettes = {one.partition("=")[0]: one for one in choice.palettes}

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """See `Artist.draw_batch`. Smeared proofs are a flaw, and each drawing knows its layout."""
        proofs = self._pool.submit(self._compose, seeds).result()[1]
        found = []
        for drawing, proof in zip(super().draw_batch(seeds, size), proofs, strict=True):
            layout = layout_of(proof)
            colours = colours_of(self._palettes[str(drawing.attributes[1].value)])
            flaw = drawing.flaw or (
                "blurred" if smeared(proof) else "pale" if is_pale(layout.mean((1, 2)), colours) else ""
            )
            found.append(replace(drawing, flaw=flaw, layout=layout))
        return found

    def layout(self, seed: int) -> NDArray[np.float32]:
        """What `draw` says of it, without a picture."""
        return layout_of(self._pool.submit(self._compose, [seed]).result()[1][0])

    def proof(self, batch: Batch) -> Tensor:
        return super().proof(steeper(batch, STEEP))

    def _render(self, batch: Batch, size: int) -> tuple[list[NDArray[np.uint8]], list[bool]]:
        return super()._render(steeper(batch, STEEP * size / AT), size)

    def _families(self, noise: SeedNoise) -> tuple[int, ...]:
        return self.choice.families

    def _symmetry(self, noise: SeedNoise, families: tuple[int, ...]) -> str:
        upright = bool(UPRIGHT.intersection(families))  # a landscape has one sun
        return "None" if upright else noise.choose("symmetry", SYMMETRIES)

    def _palette(self, noise: SeedNoise) -> str:
        return noise.choose("palette", tuple(self._palettes))

    def _colours(self, palette: str) -> Tensor:
        return torch.tensor(colours_of(self._palettes[palette]), dtype=torch.float32) / 255

    def _count(self, token: Token, group: str) -> int | None:
        """Only what somebody who counts would find: not in a mirror, or on a bent or turned plane; neither panes, of which the
        number is that along a side, nor ridges, of which two may have one ink."""
        numbers = token.numbers
        if token.symmetry != "None" or any(bool(numbers[f"canvas.{how}"].any()) for how in ("bend", "tilt")):
            return None
        if group == "petals":
            doubled = (
                int(numbers["petals.form"][0, 0].argmin()) >= 8
            )  # the outermost ring; the last two of 4 folds x 4 outlines
            return int(numbers["petals.fold"].flatten()[0]) * (1 + doubled)
        return super()._count(token, group) if group in ("lattice", "tiles") else None


def steeper(batch: Batch, by: float) -> Batch:
    """The same tokens with ink weights so many times as steep; shades are as they were."""
    folded = batch.folded
    factor = folded.head.new_tensor([by] * INKS + [1.0])[:, None]
    return replace(batch, folded=folded._replace(head=folded.head * factor, head_bias=folded.head_bias * factor))


def smeared(proof: Tensor) -> bool:
    """Whether no ink leads over much of (6, PROOF, PROOF) planes: a motif that the network could not make out."""
    leads = F.max_pool2d(proof[None, :INKS].amax(1), 3, 1)
    return float((leads < CLEAR).float().mean()) > SMEARED


def layout_of(proof: Tensor) -> NDArray[np.float32]:
    """How much of each cell each ink leads, (INKS, CELLS, CELLS)."""
    leading = F.one_hot(proof[:INKS].argmax(0), INKS).permute(2, 0, 1).float()
    found: NDArray[np.float32] = F.avg_pool2d(leading[None], PROOF // CELLS)[0].numpy(force=True)
    return found
