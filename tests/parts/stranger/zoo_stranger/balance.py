"""VQ-GAN's adaptive weight (Esser et al. 2021): two scalar values, their gradients' ratio, and terms of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo import api


def likelihood(x: Tensor, reconstruction: Tensor) -> Tensor:
    """|x - x_rec|_1 an image, the reconstruction loss."""
    return (x - reconstruction).abs().sum() / len(x)


def fooling(critic_reconstruction: api.CriticOutput) -> Tensor:
    """-C(x_rec), the adversarial loss."""
    return -critic_reconstruction.logit.mean()


def balance(
    likelihood: Tensor, fooling: Tensor, decoder: nn.Module, *, layer: str = "", eps: float = 1e-4, most: float = 1e4
) -> Tensor:
    """|d likelihood / dW| / (|d fooling / dW| + eps), W the decoder's last layer (Esser et al. 2021, eq. 7).

    Args:
        likelihood: a scalar.
        fooling: a scalar.
        decoder: whose layer it is.
        layer: the layer's name in the decoder; the last one with a weight matrix when empty.
        eps: added to the denominator.
        most: largest value.

    Raises:
        ValueError: if the decoder has no such layer.
    """
    weights = {name: p for name, p in decoder.named_parameters() if p.ndim > 1}
    name = f"{layer}.weight" if layer else list(weights)[-1]
    if name not in weights:
        raise ValueError(f"the decoder has no weight '{name}'; choices: {', '.join(weights)}")
    above, below = (
        torch.autograd.grad(value, weights[name], retain_graph=True)[0].norm() for value in (likelihood, fooling)
    )
    ratio: Tensor = above / (below + eps)
    return ratio.clamp(0, most)


def minimised(value: Tensor) -> Tensor:
    """A scalar value as it is."""
    return value


def balanced(value: Tensor, weight: Tensor) -> Tensor:
    """A scalar value times another."""
    return weight * value
