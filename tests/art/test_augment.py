"""Augmentation: what it changes, what it leaves, and that gradients flow through it."""

from __future__ import annotations

import pytest
import torch

from pipeline.art.models.augment import AUTO, FEW, KINDS, NUMBERS, augment, fitting, kinds
from pipeline.base.errors import BadArgument

STILL = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0])  # no shift of colour or place
ALL = ",".join(KINDS)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_keeps_the_shape_and_has_a_gradient_of_first_and_second_order(kind: str) -> None:
    chance = torch.Generator().manual_seed(
        3
    )  # the same pictures whatever ran before: nothing here is smooth everywhere
    small = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=chance).requires_grad_()
    numbers = torch.rand(2, NUMBERS, dtype=torch.float64, generator=chance)
    assert torch.autograd.gradcheck(lambda x: augment(x, kind, numbers), (small,))
    assert torch.autograd.gradgradcheck(lambda x: augment(x, kind, numbers), (small,))


def test_no_policy_changes_nothing(images: torch.Tensor) -> None:
    for policy in ("none", ""):
        assert torch.equal(augment(images, policy, torch.rand(5, NUMBERS)), images)


def test_few_pictures_are_changed_and_many_are_not() -> None:
    assert kinds(fitting(AUTO, FEW - 1)) == list(KINDS) and kinds(fitting(AUTO, FEW)) == []
    for policy in ("none", "cutout"):
        assert fitting(policy, FEW - 1) == fitting(policy, FEW) == policy


def test_middle_numbers_move_neither_colour_nor_place(images: torch.Tensor) -> None:
    changed = augment(images, "colour,translation", STILL.expand(5, -1))
    assert torch.allclose(changed, images, atol=1e-6)


def test_translation_moves_whole_pixels_and_brings_in_black(images: torch.Tensor) -> None:
    numbers = STILL.clone().expand(5, -1).clone()
    numbers[:, 3:5] = torch.tensor([0.99, 0.0])  # two down in the padded picture, two left
    changed = augment(images, "translation", numbers)
    assert torch.equal(changed[:, :, :-2, 2:], images[:, :, 2:, :-2])
    assert (changed[:, :, -2:] == -1).all() and (changed[:, :, :, :2] == -1).all()


def test_cutout_removes_a_square_of_half_the_side(images: torch.Tensor) -> None:
    numbers = torch.full((5, NUMBERS), 0.5)
    changed = augment(images, "cutout", numbers)
    assert (changed[:, :, 4:12, 4:12] == 0).all()
    changed[:, :, 4:12, 4:12] = images[:, :, 4:12, 4:12]
    assert torch.equal(changed, images)


def test_pictures_change_each_on_their_own(images: torch.Tensor) -> None:
    numbers = torch.rand(5, NUMBERS, generator=torch.Generator().manual_seed(1))
    together = augment(images, ALL, numbers)
    alone = torch.cat([augment(images[i : i + 1], ALL, numbers[i : i + 1]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert len({tuple(picture.flatten()[:9].tolist()) for picture in together}) == 5


def test_an_unknown_change_is_refused() -> None:
    with pytest.raises(BadArgument, match="'sharpen'.*colour, translation, cutout"):
        kinds("colour, sharpen")
