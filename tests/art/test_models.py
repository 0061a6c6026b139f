"""Every model of the field: its shapes, its sizes, and what makes it what it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.art.models.blueprint import MODELS, Recipe, blueprint, halvings
from pipeline.art.models.dcgan import DcganConfig
from pipeline.art.models.dcgan import Generator as DcganGenerator
from pipeline.art.models.losses import LOSSES
from pipeline.art.models.mlp_gan import Generator as MlpGenerator
from pipeline.art.models.mlp_gan import MlpGanConfig
from pipeline.art.models.stylegan2 import Generator as StyleGenerator
from pipeline.art.models.stylegan2 import StyledConv, StyleGan2Config
from pipeline.base.errors import BadArgument

LEARNERS = [name for name in MODELS if not blueprint(name).draws_its_pictures]


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_turns_latents_into_pictures_and_pictures_into_answers(name: str, size: int, channels: int) -> None:
    model = blueprint(name)
    sizes: Any = model.config(size=size, channels=channels)
    generator: Any = model.generator(sizes).eval()
    partner = model.partner(sizes)
    images = generator(torch.randn(4, generator.latent_dim))
    assert images.shape == (4, channels, size, size) and images.abs().max() <= 1
    answer = partner(images)
    if model.recipe.loss == "elbo":
        assert all(part.shape == (4, generator.latent_dim) for part in answer)
    else:
        assert answer.shape == (4,)
    assert model.config(**asdict(sizes)) == sizes  # what a checkpoint says of it


@pytest.mark.parametrize("name", LEARNERS)
def test_a_drawn_picture_does_not_depend_on_its_neighbours(name: str) -> None:
    model = blueprint(name)
    torch.manual_seed(0)
    generator: Any = model.generator(model.config(size=28, channels=1)).eval()
    z = torch.randn(3, generator.latent_dim)
    with torch.no_grad():
        assert torch.allclose(generator(z)[1:2], generator(z[1:2]), atol=1e-5)


def test_the_first_gan_has_the_layers_of_its_name() -> None:
    plain, normed = MlpGenerator(MlpGanConfig()), MlpGenerator(MlpGanConfig(batch_norm=True))
    widths = [(layer.in_features, layer.out_features) for layer in plain.layers if isinstance(layer, nn.Linear)]
    assert widths == [(100, 256), (256, 512), (512, 1024), (1024, 784)]
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in normed.layers) == 3
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in plain.layers)


def test_dcgan_begins_with_seven_by_seven_by_256() -> None:
    generator = DcganGenerator(DcganConfig())
    dense = generator.dense[0]
    assert isinstance(dense, nn.Linear) and dense.out_features == 7 * 7 * 256
    assert sum(isinstance(layer, nn.ConvTranspose2d) for layer in generator.layers) == 3


def test_spectral_normalisation_keeps_each_layer_at_norm_one() -> None:
    model = blueprint("sngan")
    critic = model.partner(model.config())
    for _ in range(30):  # power iteration goes on with each pass
        critic(torch.rand(4, 1, 28, 28))
    layers = [layer for layer in critic.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert layers
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.fixture
def styled() -> StyleGenerator:
    torch.manual_seed(0)
    return StyleGenerator(StyleGan2Config(size=32, width=32, w_dim=16, z_dim=8)).eval()


def test_scaling_inputs_and_answers_is_modulating_the_kernel() -> None:
    """The paper scales and normalises the kernel of each picture; one shared convolution gives the same."""
    torch.manual_seed(0)
    layer, x, w, noise = StyledConv(6, 5, 4), torch.randn(2, 6, 8, 8), torch.randn(2, 4), torch.zeros(2, 1, 8, 8)
    expected = []
    for picture, style in zip(x, layer.style(w), strict=True):
        kernel = layer.kernel * style[None, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected.append(torch.nn.functional.conv2d(picture[None], kernel, padding=1))
    found = layer(x, w, noise)
    assert torch.allclose(found, torch.nn.functional.leaky_relu(torch.cat(expected), 0.2) * 2**0.5, atol=1e-5)


def test_a_step_is_as_large_beside_the_weights_in_every_layer() -> None:
    """Equalised learning rate: one step of Adam moves a layer of 4,704 inputs no further than one of a single input."""
    torch.manual_seed(0)
    model = blueprint("stylegan2")
    critic = model.partner(model.config(size=28, channels=1))
    weights = [weight for name, weight in critic.named_parameters() if name.endswith("weight")]
    before = [weight.detach().clone() for weight in weights]
    adam = torch.optim.Adam(critic.parameters(), 0.01, (0.0, 0.99))
    critic(torch.randn(8, 1, 28, 28)).square().sum().backward()
    adam.step()
    moved = [float((new.detach() - old).norm() / old.norm()) for new, old in zip(weights, before, strict=True)]
    assert len(moved) > 8 and 0.005 < min(moved) and max(moved) < 0.02


def test_unit_variance_stays_unit_variance(styled: StyleGenerator) -> None:
    latents = torch.randn(256, styled.latent_dim)
    assert 0.7 < styled.style(latents).square().mean().sqrt() < 1.4


def test_style_mixing_takes_coarse_styles_from_one_and_fine_ones_from_another(styled: StyleGenerator) -> None:
    z = torch.randn(2, styled.latent_dim)
    w = styled.style(z)
    blocks = len(styled.blocks)
    mixed = styled.mix(w[:1], w[1:], torch.tensor([2]))
    assert torch.equal(mixed[0, :2], w[:1].expand(2, -1)) and torch.equal(mixed[0, 2:], w[1:].expand(blocks - 2, -1))

    def drawn(until: int) -> torch.Tensor:
        return styled.synthesise(styled.mix(w[:1], w[1:], torch.tensor([until])), z[:1])

    whole, other = drawn(blocks), drawn(0)
    assert torch.equal(whole, styled.synthesise(w[:1, None].expand(-1, blocks, -1), z[:1]))
    fine, coarse = drawn(blocks - 1), drawn(1)
    assert 0 < (fine - whole).abs().mean() < (coarse - whole).abs().mean()  # the fewer blocks, the less changes
    assert (coarse - other).abs().mean() > 0


def test_style_mixing_happens_in_training_only(styled: StyleGenerator) -> None:
    z = torch.randn(8, styled.latent_dim)
    assert torch.equal(styled(z), styled(z))
    styled.train()
    assert not torch.equal(styled(z), styled(z))


def test_styles_are_drawn_towards_their_mean(styled: StyleGenerator) -> None:
    latents = torch.randn(16, styled.latent_dim)
    latents[:, styled.config.z_dim :] = 0
    near = StyleGenerator(StyleGan2Config(size=32, width=32, w_dim=16, z_dim=8, psi=0.1)).eval()
    near.load_state_dict(styled.state_dict())
    assert near(latents).var(0).mean() < styled(latents).var(0).mean() / 4


def test_noise_changes_what_the_style_does_not_decide(styled: StyleGenerator) -> None:
    latents = torch.randn(1, styled.latent_dim).repeat(2, 1)
    latents[1, styled.config.z_dim :] = torch.randn(styled.latent_dim - styled.config.z_dim)
    assert torch.equal(*styled.style(latents).unbind()) and not torch.equal(*styled(latents).unbind())


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("dcgan", {"size": 30}),
        ("dcgan", {"size": 0}),
        ("dcgan", {"size": 100_000}),
        ("stylegan2", {"size": 7}),
        ("stylegan2", {"psi": 2.0}),
        ("vae", {"channels": 4}),
        ("vae", {"z_dim": 0}),
        ("mlp_gan", {"size": 512}),
        ("mlp_gan", {"size": "28"}),
        ("mlp_gan", {"surprise": 1}),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(name: str, sizes: dict[str, object]) -> None:
    with pytest.raises(BadArgument):
        blueprint(name).config(**sizes)


def test_an_unknown_model_is_answered_with_a_near_one() -> None:
    with pytest.raises(BadArgument) as caught:
        blueprint("dc_gan")
    assert "'dcgan'" in caught.value.hint


@pytest.mark.parametrize(("size", "found"), [(28, (7, 2)), (64, (4, 4)), (96, (6, 4)), (8, (4, 1))])
def test_sides_are_halved_down_to_a_small_base(size: int, found: tuple[int, int]) -> None:
    assert halvings(size) == found


def test_a_recipe_changes_its_loss_with_the_penalty_that_belongs_to_it() -> None:
    for name, loss in LOSSES.items():
        changed = Recipe(loss="hinge" if name != "hinge" else "minimax").with_loss(name)
        assert (changed.loss, changed.penalty, changed.gamma) == (name, loss.penalty, loss.gamma)
    with pytest.raises(BadArgument):
        Recipe().with_loss("elbo")
    with pytest.raises(BadArgument):
        Recipe(loss="elbo").with_loss("hinge")


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"batch": 1}, {"loss": "nonsense"}, {"penalty": "r3"}, {"augment": "x"}])
def test_a_recipe_that_makes_no_sense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(BadArgument):
        Recipe(**bad)  # type: ignore[arg-type]
