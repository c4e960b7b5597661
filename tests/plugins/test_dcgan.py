"""The DCGAN plugin: shapes, ranges, spectral norm against linear algebra, gradients of gradients."""

from __future__ import annotations

import copy
from importlib import import_module
from itertools import pairwise

import pytest
import torch
from torch import nn
from zoo_dcgan import zoo_components
from zoo_dcgan.blocks import ResizeConv2d
from zoo_dcgan.networks import Critic, Decoder, Encoder, Generator, JointCritic

K, A = 5, 3


def images(size: int = 16, batch: int = 2, **kind: object) -> torch.Tensor:
    return torch.rand(batch, 3, size, size, **kind) * 2 - 1


def critics(norm: str = "spectral", size: int = 16) -> list[tuple[nn.Module, tuple[torch.Tensor, ...]]]:
    plain = Critic(3, size, width=4, norm=norm), (images(size),)
    return [plain, (JointCritic(3, size, K, width=4, norm=norm), (images(size), torch.randn(2, K)))]


def test_every_target_can_be_imported_and_is_named_once():
    components = zoo_components()
    assert len({(c.kind, c.name) for c in components}) == 6
    targets = [target.split(":") for c in components for target in (c.target, *c.variants.values())]
    assert all(hasattr(import_module(module), name) for module, name in targets)


