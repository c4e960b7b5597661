"""Features of a timm model that judge images: the term ``perceptual``.

B batch, C channels, S image side, L places of a feature map, F features.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from zoo_timm.build import Size
from zoo_timm.trunk import Trunk


class Perceptual(nn.Module):
    """Squared distance of the feature maps of images and their reconstructions, unit length at each place:

        sum_stages mean_b 1/L sum_places 1/2 |f / |f| - f_rec / |f_rec||^2,   |.| over the channels of one place

    LPIPS (Zhang et al. 2018, eq. 1) with every learned weight w = 1. Ours where it differs: timm's stages in
    place of AlexNet's or VGG's rectified layers, and the 1/2, which makes it a sum of 1 - cos: in [0, 2] for
    each stage. Its unit is not nats: weigh it against a ``reconstruction`` of hundreds.

    The network never learns and its batch norms use their own statistics, whatever mode the model is in. The
    gradient goes to whichever image asks for one.

    Args:
        channels: C; given to the model's first layer.
        size: H and W; one number where they are equal.
        model: a name of ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights.
        pretrained: true for timm's hub (downloaded once to the user's cache); the path of a ``.safetensors``,
            ``.pt`` or ``.pth`` file of the same model; or false for random features, a function of the seed,
            which see edges and colours and know nothing of objects.
        taps: the stages that count, ``stage1`` .. ``stageN``; none for all of them.
        stem: ``keep`` is the model as it was trained; ``small`` gives a convolutional stem stride 1 and no max
            pool, so that small images keep more places; ``auto`` is small below 64 pixels, else keep.

    Raises:
        ValueError: unknown model or stage, weights that do not fit, or a model that cannot take the size.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        model: str = "efficientnet_lite0",
        pretrained: bool | str = True,
        taps: tuple[str, ...] = (),
        stem: Literal["keep", "small", "auto"] = "keep",
    ) -> None:
        super().__init__()
        self.trunk = Trunk(channels, size, model, pretrained, stem, None, tapped=True)
        there = self.trunk.taps
        for tap in taps:
            if tap not in there:
                raise ValueError(f"timm model {model!r} has no stage {tap!r}; choose from {', '.join(there)}")
        self.taps = tuple(dict.fromkeys(taps)) or there
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Perceptual:  # noqa: ARG002
        """Stays in evaluation mode: a judge whose batch norms moved would not judge alike twice."""
        return super().train(False)

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """The distance, a scalar: 0 for equal images, at most 2 for each stage.

        Args:
            x: images (B, C, H, W) in [-1, 1].
            reconstruction: their reconstructions, same shape.
        """
        real, made = self.trunk.with_taps(x)[1], self.trunk.with_taps(reconstruction)[1]
        return torch.stack([cosine_gap(real[tap], made[tap]) for tap in self.taps]).sum()


def cosine_gap(a: Tensor, b: Tensor) -> Tensor:
    """Mean over images and places of 1/2 |a / |a| - b / |b||^2; maps (B, F, H', W'), 1e-10 at least for a length."""
    difference = normalize(a, dim=1, eps=1e-10) - normalize(b, dim=1, eps=1e-10)
    return 0.5 * difference.square().sum(1).mean()
