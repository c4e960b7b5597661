"""Networks of GANs: shapes, resampling against torch's, norms of a class and attention by hand, singular values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate
from zoo_gan_networks import r3gan, resnet
from zoo_gan_networks.sides import doubled, halved, halvings

K, A, CLASSES = 5, 3, 4


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -- sides ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "wanted"), [(32, (3, (4, 4))), (28, (2, (7, 7))), ((48, 64), (3, (6, 8)))])
def test_how_often_sides_are_halved(size: int | tuple[int, int], wanted: tuple[int, tuple[int, int]]) -> None:
    assert halvings(size) == wanted


@pytest.mark.parametrize(("size", "told"), [(30, "30 x 30 px .* 2 times: choose 32 x 32"), (6, "choose 8 px or more")])
def test_a_size_that_cannot_be_halved_is_refused(size: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        halvings(size)


def test_doubling_is_bilinear_interpolation() -> None:
    x = normal(2, 3, 4, 6)
    torch.testing.assert_close(doubled(x), interpolate(x, scale_factor=2.0, mode="bilinear"))


def test_halving_is_a_convolution_with_1_3_3_1() -> None:
    x = normal(2, 1, 6, 8)
    filter_ = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    wide = nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    torch.testing.assert_close(halved(x), conv2d(wide, (filter_[:, None] * filter_)[None, None], stride=2))


# -- residual networks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 28, 32, (16, 24)])
@pytest.mark.parametrize("options", [{}, {"norm": "none"}, {"widest": 1}])
def test_shapes_and_ranges(size: Any, options: dict[str, Any]) -> None:
    sides = (size, size) if isinstance(size, int) else size
    image = resnet.Generator(3, size, K, A, width=4, **options)(torch.randn(2, K), torch.randn(2, A))
    assert image.shape == (2, 3, *sides)
    assert image.abs().max() <= 1
    told = resnet.Critic(3, size, width=4, **options)(image)
    assert told.logit.shape == (2,)
    torch.testing.assert_close(told.taps["features"], torch.relu(list(told.taps.values())[-2]).sum((2, 3)))


def test_a_class_scales_and_shifts() -> None:
    norm, x, label = (
        resnet.ClassNorm(3, CLASSES, "batch").double(),
        normal(6, 3, 2, 2),
        torch.tensor([0, 1, 3, 3, 2, 0]),
    )
    for number, table in enumerate((norm.scale, norm.shift)):
        table.weight.data = normal(CLASSES, 3, seed=number)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    plain = (x - mean) / (variance + 1e-5).sqrt()
    wanted = torch.stack(
        [
            p * norm.scale.weight[y][:, None, None] + norm.shift.weight[y][:, None, None]
            for p, y in zip(plain, label, strict=True)
        ]
    )
    torch.testing.assert_close(norm(x, label), wanted)


def test_classes_are_alike_until_they_learn() -> None:
    generator = resnet.ClassGenerator(3, 8, K, CLASSES, width=4)
    z = torch.randn(2, K)
    images = [generator(z, torch.full((2,), label)) for label in range(2)]
    assert torch.equal(*images)
    images[0].sum().backward()
    moved = [name for name, p in generator.named_parameters() if p.grad is not None and ".shift." in name]
    assert len(moved) == 3


def test_a_projection_is_the_plain_logit_and_an_inner_product() -> None:
    critic = resnet.ProjectionCritic(3, 8, CLASSES, width=4, norm="none").double()
    x, label = normal(3, 3, 8, 8), torch.tensor([0, 3, 3])
    told = critic(x, label)
    h = told.taps["features"]
    wanted = critic.logit(h)[:, 0] + torch.stack(
        [critic.of_class.weight[y] @ one for y, one in zip(label, h, strict=True)]
    )
    torch.testing.assert_close(told.logit, wanted)


def test_attention_place_by_place() -> None:
    attention, x = resnet.Attention(8, "none").double(), normal(1, 8, 4, 4)
    assert torch.equal(attention(x), x)
    attention.gain.data.fill_(0.5)
    query, key, value = (of(x)[0] for of in (attention.query, attention.key, attention.value))
    key, value = (nn.functional.avg_pool2d(one, 2).flatten(1) for one in (key, value))
    taken = torch.empty(4, 4, 4, dtype=x.dtype)
    for i in range(4):
        for j in range(4):
            weights = torch.exp(query[:, i, j] @ key)
            taken[:, i, j] = value @ (weights / weights.sum())
    torch.testing.assert_close(attention(x), x + 0.5 * attention.out(taken[None]))


def test_attention_is_at_a_side_that_there_is() -> None:
    assert resnet.Generator(3, 32, K, 0, width=4, attention=16)(torch.randn(1, K), torch.empty(1, 0)).shape[2] == 32
    with pytest.raises(ValueError, match="no map has a side of 12 for attention; choices: 8, 16"):
        resnet.Critic(3, 32, width=4, attention=12)


def test_every_weight_of_a_spectral_critic_has_a_largest_singular_value_of_1() -> None:
    critic, x = resnet.ProjectionCritic(3, 16, CLASSES, width=4, attention=8), torch.randn(2, 3, 16, 16)
    for _ in range(50):
        critic(x, torch.tensor([0, 1]))
    weights = [part.weight for part in critic.modules() if hasattr(part, "parametrizations")]
    assert len(weights) == 3 + 2 * 2 + 4 + 2  # a block down, two that stay, attention, logit and classes
    for weight in weights:
        assert float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("options", [{"width": 0}, {"widest": 0}])
def test_no_width_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="0 is none: choose 1 or more"):
        resnet.Critic(3, 8, **options)


# -- R3GAN's -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 28, (16, 24)])
@pytest.mark.parametrize("options", [{}, {"widest": 1, "group": 3, "blocks": 1, "expansion": 3}])
def test_shapes_of_grouped_networks(size: Any, options: dict[str, int]) -> None:
    sides = (size, size) if isinstance(size, int) else size
    image = r3gan.Generator(3, size, K, A, width=4, **options)(torch.randn(2, K), torch.randn(2, A))
    assert image.shape == (2, 3, *sides)
    told = r3gan.Critic(3, size, width=4, **options)(image)
    assert told.logit.shape == (2,)
    assert list(told.taps)[-1] == f"level{halvings(size)[0] + 1}"


def test_grouped_blocks_are_the_identity_at_first_and_as_large_as_published() -> None:
    block, x = r3gan.Block(32, 64, 16, 81), torch.randn(2, 32, 4, 4)
    assert torch.equal(block(x), x)
    assert block.mix.groups == 4
    for layer, inputs in ((block.widen, 32), (block.mix, 16 * 9)):  # N(0, 2 / (1 + 0.2^2) / fan-in), times 81^(-1/4)
        assert float(layer.weight.detach().std()) == pytest.approx((2 / 1.04 / inputs) ** 0.5 / 3, rel=0.1)


def test_levels_scale_a_learned_map_by_the_code() -> None:
    generator = r3gan.Generator(1, 8, K, 0, width=4)
    for parameter in generator.parameters():
        parameter.requires_grad_(False)
    z = torch.randn(2, K)
    one, two = (generator(factor * z, torch.empty(2, 0)) for factor in (1.0, 2.0))
    torch.testing.assert_close(two, 2 * one)  # blocks being the identity, the rest is linear


@pytest.mark.parametrize("options", [{"blocks": 0}, {"group": 0}, {"expansion": 0}])
def test_no_blocks_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="0 is none: choose 1 or more"):
        r3gan.Critic(3, 8, **options)
