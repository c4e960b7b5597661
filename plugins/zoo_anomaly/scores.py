"""Anomaly scores: one number an image, the higher the less it is like those of the training.

Shapes: images (B, C, H, W), codes (B, K), scores (B,). A recipe says which is its ``anomaly_score``.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo import api


def code_surprise(posterior_mean: Tensor, code_again: Tensor, *, power: Literal[1, 2] = 1) -> Tensor:
    """sum |z - z'|^p, z the code of an image and z' that of its reconstruction (Akcay et al. 2018, eq. 6).

    Args:
        posterior_mean: z.
        code_again: z'.
        power: p.
    """
    return _distance(posterior_mean, code_again, power).sum(1)


def image_surprise(
    x: Tensor,
    reconstruction: Tensor,
    critic_x: api.CriticOutput,
    critic_reconstruction: api.CriticOutput,
    *,
    tap: str = "stage2",
    power: Literal[1, 2] = 2,
    image: float = 1.0,
    features: float = 1.0,
) -> Tensor:
    """a |x - x_rec|^p + b |f(x) - f(x_rec)|^p, f a hidden layer of the critic, each a mean over its numbers.

    f-AnoGAN has p = 2, a = 1, b = kappa (Schlegl et al. 2019); EGBAD p = 1, b = 1 - a (Zenati et al. 2018).

    Args:
        x: images.
        reconstruction: theirs.
        critic_x: the critic at images.
        critic_reconstruction: the critic at reconstructions.
        tap: which hidden layer.
        power: p.
        image: a.
        features: b.

    Raises:
        ValueError: if the critic has no such tap.
    """
    if tap not in critic_x.taps:
        raise ValueError(f"the critic has no tap '{tap}'; choices: {', '.join(critic_x.taps) or 'none'}")
    seen = _distance(critic_x.taps[tap], critic_reconstruction.taps[tap], power).mean(1)
    return image * _distance(x, reconstruction, power).mean(1) + features * seen


def _distance(a: Tensor, b: Tensor, power: int) -> Tensor:
    """|a - b|^p of each number, (B, N)."""
    return (a - b).flatten(1).abs() ** power
