"""The loop of published code: each row has its own forwards, its own backward and its own update, in turn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.model.model import Model

from ..cases import BETAS, LR, Draw
from .mathematics import (
    KL_OF_VAEGAN,
    LATENT_NLL,
    code_error,
    divergence,
    squared_error,
    taken_for_fake,
    taken_for_real,
)

Terms = dict[str, tuple[float, Tensor]]
"""term -> its weight and value."""

Turn = tuple[tuple[str, ...], Callable[[Model, Tensor, Draw], Terms]]
"""Who learns, and from what."""


def _elbo(m: Model, x: Tensor, draw: Draw) -> Terms:
    posterior = m.encoder(x)
    reconstruction = m.decoder(_sampled(posterior, draw))
    return {
        "reconstruction": (1.0, squared_error(x, reconstruction)),
        "kl": (1.0, divergence(posterior.mean, posterior.log_sigma)),
    }


def _fool(m: Model, x: Tensor, draw: Draw) -> Terms:
    return {"non_saturating": (1.0, taken_for_real(m.critic(_generated(m, x, draw)[1]).logit))}


def _tell(m: Model, x: Tensor, draw: Draw) -> Terms:
    with torch.no_grad():
        _, fake = _generated(m, x, draw)
    return {"discriminate": (1.0, taken_for_real(m.critic(x).logit) + taken_for_fake(m.critic(fake).logit))}


def _vaegan_encoder(m: Model, x: Tensor, draw: Draw) -> Terms:
    posterior = m.encoder(x)
    likeness = _likeness(m, x, m.decoder(_sampled(posterior, draw)))
    return {"kl": (KL_OF_VAEGAN, divergence(posterior.mean, posterior.log_sigma)), "feature_match": (1.0, likeness)}


def _vaegan_decoder(m: Model, x: Tensor, draw: Draw) -> Terms:
    with torch.no_grad():
        z = _sampled(m.encoder(x), draw)
    reconstruction = m.decoder(z)
    judged = m.critic(reconstruction)
    likeness = squared_error(m.critic(x).taps["stage2"], judged.taps["stage2"])
    generated = m.critic(m.decoder(draw("z", *z.shape))).logit
    fooled = taken_for_real(judged.logit) + taken_for_real(generated)
    return {"feature_match": (1.0, likeness), "non_saturating_both": (1.0, fooled)}


def _vaegan_critic(m: Model, x: Tensor, draw: Draw) -> Terms:
    with torch.no_grad():
        z = _sampled(m.encoder(x), draw)
        reconstruction, generated = m.decoder(z), m.decoder(draw("z", *z.shape))
    fakes = taken_for_fake(m.critic(reconstruction).logit) + taken_for_fake(m.critic(generated).logit)
    return {"discriminate_both": (1.0, taken_for_real(m.critic(x).logit) + fakes)}


def _bigan_swapped(m: Model, x: Tensor, draw: Draw) -> Terms:
    z, fake = _generated(m, x, draw)
    ours, theirs = m.critic(x, m.encoder(x).mean).logit, m.critic(fake, z).logit
    return {"pairs_swapped": (1.0, taken_for_fake(ours) + taken_for_real(theirs))}


def _bigan_critic(m: Model, x: Tensor, draw: Draw) -> Terms:
    with torch.no_grad():
        code, (z, fake) = m.encoder(x).mean, _generated(m, x, draw)
    return {"pairs": (1.0, taken_for_real(m.critic(x, code).logit) + taken_for_fake(m.critic(fake, z).logit))}


def _avae_generator(m: Model, x: Tensor, draw: Draw) -> Terms:
    z, fake = _generated(m, x, draw)
    posterior = m.encoder(fake)
    inverted = code_error(z, posterior.mean, posterior.log_sigma)
    return {"reverse_kl": (1.0, -m.critic(fake).logit.mean()), "latent_nll": (LATENT_NLL, inverted)}


TURNS: dict[str, tuple[Turn, ...]] = {
    "vae": ((("encoder", "decoder"), _elbo),),
    "gan": ((("generator",), _fool), (("critic",), _tell)),
    "vaegan": ((("encoder",), _vaegan_encoder), (("decoder",), _vaegan_decoder), (("critic",), _vaegan_critic)),
    "bigan": ((("encoder", "generator"), _bigan_swapped), (("critic",), _bigan_critic)),
    "avae": ((("encoder", "decoder"), _elbo), (("generator",), _avae_generator), (("critic",), _tell)),
}


class Naive:
    """One optimiser for each row, Adam in a Python loop; nothing is frozen, as nobody minds.

    Args:
        model: whose networks are trained, in place.
        name: the system.
    """

    def __init__(self, model: Model, name: str) -> None:
        self.model = model.to(memory_format=torch.contiguous_format).train()
        self.turns = TURNS[name]
        self.optimizers = [self._adam(players) for players, _ in self.turns]

    def step(self, x: Tensor, draw: Draw) -> dict[str, Tensor]:
        """Every row's terms as they were in its turn, by the names the engine gives them; the networks have moved."""
        losses = {}
        for (players, minimised), optimizer in zip(self.turns, self.optimizers, strict=True):
            terms = minimised(self.model, x, draw)
            optimizer.zero_grad()
            sum(weight * value for weight, value in terms.values()).backward()
            optimizer.step()
            losses |= {f"{' + '.join(players)}/{key}": value.detach() for key, (_, value) in terms.items()}
        return losses

    def _adam(self, players: tuple[str, ...]) -> torch.optim.Optimizer:
        parameters = [p for player in players for p in self.model.network(player).parameters()]
        return torch.optim.Adam(parameters, lr=LR, betas=BETAS, foreach=False, fused=False)


def _sampled(posterior, draw: Draw) -> Tensor:
    return posterior.mean + posterior.log_sigma.exp() * draw("z_posterior", *posterior.mean.shape)


def _likeness(m: Model, x: Tensor, reconstruction: Tensor) -> Tensor:
    return squared_error(m.critic(x).taps["stage2"], m.critic(reconstruction).taps["stage2"])


def _generated(m: Model, x: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    sizes = m.recipe.sizes
    z = draw("z", len(x), sizes.latent)
    return z, m.generator(z, draw("noise", len(x), sizes.noise))
