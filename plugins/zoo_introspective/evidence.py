"""Terms of encoders that refuse images by their evidence: IntroVAE and Soft-IntroVAE.

Shapes: images (B, C, H, W); posteriors of codes (B, K) or of any other shape.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import relu

from zoo import api


def kl_margin(posterior: api.Gaussian, prior: Any, *, margin: float = 100.0) -> Tensor:
    """max(0, margin - KL(q(z|x) || p(z))) (Huang et al. 2018, eq. 8), of the batch's mean KL in nats.

    Args:
        posterior: what the encoder reads in images that it should tell from real ones.
        prior: p, with a closed form of its KL.
        margin: KL from which on they count as told.
    """
    return relu(margin - prior.kl(posterior).flatten(1).sum(1).mean())


def rejection(x: Tensor, reconstruction: Tensor, posterior: api.Gaussian, prior: Any, *, beta: float = 256.0) -> Tensor:
    """D/2 exp(-2/D (|x - x_rec|^2 / 2 + beta KL)), D numbers an image (Daniel & Tamar 2021, eq. 9).

    The published loss is 1/D of the evidence and of this: times D, the evidence is in nats.

    Args:
        x: images that should have no evidence: generated ones, held.
        reconstruction: theirs.
        posterior: what the encoder reads in them.
        prior: p, with a closed form of its KL.
        beta: weight of the KL: 256 is published for images of 32 px.
    """
    numbers = x[0].numel()
    error = 0.5 * (x - reconstruction).square().flatten(1).sum(1)
    divergence = prior.kl(posterior).flatten(1).sum(1)
    return 0.5 * numbers * (-2 / numbers * (error + beta * divergence)).exp().mean()
