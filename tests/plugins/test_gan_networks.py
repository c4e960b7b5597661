"""Networks of GANs: shapes, resampling against torch's, norms of a class and attention by hand, singular values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate
from zoo_gan_networks import r3gan, resnet, stylegan2
from zoo_gan_networks.sides import doubled, halved, halvings
from zoo_gan_networks.styles import mixed_styles, style_slopes, styles

from zoo.api import Draw

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


# -- StyleGAN2's ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 28, (16, 24)])
def test_shapes_of_style_based_networks(size: Any) -> None:
    sides = (size, size) if isinstance(size, int) else size
    generator, mapping = stylegan2.Synthesis(3, size, K, width=4), stylegan2.Mapping(K)
    levels = halvings(size)[0]
    assert generator.styles == 2 * levels + 2  # two a level, one of the smallest map, one of the image
    style = mapping(torch.randn(2, K))[:, None].expand(-1, generator.styles, -1)
    image = generator(style, torch.randn(2, *generator.noise))
    assert image.shape == (2, 3, *sides)
    assert stylegan2.Critic(3, size, width=4)(image).logit.shape == (2,)


def test_a_modulated_convolution_has_weights_of_each_image() -> None:
    layer = stylegan2.Modulated(3, 4, 3, K).double()
    x, w = normal(2, 3, 5, 5), normal(2, K, seed=1)
    weight = layer.convolution.weight * layer.convolution.scale
    style = layer.style(w)
    each = []
    for image, scales in zip(x, style, strict=True):
        own = scales[None, :, None, None] * weight
        own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        each.append(conv2d(image[None], own, padding=1))
    torch.testing.assert_close(layer(x, w), torch.cat(each))


def test_weights_are_scaled_where_they_are_used() -> None:
    layer, x = stylegan2.Dense(64, 256), torch.randn(128, 64)
    assert float(layer.weight.detach().std()) == pytest.approx(1, rel=0.05)
    assert float(layer(x).detach().std()) == pytest.approx(1, rel=0.05)


def test_codes_are_at_unit_length_a_number() -> None:
    mapping, z = stylegan2.Mapping(K).double(), normal(3, K)
    torch.testing.assert_close(mapping(z), mapping(7 * z), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(mapping(z), mapping(-z))


def test_noise_is_of_no_strength_at_first_and_moves_pixels_then() -> None:
    generator = stylegan2.Synthesis(1, 8, K, width=4)
    styles = torch.randn(1, generator.styles, K)
    noises = [torch.randn(1, *generator.noise) for _ in range(2)]
    assert torch.equal(*(generator(styles, noise) for noise in noises))
    generator.layers[-1].strength.data.fill_(1.0)
    assert not torch.equal(*(generator(styles, noise) for noise in noises))


def test_no_number_of_noise_is_for_two_layers() -> None:
    noises = stylegan2.noises_of(torch.arange(3 * 16 * 24).view(1, 3, 16, 24), 2)
    assert [tuple(one.shape[2:]) for one in noises] == [(4, 6), (8, 12), (8, 12), (16, 24), (16, 24)]
    numbers = torch.cat([one.flatten() for one in noises])
    assert len(numbers.unique()) == len(numbers)


def test_a_style_is_for_a_layer_of_its_own() -> None:
    """The last one is for the image alone: it is linear in its scales."""
    generator, normals = stylegan2.Synthesis(1, 8, K, width=4).double(), normal(4, 4, K)
    noise = torch.zeros(1, *generator.noise, dtype=torch.float64)
    plain = generator(normals[:1], noise)
    for place in range(generator.styles):
        other = normals[:1].clone()
        other[:, place] = normals[1:2, place]
        assert not torch.allclose(generator(other, noise), plain), place


def test_the_deviation_of_a_batch_by_hand() -> None:
    x = normal(6, 3, 2, 2)
    found = stylegan2.deviation(x, 2)
    assert found.shape == (6, 1, 2, 2)
    for i in range(3):  # images i and i + 3 are a group
        wanted = ((x[i] - x[i + 3]).abs() / 2).mean()
        assert found[i].unique().item() == pytest.approx(wanted.item(), rel=1e-6)
        assert torch.equal(found[i], found[i + 3])


def test_a_critic_tells_a_batch_of_equal_images() -> None:
    critic, x = stylegan2.Critic(3, 8, width=4), torch.randn(4, 3, 8, 8)
    alone = stylegan2.Critic(3, 8, width=4, group=1)
    alone.load_state_dict(critic.state_dict())
    with torch.no_grad():
        beside = [net(x).logit[0] - net(x[:1].expand(4, -1, -1, -1)).logit[0] for net in (critic, alone)]
    assert abs(float(beside[0])) > 1e-3
    assert float(beside[1]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("make", [lambda: stylegan2.Mapping(K, depth=0), lambda: stylegan2.Critic(3, 8, group=0)])
def test_no_layers_and_no_group_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="0 is none: choose 1 or more"):
        make()


# -- styles --------------------------------------------------------------------------------------------------


class Layers:
    """A generator of six layers."""

    styles = 6


def test_styles_are_mixed_from_a_random_layer_on() -> None:
    one, other = torch.zeros(4000, K), torch.ones(4000, K)
    draw = Draw("mixing", device=torch.device("cpu"), dtype=torch.float64)
    mixed = mixed_styles(Layers(), one, other, draw, probability=0.9)
    counts = mixed[:, :, 0].sum(1).long().bincount(minlength=6)  # layers of the other style
    assert counts[0] == pytest.approx(400, abs=60)
    assert counts[1:].tolist() == pytest.approx([720] * 5, abs=80)
    assert torch.equal(mixed[:, :, 0], mixed[:, :, 0].cummax(1).values)
    whole = mixed_styles(Layers(), one, other, draw, probability=0.0)
    assert torch.equal(whole, styles(Layers(), one))


class Linear:
    """G = A w, summed over layers."""

    noise = (1,)

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def __call__(self, w: Tensor, _: Tensor) -> Tensor:
        return (w.sum(1) @ self.matrix.T).view(-1, 2, 3, 4)


def test_slopes_of_a_linear_generator_are_those_of_its_matrix() -> None:
    """J^T y = A^T y at each layer, whatever w; its square is |A|^2 / (H W) on average."""
    a, w = normal(2 * 3 * 4, K), normal(7, 3, K, seed=1)
    draws = [Draw("y", device=torch.device("cpu"), dtype=torch.float64) for _ in range(2)]
    found = style_slopes(Linear(a), w, draws[0])
    assert not w.requires_grad
    draws[1].normal(7, 1)
    y = draws[1].normal(7, 2, 3, 4).flatten(1) / 12**0.5
    torch.testing.assert_close(found, (y @ a)[:, None].expand(-1, 3, -1))
    many = style_slopes(Linear(a), normal(4000, 1, K), draws[0]).square().sum((1, 2)).mean()
    assert float(many) == pytest.approx(float(a.square().sum() / 12), rel=0.05)
