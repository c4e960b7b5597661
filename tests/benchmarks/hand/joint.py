"""The tuned loop: one forward for all rows, every gradient at the old weights, then every update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from zoo.model.model import Model

from ..cases import BETAS, LR, SLOTS, Draw
from .mathematics import (
    KL_OF_VAEGAN,
    LATENT_NLL,
    code_error,
    divergence,
    squared_error,
    taken_for_fake,
    taken_for_real,
)


@dataclass
class Row:
    """Who learns, what they minimise, and the terms it is made of (as the engine names them)."""

    players: tuple[str, ...]
    loss: Tensor
    terms: dict[str, Tensor]


def vae(m: Model, x: Tensor, draw: Draw) -> list[Row]:
    """Kingma & Welling 2014."""
    mean, log_sigma = _encoded(m, x)
    error = squared_error(x, _full(m.decoder(_code(mean, log_sigma, draw))))
    kl = divergence(mean, log_sigma)
    return [Row(("encoder", "decoder"), error + kl, {"reconstruction": error, "kl": kl})]


def gan(m: Model, x: Tensor, draw: Draw) -> list[Row]:
    """Goodfellow et al. 2014, non-saturating."""
    fake = _full(m.critic(_generated(m, x, draw)[1]).logit)
    loss = taken_for_real(fake)
    critic = taken_for_real(_full(m.critic(x).logit)) + taken_for_fake(fake)
    return [
        Row(("generator",), loss, {"non_saturating": loss}),
        Row(("critic",), critic, {"discriminate": critic}),
    ]


def vaegan(m: Model, x: Tensor, draw: Draw) -> list[Row]:
    """Larsen et al. 2016."""
    mean, log_sigma = _encoded(m, x)
    reconstruction = m.decoder(_code(mean, log_sigma, draw))
    real, again = m.critic(x), m.critic(reconstruction)
    generated = m.critic(m.decoder(draw("z", *mean.shape)))
    kl = divergence(mean, log_sigma)
    likeness = squared_error(_full(real.taps["stage2"]), _full(again.taps["stage2"]))
    logits = [_full(judged.logit) for judged in (real, again, generated)]
    fooled = taken_for_real(logits[1]) + taken_for_real(logits[2])
    told = taken_for_real(logits[0]) + (taken_for_fake(logits[1]) + taken_for_fake(logits[2]))
    return [
        Row(("encoder",), KL_OF_VAEGAN * kl + likeness, {"kl": kl, "feature_match": likeness}),
        Row(("decoder",), likeness + fooled, {"feature_match": likeness, "non_saturating_both": fooled}),
        Row(("critic",), told, {"discriminate_both": told}),
    ]


def bigan(m: Model, x: Tensor, draw: Draw) -> list[Row]:
    """Donahue et al. 2016."""
    ours = _full(m.critic(x, m.encoder(x).mean).logit)
    z, fake = _generated(m, x, draw)
    theirs = _full(m.critic(fake, z).logit)
    swapped = taken_for_fake(ours) + taken_for_real(theirs)
    told = taken_for_real(ours) + taken_for_fake(theirs)
    return [
        Row(("encoder", "generator"), swapped, {"pairs_swapped": swapped}),
        Row(("critic",), told, {"pairs": told}),
    ]


def avae(m: Model, x: Tensor, draw: Draw) -> list[Row]:
    """Plumerault et al. 2020."""
    mean, log_sigma = _encoded(m, x)
    error = squared_error(x, _full(m.decoder(_code(mean, log_sigma, draw))))
    kl = divergence(mean, log_sigma)
    z, generated = _generated(m, x, draw)
    fake = _full(m.critic(generated).logit)
    inverted = code_error(z, *_encoded(m, generated))
    told = taken_for_real(_full(m.critic(x).logit)) + taken_for_fake(fake)
    reverse_kl = -fake.mean()
    return [
        Row(("encoder", "decoder"), error + kl, {"reconstruction": error, "kl": kl}),
        Row(("generator",), reverse_kl + LATENT_NLL * inverted, {"reverse_kl": reverse_kl, "latent_nll": inverted}),
        Row(("critic",), told, {"discriminate": told}),
    ]


ROWS: dict[str, Callable[[Model, Tensor, Draw], list[Row]]] = {
    "vae": vae,
    "gan": gan,
    "vaegan": vaegan,
    "bigan": bigan,
    "avae": avae,
}


class Joint:
    """One optimiser for each network, as the recipe's players may each have settings of their own.

    Args:
        model: whose networks are trained, in place.
        name: the system.
        dtype: what networks compute in under autocast; None for that of their parameters.
        capturable: keep what Adam counts on the device.
    """

    def __init__(self, model: Model, name: str, dtype: torch.dtype | None = None, *, capturable: bool = False) -> None:
        self.model = model.train()
        self.rows = ROWS[name]
        self.dtype = dtype
        self.parameters = {player: list(model.network(player).parameters()) for player in SLOTS[name]}
        self.optimizers = {
            player: torch.optim.Adam(parameters, lr=LR, betas=BETAS, fused=True, capturable=capturable)
            for player, parameters in self.parameters.items()
        }

    def step(self, x: Tensor, draw: Draw) -> dict[str, Tensor]:
        """Every row's terms, by the names the engine gives them; the networks have moved."""
        rows, gradients = self.gradients(x, draw)
        for row, found in zip(rows, gradients, strict=True):
            for parameter, gradient in zip(self._parameters(row), found, strict=True):
                parameter.grad = None if gradient is None else _laid_out_like(gradient, parameter)
            for player in row.players:
                self.optimizers[player].step()
        return {f"{' + '.join(row.players)}/{key}": value.detach() for row in rows for key, value in row.terms.items()}

    def gradients(self, x: Tensor, draw: Draw) -> tuple[list[Row], list[tuple[Tensor | None, ...]]]:
        """The rows, and for each the gradients of its players' parameters, over one graph.

        BiGAN's encoder is deterministic: the head of its log sigma has none. A weight under spectral norm is computed
        once, however many batches the critic judges.
        """
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype is not None), parametrize.cached():
            rows = self.rows(self.model, x, draw)
        gradients = [
            torch.autograd.grad(row.loss, self._parameters(row), retain_graph=row is not rows[-1], allow_unused=True)
            for row in rows
        ]
        return rows, gradients

    def _parameters(self, row: Row) -> list[nn.Parameter]:
        return [parameter for player in row.players for parameter in self.parameters[player]]


def _full(tensor: Tensor) -> Tensor:
    """Losses are float32 at least, as under every autocast."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _encoded(m: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    posterior = m.encoder(x)
    return _full(posterior.mean), _full(posterior.log_sigma)


def _code(mean: Tensor, log_sigma: Tensor, draw: Draw) -> Tensor:
    return mean + log_sigma.exp() * draw("z_posterior", *mean.shape)


def _generated(m: Model, x: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    sizes = m.recipe.sizes
    z = draw("z", len(x), sizes.latent)
    return z, m.generator(z, draw("noise", len(x), sizes.noise))


def _laid_out_like(gradient: Tensor, parameter: nn.Parameter) -> Tensor:
    """Fused Adam walks both as flat memory: with other strides it would be wrong, without a word."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
