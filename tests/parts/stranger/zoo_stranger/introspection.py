"""IntroVAE (Huang et al. 2018): the encoder judges images by the KL of what it reads in them."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from zoo import api


def kl_margin(posterior: api.Gaussian, *, margin: float = 100.0) -> Tensor:
    """max(0, margin - KL(q(z|x) || N(0, I))) (Huang et al. 2018, eq. 8), of the batch's mean KL in nats.

    Args:
        posterior: what the encoder reads in images that it should tell from real ones.
        margin: KL from which on they count as told.
    """
    variance = (2 * posterior.log_sigma).exp()
    kl = 0.5 * (posterior.mean.square() + variance - 1) - posterior.log_sigma
    return relu(margin - kl.sum(1).mean())
