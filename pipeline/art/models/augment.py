"""Differentiable augmentation, so that a critic cannot learn a small data set by heart.

The same kinds of change are made to reals and fakes, in the critic's steps and in the generator's, and gradients flow
through them (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training"). What changes is decided
by numbers that come in, so one step's augmentation can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.base.errors import BadArgument

NUMBERS = 7  # uniform numbers that each picture's augmentation takes
SHIFT = 1 / 8  # of the side, in each direction
HOLE = 1 / 2  # of the side
AUTO = "auto"  # the policy that goes by how many pictures there are
FEW = 1000  # pictures, below which AUTO changes them: with more, a critic learns them by heart late, and changes cost time


def augment(images: Tensor, policy: str, numbers: Tensor) -> Tensor:
    """(N, C, S, S) images in [-1, 1], changed by each kind that the comma-separated policy names.

    `numbers` (N, NUMBERS) are uniform in [0, 1); rows belong to images.
    """
    assert numbers.shape == (len(images), NUMBERS), f"numbers are {tuple(numbers.shape)} for {len(images)} images"
    for kind in kinds(policy):
        images = KINDS[kind](images, numbers.to(images.device))
    return images


def fitting(policy: str, count: int) -> str:
    """The policy itself; for AUTO every kind of change where there are few pictures, and none where there are many."""
    if policy != AUTO:
        return policy
    return ",".join(KINDS) if count < FEW else "none"


def kinds(policy: str) -> list[str]:
    """The kinds of change a policy names. Raises BadArgument for one that does not exist."""
    found = [kind.strip() for kind in policy.split(",") if kind.strip() not in ("", "none")]
    for kind in found:
        if kind not in KINDS:
            raise BadArgument(name="augment", value=kind, expected=f"none, {AUTO}, or a list of " + ", ".join(KINDS))
    return found


def _colour(images: Tensor, numbers: Tensor) -> Tensor:
    """Brightness by ±0.5 on the scale of [-1, 1], saturation times 0 to 2, contrast times 0.5 to 1.5."""
    brightness, saturation, contrast = (number.view(-1, 1, 1, 1) for number in numbers[:, :3].unbind(1))
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (saturation * 2)
    middle = images.mean((1, 2, 3), keepdim=True)
    return middle + (images - middle) * (contrast + 0.5)


def _translation(images: Tensor, numbers: Tensor) -> Tensor:
    """Shifted by whole pixels; black comes in from outside."""
    n, _, side, _ = images.shape
    most = round(side * SHIFT)
    down, right = (numbers[:, 3:5] * (2 * most + 1)).long().unbind(1)  # 0 to 2 most
    place = torch.arange(side, device=images.device)
    rows, columns = place + down[:, None], place + right[:, None]  # (N, S) into the padded picture
    padded = F.pad(images, (most, most, most, most), value=-1.0).permute(0, 2, 3, 1)  # (N, S', S', C)
    picture = torch.arange(n, device=images.device)[:, None, None]
    return padded[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(images: Tensor, numbers: Tensor) -> Tensor:
    """A grey square of half the side somewhere, in part perhaps outside."""
    side = images.shape[-1]
    centre = numbers[:, 5:7] * side
    place = torch.arange(side, device=images.device) + 0.5
    far = (place[None, None] - centre[..., None]).abs() > side * HOLE / 2  # (N, 2, S)
    return images * (far[:, 0, :, None] | far[:, 1, None, :])[:, None]


KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "colour": _colour,
    "translation": _translation,
    "cutout": _cutout,
}