@pytest.mark.parametrize("size", [8, 12, 14, 16, 20, 28, 32, 48, 64, 96, 320])
def test_shapes_and_ranges(size):
    x, z = images(size), torch.randn(2, K)
    posterior = Encoder(3, size, K, width=4)(x)
    painted = [Decoder(3, size, K, width=4)(z), Generator(3, size, K, A, width=4)(z, torch.randn(2, A))]
    assert posterior.mean.shape == posterior.log_sigma.shape == (2, K)
    assert all(y.shape == x.shape and y.abs().max() <= 1 for y in painted)
    assert all(critic(*inputs).logit.shape == (2,) for critic, inputs in critics(size=size))


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("upsample", ["resize", "transpose"])
def test_options_of_the_painter(norm, upsample):
    assert Decoder(3, 16, K, width=6, norm=norm, upsample=upsample)(torch.randn(2, K)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("upsample", ["resize", "transpose"])
def test_a_layer_has_a_bias_but_before_a_normalisation_which_has_one(norm, upsample):
    for network in (Encoder(3, 16, K, width=8, norm=norm), Decoder(3, 16, K, width=8, norm=norm, upsample=upsample)):
        order = [m for m in network.modules() if list(m.parameters(recurse=False))]
        for layer, following in pairwise([*order, None]):
            normalised = isinstance(following, nn.BatchNorm2d | nn.GroupNorm)
            assert (layer.bias is None) == normalised, (layer, following)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sides", [(4, 4), (1, 5), (7, 2)])
def test_a_resize_convolution_is_its_two_layers_one_after_the_other(sides, bias):
    """The image and every gradient, second ones too."""
    both = ResizeConv2d(5, 6, 3, padding=1, bias=bias).double()
    plain = nn.Conv2d(5, 6, 3, padding=1, bias=bias).double()
    plain.load_state_dict(both.state_dict())
    found = []
    for network in (both, nn.Sequential(nn.Upsample(scale_factor=2), plain)):
        x = torch.arange(2 * 5 * sides[0] * sides[1]).reshape(2, 5, *sides).double().cos().requires_grad_()
        y = network(x)
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        found += [[y, slope, *torch.autograd.grad(slope.square().sum(), [x, *network.parameters()], allow_unused=True)]]
    assert len(found[0]) == 4 + bias
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def test_noise_of_width_zero():
    assert Generator(1, 8, K, 0, width=4)(torch.randn(2, K), torch.empty(2, 0)).shape == (2, 1, 8, 8)


def test_noise_matters():
    generator, z = Generator(3, 8, K, A, width=4), torch.randn(2, K)
    assert not torch.equal(generator(z, torch.zeros(2, A)), generator(z, torch.ones(2, A)))


def test_codes_without_noise_have_no_head_for_it():
    encoder = Encoder(3, 16, K, width=4, sigma="none")
    assert torch.equal(encoder(images()).log_sigma, torch.zeros(2, K))
    assert {name.split(".")[0] for name, _ in encoder.named_parameters()} == {"trunk", "mean"}


def test_global_sigma_is_one_free_vector_that_learns():
    encoder = Encoder(3, 16, K, width=4, sigma="global")
    log_sigma = encoder(images()).log_sigma
    (gradient,) = torch.autograd.grad(log_sigma.sum(), encoder.log_sigma.value)
    assert torch.equal(log_sigma, torch.zeros(2, K))
    assert torch.equal(gradient, torch.full((K,), 2.0))


def test_spectral_norm_is_one_after_a_few_forwards():
    for critic, inputs in critics():
        for _ in range(50):
            critic(*inputs)
        layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        norms = [torch.linalg.matrix_norm(m.weight.flatten(1), 2).item() for m in layers]
        assert norms == pytest.approx([1.0] * len(layers), abs=0.02)


def test_a_later_forward_does_not_change_an_earlier_graphs_gradients():
    """Spectral norm refines its vectors in place at every forward; earlier graphs must not notice."""
    for critic, inputs in critics():
        twin = copy.deepcopy(critic)
        alone = torch.autograd.grad(twin(*inputs).logit.sum(), list(twin.parameters()))
        first, second = critic(*inputs).logit.sum(), critic(*inputs).logit.square().sum()
        torch.autograd.grad(second, list(critic.parameters()), retain_graph=True)
        for _ in range(2):
            shared = torch.autograd.grad(first, list(critic.parameters()), retain_graph=True)
            assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_taps_are_after_activation_and_halve_the_side():
    critic, x = Critic(3, 32, width=4).eval(), images(32)
    taps = critic(x).taps
    shapes = {name: tuple(tap.shape[1:]) for name, tap in taps.items()}
    assert shapes == {"stage1": (4, 16, 16), "stage2": (8, 8, 8), "stage3": (16, 4, 4)}
    by_hand = nn.functional.leaky_relu(critic.stages[0][0](x), 0.2)
    torch.testing.assert_close(taps["stage1"], by_hand)


@pytest.mark.parametrize("norm", ["spectral", "batch", "none"])
def test_critics_differentiate_twice(norm):
    for critic, (x, *rest) in critics(norm):
        x.requires_grad_()
        (slope,) = torch.autograd.grad(critic(x, *rest).logit.sum(), x, create_graph=True)
        second = torch.autograd.grad(slope.square().sum(), list(critic.parameters()), allow_unused=True)
        assert any(g is not None and g.abs().sum() > 0 for g in second)


def test_float64_and_channels_last():
    x = images(dtype=torch.float64)
    critic = Critic(3, 16, width=4).double().eval()
    strided = x.contiguous(memory_format=torch.channels_last)
    assert critic(x).logit.dtype == torch.float64
    torch.testing.assert_close(critic.to(memory_format=torch.channels_last)(strided).logit, critic(x).logit)


def test_meta_device_gives_shapes_without_memory():
    with torch.device("meta"):
        z = torch.empty(2, K)
        y = Generator(3, 32, K, A)(z, torch.empty(2, A))
        logit = JointCritic(3, 32, K)(y, Encoder(3, 32, K)(y).mean).logit
    assert y.shape == (2, 3, 32, 32)
    assert logit.shape == (2,)
    assert logit.is_meta


@pytest.mark.parametrize(("size", "near"), [(4, "8 or 10"), (25, "24 or 28"), (36, "32 or 40"), (512, "384 or 448")])
def test_a_bad_size_says_which_are_near(size, near):
    with pytest.raises(ValueError, match=rf"size {size}, which is no 4, 5, 6 or 7 times .*: choose {near} \(set"):
        Critic(3, size)


def test_a_bad_width_says_so():
    with pytest.raises(ValueError, match="width 0: choose 1 or more"):
        Decoder(3, 16, K, width=0)
