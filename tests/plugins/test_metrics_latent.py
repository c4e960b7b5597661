"""Metrics of codes, of reconstructions against other images, and of nearness to training images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from zoo_metrics.latent import ActiveUnits, Cycle, Kl, NoiseUse
from zoo_metrics.nearest import Nearest
from zoo_metrics.paths import PathLength, slerp
from zoo_metrics.perceptual import Distance
from zoo_metrics.reconstruction import RandomPairs
from zoo_values.priors import Normal

from zoo import api

DOUBLE = torch.float64


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


# -- posteriors --------------------------------------------------------------------------------------------


def test_kl_is_torchs_by_dimension_and_in_all() -> None:
    means, logs = numbers(10, 3), 0.3 * numbers(10, 3, seed=1)
    metric = Kl()
    for rows in (slice(0, 4), slice(4, 10)):
        metric.update(api.Gaussian(means[rows], logs[rows]), Normal(3), means[rows])
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(means, logs.exp()), normal(0.0, 1.0)).mean(0)
    assert metric.details()["dimensions"] == pytest.approx(expected.tolist())
    assert metric.compute() == pytest.approx(float(expected.sum()))


def test_kl_of_a_posterior_with_one_sigma_for_every_image() -> None:
    means, logs = numbers(6, 3), 0.3 * numbers(1, 3, seed=1)
    one, each = Kl(), Kl()
    one.update(api.Gaussian(means, logs), Normal(3), means)
    each.update(api.Gaussian(means, logs.expand(6, 3)), Normal(3), means)
    assert one.compute() == pytest.approx(each.compute())


def test_kl_to_a_prior_without_a_closed_form_is_that_of_samples() -> None:
    class Wide:
        def log_prob(self, z: Tensor) -> Tensor:
            return torch.distributions.Normal(0.0, 2.0).log_prob(z).sum(1)

    q, z, metric = api.Gaussian(numbers(6, 3), numbers(6, 3, seed=1)), numbers(6, 3, seed=2), Kl()
    for rows in (slice(0, 4), slice(4, 6)):
        metric.update(api.Gaussian(q.mean[rows], q.log_sigma[rows]), Wide(), z[rows])
    expected = (q.log_prob(z) - Wide().log_prob(z)).mean()
    assert metric.compute() == pytest.approx(float(expected))
    assert metric.details()["dimensions"] == pytest.approx([float(expected)])


def test_active_units_are_those_whose_mean_varies() -> None:
    means = numbers(50, 4) * torch.tensor([1.0, 0.2, 0.05, 0.0], dtype=DOUBLE) + 3
    metric = ActiveUnits()
    for part in means.split(20):
        metric.update(api.Gaussian(part, torch.zeros_like(part)))
    assert metric.compute() == 2
    assert metric.details()["variance"] == pytest.approx(means.var(0).tolist())
    strict = ActiveUnits(threshold=0.3)
    strict.update(api.Gaussian(means, means))
    assert strict.compute() == 1


# -- linear models whose answer is known -------------------------------------------------------------------


class Linear:
    """x = W z + V z_a, as a metric sees a model: ``compute`` by name, what is given replaced, other draws by number."""

    def __init__(self, codes: float, noise: float, batch: int = 500) -> None:
        self.w, self.v = codes * numbers(8, 2, seed=1), noise * numbers(8, 3, seed=2)
        self.batch, self.turn = batch, 0

    def __call__(self, *names: str, given: dict[str, Tensor] | None = None, draw: int = 0) -> Any:
        seed = 100 * self.turn + draw
        known = {"z": numbers(self.batch, 2, seed=10 + seed), "noise": numbers(self.batch, 3, seed=50 + seed)}
        known |= given or {}
        image = (known["z"] @ self.w.T + known["noise"] @ self.v.T)[:, :, None, None].expand(-1, -1, 2, 2)
        back = api.Gaussian(torch.zeros_like(known["z"]), torch.zeros_like(known["z"]))
        if "x" in known:  # an encoder that inverts the codes' part
            mean = known["x"].mean((2, 3)) @ torch.linalg.pinv(self.w).T
            back = api.Gaussian(mean, torch.zeros_like(mean))
        found = {**known, "sample": image, "posterior": back}
        return found[names[0]] if len(names) == 1 else tuple(found[name] for name in names)


@pytest.mark.parametrize(("codes", "noise"), [(1.0, 0.0), (1.0, 0.5), (0.0, 1.0)])
def test_noise_use_is_the_noises_part_of_the_variance(codes: float, noise: float) -> None:
    model, metric = Linear(codes, noise), NoiseUse(3, draws=4)
    for model.turn in range(4):
        metric.update(model("z"), model)
    within, between = float(model.v.square().sum()), float(model.w.square().sum())
    assert metric.compute() == pytest.approx(within / (within + between), abs=0.04)


def test_noise_use_needs_noise_and_images_that_differ() -> None:
    with pytest.raises(ValueError, match="noise has 0 dimensions"):
        NoiseUse(0)
    with pytest.raises(ValueError, match="draws must be at least 2, not 1"):
        NoiseUse(3, draws=1)
    metric = NoiseUse(3)
    metric.update(numbers(500, 2), Linear(0.0, 0.0))
    with pytest.raises(ValueError, match="all samples are the same image"):
        metric.compute()


def test_cycle_is_the_root_mean_square_of_what_comes_back() -> None:
    model, metric = Linear(1.0, 0.0, batch=5), Cycle()
    z, sample = model("z", "sample")
    metric.update(z, sample, model)
    assert metric.compute() == pytest.approx(0, abs=1e-9)
    metric = Cycle()
    metric.update(z, sample * 0, model)  # the encoder answers 0
    assert metric.compute() == pytest.approx(float(z.square().mean().sqrt()))


# -- codes of other shapes ---------------------------------------------------------------------------------


def test_a_map_scores_as_the_vector_of_its_numbers() -> None:
    """Codes (B, 2, 3, 2) against the same codes (B, 12)."""
    maps, logs = numbers(10, 2, 3, 2), 0.3 * numbers(10, 2, 3, 2, seed=1)

    def scored(shape: tuple[int, ...]) -> list[float]:
        mean, log_sigma = maps.reshape(10, *shape), logs.reshape(10, *shape)
        posterior, prior = api.Gaussian(mean, log_sigma), Normal(shape)

        def compute(*_: str, given: dict[str, Tensor], draw: int = 0) -> Any:
            if "x" in given:
                return api.Gaussian(given["x"].reshape(10, *shape).cos(), log_sigma)
            return (given["z"] + numbers(10, 12, seed=draw).reshape(10, *shape)).reshape(10, 1, 3, 4)

        kl, sampled, units, cycle, noise = Kl(), Kl(), ActiveUnits(threshold=0.9), Cycle(), NoiseUse(3)
        kl.update(posterior, prior, mean)
        units.update(posterior)
        cycle.update(mean, mean.reshape(10, 1, 3, 4), compute)
        noise.update(mean, compute)
        sampled.update(posterior, Sampled(prior), mean)
        assert len(kl.details()["dimensions"]) == 12
        return [metric.compute() for metric in (kl, sampled, units, cycle, noise)]

    assert scored((2, 3, 2)) == pytest.approx(scored((12,)), rel=1e-12)


def test_cycle_does_not_spread_a_code_over_another() -> None:
    one = lambda *_, given: api.Gaussian(given["x"].flatten(1)[:, :1], torch.zeros(4, 1))  # noqa: E731
    with pytest.raises(ValueError, match=r"the posterior's codes are \(4, 1\), and those of the prior \(4, 3\)"):
        Cycle().update(numbers(4, 3), numbers(4, 1, 2, 2), one)


class Sampled:
    """A prior without a closed form."""

    def __init__(self, prior: Normal) -> None:
        self.log_prob = prior.log_prob


# -- paths -------------------------------------------------------------------------------------------------


def test_slerp_keeps_lengths_and_ends_where_it_should() -> None:
    a, b = numbers(6, 5), numbers(6, 5, seed=1)
    zero, one = torch.zeros(6, 1, dtype=DOUBLE), torch.ones(6, 1, dtype=DOUBLE)
    torch.testing.assert_close(slerp(a, b, zero), a)
    torch.testing.assert_close(slerp(a, b, one), b)
    unit = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    assert slerp(*unit, one * 0.3).norm(dim=1).tolist() == pytest.approx([1.0] * 6)
    right = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert slerp(*right, torch.tensor([[1 / 3]]))[0].tolist() == pytest.approx([math.cos(math.pi / 6), 0.5])
    torch.testing.assert_close(slerp(a, a, one * 0.7), a)
    maps, others = numbers(6, 2, 3, 4), numbers(6, 2, 3, 4, seed=1)  # as one long vector
    there = slerp(maps.flatten(1), others.flatten(1), one * 0.3)
    torch.testing.assert_close(slerp(maps, others, one * 0.3), there.view(6, 2, 3, 4))


class Straight:
    """A distance that is the squared Euclidean one, in place of a network."""

    protocol: ClassVar = {}

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.double() - b.double()).square().flatten(1).sum(1)


def path_length(model: Callable[..., Any], z: Tensor, **options: Any) -> PathLength:
    metric = PathLength(32, model="test_resnet", pretrained=False, **options)
    metric._distance = Straight()
    metric.update(z, model, api.Draw(0, device=torch.device("cpu"), dtype=DOUBLE))
    return metric


def test_path_length_of_a_linear_generator_is_its_speed() -> None:
    """d/dt of a slerp of unit codes has the length of their angle; an isometry of c has c^2 times its square."""
    scale = 3.0

    def isometry(*names: str, given: dict[str, Tensor] | None = None, draw: int = 0) -> Tensor:
        other = numbers(200, 4, seed=9)
        if names == ("z",):
            assert draw == 1
            return other / other.norm(dim=1, keepdim=True)
        return scale * (given or {})["z"][:, :, None, None]

    z = numbers(200, 4)
    z = z / z.norm(dim=1, keepdim=True)
    metric = path_length(isometry, z)
    angles = (z * isometry("z", draw=1)).sum(1).acos()
    expected = scale**2 * angles.square()
    assert metric.compute() == pytest.approx(float(expected.mean()), rel=1e-4)
    assert metric.details()["sd"] == pytest.approx(float(expected.std()), rel=1e-4)


def test_path_length_refuses_no_step_and_images_too_small() -> None:
    with pytest.raises(ValueError, match="epsilon must be above 0"):
        PathLength(32, model="test_resnet", pretrained=False, epsilon=0)
    with pytest.raises(ValueError, match="model vgg needs images of 16 px or more, not 8"):
        PathLength(8)


def test_a_distance_on_stages_is_a_sum_of_twice_one_minus_cosines() -> None:
    x, y = (torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(s)) * 2 - 1 for s in (0, 1))
    distance = Distance("test_resnet", False, "", download=False)
    found = distance(x, y)
    network = distance._load(x.device).network.backbone.network
    with torch.no_grad():
        stages = [network.forward_intermediates(images, intermediates_only=True) for images in (x, y)]
    cosines = [torch.nn.functional.cosine_similarity(f, g, dim=1) for f, g in zip(*stages, strict=True)]
    expected = sum(2 * (1 - cosine).mean((1, 2)) for cosine in cosines)
    torch.testing.assert_close(found.float(), expected, rtol=1e-5, atol=1e-6)
    assert distance(x, x).tolist() == [0, 0, 0]


# -- other images ------------------------------------------------------------------------------------------


def test_random_pairs_are_all_pairs_of_different_images() -> None:
    x, r = numbers(7, 3, 2, 2), numbers(7, 3, 2, 2, seed=1)
    metric = RandomPairs()
    for rows in (slice(0, 3), slice(3, 7)):
        metric.update(x[rows], r[rows])
    pairs = [float((x[i] - r[j]).square().mean()) for i in range(7) for j in range(7) if i != j]
    assert metric.compute() == pytest.approx(sum(pairs) / len(pairs), rel=1e-12)
    alone = RandomPairs()
    alone.update(x[:1], r[:1])
    with pytest.raises(ValueError, match="at least 2 of them, and there are 1"):
        alone.compute()


def nearest(train: Tensor, test: Tensor, samples: Tensor, batch: int, **options: Any) -> Nearest:
    metric = Nearest(**options)
    for x, y in zip(test.split(batch), samples.split(batch), strict=True):
        metric.update(x, y)
    for x in train.split(batch):
        metric.training(x)
    return metric


@pytest.mark.parametrize("batch", [3, 20])
def test_nearest_finds_the_nearest_training_image(batch: int) -> None:
    train, test, samples = (numbers(n, 3, 4, 4, seed=n) for n in (20, 6, 6))
    samples = samples + 0.5
    metric = nearest(train, test, samples, batch)
    far = [torch.cdist(images.flatten(1), train.flatten(1)).min(1) for images in (test, samples)]
    assert metric.compute() == pytest.approx(float(far[1].values.mean() / far[0].values.mean()), rel=1e-6)
    assert metric.details()["nearest"] == far[1].indices.tolist()
    assert metric.details()["distance"] == pytest.approx(far[1].values.tolist(), rel=1e-6)
    assert (metric.protocol["n_train"], metric.protocol["n_samples"]) == (20, 6)


def test_copies_are_at_no_distance_and_test_images_must_be_at_some() -> None:
    train, test = numbers(20, 3, 4, 4), numbers(6, 3, 4, 4, seed=1)
    assert nearest(train, test, train[:6], 3).compute() == 0
    with pytest.raises(ValueError, match="every test image is a training image too"):
        nearest(train, train[:6], test, 3).compute()
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        Nearest(n=0)


def test_nearest_looks_at_the_first_ones_alone() -> None:
    train, test, samples = (numbers(n, 3, 4, 4, seed=n) for n in (20, 6, 6))
    assert nearest(train, test, samples, 2, n=3).compute() == nearest(train, test[:3], samples[:3], 3).compute()
