"""How far a reconstruction is from its image, as a value: with a judge's opinion, a learned scale, an adaptive weight.

Rows minimise ``distance``. A recipe says which value that is: ``values: {distance: perceptual_distance}``.

Shapes: images (B, C, H, W); a distance (B,), summed over all numbers of an image.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from zoo import api


def pixel_distance(
    x: Tensor, reconstruction: Tensor, *, distance: Literal["absolute", "squared"] = "absolute"
) -> Tensor:
    """sum |x - x_rec|, or sum (x - x_rec)^2, (B,).

    Args:
        x: images.
        reconstruction: of the same shape.
        distance: absolute (L1) or squared (L2, without a half).
    """
    error = (x - reconstruction).flatten(1)
    return (error.abs() if distance == "absolute" else error.square()).sum(1)


def perceptual_distance(
    perceptual: nn.Module, x: Tensor, reconstruction: Tensor, pixel_distance: Tensor, *, weight: float = 1.0
) -> Tensor:
    """sum over an image's numbers of (|x - x_rec| + weight d(x, x_rec)) (Esser et al. 2021; Rombach et al. 2022), (B,).

    A judge's distance is one number an image; as in the published losses it stands beside each of its C H W numbers.

    Args:
        perceptual: the judge, a frozen slot: (x, reconstruction) -> (B,), such as the module ``lpips``.
        x: images.
        reconstruction: of the same shape.
        pixel_distance: (B,).
        weight: of the judge.
    """
    return pixel_distance + (weight * math.prod(x.shape[1:])) * perceptual(x, reconstruction)


def perceptual_loss(perceptual: nn.Module, x: Tensor, reconstruction: Tensor) -> Tensor:
    """A judge's distance alone, averaged over the batch (Zhang et al. 2018), a scalar.

    Args:
        perceptual: the judge, a frozen slot: (x, reconstruction) -> (B,), such as the module ``lpips``.
        x: images.
        reconstruction: of the same shape.
    """
    return perceptual(x, reconstruction).mean()


class LearnedVariance(nn.Module):
    """A learned scale for distances of D numbers each: d / exp(s) + D s (Rombach et al. 2022, appendix G), in nats.

    s is one number for all pixels, 0 at first; its slot is a player of the row, or it stays there.

    Args:
        channels: of an image.
        height: of an image.
        width: of an image; D is the product.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.numbers = channels * height * width
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, distance: Tensor) -> Tensor:
        """Distances (B,) -> scaled ones (B,)."""
        return distance * (-self.log_variance).exp() + self.numbers * self.log_variance


def scaled_distance(variance: nn.Module, perceptual_distance: Tensor) -> Tensor:
    """A distance through the slot ``variance``, a ``learned-variance``, (B,)."""
    return variance(perceptual_distance)


def optimal_variance(x: Tensor, reconstruction: Tensor) -> Tensor:
    """D/2 log MSE: -log p(x|z) of a Gaussian decoder whose variance is the batch's MSE (Rybkin et al. 2021, eq. 6).

    In nats an image, without D/2 (1 + log 2 pi); D numbers an image, MSE over those of the whole batch.
    """
    error = x - reconstruction
    return 0.5 * math.prod(x.shape[1:]) * error.square().mean().log()


def fooling(critic_reconstruction: api.CriticOutput) -> Tensor:
    """-C(x_rec), what an autoencoder minimises against a critic (Esser et al. 2021), a scalar."""
    return -critic_reconstruction.logit.mean()


def fooling_squared(critic_reconstruction: api.CriticOutput) -> Tensor:
    """(C(x_rec) - 1)^2 / 2, the same against a critic of least squares (Mao et al. 2017, eq. 9), a scalar."""
    return 0.5 * (critic_reconstruction.logit - 1).square().mean()


def adaptive_weight(
    distance: Tensor, fooling: Tensor, decoder: nn.Module, *, layer: str = "", eps: float = 1e-4, most: float = 1e4
) -> Tensor:
    """|d distance / dW| / (|d fooling / dW| + eps), W the decoder's last layer (Esser et al. 2021, eq. 7), a scalar.

    A value may take a gradient itself where what it derives is recorded for its row anyway: W's slot must learn from
    both in this phase. Whoever minimises by it asks for ``adaptive_weight_held``. Of several processes each has that of
    its own share of the batch.

    Args:
        distance: of reconstructions, (B,), whose mean is minimised.
        fooling: the adversarial loss, a scalar.
        decoder: whose layer it is.
        layer: the layer's name in the decoder; the last one with a weight matrix when empty.
        eps: added to the denominator.
        most: largest weight.

    Raises:
        ValueError: if the decoder has no such layer.
    """
    weights = {name: p for name, p in decoder.named_parameters() if p.ndim > 1}
    name = f"{layer}.weight" if layer else list(weights)[-1]
    if name not in weights:
        raise ValueError(f"the decoder has no weight '{name}'; choices: {', '.join(weights)}")
    # of the mean, without computing it: nothing is recorded here
    above, below = (
        torch.autograd.grad(of, weights[name], torch.full_like(of, 1 / of.numel()), retain_graph=True)[0].norm()
        for of in (distance, fooling)
    )
    return (above / (below + eps)).clamp(0, most)


def distance(distance: Tensor, x: Tensor, *, per: Literal["item", "number"] = "item") -> Tensor:
    """The distance that the recipe chose, averaged over the batch, a scalar.

    Args:
        distance: of reconstructions, (B,).
        x: what they are of.
        per: ``item``, as it is; ``number``, divided by how many numbers an item has.
    """
    return distance.mean() / (x.shape[1:].numel() if per == "number" else 1)


def adaptive_fooling(fooling: Tensor, adaptive_weight_held: Tensor) -> Tensor:
    """The adversarial loss times its adaptive weight, which is held (Esser et al. 2021, eq. 6), a scalar."""
    return adaptive_weight_held * fooling
