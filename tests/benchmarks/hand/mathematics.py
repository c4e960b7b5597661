"""What the rows of the five systems minimise, written out; nothing of zoo's terms is used.

Images (B, C, H, W), codes (B, K), logits (B,). Sums over pixels, codes and features, means over the batch.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

LATENT_NLL = 0.05
"""AVAE's weight of -log q(z|G(z, z_a))."""

KL_OF_VAEGAN = 0.2


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Half the squared error, summed over all but the batch: of images, or of a critic's features."""
    return (x - y).square().sum() * (0.5 / len(x))


def divergence(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """KL(N(mean, sigma^2) || N(0, I)), in nats."""
    return ((mean.square() + (2 * log_sigma).exp() - 1) * 0.5 - log_sigma).sum(1).mean()


def code_error(z: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """-log N(z; mean, sigma^2) without its constant."""
    return ((z - mean).square() * (-2 * log_sigma).exp() * 0.5 + log_sigma).sum(1).mean()


def taken_for_real(logit: Tensor) -> Tensor:
    """-log sigmoid(logit)."""
    return softplus(-logit).mean()


def taken_for_fake(logit: Tensor) -> Tensor:
    """-log(1 - sigmoid(logit))."""
    return softplus(logit).mean()
