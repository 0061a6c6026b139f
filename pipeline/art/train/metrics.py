"""How good a painter is, without any downloaded network: several measures together, since each can be fooled alone.

All of them look at ink planes, whole canvases of SIDE points. Embeddings come from a convolutional network with random
weights of a fixed seed (advised for data unlike ImageNet by Naeem et al. 2020, "Reliable fidelity and diversity
metrics"), families from a small classifier that is trained on procedural pictures right here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.draw.artist import DULL
from pipeline.art.draw.gates import NEAR, distance, phash
from pipeline.art.draw.traits import ink_entropy
from pipeline.art.models.families import FAMILIES, INKS, PLANES, paint
from pipeline.art.models.painter import Painter, paint_fields
from pipeline.art.models.vocabulary import draw_numbers, fields
from pipeline.art.train.family_game import BatchNoise, View

SIDE = 64
CLIP = 10.0  # standard deviations: random features explode on pictures unlike the reference


@torch.no_grad()
def fake_pictures(painter: Painter, count: int, seed: int, truncation: float = 0.9) -> tuple[Tensor, Tensor]:
    """`count` pictures (N, 6, SIDE, SIDE), the families in turn, and their labels (N,)."""
    labels = torch.arange(count) % len(FAMILIES)
    rng = torch.Generator().manual_seed(seed)
    pictures = []
    for part in torch.split(labels, 16):
        noise, weights = BatchNoise(len(part), rng), F.one_hot(part, len(FAMILIES)).float()
        x, y = View(torch.zeros(len(part), 2), torch.ones(len(part)), SIDE).points()
        painters = painter.draw(noise, weights, truncation)
        planes = paint_fields(painters, fields(draw_numbers(noise, weights), x, y))
        pictures.append(planes.reshape(-1, PLANES, SIDE, SIDE))
    return torch.cat(pictures), labels


def real_pictures(count: int, first: int) -> tuple[Tensor, Tensor]:
    """Procedural pictures number `first` and on, read at the same points as fakes are: hard edges on both sides."""
    labels = torch.arange(count) % len(FAMILIES)
    fine = 3 * SIDE
    planes = [paint(int(label), first + i // len(FAMILIES), fine)[:, 1::3, 1::3] for i, label in enumerate(labels)]
    return torch.stack(planes), labels


def evaluate(fakes: Tensor, labels: Tensor, reals: Tensor, classifier: nn.Module) -> dict[str, float]:
    """All measures of pictures against reference pictures."""
    embed = embedding(reals)
    on_fakes, on_reals = embed(fakes), embed(reals)
    hashes = perceptual_hashes(fakes)
    return {
        "kid_rnd": kernel_distance(on_fakes, on_reals),
        "family_agreement": agreement(classifier, fakes, labels),
        **neighbourhood(on_reals, on_fakes),
        "near_duplicates": float(near_duplicates(hashes)),
        "blank_rate": sum(not ink_entropy(picture) >= DULL for picture in fakes) / len(fakes),
    }


def picture_features(reference: Tensor) -> Callable[[Tensor], Tensor]:
    """Pictures (N, C, S, S) in [0, 1] to features of a network with random weights, standardised on `reference` and clipped."""
    channels = reference.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network = nn.Sequential(
            *(nn.Conv2d(channels, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten()),
        )

    @torch.no_grad()
    def raw(pictures: Tensor) -> Tensor:
        return torch.cat([network(part * 2 - 1) for part in torch.split(pictures, 64)])

    on_reference = raw(reference)
    mean, deviation = on_reference.mean(0), on_reference.std(0) + 1e-3
    return lambda pictures: ((raw(pictures) - mean) / deviation).clamp(-CLIP, CLIP)


def picture_figures(fakes: Tensor, reals: Tensor) -> dict[str, float]:
    """KID, precision, recall, density and coverage of pictures (N, C, S, S) in [0, 1] against others."""
    features = picture_features(reals)
    on_fakes, on_reals = features(fakes), features(reals)
    return {"kid": kernel_distance(on_fakes, on_reals), **neighbourhood(on_reals, on_fakes)}


def embedding(reference: Tensor) -> Callable[[Tensor], Tensor]:
    """Pictures to random features (N, 256), standardised on the reference and clipped."""
    rng = torch.Generator().manual_seed(20)
    widths = (PLANES, 32, 64, 128)
    kernels = [
        torch.randn(b, a, 4, 4, generator=rng) / math.sqrt(8 * a) for a, b in zip(widths, widths[1:], strict=False)
    ]

    @torch.no_grad()
    def raw(pictures: Tensor) -> Tensor:
        x = pictures * 2 - 1
        for kernel in kernels:
            x = F.leaky_relu(F.conv2d(x, kernel, stride=2, padding=1), 0.2)
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)

    on_reference = raw(reference)
    mean, deviation = on_reference.mean(0), on_reference.std(0).clamp_min(1e-3)
    return lambda pictures: ((raw(pictures) - mean) / deviation).clamp(-CLIP, CLIP)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD with a cubic kernel (KID, Binkowski et al. 2018). Zero for equal distributions, on average."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    n, m, aa, bb = len(a), len(b), kernel(a, a), kernel(b, b)
    within = (aa.sum() - aa.trace()) / (n * (n - 1)) + (bb.sum() - bb.trace()) / (m * (m - 1))
    return float(within - 2 * kernel(a, b).mean())


def neighbourhood(reals: Tensor, fakes: Tensor, k: int = 5) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""
    real_radius = torch.cdist(reals, reals).kthvalue(k + 1, 1).values  # itself is the first
    fake_radius = torch.cdist(fakes, fakes).kthvalue(k + 1, 1).values
    apart = torch.cdist(reals, fakes)  # (real, fake)
    near_real = apart <= real_radius[:, None]
    return {
        "precision": float(near_real.any(0).float().mean()),
        "recall": float((apart <= fake_radius[None]).any(1).float().mean()),
        "density": float(near_real.float().sum(0).mean() / k),
        "coverage": float((apart.min(1).values <= real_radius).float().mean()),
    }


def family_classifier(pictures: Tensor, labels: Tensor, steps: int = 500, seed: int = 1) -> nn.Module:
    """A small convolutional network that tells the families apart, trained on procedural pictures."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for a, b in ((PLANES, 32), (32, 64), (64, 96)):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
        network = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * 16, len(FAMILIES))
        )
        adam = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(steps):
            pick = torch.randint(len(pictures), (32,))
            flipped = pictures[pick].flip(3) if torch.rand(()) < 0.5 else pictures[pick]
            loss = F.cross_entropy(network(flipped), labels[pick])
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
    return network.eval().requires_grad_(False)


def agreement(classifier: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """How often the classifier sees the family that was asked for."""
    return float((classifier(pictures).argmax(1) == labels).float().mean())


def perceptual_hashes(pictures: Tensor) -> list[int]:
    """The gate's hash of each picture, with a level of grey for each ink: as near-duplicates are found before minting."""
    ramp = torch.arange(INKS, dtype=torch.float32) / (INKS - 1)
    grey = torch.einsum("k,nkhw->nhw", ramp, pictures[:, :INKS]).clamp(0, 1) * 255
    pixels = grey.round().byte()[..., None].expand(-1, -1, -1, 3).contiguous().numpy()  # (N, S, S, 3)
    return [phash(picture) for picture in pixels]


def near_duplicates(hashes: Sequence[int]) -> int:
    """Pairs of pictures that the gate would call near-duplicates."""
    return sum(distance(one, other) <= NEAR for one, other in combinations(hashes, 2))
