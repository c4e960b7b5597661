"""Priors that learn with a VAE, and one that is fitted afterwards: a step by hand, densities against closed forms."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, gradients, sampled, small, squared
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from zoo_values.learned import Coupling, Flow, LearnedMixture, Mixture, PseudoInputs, vamp_prior

from zoo import api
from zoo.model.model import Model

Density = Callable[[Model, Tensor], Tensor]
"""log p of codes (B, K) by a model's prior, (B,)."""


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw(*key: object) -> api.Draw:
    return api.Draw(*key, device=torch.device("cpu"), dtype=torch.float64)


def shaken(module: nn.Module) -> nn.Module:
    """The module, none of whose numbers is 0 any more."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter += 0.3 * numbers(*parameter.shape, seed=number)
    return module


def mixed(weights: Tensor, means: Tensor, sigmas: Tensor) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(weights), Independent(Normal(means, sigmas), 1))


def of_mixture(model: Model, z: Tensor) -> Tensor:
    prior = model.prior
    return mixed(prior.logits.softmax(0), prior.means, prior.log_sigmas.exp()).log_prob(z)


def of_vamp(model: Model, z: Tensor) -> Tensor:
    q = model.encoder(torch.tanh(model.pseudo_inputs.images))
    return mixed(torch.ones(len(q.mean), dtype=z.dtype), q.mean, q.sigma).log_prob(z)


def normalised(prior: Flow, z: Tensor) -> Tensor:
    """u of codes (B, K): their halves in turn."""
    half = z.shape[1] // 2
    for number, layer in enumerate(prior.layers):
        first, second = z[:, :half], z[:, half:]
        kept, moved = (second, first) if number % 2 else (first, second)
        scale, shift = layer.body(kept).chunk(2, 1)
        moved = (moved - shift) / torch.exp(torch.tanh(scale))
        z = torch.cat([moved, kept] if number % 2 else [kept, moved], 1)
    return z


def of_flow(model: Model, z: Tensor) -> Tensor:
    """By the determinant of the whole, which autograd finds."""
    volumes = [jacobian(lambda one: normalised(model.prior, one[None])[0], code, create_graph=True) for code in z]
    determinants = torch.stack([torch.linalg.slogdet(each)[1] for each in volumes])
    return Normal(0.0, 1.0).log_prob(normalised(model.prior, z)).sum(1) + determinants


@pytest.mark.parametrize(
    ("name", "learns", "density"),
    [
        ("mixture-vae", "prior", of_mixture),
        ("vampprior", "pseudo_inputs", of_vamp),
        ("flow-vae", "prior", of_flow),
    ],
)
def test_a_prior_s_step_is_the_one_by_hand(name: str, learns: str, density: Density) -> None:
    model = small(name)
    shaken(getattr(model, learns))
    batch = batch_of(model)

    def loss() -> Tensor:
        q = model.encoder(batch["x"])
        z = sampled(model, q)
        at = Normal(q.mean, q.sigma).log_prob(z).sum(1) - density(model, z)
        return squared(batch["x"], model.decoder(z)) + at.mean()

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", learns, loss=loss))


def test_a_regularised_autoencoder_s_step_is_the_one_by_hand() -> None:
    model = small("rae-gmm")
    batch = batch_of(model)

    def loss() -> Tensor:
        z = model.encoder(batch["x"]).mean
        return squared(batch["x"], model.decoder(z)) + 0.1 * (z**2 / 2).sum() / len(z)

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=loss))


# -- densities -------------------------------------------------------------------------------------------------


def test_a_mixture_of_maps_is_that_of_vectors() -> None:
    means, logs, weights = numbers(3, 2, 2, 1), 0.4 * numbers(3, 2, 2, 1, seed=1), numbers(3, seed=2).log_softmax(0)
    expected = mixed(weights.exp(), means.flatten(1), logs.flatten(1).exp())
    z = numbers(6, 2, 2, 1, seed=3)
    torch.testing.assert_close(Mixture(means, logs, weights).log_prob(z), expected.log_prob(z.flatten(1)))


def test_samples_of_a_mixture_have_its_shares_means_and_deviations() -> None:
    means = torch.tensor([[-8.0, 0.0], [0.0, 8.0], [8.0, 0.0]], dtype=torch.float64)
    sigmas = torch.tensor([[0.5, 1.0], [1.0, 0.2], [0.3, 0.7]], dtype=torch.float64)
    shares = torch.tensor([0.2, 0.7, 0.1], dtype=torch.float64)
    z = Mixture(means, sigmas.log(), shares.log()).sample(20_000, draw("mixture"))
    which = torch.cdist(z, means).argmin(1)
    for number in range(3):
        own = z[which == number]
        torch.testing.assert_close(own.mean(0), means[number], atol=0.05, rtol=0)
        torch.testing.assert_close(own.std(0), sigmas[number], atol=0.05, rtol=0)
        assert len(own) / len(z) == pytest.approx(float(shares[number]), abs=0.02)


@pytest.mark.parametrize("swap", [False, True])
def test_a_coupling_is_undone_and_says_its_volume(swap: bool) -> None:
    layer, z = shaken(Coupling(5, 8, swap).double()), numbers(4, 5)
    u, volume = layer(z)
    torch.testing.assert_close(layer.undo(u), z)
    for code, found in zip(z, volume, strict=True):
        whole = jacobian(lambda one: layer(one[None])[0][0], code)
        torch.testing.assert_close(found, torch.linalg.slogdet(whole)[1])


def test_a_flow_is_normal_at_first_and_a_density_always() -> None:
    flow = Flow(2, layers=3, width=8).double()
    side = torch.linspace(-9, 9, 241, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        torch.testing.assert_close(flow.log_prob(grid), Normal(0.0, 1.0).log_prob(grid).sum(1))
        bent = shaken(flow).log_prob(grid)
    assert float(bent.exp().sum() * (side[1] - side[0]) ** 2) == pytest.approx(1, abs=1e-3)


def test_samples_of_a_flow_are_of_its_density() -> None:
    """Codes of known u: log p(z) = log N(u) - log |dz/du|."""
    flow = shaken(Flow((2, 3), layers=2, width=8).double())
    with torch.no_grad():
        z = flow.sample(5, draw("flow"))
        u = draw("flow").normal(5, 6)
        torch.testing.assert_close(normalised(flow, z.flatten(1)), u)

        def sampled_of(code: Tensor) -> Tensor:
            return flow.sample(1, SimpleNamespace(normal=lambda *_: code[None]))[0].flatten()

    volumes = torch.stack([torch.linalg.slogdet(jacobian(sampled_of, code))[1] for code in u])
    torch.testing.assert_close(flow.log_prob(z).detach(), Normal(0.0, 1.0).log_prob(u).sum(1) - volumes)


def test_what_no_prior_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="'components' is at least 1, not 0"):
        LearnedMixture(3, components=0)
    with pytest.raises(ValueError, match="'count' is at least 1, not 0"):
        PseudoInputs(1, 4, 4, count=0)
    with pytest.raises(ValueError, match="set 'latent' to 2 or more"):
        Flow(1)
    with pytest.raises(ValueError, match="'layers' and 'width' are at least 1, not 0 and 128"):
        Flow(3, layers=0)


# -- what they learn -------------------------------------------------------------------------------------------


class Pair(nn.Module):
    """Reads a code and its deviation off an image of 1 x 1 pixel with four channels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> api.Gaussian:
        return api.Gaussian(*(4 * self.head(x.flatten(1))).chunk(2, 1))


