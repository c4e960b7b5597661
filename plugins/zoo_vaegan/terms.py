"""The terms of VAE/GAN (Larsen et al. 2016), averaged over the batch, summed over features.

Both fakes are the reconstruction D(z), z ~ q(z|x), and the sample D(z), z ~ p(z).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import softplus

from zoo import api


def feature_match(
    critic_x: api.CriticOutput,
    critic_reconstruction: api.CriticOutput,
    *,
    tap: str = "stage2",
    per: Literal["item", "number"] = "item",
) -> Tensor:
    """sum 1/2 (r(x) - r(x_rec))^2, r a hidden layer of the critic (Larsen et al. 2016, eq. 7).

    It belongs in the rows of E and D only: a critic that minimised it would shrink r to 0.

    Args:
        critic_x: the critic at real images.
        critic_reconstruction: the critic at their reconstructions.
        tap: which hidden layer.
        per: ``item``, the sum over an image's features; ``number``, their mean.

    Raises:
        ValueError: if the critic has no such tap.
    """
    if tap not in critic_x.taps:
        raise ValueError(f"the critic has no tap '{tap}'; choices: {', '.join(critic_x.taps) or 'none'}")
    difference = critic_x.taps[tap] - critic_reconstruction.taps[tap]
    return difference.square().sum() * (0.5 / (difference.numel() if per == "number" else len(difference)))


def discriminate_both(
    critic_x: api.CriticOutput, critic_reconstruction: api.CriticOutput, critic_generated: api.CriticOutput
) -> Tensor:
    """sp(-C(x)) + sp(C(x_rec)) + sp(C(D(z))) (Larsen et al. 2016, algorithm 1)."""
    fakes = softplus(critic_reconstruction.logit).mean() + softplus(critic_generated.logit).mean()
    return softplus(-critic_x.logit).mean() + fakes


def reverse_kl_both(critic_reconstruction: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """-C(x_rec) - C(D(z)): the decoder's loss on the raw logits of both fakes (as ``reverse_kl``)."""
    return -critic_reconstruction.logit.mean() - critic_generated.logit.mean()


def non_saturating_both(critic_reconstruction: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """sp(-C(x_rec)) + sp(-C(D(z))): the decoder's non-saturating loss on both fakes."""
    return softplus(-critic_reconstruction.logit).mean() + softplus(-critic_generated.logit).mean()
