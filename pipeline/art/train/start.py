"""What a training may begin from instead of random numbers: a base, or the weights of an earlier run.

Generator and averages begin as its averaged weights; so does the critic, where a folder is given whose
state or `critic.safetensors` has one. Whose pictures the base learned from stays true of everything that begins from it: terms that forbid that
are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.art.draw.checkpoint import Trained, read_trained, read_weights
from pipeline.art.draw.notes import BEST, WEIGHTS
from pipeline.art.train.trainer import read_state
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.untrusted import printable

BASE = "base"  # by this name the one that a person made with scripts/train-base, in the folder that it leaves
BASE_FOLDER = Path("build/base")
CRITIC = "critic.safetensors"

FORBIDS_CHANGE = re.compile(r"[\s-]ND\b|no[\s-]?deriv", re.IGNORECASE)
FORBIDS_SALE = re.compile(r"[\s-]NC\b|non[\s-]?commercial|no commercial|research only", re.IGNORECASE)
ASKS_THE_SAME = re.compile(r"[\s-]SA\b|share[\s-]?alike", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin with, and whose they are."""

    trained: Trained
    critic: dict[str, Tensor] | None  # None: it begins from nothing

    @property
    def licence(self) -> str:
        return printable(self.trained.notes.get("licence", ""))

    def as_dict(self) -> dict[str, str]:
        """What `run.json` and the weights that come of it say of where they began."""
        trained = self.trained
        return {"model": trained.model.name, "sha256": trained.sha256, "licence": self.licence}


def open_start(name: str | Path) -> Start:
    """The weights of a file, of a run's folder, or of the base. Raises GenerationError where there are none to begin with."""
    path = Path(name)
    if str(name) == BASE and not path.exists():
        path = BASE_FOLDER
        if not (path / WEIGHTS).exists():
            hint = "scripts/train-base makes one from this program's own pictures; or give --from the folder of a run"
            raise GenerationError(
                reason=f"there is no base at {path / WEIGHTS}: none comes with this version", hint=hint
            )
    weights = path / WEIGHTS if path.is_dir() else path
    trained = read_trained(weights)
    if trained.model.draws_its_pictures:
        raise GenerationError(
            reason=f"{weights} is the model {trained.model.name!r}, which learns from no pictures of anybody's",
            hint="begin from a run on pictures: --from runs/x",
        )
    if trained.collapsed:
        raise GenerationError(
            reason=f"{weights} is of a training that collapsed: {trained.collapsed}",
            hint=f"begin from {weights.with_name(BEST)}, the best before that",
        )
    trained.network()  # it fits its sizes, or says that it does not
    critic = _critic(path) if path.is_dir() else None
    if critic is not None and not _fits(trained, critic):
        raise GenerationError(
            reason=f"the critic beside {weights} is of another model, or of other sizes",
            hint="give --from the weights' file",
        )
    return Start(trained, critic)


def must_be_allowed(start: Start, own: str) -> None:
    """Raise BadArgument where a base's terms do not allow what is learned from it to be used as `own` says."""
    terms = start.licence
    if not terms:
        why = "a base that says under which terms it may be used: this one says nothing"
    elif FORBIDS_CHANGE.search(terms):
        why = f"a base that may be changed: this one is {terms!r}"
    elif FORBIDS_SALE.search(terms) and not FORBIDS_SALE.search(own):
        why = f"a base that may be used commercially, since tokens are sold: this one is {terms!r}"
    elif ASKS_THE_SAME.search(terms) and not ASKS_THE_SAME.search(own):
        why = f"a base that fits your own terms ({own!r}): this one asks for the same ones, {terms!r}"
    else:
        return
    raise BadArgument(
        name="--from", value=str(start.trained.path), expected=why, hint="begin without --from, or from another base"
    )


def _fits(trained: Trained, critic: dict[str, Tensor]) -> bool:
    with torch.device("meta"):
        partner = trained.model.partner(trained.sizes)
    return {name: tensor.shape for name, tensor in partner.state_dict().items()} == {
        name: tensor.shape for name, tensor in critic.items()
    }


def _critic(folder: Path) -> dict[str, Tensor] | None:
    """The critic that trained the weights in a folder, where it was kept."""
    if (folder / CRITIC).exists():
        return read_weights(folder / CRITIC).tensors
    if not (folder / "state.pt").exists():
        return None
    partner = read_state(folder / "state.pt").get("partner")
    return partner if isinstance(partner, dict) else None