class Vamp(nn.Module):
    """VampPrior as one module."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.inputs = Pair(), PseudoInputs(4, 1, 1, count=6)

    def log_prob(self, z: Tensor) -> Tensor:
        return vamp_prior(self.encoder, self.inputs).log_prob(z)


@pytest.mark.parametrize(
    ("prior", "least"),
    [(lambda: LearnedMixture(2, components=6), 0.35), (Vamp, 0.35), (lambda: Flow(2, width=32), 0.5)],
)
def test_a_prior_finds_where_codes_lie(prior: Callable[[], nn.Module], least: float) -> None:
    """Two clouds: their own density is the best there is; N(0, I) is nats away."""
    clouds = mixed(torch.ones(2), torch.tensor([[-3.0, 1.0], [2.0, -1.0]]), torch.full((2, 2), 0.5))
    torch.manual_seed(0)
    codes = torch.where(torch.arange(256)[:, None] % 2 == 1, torch.tensor([-3.0, 1.0]), torch.tensor([2.0, -1.0]))
    codes = codes + 0.5 * torch.randn(256, 2)
    found = prior()
    optimizer = torch.optim.Adam(found.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        (-found.log_prob(codes).mean()).backward()
        optimizer.step()
    with torch.no_grad():
        best, mine = clouds.log_prob(codes).mean(), found.log_prob(codes).mean()
        plain = Normal(0.0, 1.0).log_prob(codes).sum(1).mean()
    assert float(best - plain) > 2
    assert -0.2 < float(best - mine) < least
