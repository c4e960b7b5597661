"""Features of whole images, by which sets of images are compared: one network for every metric that asks for it.

B batch, C channels, H, W image sides, F features.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from zoo import api
from zoo_metrics import backbones, inception

INCEPTION = "inception"
AT_ONCE = {"cpu": 8}
"""Images that a network sees at a time: few fit a processor's cache, and are faster there than many."""
ON_A_GPU = 100


class Judge:
    """A loaded network, which remembers what it said of images for as long as they are about.

    Args:
        network: uint8 pixels (B, 3, H, W) -> (B, F).
        weights: what is loaded in it.
    """

    def __init__(self, network: nn.Module, weights: str) -> None:
        self.network, self.weights = network, weights
        self._said = WeakTensorKeyDictionary()

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, F) in float32 on the CPU."""
        if images not in self._said:
            with torch.no_grad():
                pixels = api.to_pixels(colour(images))
                parts = pixels.split(at_once(images.device))
                self._said[images] = torch.cat([self.network(part).cpu() for part in parts])
        return self._said[images]


_judges: WeakValueDictionary[tuple[Any, ...], Judge] = WeakValueDictionary()


class Features:
    """Features of images under a network; the same options mean the same network, loaded once.

    Args:
        model: ``inception`` (FID's InceptionV3), ``lite0`` (the packaged EfficientNet-Lite0), or a name of
            ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights.
        pretrained: the path of a file of weights; True for the published ones; False for random ones, which
            are the same in every run (timm's models alone).
        resize: side that images are resized to before the network; None for the side it was made for.
        download: whether Inception's weights may be downloaded (timm's hub is asked by True alone).

    Raises:
        ValueError: no such model, or weights that are not there.
    """

    def __init__(self, model: str, pretrained: bool | str, resize: int | None, download: bool) -> None:
        self.model, self._pretrained, self._download = model, pretrained, download
        if resize is not None and resize < 1:
            raise ValueError(f"resize must be at least 1, not {resize}")
        if model == INCEPTION:
            self._refuse_for_inception(resize)
            inception.PUBLISHED.find(self._path, download)
            self._side = inception.SIDE
        else:
            backbones.check(model, pretrained)
            self._side = backbones.native_side(model) if resize is None else resize
        self._judge: Judge | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the network, which is loaded again where it is needed."""
        return {**self.__dict__, "_judge": None}

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1], C 1 or 3 -> (B, F) in float32 on the CPU."""
        return self.judge(images.device)(images)

    def judge(self, device: torch.device) -> Judge:
        """The network, loaded."""
        if self._judge is None:
            key = (self.model, self._pretrained, self._side, device)
            self._judge = _judges.get(key) or _judges.setdefault(key, self._load(device))
        return self._judge

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores may be compared, without options that only say where weights are."""
        tensorflow = self.model == INCEPTION
        return {
            "model": self.model,
            "feature_weights": self._judge.weights if self._judge else "not loaded",
            "resize": f"{self._side} px, bilinear, {'as TensorFlow 1' if tensorflow else 'antialiased'}",
            "range": "[-1, 1] as pixels 0..255, rounded",
            "pretrained": None,
            "download": None,
        }

    @property
    def _path(self) -> str:
        return self._pretrained if isinstance(self._pretrained, str) else ""

    def _load(self, device: torch.device) -> Judge:
        if self.model == INCEPTION:
            tensors, digest = inception.PUBLISHED.read(self._path, self._download)
            network: nn.Module = inception.Inception(tensors)
            said = "" if digest == inception.PUBLISHED.sha256 else ", not the published ones"
            return Judge(placed(network, device), f"sha256:{digest}{said}")
        network, weights = backbones.backbone(self.model, self._pretrained, self._side)
        return Judge(placed(backbones.Pooled(network, self._side), device), weights)

    def _refuse_for_inception(self, resize: int | None) -> None:
        if self._pretrained is False:
            raise ValueError("random weights make no Inception score of any kind; give a file, or pretrained: true")
        if resize not in (None, inception.SIDE):
            raise ValueError(f"FID's InceptionV3 sees {inception.SIDE} px, not {resize}; leave resize out")


def at_once(device: torch.device) -> int:
    """Images that a network sees at a time."""
    return AT_ONCE.get(device.type, ON_A_GPU)


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """The network where its images are, laid out as convolutions are fastest: half the time on a CPU."""
    return network.to(device=device, memory_format=torch.channels_last)


def colour(images: Tensor) -> Tensor:
    """Images (B, C, H, W) with 3 channels; gray is repeated.

    Raises:
        ValueError: neither gray nor colour, or numbers that are not finite.
    """
    channels = images.shape[1]
    if channels not in (1, 3):
        raise ValueError(f"features of images need 1 or 3 channels, not {channels}")
    if not bool(images.isfinite().all()):
        raise ValueError("the images hold numbers that are not finite")
    return images if channels == 3 else images.expand(-1, 3, -1, -1)
