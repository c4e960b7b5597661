"""Entropy's gradient from a score that a denoiser learns: consistent, either sign.

Shapes: images (B, C, H, W), D = C H W pixels.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from zoo import api
from zoo_entropy.networks import Size, denoiser


class Score(nn.Module):
    """The entropy of x_gen + sigma e, by its gradient

        grad H = -E[s(x_gen + sigma e) dG],   s = grad log p_sigma

    (path gradient; the score's own mean is 0, Roeder et al. 2017). A network n learns e from x_gen + sigma e, and then
    s = -n / sigma (denoising score matching, Vincent 2011; trained beside the sampler as AR-DAE is, Lim et
    al. 2020). Noise comes in pairs +e and -e, whose errors of odd order cancel. The term's value E[-s x_gen]
    has the estimate of grad H as its gradient and is not H itself: where the score is right it is
    D - sigma^2 E|s|^2 (Stein's identity), the dimensions that the images fill at the resolution sigma.

    Where images fill few dimensions and are large against sigma, the network's errors outweigh what lies along them:
    on 8 smooth dimensions of 3 x 16 x 16 pixels, scale .3, after 600 steps of the network, the mean of ten batches had
    a cosine of .35 to the true gradient at sigma .1, and .53 at .3. Prefer ``knn`` there.

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        estimator: which estimator of the entropy this is.
        sigma: standard deviation of the noise, in units of pixels in [-1, 1]. Below it details don't count.
        net: ``conv`` is a small U-Net, ``mlp`` two hidden layers beside a linear map.
        width: channels of the first layer (a dense layer has 8 units for each).

    Raises:
        ValueError: a sigma or a width that is not positive.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        estimator: Literal["score"] = "score",
        sigma: float = 0.1,
        net: Literal["conv", "mlp"] = "conv",
        width: int = 24,
    ) -> None:
        super().__init__()
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, not {sigma}: a deterministic generator has no density")
        self.estimator = estimator
        self.sigma = sigma
        self.noise_in = denoiser(net, channels, size, width)

    def forward(self, generated: Tensor, draw: api.Draw) -> Tensor:
        """A scalar whose gradient is that of H, in nats.

        Args:
            generated: images (B, C, H, W).
            draw: random numbers for the noise.
        """
        noise = self.sigma * draw.normal(*generated.shape)
        images = generated.detach()
        scores = (self.noise_in(images + noise) + self.noise_in(images - noise)) / (-2 * self.sigma)
        return -(scores.detach() * generated).sum() / len(generated)

    def learn(self, generated_held: Tensor, draw: api.Draw) -> Tensor:
        """1/2 |n(x + sigma e) - e|^2, the mean over e and -e: a scalar, D/2 where n says nothing."""
        noise = draw.normal(*generated_held.shape)
        up = self.noise_in(generated_held + self.sigma * noise) - noise
        down = self.noise_in(generated_held - self.sigma * noise) + noise
        return (up.square().sum() + down.square().sum()) / (4 * len(noise))
