"""Terms of avae-plus."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import avg_pool2d


def coarse_reconstruction(x: Tensor, generated_from_posterior: Tensor, *, cell: int = 4) -> Tensor:
    """sum 1/2 (A x - A G(z, z_a))^2, z ~ q(z|x), A the mean over cells of ``cell`` by ``cell`` pixels. Ours.

    Where AVAE asks only that the encoder reads the code back, this asks that the image is the same one seen
    from afar; texture finer than a cell stays the critic's affair.

    Args:
        x: images (B, C, H, W).
        generated_from_posterior: what the generator makes of their codes, same shape.
        cell: side of a cell; it divides H and W.

    Returns:
        nats an image of a unit-variance Gaussian on cells, a scalar.
    """
    difference = avg_pool2d(x - generated_from_posterior, cell)
    return 0.5 * difference.square().sum() / len(x)
