"""Perceptual distances of pairs of images: LPIPS, and the same on the stages of other networks.

B batch, C channels, H, W image sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torchvision import models

from zoo_metrics import backbones
from zoo_metrics.backbones import Backbone
from zoo_metrics.features import colour, few_at_a_time, placed
from zoo_metrics.weights import Published, State, fill

TRUNKS = {
    "alex": (models.alexnet, models.AlexNet_Weights.IMAGENET1K_V1.url, "7be5be79"),
    "vgg": (models.vgg16, models.VGG16_Weights.IMAGENET1K_V1.url, "397923af"),
    "squeeze": (models.squeezenet1_1, models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url, "b8a52dc0"),
}
"""torchvision's ImageNet networks."""
TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29), "squeeze": (1, 4, 7, 9, 10, 11, 12)}
"""Layers after which LPIPS looks, in torchvision's ``features``."""
WIDTHS = {
    "alex": (64, 192, 384, 256, 256),
    "vgg": (64, 128, 256, 512, 512),
    "squeeze": (64, 128, 256, 384, 384, 512, 512),
}
"""Features of these layers."""
SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Below this side nothing is left of an image at the last of them."""
HEADS = {
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    "squeeze": "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
}
"""sha256 of the learned weights, version 0.1, in the package lpips."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class LpipsNetwork(nn.Module):
    """LPIPS version 0.1 (Zhang et al. 2018, eq. 1): d = sum_layers mean_places w . (f / |f| - g / |g|)^2.

    Args:
        net: ``alex``, ``vgg`` or ``squeeze``.
        trunk: weights of torchvision's network; its classifier is ignored. None where a run brings them.
        heads: the learned w of each layer. None where a run brings them.
    """

    def __init__(self, net: str, trunk: State | None = None, heads: State | None = None) -> None:
        super().__init__()
        device = "cpu" if trunk else torch.get_default_device()
        with torch.device("meta"):  # its classifier, most of it, is never made
            self.layers = TRUNKS[net][0]().features
        self.layers.to_empty(device=device)
        self.taps = TAPS[net]
        for i, features in enumerate(WIDTHS[net]):
            self.register_buffer(f"w{i}", torch.zeros(1, features, 1, 1))
        self.register_buffer("mean", torch.tensor(MEAN).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(-1, 1, 1))
        if trunk is not None and heads is not None:
            self._fill(net, trunk, heads)
        self.eval().requires_grad_(False)

    def _fill(self, net: str, trunk: State, heads: State) -> None:
        fill(self.layers, {k[9:]: v for k, v in trunk.items() if k.startswith("features.")}, f"torchvision's {net}")
        names = [f"lin{i}.model.1.weight" for i in range(len(self.taps))]
        if heads.keys() != set(names):
            raise ValueError(f"these are not LPIPS's learned weights for {net}: they are {', '.join(sorted(heads))}")
        for i, name in enumerate(names):
            getattr(self, f"w{i}").copy_(heads[name].reshape(1, -1, 1, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> their distances (B,)."""
        weights = [getattr(self, f"w{i}") for i in range(len(self.taps))]
        return gap(self._maps(a), self._maps(b), weights)

    def _maps(self, images: Tensor) -> list[Tensor]:
        x, maps = (images - self.mean) / self.std, []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.taps:
                maps.append(x)  # a ReLU works in place, and only convolutions and pools follow one
            if i == self.taps[-1]:
                break
        return maps


class StagesNetwork(nn.Module):
    """LPIPS's distance with every w = 1, on the stages of a timm model.

    Args:
        backbone: the network.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> their distances (B,), from 0 to 4 for each stage."""
        first = self.backbone.stages(a)
        return gap(first, self.backbone.stages(b), [a.new_ones(1)] * len(first))


def gap(a: Sequence[Tensor], b: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """sum_layers mean_places w . (f / |f| - g / |g|)^2 of feature maps (B, F, H', W'), (B,)."""
    pairs = zip(a, b, weights, strict=True)
    return torch.stack([(w * (_unit(f) - _unit(g)).square()).sum(1).mean((1, 2)) for f, g, w in pairs]).sum(0)


def _unit(maps: Tensor) -> Tensor:
    """Length 1 at each place; where there is nothing, nothing, and no gradient."""
    return maps / (torch.linalg.vector_norm(maps, dim=1, keepdim=True) + 1e-10)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network of two images, and what is loaded in it."""

    network: nn.Module
    weights: dict[str, str]


_networks: WeakValueDictionary[tuple[Any, ...], Loaded] = WeakValueDictionary()


class Distance:
    """A perceptual distance of pairs of images; the same options mean the same network, loaded once.

    Args:
        model: ``alex``, ``vgg`` or ``squeeze`` for LPIPS; else ``lite0`` or a name of ``timm.list_models()``.
        pretrained: the path of the network's weights; True for the published ones; False for random ones (timm's).
        heads: for LPIPS the path of its learned weights; empty for those in the package lpips.
        download: whether torchvision's weights may be downloaded.

    Raises:
        ValueError: no such model, or weights that are not there.
    """

    def __init__(self, model: str, pretrained: bool | str, heads: str, download: bool) -> None:
        self.model, self._pretrained, self._heads, self._download = model, pretrained, heads, download
        self._loaded: Loaded | None = None
        if model not in TRUNKS:
            backbones.check(model, pretrained)
            return
        if pretrained is False:
            raise ValueError("LPIPS on random weights is none; give a file, or pretrained: true")
        published_trunk(model).find(self._path, download)
        published_head(model).find(heads, download=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without the network, which is loaded again where it is needed."""
        return {**self.__dict__, "_loaded": None}

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1], C 1 or 3 -> (B,) in float64 on the CPU."""
        network = self._load(a.device).network
        found = few_at_a_time(lambda p, q: network(_unit_range(p), _unit_range(q)).cpu(), a, b)
        return torch.cat(found).double()

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores may be compared, without options that only say where weights are."""
        kind = "LPIPS 0.1" if self.model in TRUNKS else "stages, every weight 1"
        weights = self._loaded.weights if self._loaded else "not loaded"
        network = {"model": self.model, "distance": kind, "feature_weights": weights}
        return {**network, "range": "[-1, 1]", "resize": "none", "pretrained": None, "heads": None, "download": None}

    @property
    def _path(self) -> str:
        return self._pretrained if isinstance(self._pretrained, str) else ""

    def _load(self, device: torch.device) -> Loaded:
        if self._loaded is None:
            key = (self.model, self._pretrained, self._heads, device)
            self._loaded = _networks.get(key) or _networks.setdefault(key, self._read(device))
        return self._loaded

    def _read(self, device: torch.device) -> Loaded:
        if self.model not in TRUNKS:
            network, weights = backbones.backbone(self.model, self._pretrained, backbones.native_side(self.model))
            return Loaded(placed(StagesNetwork(network), device), {"network": weights})
        trunk, trunk_hash = published_trunk(self.model).read(self._path, self._download)
        heads, heads_hash = published_head(self.model).read(self._heads, download=False)
        said = {"network": f"sha256:{trunk_hash}", "heads": f"sha256:{heads_hash}"}
        return Loaded(placed(LpipsNetwork(self.model, trunk, heads), device), said)


def published_trunk(net: str) -> Published:
    """The weights of torchvision's network."""
    return Published(f"torchvision's {TRUNKS[net][0].__name__}", TRUNKS[net][2], TRUNKS[net][1])


def published_head(net: str) -> Published:
    """LPIPS's learned weights."""
    package = ("lpips", "pip install 'generative-zoo[lpips]'")
    return Published(f"LPIPS for {net}", HEADS[net], package=package, inside=f"weights/v0.1/{net}.pth")


def _unit_range(images: Tensor) -> Tensor:
    return (colour(images).float() + 1) / 2
