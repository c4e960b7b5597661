"""``avae-paper`` and its four companions: each quirk of the published system, one test a behaviour."""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo_avae
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from zoo_avae.layers import SameConv, SameTransposed
from zoo_avae.networks import Critic, Decoder, Encoder, Generator, JointCritic
from zoo_losses.terms import discriminate, latent_nll, reverse_kl
from zoo_vaegan.terms import reverse_kl_both

import zoo
from zoo import api
from zoo.check.probe import probe
from zoo.engine.engine import Engine
from zoo.metrics.evaluate import evaluate
from zoo.model.model import Model
from zoo.recipe import Recipe, load_recipe

PAPER = ("avae-paper", "vae-paper", "gan-paper", "vaegan-paper", "bigan-paper")
PLUGINS = Path(zoo_avae.__file__).parent.parent
K, A = 5, 3


@pytest.fixture(autouse=True)
def _seeded_on_one_thread():
    """Networks this small only wait for each other's threads."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def published(name: str) -> Recipe:
    return load_recipe(name)


def small(name: str, *overrides: str) -> Model:
    widths = [f"slots.{slot}.width=4" for slot in published(name).players()]
    return Model(load_recipe(name, ["train.batch=4", *widths, *overrides]))


def images(batch: int = 4, size: int = 32, **kind: object) -> Tensor:
    return torch.rand(batch, 3, size, size, **kind) * 2 - 1


def pixels(n: int) -> Tensor:
    return torch.randint(256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(7)).to(torch.uint8)


def gaussian(batch: int = 3) -> api.Gaussian:
    mean, log_sigma = torch.randn(2, batch, K).double()
    return api.Gaussian(mean.requires_grad_(), log_sigma.requires_grad_())


def every_network(size: int, width: int = 4) -> list[tuple[nn.Module, tuple[Tensor, ...]]]:
    """Each network with what it takes."""
    x, z, noise = images(2, size), torch.randn(2, K), torch.randn(2, A)
    return [
        (Encoder(3, size, K, width=width), (x,)),
        (Decoder(3, size, K, width=width), (z,)),
        (Generator(3, size, K, A, width=width), (z, noise)),
        (Critic(3, size, width=width), (x,)),
        (JointCritic(3, size, K, width=width), (x, z)),
    ]


# -- SAME padding ------------------------------------------------------------------------------------------


def before(side: int, stride: int) -> int:
    """Pixels padded before, from TensorFlow's definition: out = ceil(n / s), total = (out - 1) s + k - n."""
    total = max((math.ceil(side / stride) - 1) * stride + 5 - side, 0)
    return total // 2


