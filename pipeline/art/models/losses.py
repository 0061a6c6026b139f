"""What the players of a training minimise. Critics answer with logits; nothing here knows a model.

| loss            | critic                                     | generator                 | source                           |
|-----------------|--------------------------------------------|---------------------------|----------------------------------|
| minimax         | BCE(real, 1) + BCE(fake, 0)                | -BCE(fake, 0)             | Goodfellow et al. 2014, eq. 1    |
| non-saturating  | the same                                   | BCE(fake, 1)              | Goodfellow et al. 2014, sec. 3   |
| hinge           | relu(1 - real) + relu(1 + fake)            | -fake                     | Lim and Ye 2017; Miyato 2018     |
| wgan-gp         | fake - real                                | -fake                     | Gulrajani et al. 2017            |
| relativistic    | softplus(fake - real), pair by pair        | softplus(real - fake)     | Jolicoeur-Martineau 2019; R3GAN  |

All are means over the batch, and BCE is on logits: a sigmoid that is rounded to 0 or 1 has no gradient left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CriticLoss = Callable[[Tensor, Tensor], Tensor]  # logits on reals (N,), on fakes (N,)
GeneratorLoss = Callable[[Tensor, Tensor | None], Tensor]  # logits on fakes (N,), on reals (N,) where it is paired


@dataclass(frozen=True, slots=True)
class Loss:
    """One line of the table, and the penalty that its paper trains it with."""

    critic: CriticLoss
    generator: GeneratorLoss
    penalty: str = "none"
    gamma: float = 0.0
    paired: bool = False  # the generator's loss needs logits on reals as well
    won: float | None = None  # a critic whose loss stays below this has won, and teaches nothing any more


def bce(logits: Tensor, target: float) -> Tensor:
    """Mean binary cross-entropy of logits (N,) against one target for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _bce_critic(real: Tensor, fake: Tensor) -> Tensor:
    return bce(real, 1.0) + bce(fake, 0.0)


def _minimax(fake: Tensor, real: Tensor | None = None) -> Tensor:
    return -bce(fake, 0.0)


def _non_saturating(fake: Tensor, real: Tensor | None = None) -> Tensor:
    return bce(fake, 1.0)


def _hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def _wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean() - real.mean()


def _raise_logit(fake: Tensor, real: Tensor | None = None) -> Tensor:
    return -fake.mean()


def _pairing_critic(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(fake - real).mean()


def _pairing_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    assert real is not None, "a paired loss needs logits on reals"
    return F.softplus(real - fake).mean()


LOSSES = {
    "minimax": Loss(_bce_critic, _minimax, won=0.1),
    "non-saturating": Loss(_bce_critic, _non_saturating, won=0.1),
    "hinge": Loss(_hinge_critic, _raise_logit, won=0.05),
    "wgan-gp": Loss(_wasserstein_critic, _raise_logit, "wgan-gp", 10.0),
    "relativistic": Loss(_pairing_critic, _pairing_generator, "r1+r2", 1.0, paired=True, won=0.05),
}
PENALTIES = ("none", "r1", "r1+r2", "wgan-gp")
ELBO = "elbo"  # no adversary: generator and encoder minimise the same bound


def squared_norms(logits: Tensor, images: Tensor) -> Tensor:
    """(N,) squared norms of the logits' gradients at (N, C, H, W) images that require one; differentiable again."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def zero_centred(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared norm of the critic's gradient: R1 on reals, R2 on fakes (Mescheder et al. 2018)."""
    return squared_norms(logits, images).mean()


def one_centred(critic: Callable[[Tensor], Tensor], reals: Tensor, fakes: Tensor, share: Tensor) -> Tensor:
    """Mean (norm - 1)² of the critic's gradient between reals and fakes, `share` (N,) of the way from the fakes."""
    between = torch.lerp(fakes, reals, share.view(-1, 1, 1, 1)).requires_grad_(True)
    # Where the gradient is exactly zero the root has no derivative, and NaN would spread from there.
    return ((squared_norms(critic(between), between) + 1e-12).sqrt() - 1).square().mean()


def evidence_bound(images: Tensor, decoded: Tensor, mean: Tensor, log_variance: Tensor, sigma: float) -> Tensor:
    """Negative evidence lower bound per picture, without its constant (Kingma and Welling 2014).

    A Gaussian of deviation `sigma` around (N, C, H, W) `decoded` explains `images`; the code (N, z) has a standard
    normal prior.
    """
    return reconstruction(images, decoded, sigma) + divergence(mean, log_variance)


def reconstruction(images: Tensor, decoded: Tensor, sigma: float) -> Tensor:
    return (images - decoded).square().flatten(1).sum(1).mean() / (2 * sigma**2)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1), summed over (N, z) and averaged over N."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
