"""Losses and penalties against their closed forms, and against what autograd says of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pipeline.art.models.losses import (
    LOSSES,
    bce,
    divergence,
    evidence_bound,
    one_centred,
    reconstruction,
    squared_norms,
    zero_centred,
)

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 0.25, 1.5])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def each(logits: Tensor) -> list[float]:
    return logits.tolist()


CRITIC = {
    "minimax": -mean([math.log(sigmoid(r)) for r in each(REAL)]) - mean([math.log(1 - sigmoid(f)) for f in each(FAKE)]),
    "hinge": mean([max(0, 1 - r) for r in each(REAL)]) + mean([max(0, 1 + f) for f in each(FAKE)]),
    "wgan-gp": mean(each(FAKE)) - mean(each(REAL)),
    "relativistic": mean([math.log1p(math.exp(f - r)) for r, f in zip(each(REAL), each(FAKE), strict=True)]),
}
CRITIC["non-saturating"] = CRITIC["minimax"]
GENERATOR = {
    "minimax": mean([math.log(1 - sigmoid(f)) for f in each(FAKE)]),
    "non-saturating": -mean([math.log(sigmoid(f)) for f in each(FAKE)]),
    "hinge": -mean(each(FAKE)),
    "wgan-gp": -mean(each(FAKE)),
    "relativistic": mean([math.log1p(math.exp(r - f)) for r, f in zip(each(REAL), each(FAKE), strict=True)]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_its_closed_form(name: str) -> None:
    assert LOSSES[name].critic(REAL, FAKE).item() == pytest.approx(CRITIC[name], rel=1e-5)
    assert LOSSES[name].generator(FAKE, REAL).item() == pytest.approx(GENERATOR[name], rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_the_gradient_of_its_differences(name: str) -> None:
    real, fake = (x.double().requires_grad_(True) for x in (REAL, FAKE))
    assert torch.autograd.gradcheck(LOSSES[name].critic, (real, fake))
    assert torch.autograd.gradcheck(lambda f: LOSSES[name].generator(f, real.detach()), (fake,))


def test_cross_entropy_of_logits_neither_overflows_nor_loses_its_gradient() -> None:
    logits = torch.tensor([-400.0], requires_grad=True)
    loss = bce(logits, 1.0)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(400) and logits.grad is not None and logits.grad.item() == pytest.approx(-1)


def test_minimax_gives_least_where_the_generator_is_worst() -> None:
    """Where the critic is sure of a fake, minimax has next to no gradient and non-saturating has all of it."""
    gradients = {}
    for name in ("minimax", "non-saturating"):
        fake = torch.tensor([-8.0], requires_grad=True)
        torch.autograd.backward(LOSSES[name].generator(fake, None))
        assert fake.grad is not None
        gradients[name] = fake.grad.item()
    assert gradients["minimax"] == pytest.approx(-sigmoid(-8.0), rel=1e-4)
    assert gradients["non-saturating"] == pytest.approx(sigmoid(-8.0) - 1, rel=1e-4)


def test_zero_centred_penalty_of_a_linear_critic_is_its_squared_norm() -> None:
    weight, images = torch.randn(3, 4, 4), torch.randn(5, 3, 4, 4, requires_grad=True)
    assert zero_centred((images * weight).sum((1, 2, 3)), images).item() == pytest.approx(
        weight.square().sum().item(), rel=1e-5
    )


def test_one_centred_penalty_of_a_linear_critic_is_its_distance_from_norm_one() -> None:
    weight = torch.randn(3, 4, 4)
    penalty = one_centred(
        lambda x: (x * weight).sum((1, 2, 3)), torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4), torch.rand(5)
    )
    assert penalty.item() == pytest.approx((weight.norm().item() - 1) ** 2, rel=1e-5)


def test_the_penalty_is_taken_between_the_real_and_the_fake_of_each_pair() -> None:
    reals, fakes, share = torch.ones(2, 1, 1, 1), -torch.ones(2, 1, 1, 1), torch.tensor([0.25, 1.0])
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach().flatten())
        return x.flatten(1).sum(1)

    one_centred(critic, reals, fakes, share)
    assert seen[0].tolist() == pytest.approx([-0.5, 1.0])


def test_a_penalty_reaches_the_critic_s_weights() -> None:
    """The second derivative: of |w|^2 for one linear layer it is 2w."""
    layer, images = nn.Linear(6, 1, bias=False), torch.randn(4, 6, 1, 1, requires_grad=True)
    torch.autograd.backward(squared_norms(layer(images.flatten(1))[:, 0], images).mean())
    assert layer.weight.grad is not None and torch.allclose(layer.weight.grad, 2 * layer.weight.detach(), atol=1e-5)


def test_a_critic_without_any_gradient_gives_no_nan() -> None:
    weight = torch.zeros(3, requires_grad=True)
    penalty = one_centred(
        lambda x: (x.flatten(1) * weight).sum(1), torch.ones(2, 3, 1, 1), torch.zeros(2, 3, 1, 1), torch.rand(2)
    )
    torch.autograd.backward(penalty)
    assert penalty.item() == pytest.approx(1, abs=1e-5) and weight.grad is not None and weight.grad.isfinite().all()


def test_the_divergence_is_that_of_two_normals() -> None:
    mu, log_variance = torch.randn(4, 3), torch.randn(4, 3)
    own = torch.distributions.Normal(mu, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert torch.allclose(divergence(mu, log_variance), expected, atol=1e-5)
    assert divergence(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0


def test_the_reconstruction_is_a_gaussian_s_likelihood_without_its_constant() -> None:
    images, decoded, sigma = torch.randn(4, 1, 2, 2), torch.randn(4, 1, 2, 2), 0.7
    likelihood = torch.distributions.Normal(decoded, sigma).log_prob(images).flatten(1).sum(1).mean()
    constant = 4 * (math.log(sigma) + math.log(2 * math.pi) / 2)
    assert reconstruction(images, decoded, sigma).item() == pytest.approx(-(likelihood.item() + constant), rel=1e-5)
    zero = torch.zeros(4, 3)
    assert torch.equal(evidence_bound(images, decoded, zero, zero, sigma), reconstruction(images, decoded, sigma))