def gathered(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """SAME cross-correlation by indices: (I, n, n), (O, I, 5, 5) -> (O, n / s, n / s)."""
    n, pad = x.shape[-1], before(x.shape[-1], stride)
    out = np.zeros((len(kernel), math.ceil(n / stride), math.ceil(n / stride)))
    for i, j, p, q in product(range(out.shape[1]), range(out.shape[2]), range(5), range(5)):
        row, column = i * stride + p - pad, j * stride + q - pad
        if 0 <= row < n and 0 <= column < n:
            out[:, i, j] += kernel[:, :, p, q] @ x[:, row, column]
    return out


def scattered(y: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """SAME transposed convolution by indices: (I, n, n), (I, O, 5, 5) -> (O, n s, n s)."""
    n = y.shape[-1] * stride
    pad = before(n, stride)
    out = np.zeros((kernel.shape[1], n, n))
    for i, j, p, q in product(range(y.shape[1]), range(y.shape[2]), range(5), range(5)):
        row, column = i * stride + p - pad, j * stride + q - pad
        if 0 <= row < n and 0 <= column < n:
            out[:, row, column] += kernel[:, :, p, q].T @ y[:, i, j]
    return out


@pytest.mark.parametrize(("layer", "oracle"), [(SameConv, gathered), (SameTransposed, scattered)])
@pytest.mark.parametrize(("stride", "side"), [(2, 4), (2, 6), (2, 8), (1, 4), (1, 6)])
def test_same_padding_against_indices(layer, oracle, stride, side):
    convolution = layer(2, 3, stride, bias=False).double()
    x = torch.randn(1, 2, side, side, dtype=torch.float64)
    expected = oracle(x[0].numpy(), convolution.convolve.weight.detach().numpy(), stride)
    torch.testing.assert_close(convolution(x)[0], torch.from_numpy(expected))


def test_stride_two_pads_one_before_and_two_after():
    assert SameConv(1, 1, 2).pad.padding == (1, 2, 1, 2)


def test_the_transposed_convolution_is_the_convolutions_adjoint():
    """TensorFlow's definition of it: <conv(x), y> = <x, transposed(y)> with one kernel."""
    conv, back = SameConv(2, 3, 2, bias=False).double(), SameTransposed(3, 2, 2, bias=False).double()
    back.convolve.weight.data = conv.convolve.weight.data
    x, y = torch.randn(1, 2, 8, 8).double(), torch.randn(1, 3, 4, 4).double()
    torch.testing.assert_close((conv(x) * y).sum(), (x * back(y)).sum())


# -- networks ----------------------------------------------------------------------------------------------


def drawn(network: nn.Module) -> list[str]:
    """A network's layers in order, as METHODS lists them."""
    said = {nn.BatchNorm2d: "bn", nn.LeakyReLU: "leaky", nn.ReLU: "relu", nn.Tanh: "tanh"}
    lines = []
    for m in network.modules():
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
            bias = "" if m.bias is not None else " no bias"
            lines.append(f"{m.kernel_size[0]}x{m.kernel_size[1]} {m.out_channels} s{m.stride[0]}{bias}")
        elif isinstance(m, nn.Linear):
            lines.append(f"dense {m.out_features}{'' if m.bias is not None else ' no bias'}")
        elif type(m) in said:
            lines.append(said[type(m)])
    return lines


@pytest.mark.parametrize(("size", "middle"), [(32, 1), (64, 2)])
def test_layers_of_the_critic_and_the_encoder(size, middle):
    trunk = ["5x5 4 s2", "leaky", "5x5 8 s2 no bias", "bn", "leaky", f"5x5 16 s{middle} no bias", "bn", "leaky"]
    trunk += ["5x5 32 s2 no bias", "bn", "leaky"]
    assert drawn(Critic(3, size, width=4)) == [*trunk, "dense 1"]
    assert drawn(Encoder(3, size, K, width=4)) == [*trunk, f"dense {K}"]


@pytest.mark.parametrize(("size", "middle"), [(32, 1), (64, 2)])
def test_layers_of_the_generator_and_the_decoder(size, middle):
    painter = ["dense 512 no bias", "bn", "relu", "5x5 16 s2 no bias", "bn", "relu", f"5x5 8 s{middle} no bias", "bn"]
    painter += ["relu", "5x5 4 s2 no bias", "bn", "relu", "5x5 3 s2", "tanh"]
    assert drawn(Generator(3, size, K, A, width=4)) == drawn(Decoder(3, size, K, width=4)) == painter


def test_batch_norm_and_leaky_relu_have_keras_numbers():
    norms = [m for network, _ in every_network(32) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    slopes = [m.negative_slope for m in Critic(3, 32).modules() if isinstance(m, nn.LeakyReLU)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.1)}  # torch's momentum is 1 - Keras'
    assert set(slopes) == {0.2}


def test_weights_start_at_002_and_gammas_around_one():
    networks = [network for network, _ in every_network(32, width=32)]
    layers = [m for n in networks for m in n.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    norms = [m for n in networks for m in n.modules() if isinstance(m, nn.BatchNorm2d)]
    gammas = torch.cat([m.weight.detach() for m in norms])
    for weight in (m.weight.detach() for m in layers):
        assert abs(weight.mean()) < 5 * 0.02 / weight.numel() ** 0.5
        assert weight.std() == pytest.approx(0.02, rel=5 / (2 * weight.numel()) ** 0.5)
    assert gammas.mean() == pytest.approx(1, abs=5 * 0.02 / len(gammas) ** 0.5)
    assert gammas.std() == pytest.approx(0.02, rel=0.1)
    assert all(not m.bias.any() for m in [*layers, *norms] if m.bias is not None)


def trunk_count(c: int) -> int:
    """5x5 convolutions 3 -> c -> 2c -> 4c -> 8c a bias on the first; gamma and beta of three batch norms."""
    return 25 * (3 * c + 2 * c * c + 8 * c * c + 32 * c * c) + c + 2 * 14 * c


def painter_count(c: int, inputs: int) -> int:
    """Dense to 16 * 8c; transposed 8c -> 4c -> 2c -> c -> 3, biases on the last; four batch norms."""
    return 128 * c * inputs + 25 * (32 * c * c + 8 * c * c + 2 * c * c + 3 * c) + 3 + 2 * 15 * c


@pytest.mark.parametrize("size", [32, 64])
def test_parameters_at_the_published_width(size):
    c, flat, units = 128, 16 * 8 * 128, 8 * 128
    with torch.device("meta"):
        networks = [
            Encoder(3, size, 100),
            Decoder(3, size, 100),
            Generator(3, size, 100, 100),
            Critic(3, size),
            JointCritic(3, size, 100),
        ]
    joint = 101 * units + (units + 1) * units + (flat + units + 1) * units + units + 1
    assert [sum(p.numel() for p in n.parameters()) for n in networks] == [
        trunk_count(c) + (flat + 1) * 100 + 100,
        painter_count(c, 100),
        painter_count(c, 200),
        trunk_count(c) + flat + 1,
        trunk_count(c) + joint,
    ]


@pytest.mark.parametrize("size", [32, 64])
def test_shapes_on_the_meta_device_and_in_float64(size):
    for network, inputs in every_network(size):
        meta = network.to("meta")(*(i.to("meta") for i in inputs))
        shape = _tensor(meta).shape
        assert shape in {(2,), (2, K), (2, 3, size, size)}
    for network, inputs in every_network(size):
        out = _tensor(network.double()(*(i.double() for i in inputs)))
        assert out.dtype == torch.float64
        assert out.isfinite().all()


def _tensor(output: object) -> Tensor:
    return getattr(output, "logit", getattr(output, "mean", None)) if not isinstance(output, Tensor) else output


def test_taps_are_after_batch_norm_and_activation():
    critic, x = Critic(3, 64, width=4), images(2, 64)
    taps = critic(x).taps
    by_hand = nn.functional.leaky_relu(critic.stages[1][1](critic.stages[1][0](taps["stage1"])), 0.2)
    assert [tuple(t.shape[1:]) for t in taps.values()] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]
    torch.testing.assert_close(taps["stage2"], by_hand)


def test_critics_differentiate_twice():
    for critic, (x, *rest) in every_network(32)[3:]:
        x.requires_grad_()
        (slope,) = torch.autograd.grad(critic(x, *rest).logit.sum(), x, create_graph=True)
        second = torch.autograd.grad(slope.square().sum(), list(critic.parameters()), allow_unused=True)
        assert any(g is not None and g.abs().sum() > 0 for g in second)


@pytest.mark.parametrize("size", [16, 48, 128])
def test_another_size_says_which_there_are(size):
    with pytest.raises(ValueError, match=rf"size {size}: choose 32 or 64 \(set data.size\)"):
        Generator(3, size, K, A)


def test_every_target_can_be_imported():
    components = [c for c in zoo_avae.zoo_components() if c.kind != "term"]
    names = [c.target.removeprefix("zoo_avae.networks:") for c in components]
    assert names == ["Encoder", "Decoder", "Generator", "Critic", "JointCritic"]
    assert [c.double_backward for c in components] == [False, False, False, True, True]


# -- sigma and the latent term -----------------------------------------------------------------------------


def test_sigma_is_one_learned_vector_the_same_for_every_image():
    encoder = small("avae-paper").encoder
    nn.init.normal_(encoder.log_sigma.value)
    log_sigma = encoder(images()).log_sigma
    assert torch.equal(log_sigma, encoder.log_sigma.value.expand(4, 100))


def test_sigma_starts_at_one():
    assert torch.equal(small("avae-paper").encoder(images()).sigma, torch.ones(4, 100))


def test_a_head_gives_every_image_its_own_sigma():
    log_sigma = small("avae-paper", "slots.encoder.sigma=head").encoder(images()).log_sigma
    assert not torch.allclose(log_sigma[0], log_sigma[1])


def test_the_normalised_latent_term_by_hand():
    z, q = torch.randn(3, K).double(), gaussian()
    total = 0.0
    for b in range(3):
        precisions = [math.exp(-2 * s) for s in q.log_sigma[b].tolist()]
        errors = [(a - m) ** 2 for a, m in zip(z[b].tolist(), q.mean[b].tolist(), strict=True)]
        total += sum(p / sum(precisions) * e / 2 for p, e in zip(precisions, errors, strict=True))  # 1/2 is kept
    assert latent_nll(z, q, precision="normalised").item() == pytest.approx(total / 3)


def test_the_exact_latent_term_by_hand():
    z, q = torch.randn(3, K).double(), gaussian()
    normal = torch.distributions.Normal(q.mean, q.sigma)
    constant = 0.5 * K * math.log(2 * math.pi)
    assert latent_nll(z, q).item() == pytest.approx(-normal.log_prob(z).sum(1).mean().item() - constant)


def test_the_normalised_weights_are_held():
    z, q = torch.randn(3, K).double(), gaussian()
    mean, log_sigma = torch.autograd.grad(
        latent_nll(z, q, precision="normalised"), (q.mean, q.log_sigma), allow_unused=True
    )
    weights = q.sigma**-2 / (q.sigma**-2).sum(1, keepdim=True)
    torch.testing.assert_close(mean, weights * (q.mean - z) / 3)
    assert log_sigma is None


def test_with_equal_sigmas_the_weights_are_one_in_k():
    z, mean = torch.randn(3, K), torch.randn(3, K)
    for sigma in (0.1, 3.0):
        q = api.Gaussian(mean, torch.full((3, K), math.log(sigma)))
        expected = 0.5 * (z - mean).square().mean()
        torch.testing.assert_close(latent_nll(z, q, precision="normalised"), expected)


@pytest.mark.parametrize("precision", ["exact", "normalised"])
def test_scale_multiplies_the_whole_term(precision):
    z, q = torch.randn(3, K).double(), gaussian()
    expected = 64 * latent_nll(z, q, precision=precision)
    torch.testing.assert_close(latent_nll(z, q, precision=precision, scale=64.0), expected)


def test_scale_64_is_the_sum_over_the_published_batch_whatever_the_batch():
    z, q = torch.randn(64, K).double(), gaussian(64)
    parts = [api.Gaussian(q.mean[i : i + 1], q.log_sigma[i : i + 1]) for i in range(64)]
    summed = sum(latent_nll(z[i : i + 1], part, precision="normalised") for i, part in enumerate(parts))
    halves = [
        latent_nll(z[h], api.Gaussian(q.mean[h], q.log_sigma[h]), precision="normalised", scale=64.0)
        for h in (slice(0, 32), slice(32, 64))
    ]
    torch.testing.assert_close(latent_nll(z, q, precision="normalised", scale=64.0), summed)
    torch.testing.assert_close(sum(halves) / 2, summed)


def test_the_recipe_asks_for_the_published_latent_term():
    (row,) = [row for row in published("avae-paper").phases[0].rows if row.label == "generator"]
    latent = next(term for term in row.terms if term.label == "latent_nll")
    assert latent.part.options == {"precision": "normalised", "scale": 64.0}
    assert latent.weight(0) == 1


# -- adversarial terms -------------------------------------------------------------------------------------


def test_the_generator_minimises_minus_the_raw_logit():
    logit = torch.randn(8, requires_grad=True)
    (gradient,) = torch.autograd.grad(reverse_kl(api.CriticOutput(logit)), logit)
    assert torch.equal(gradient, torch.full((8,), -1 / 8))


def test_the_critic_minimises_binary_cross_entropy():
    real, fake = torch.randn(8), torch.randn(8)
    expected = binary_cross_entropy_with_logits(real, torch.ones(8))
    expected += binary_cross_entropy_with_logits(fake, torch.zeros(8))
    torch.testing.assert_close(discriminate(api.CriticOutput(real), api.CriticOutput(fake)), expected)


ROWS = {
    "avae-paper": {
        "encoder + decoder": {"reconstruction": 1, "kl": 1},
        "generator": {"reverse_kl": 1, "latent_nll": 1},
        "critic": {"discriminate": 1},
    },
    "vae-paper": {"encoder + decoder": {"reconstruction": 1, "kl": 1}},
    "gan-paper": {"generator": {"reverse_kl": 1}, "critic": {"discriminate": 1}},
    "vaegan-paper": {
        "encoder": {"kl": 10, "feature_match": 1},
        "decoder": {"feature_match": 0.01, "reverse_kl_both": 1},
        "critic": {"discriminate_both": 1},
    },
    "bigan-paper": {"encoder + generator": {"pairs_swapped": 1}, "critic": {"pairs": 1}},
}


@pytest.mark.parametrize("name", PAPER)
def test_rows_are_those_of_methods_in_one_joint_phase(name):
    (phase,) = published(name).phases
    assert {row.label: {t.label: t.weight(0) for t in row.terms} for row in phase.rows} == ROWS[name]


def test_features_are_matched_at_the_published_stage():
    """At 32 px the last block's 8 ch of 4 x 4, at 64 px the third's 4 ch of 8 x 8, after LeakyReLU."""
    encoder, decoder, critic = published("vaegan-paper").phases[0].rows
    assert [row.terms[i].part.options["tap"] for row, i in ((encoder, 1), (decoder, 0))] == ["stage4", "stage4"]
    assert "feature_match" not in {term.label for term in critic.terms}
    shapes = [
        Critic(3, size, width=4)(images(2, size)).taps[tap].shape for size, tap in ((32, "stage4"), (64, "stage3"))
    ]
    assert [tuple(shape) for shape in shapes] == [(2, 32, 4, 4), (2, 16, 8, 8)]


def test_the_decoder_of_vaegan_minimises_both_raw_logits():
    logits = [torch.randn(8, requires_grad=True) for _ in range(2)]
    gradients = torch.autograd.grad(reverse_kl_both(*map(api.CriticOutput, logits)), logits)
    assert all(torch.equal(gradient, torch.full((8,), -1 / 8)) for gradient in gradients)


def test_beta_of_another_data_set_is_one_override():
    (phase,) = load_recipe("vaegan-paper", ["phases.0.encoder.kl=5"]).phases
    assert phase.rows[0].terms[0].weight(0) == 5


# -- training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "rate"), [(0, 2e-4), (25_000, 2e-4 * 0.02**0.5), (50_000, 4e-6)])
def test_the_rate_falls_to_a_fiftieth(step, rate):
    for name in PAPER:
        for optimizer in published(name).train.optimizers.values():
            assert optimizer.part.options["lr"] * optimizer.rate(step) == pytest.approx(rate)


def test_the_schedule_reaches_the_optimisers():
    engine = Engine(small("gan-paper"))
    engine.step_index = 25_000
    engine.step(lambda _: images())
    rates = [group["lr"] for p in engine.players.values() for group in p.optimizer.param_groups]
    assert rates == pytest.approx([2e-4 * 0.02**0.5] * 2)


@pytest.mark.parametrize("name", PAPER)
def test_sizes_steps_and_optimisers_are_as_published(name):
    recipe = published(name)
    train = recipe.train
    optimizers = [
        (o.part.entry.name, tuple(o.part.options["betas"]), o.part.options["eps"]) for o in train.optimizers.values()
    ]
    assert (train.steps, train.batch, recipe.sizes.latent) == (50_000, 64, 100)
    assert recipe.sizes.noise == (100 if name == "avae-paper" else 0)
    assert optimizers == [("adam", (0.5, 0.999), 1e-7)] * len(recipe.players())
    assert {p.options["width"] for label, p in recipe.slots.items() if label != "prior"} == {128}


@pytest.mark.parametrize("name", PAPER)
def test_each_network_has_moments_of_its_own(name):
    engine = Engine(small(name))
    engine.step(lambda _: images())
    moved = [id(p) for player in engine.players.values() for p in player.moved.values()]
    assert len(moved) == len(set(moved)) == sum(1 for _ in engine.model.parameters())
    assert all(player.state() for player in engine.players.values())


@pytest.mark.parametrize("name", PAPER)
def test_no_averaged_weights_and_no_augmentation(name):
    recipe = published(name)
    assert recipe.train.ema == 0
    assert recipe.data.options["flip"] is False
    assert Engine(small(name)).average is None


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_is_a_page_that_stands_alone(name):
    """Tuning a default recipe must not move a published one."""
    text = (PLUGINS / f"zoo_{name.removesuffix('-paper')}" / f"{name}.yaml").read_text()
    assert "extends" not in text
    assert len(text.splitlines()) < 40


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_probes_and_trains(name):
    model = small(name, "train.log_every=1")
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    reached = {reach.player for reach in probe(model.recipe)[0] if reach.reached}
    engine = zoo.train(model, pixels(8), steps=2)
    moved = {key.split(".")[0] for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    assert engine.step_index == 2
    assert reached == moved == set(model.recipe.players())


# -- batch statistics --------------------------------------------------------------------------------------


def beside_others(model: Model, what: str) -> tuple[Tensor, Tensor]:
    """The same four codes or images through the model alone, and in a batch of eight."""
    g = torch.Generator().manual_seed(3)
    if what == "sample":
        given = {"z": torch.randn(8, 100, generator=g), "noise": torch.randn(8, 100, generator=g)}
        (alone,), (among,) = (model.compute(what, given={k: v[:n] for k, v in given.items()}) for n in (4, 8))
        return alone, among[:4]
    x = torch.rand(8, 3, 32, 32, generator=g) * 2 - 1
    return model.encode(x[:4]).mean, model.encode(x).mean[:4]


@pytest.mark.parametrize("what", ["sample", "posterior"])
def test_batch_statistics_make_an_output_depend_on_its_batch(what):
    alone, among = beside_others(small("avae-paper"), what)
    assert (alone - among).abs().max() > 1e-3


@pytest.mark.parametrize("what", ["sample", "posterior"])
def test_running_statistics_do_not(what):
    alone, among = beside_others(small("avae-paper", "batch_stats=running"), what)
    torch.testing.assert_close(alone, among)


def test_evaluation_leaves_the_statistics_alone():
    model = small("avae-paper")
    before = {key: t.clone() for key, t in model.named_buffers()}
    model.sample(4)
    model.encode(images())
    assert before
    assert all(torch.equal(t, before[key]) for key, t in model.named_buffers())


@pytest.mark.parametrize("stats", ["batch", "running"])
def test_every_score_says_which_statistics(stats):
    scores = evaluate(small("avae-paper", f"batch_stats={stats}"), api.Images(pixels(4), pixels(4)), batch=4)
    assert {score["protocol"]["batch_stats"] for score in scores.values()} == {stats}


@pytest.mark.parametrize("name", PAPER)
def test_every_paper_recipe_uses_batch_statistics(name):
    assert published(name).batch_stats == "batch"
