"""Codes that follow the prior as a set: by a kernel, by a critic."""

from __future__ import annotations

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, drawn, gradients, sampled, small, softplus, squared
from helpers.spots import spots
from torch import Tensor
from zoo_matched.mmd import mmd

import zoo
from zoo import api
from zoo.model.model import Model

SCALES = (0.1, 0.2, 0.5, 1, 2, 5, 10)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prior(model: Model) -> Tensor:
    return drawn(model, "z").normal(4, 5)


def pair_by_pair(a: Tensor, b: Tensor, kernel: str, scales: tuple[float, ...], biased: bool) -> float:
    """MMD^2, one pair of codes at a time."""
    a, b = a.detach(), b.detach()

    def k(p: Tensor, q: Tensor) -> float:
        square, size = float(((p - q) ** 2).sum()), p.numel()
        if kernel == "gaussian":
            return sum(float(torch.tensor(-square / (size * s), dtype=torch.float64).exp()) for s in scales)
        return sum(2 * size * s / (2 * size * s + square) for s in scales)

    def within(codes: Tensor) -> float:
        pairs = [k(p, q) for i, p in enumerate(codes) for j, q in enumerate(codes) if biased or i != j]
        return sum(pairs) / len(pairs)

    return within(a) + within(b) - 2 * sum(k(p, q) for p in a for q in b) / (len(a) * len(b))


# -- the discrepancy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["inverse_multiquadric", "gaussian"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), SCALES])
def test_mmd_pair_by_pair(kernel: str, biased: bool, scales: tuple[float, ...]) -> None:
    a, b = normal(4, 3, 1, 2), normal(5, 3, 1, 2, seed=1) + 1
    found = mmd(a, b, kernel=kernel, scales=scales, biased=biased)
    assert float(found) == pytest.approx(pair_by_pair(a, b, kernel, scales, biased), rel=1e-12)


@pytest.mark.parametrize("kernel", ["inverse_multiquadric", "gaussian"])
def test_mmd_of_a_set_with_itself_is_nothing_and_pulls_nowhere(kernel: str) -> None:
    z = normal(6, 3).requires_grad_()
    found = mmd(z, z.detach().clone(), kernel=kernel, biased=True)
    torch.testing.assert_close(found, torch.zeros_like(found))
    (pull,) = torch.autograd.grad(found, z)
    torch.testing.assert_close(pull, torch.zeros_like(pull))


def test_mmd_of_two_normal_sets_is_its_closed_form() -> None:
    """E exp(-|a - b|^2 / K), a - b ~ N(m, 2 s^2 I): sqrt(K / (K + 4 s^2))^K exp(-|m|^2 / (K + 4 s^2))."""
    size, apart = 2, 1.5

    def expected(m: float) -> float:
        return (size / (size + 4)) ** (size / 2) * float(torch.tensor(-(m**2) / (size + 4)).exp())

    a, b = normal(1500, size), normal(1500, size, seed=1)
    b[:, 0] += apart
    assert float(mmd(a, b, kernel="gaussian")) == pytest.approx(2 * expected(0) - 2 * expected(apart), abs=0.01)


def test_mmd_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(ValueError, match=r"scales are numbers above 0, at least one, and not \[1, 0\]"):
        mmd(normal(4, 2), normal(4, 2), scales=(1, 0))
    with pytest.raises(ValueError, match="a batch of at least 2"):
        mmd(normal(1, 2), normal(1, 2))


# -- a step of each ----------------------------------------------------------------------------------------


def test_wae_mmd_by_hand() -> None:
    model = small("wae-mmd")
    batch = batch_of(model)

    def loss() -> Tensor:
        code, z = model.encoder(batch["x"]).mean, prior(model)
        apart = mmd(code, z, scales=SCALES)
        assert apart.item() == pytest.approx(pair_by_pair(code, z, "", SCALES, biased=False), rel=1e-9)
        return 0.1 * squared(batch["x"], model.decoder(code)) + 10 * apart

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=loss))


def test_mmd_vae_by_hand() -> None:
    model = small("mmd-vae")
    batch = batch_of(model)

    def loss() -> Tensor:
        code = sampled(model, model.encoder(batch["x"]))
        apart = mmd(code, prior(model), kernel="gaussian", biased=True)
        return squared(batch["x"], model.decoder(code)) + 1000 * apart

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=loss))


@pytest.mark.parametrize("name", ["wae-gan", "aae"])
def test_a_critic_of_codes_by_hand(name: str) -> None:
    model = small(name)
    batch = batch_of(model)

    def logit() -> Tensor:
        return model.code_critic(model.encoder(batch["x"]).mean).logit

    def tell() -> Tensor:
        return softplus(-model.code_critic(prior(model)).logit) + softplus(logit())

    def reconstruct() -> Tensor:
        return squared(batch["x"], model.decoder(model.encoder(batch["x"]).mean))

    def fool() -> Tensor:
        return softplus(-logit())

    def both() -> Tensor:
        return 0.1 * reconstruct() + 10 * fool()

    rows = {
        "wae-gan": [(["code_critic"], tell), (["encoder", "decoder"], both)],
        "aae": [
            (["encoder", "decoder"], lambda: 0.1 * reconstruct()),
            (["code_critic"], tell),
            (["encoder"], lambda: 10 * fool()),
        ],
    }[name]
    for phase, (slots, loss) in enumerate(rows):
        assert_same(gradients(model, batch, phase), by_hand(model, *slots, loss=loss))


# -- they learn it -----------------------------------------------------------------------------------------

QUICK = ("latent=4", "train.batch=32", "train.steps=150", "train.optimizer={use: adam, lr: 3e-3, betas: [0.5, 0.999]}")
CRITIC = ("train.optimizers={code_critic: {lr: 1e-2}}", "slots.code_critic.width=16")


@pytest.mark.parametrize(("name", "more"), [("wae-mmd", ()), ("wae-gan", CRITIC)])
def test_codes_come_to_the_mean_and_deviation_of_the_prior(name: str, more: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    model = small(name, *QUICK, *more).float()
    zoo.train(model, spots(), progress=False)
    codes = model.eval().encode(api.to_model(spots())).mean
    assert codes.mean(0).abs().max() < 0.3  # 2.0 without the term
    assert codes.std(0).min() > 0.6
    assert codes.std(0).max() < 1.2
