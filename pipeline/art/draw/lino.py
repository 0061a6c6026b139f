"""The second built-in, `lino`: the network of version 0.1, printed with hard inks, one motif and few palettes a collection.

The weights are those of `default`; what is done with them is not, so its renderer has a name of its own. An edge that the
network draws is a share of the canvas wide; here ink weights are made as much steeper as the picture is larger, so it is
about a pixel wide at any size. A collection decides once which family it prints, or which two it crosses, and in which
palettes: `lino:hills-mandala:Kiln,Tide,Moss,Lido` is the generator's name, and what it leaves open is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from pipeline.art.draw.artist import Artist, Proofs, Verdict, renderer_id
from pipeline.art.draw.composed import colours_of, known_one, palette_of, suited_palettes
from pipeline.art.draw.tokens import Batch, Chances
from pipeline.art.draw.traits import PROOF, Seen
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

    def __init__(
        self,
        choice: Choice,
        device: str = "cpu",
        threads: int | None = None,
        batch: int | None = None,
        chunk: int | None = None,
    ) -> None:
        weights = resources.files("pipeline.art.draw") / "weights" / "default.safetensors"
        super().__init__(Path(str(weights)), device, threads, choice.name, batch, chunk)
        self.choice = choice
        self.renderer = renderer_id(RENDERER, self.batch, self._device)
        self._palettes = {one.partition("=")[0]: one for one in choice.palettes}

    def layout(self, seed: int) -> NDArray[np.float32]:
        """What `draw` says of it, without a picture."""
        (layout,) = layouts_of(self._pool.submit(self._proved, [seed]).result()[2].planes)
        return layout

    def proofs(self, batch: Batch) -> Proofs:
        return super().proofs(batch.steeper(STEEP))

    def _render(self, batch: Batch, size: int) -> tuple[list[NDArray[np.uint8]], list[bool]]:
        return super()._render(batch.steeper(STEEP * size / AT), size)

    def _decide(self, chances: Chances) -> tuple[tuple[int, ...], str, str]:
        upright = bool(UPRIGHT.intersection(self.choice.families))  # a landscape has one sun
        symmetry = "None" if upright else chances.choose("symmetry", SYMMETRIES)
        return self.choice.families, chances.choose("palette", tuple(self._palettes)), symmetry

    def _colours(self, palette: str) -> Tensor:
        return torch.tensor(colours_of(self._palettes[palette]), dtype=torch.float32) / 255

    def _judged(self, host: Batch, measured: Sequence[Seen], planes: Tensor) -> list[Verdict]:
        """Smeared proofs are a flaw, and so are pale ones; each token knows its layout."""
        found, smears = [], smeared(planes)
        blank = [verdict.flaw for verdict in super()._judged(host, measured, planes)]
        for token, flaw, smear, layout in zip(host.tokens, blank, smears, layouts_of(planes), strict=True):
            pale = is_pale(layout.mean((1, 2)), colours_of(self._palettes[token.palette]))
            found.append(Verdict(flaw or ("blurred" if smear else "pale" if pale else ""), layout))
        return found

    def _count(self, host: Batch, row: int, group: str) -> int | None:
        """Only what somebody who counts would find: not in a mirror, or on a bent or turned plane; neither panes, of which the
        number is that along a side, nor ridges, of which two may have one ink."""
        numbers = host.numbers
        if host.tokens[row].symmetry != "None" or any(bool(numbers[f"canvas.{how}"][row]) for how in ("bend", "tilt")):
            return None
        if group == "petals":
            doubled = (
                int(numbers["petals.form"][row, 0].argmin()) >= 8
            )  # the outermost ring; the last two of 4 folds x 4 outlines
            return int(numbers["petals.fold"][row]) * (1 + doubled)
        return super()._count(host, row, group) if group in ("lattice", "tiles") else None


def smeared(proofs: Tensor) -> list[bool]:
    """Whether no ink leads over much of (B, 6, PROOF, PROOF) planes: a motif that the network could not make out."""
    leads = F.max_pool2d(proofs[:, :INKS].amax(1), 3, 1)
    return [share > SMEARED for share in (leads < CLEAR).float().mean((1, 2)).tolist()]


def layouts_of(proofs: Tensor) -> list[NDArray[np.float32]]:
    """How much of each cell each ink leads, (INKS, CELLS, CELLS) of each proof."""
    leading = F.one_hot(proofs[:, :INKS].argmax(1), INKS).permute(0, 3, 1, 2).float()
    return list(F.avg_pool2d(leading, PROOF // CELLS).numpy(force=True))
