"""How smooth a latent space is.

B batch, K latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from zoo import api
from zoo_metrics.perceptual import SMALLEST, Distance
from zoo_metrics.statistics import Moments, Size, shorter


class PathLength:
    """Perceptual path length in Z (Karras et al. 2019, eq. 2):

        E 1/eps^2 d(G(slerp(z1, z2; t)), G(slerp(z1, z2; t + eps)))

    z1, z2 from the prior, t uniform in [0, 1), the same noise at both ends; d a perceptual distance. One path for each
    test image.

    Args:
        size: H and W; one number where they are equal.
        model: d: ``vgg`` (LPIPS, as Karras et al.), ``alex``, ``squeeze``; or the unweighted distance on the stages of
            ``lite0`` (the packaged EfficientNet-Lite0) or of a timm model.
        pretrained: true for the published weights; the path of a file; or false for random features (timm's alone).
        heads: for LPIPS the path of its learned weights; empty for those in the installed package lpips.
        download: whether torchvision's weights may be downloaded, once.
        epsilon: the step.

    Raises:
        ValueError: weights that are not there, images too small for the network, or no step.
    """

    better: ClassVar = "lower"
    computes: ClassVar = {"sample": ("z",)}

    def __init__(
        self,
        size: Size,
        *,
        model: str = "vgg",
        pretrained: bool | str = True,
        heads: str = "",
        download: bool = False,
        epsilon: float = 1e-4,
    ) -> None:
        if not 0 < epsilon <= 1:
            raise ValueError(f"epsilon must be above 0 and at most 1, not {epsilon}")
        if shorter(size) < SMALLEST.get(model, 0):
            raise ValueError(f"model {model} needs images of {SMALLEST[model]} px or more, not {shorter(size)}")
        self._distance = Distance(model, pretrained, heads, download)
        self._epsilon = epsilon
        self._lengths = Moments(diagonal=True)

    def update(self, z: Tensor, compute: Callable[..., Any], draw: api.Draw) -> None:
        """Takes codes in, (B, K) or of any other shape: one end of each path."""
        other = compute("z", draw=1)
        t = draw.uniform(len(z))[:, None]
        near, far = (compute("sample", given={"z": slerp(z, other, at)}) for at in (t, t + self._epsilon))
        self._lengths.update(self._distance(near, far)[:, None] / self._epsilon**2)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._lengths.merge(other._lengths)

    def compute(self) -> float:
        """The mean so far."""
        return float(self._lengths.mean)

    def details(self) -> dict[str, float]:
        """The standard deviation over paths, where there are several."""
        return {"sd": float(self._lengths.covariance().sqrt())} if self._lengths.count > 1 else {}

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        path = {
            "codes": "prior",
            "path": "great circle, whole",
            "epsilon": self._epsilon,
            "noise": "the same at both ends",
        }
        return {**self._distance.protocol, **path}


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Codes on the great circles from ``a`` to ``b``, (B, K) or (B, ...) as one long vector, at ``t`` (B, 1)
    (Shoemake 1985); straight if they agree."""
    shape, a, b = a.shape[1:], a.flatten(1), b.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double())[:, None]
    angle = cosine.clamp(-1, 1).acos().to(a.dtype)
    sine = angle.sin()
    straight = sine < 1e-6
    safe = torch.where(straight, torch.ones_like(sine), sine)
    first = torch.where(straight, 1 - t, ((1 - t) * angle).sin() / safe)
    second = torch.where(straight, t, (t * angle).sin() / safe)
    return (first * a + second * b).unflatten(1, shape)
