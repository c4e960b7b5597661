"""The bound of several codes an image, and its gradient by the path alone.

B batch, k codes an image; w = p(x|z) p(z) / q(z|x) is a code's importance weight. Rows of an encoder and of a decoder
minimise different terms of the same weights: ``doubly_reparameterised`` and ``importance_bound``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from zoo import api


def importance_codes(posterior: api.Gaussian, draw: api.Draw, *, codes: int = 5) -> Tensor:
    """k codes z ~ q(z|x) of each image (Burda et al. 2016, eq. 8), (B, k, ...).

    Args:
        posterior: q.
        draw: its random numbers.
        codes: k.

    Raises:
        ValueError: if k is less than 1.
    """
    if codes < 1:
        raise ValueError(f"'codes' is at least 1, not {codes}")
    mean, sigma = posterior.mean[:, None], posterior.sigma[:, None]
    return mean + sigma * draw.normal(len(mean), codes, *mean.shape[2:])


def importance_reconstructions(decoder: nn.Module, importance_codes: Tensor) -> Tensor:
    """D(z) of all of an image's codes, (B, k, C, H, W)."""
    images: Tensor = decoder(importance_codes.flatten(0, 1))
    return images.unflatten(0, importance_codes.shape[:2])


def log_importance_weights(
    x: Tensor,
    importance_reconstructions: Tensor,
    importance_codes: Tensor,
    posterior_held: api.Gaussian,
    prior: Any,
    *,
    sigma: float = 1.0,
) -> Tensor:
    """log w = log p(x|z) + log p(z) - log q(z|x), with q's own parameters held (Tucker et al. 2019, eq. 5), (B, k).

    In nats; p(x|z) is a Gaussian's without its constant, as ``reconstruction`` has it.

    Args:
        x: images (B, C, H, W).
        importance_reconstructions: (B, k, C, H, W).
        importance_codes: (B, k, ...).
        posterior_held: q, without a gradient: it comes by the codes alone.
        prior: p(z); ``log_prob(z)`` gives (B,).
        sigma: standard deviation of the decoder's distribution.
    """
    codes = importance_codes.shape[1]
    z = importance_codes.flatten(0, 1)
    q = api.Gaussian(*(t.repeat_interleave(codes, 0) for t in (posterior_held.mean, posterior_held.log_sigma)))
    squares = (importance_reconstructions - x[:, None]).square().flatten(2).sum(2)
    return (prior.log_prob(z) - q.log_prob(z)).view(-1, codes) - squares / (2 * sigma**2)


def importance_bound(log_importance_weights: Tensor) -> Tensor:
    """-log 1/k sum w, at most KL away from -log p(x) (Burda et al. 2016, eq. 8), in nats, a scalar."""
    return math.log(log_importance_weights.shape[1]) - torch.logsumexp(log_importance_weights, 1).mean()


def doubly_reparameterised(log_importance_weights: Tensor) -> Tensor:
    """-sum v^2 log w, v = w / sum w held (DReG; Tucker et al. 2019, eq. 8), a scalar.

    Its gradient at an encoder is the bound's, of a signal that does not fade as k grows; the number says nothing.
    """
    shares = log_importance_weights.softmax(1).detach()
    return -(shares.square() * log_importance_weights).sum(1).mean()
