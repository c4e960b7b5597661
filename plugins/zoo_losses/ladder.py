"""What levels of codes are made of, one above the other: each a Gaussian given the level above it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo import api


def level_above(encoder: nn.Module, level: Tensor | api.Gaussian) -> api.Gaussian:
    """A Gaussian of the level next to it: of images or codes (B, ...), or of the mean of a level that is a Gaussian.

    On the way up that mean is a deterministic feature (Sonderby et al. 2016, eq. 9, 10).
    """
    return encoder(level.mean if isinstance(level, api.Gaussian) else level)


def merged_level(upward: api.Gaussian, downward: api.Gaussian) -> api.Gaussian:
    """The product of what images say of a level and what the level above says (Sonderby et al. 2016, eq. 11, 12)."""
    total = torch.logaddexp(-2 * upward.log_sigma, -2 * downward.log_sigma)  # log of the sum of precisions
    up, down = (-2 * upward.log_sigma - total).exp(), (-2 * downward.log_sigma - total).exp()
    return api.Gaussian(up * upward.mean + down * downward.mean, -0.5 * total)


def kl_level(posterior: api.Gaussian, level_prior: api.Gaussian, *, free: api.Scheduled = 0.0) -> Tensor:
    """KL(q || p) of two diagonal Gaussians, summed over dimensions, in nats, a scalar.

    Args:
        posterior: q, what is known of a level, (B, ...).
        level_prior: p, what the level above says of it, of the same shape.
        free: nats that each dimension may cost, on the batch's mean, before it counts (free bits, Kingma et al. 2016,
            eq. 15).
    """
    apart = (posterior.mean - level_prior.mean).square() + (2 * posterior.log_sigma).exp()
    each = level_prior.log_sigma - posterior.log_sigma + 0.5 * (apart * (-2 * level_prior.log_sigma).exp() - 1)
    return each.mean(0).clamp(min=free).sum()
