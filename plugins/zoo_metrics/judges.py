"""Perceptual distances that networks learn from: frozen modules for the slot ``perceptual`` of a recipe.

They are the metrics ``lpips`` and ``pd-lite0``, through which gradients pass.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo import api
from zoo_metrics import backbones, perceptual
from zoo_metrics.perceptual import LpipsNetwork, StagesNetwork
from zoo_metrics.statistics import Size, shorter


class _Judge(nn.Module):
    """A frozen network of two images, always as at evaluation."""

    def __init__(self, channels: int, network: nn.Module) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"it looks at images of 1 or 3 channels, and these have {channels}")
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> _Judge:  # noqa: ARG002
        """Stays in evaluation mode: a judge whose batch norms moved would not judge alike twice."""
        return super().train(False)

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1], and others of the same shape -> their distances (B,)."""
        return self.network((_coloured(x) + 1) / 2, (_coloured(reconstruction) + 1) / 2)


class Lpips(_Judge):
    """LPIPS version 0.1 (Zhang et al. 2018, eq. 1) of images, (B,), with the published weights.

    Args:
        channels: 1 or 3.
        size: H and W; one number where they are equal.
        net: ``vgg``, as autoencoders are trained with, ``alex`` or ``squeeze``.
        pretrained: the path of torchvision's weights of that network; empty for those in torch's cache.
        heads: the path of LPIPS's learned weights; empty for those in the package lpips.
        download: whether torchvision's weights may be downloaded where they are not in torch's cache.

    Raises:
        ValueError: weights that are not there, or images too small for the network.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        net: Literal["vgg", "alex", "squeeze"] = "vgg",
        pretrained: str = "",
        heads: str = "",
        download: bool = False,
    ) -> None:
        if shorter(size) < perceptual.SMALLEST[net]:
            raise ValueError(
                f"nothing is left of images of {shorter(size)} px in {net}: take {perceptual.SMALLEST[net]} or more"
            )
        states = ()
        if not api.restoring() and torch.get_default_device().type != "meta":
            trunk = perceptual.published_trunk(net).read(pretrained, download)
            states = trunk[0], perceptual.published_head(net).read(heads, download=False)[0]
        super().__init__(channels, LpipsNetwork(net, *states))


class PdLite0(_Judge):
    """LPIPS's distance with every w = 1 on the stages of EfficientNet-Lite0, whose weights are in a package, (B,).

    Ours, a stand-in for LPIPS where its weights are not to be had: its numbers are not LPIPS's.

    Args:
        channels: 1 or 3.
        pretrained: the path of the weights; empty for those in the package.

    Raises:
        ValueError: the package is not there.
    """

    def __init__(self, channels: int, *, pretrained: str = "") -> None:
        backbones.check(backbones.LITE0, pretrained or True)
        if api.restoring() or torch.get_default_device().type == "meta":
            network = backbones.Backbone(backbones.unfilled(), backbones.CENTRE, backbones.CENTRE)
            network.network.reset_classifier(0)
        else:
            network = backbones.backbone(backbones.LITE0, pretrained or True, 224)[0]
        super().__init__(channels, StagesNetwork(network))


def _coloured(images: Tensor) -> Tensor:
    """Gray is repeated."""
    return images.expand(-1, 3, -1, -1)
