"""Features of whole images, by which sets of images are compared: one network for every metric that asks for it.

B batch, C channels, H, W image sides, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import starmap
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from zoo import api
from zoo_metrics import backbones, inception
from zoo_metrics.prepare import prepared
from zoo_metrics.protocols import PROTOCOLS, SCALES, Protocol
from zoo_metrics.transformers import KINDS, transformer

INCEPTION = "inception"
Scale = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of what a network sees, in pixels, by channel."""
T = TypeVar("T")
AT_ONCE = {"cpu": 4}
"""Images that a network sees at a time: few fit a processor's cache, and are faster there than many."""
ON_A_GPU = 100


@dataclass(frozen=True)
class Loaded:
    """A network that is where its images are.

    Args:
        network: scaled images (B, 3, S, S) -> features by name.
        weights: what is loaded in it.
        scale: mean and standard deviation of what it sees, unless a protocol says otherwise.
    """

    network: nn.Module
    weights: str
    scale: Scale


class Judge:
    """A loaded network, which remembers what it said of images for as long as they are about.

    Args:
        loaded: the network.
        protocol: how images are prepared for it.
    """

    def __init__(self, loaded: Loaded, protocol: Protocol) -> None:
        self.network, self.weights, self.protocol, self._loaded = loaded.network, loaded.weights, protocol, loaded
        scale = loaded.scale if protocol.scale == "own" else SCALES[protocol.scale]
        self._scale = [torch.tensor(numbers).view(-1, 1, 1) for numbers in scale]
        self._said = WeakTensorKeyDictionary()

    def __call__(self, images: Tensor, part: str = "pool") -> Tensor:
        """(B, C, H, W), uint8 or in [-1, 1] -> (B, F) in float32 on the CPU."""
        if images not in self._said:
            pixels = colour(images)
            said = few_at_a_time(self._seen, pixels if pixels.dtype == torch.uint8 else api.to_pixels(pixels))
            self._said[images] = {name: torch.cat([each[name] for each in said]) for name in said[0]}
        return self._said[images][part]

    def _seen(self, pixels: Tensor) -> dict[str, Tensor]:
        mean, std = (numbers.to(pixels.device) for numbers in self._scale)
        found = self.network((prepared(pixels, self.protocol) - mean) / std)
        return {name: features.float().cpu() for name, features in found.items()}


_judges: WeakValueDictionary[tuple[Any, ...], Judge] = WeakValueDictionary()
_networks: WeakValueDictionary[tuple[Any, ...], Loaded] = WeakValueDictionary()


class Features:
    """Features of images under a network; the same options mean the same network, loaded once.

    Args:
        model: ``inception`` (FID's InceptionV3), ``lite0`` (the packaged EfficientNet-Lite0), or a name of
            ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights. Where the protocol's features are
            a transformer's, timm's name of the architecture.
        pretrained: the path of a file of weights; True for the published ones; False for random ones, which
            are the same in every run (timm's models alone).
        resize: side that images are resized to before the network; None for the side it was made for.
        download: whether Inception's weights may be downloaded (timm's hub is asked by True alone).
        protocol: how images are prepared; a plain antialiased resize when None, for Inception as torch-fidelity.
        part: which of the network's features.

    Raises:
        ValueError: no such model, or weights that are not there.
    """

    def __init__(
        self,
        model: str,
        pretrained: bool | str,
        resize: int | None,
        download: bool,
        protocol: Protocol | None = None,
        part: str = "pool",
    ) -> None:
        self.model, self._pretrained, self._download, self._part = model, pretrained, download, part
        self._kind = protocol.features if protocol and protocol.features in KINDS else ""
        if resize is not None and resize < 1:
            raise ValueError(f"resize must be at least 1, not {resize}")
        if model == INCEPTION:
            self._refuse_for_inception(resize)
            inception.PUBLISHED.find(self._path, download)
            self.view = protocol or PROTOCOLS["torch-fidelity"]
        else:
            backbones.check(model, pretrained)
            view = protocol or Protocol(model)
            self.view = replace(view, size=resize or view.size or backbones.native_side(model))
        self._judge: Judge | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the network, which is loaded again where it is needed."""
        return {**self.__dict__, "_judge": None}

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), uint8 or in [-1, 1], C 1 or 3 -> (B, F) in float32 on the CPU."""
        return self.judge(images.device)(images, self._part)

    def judge(self, device: torch.device) -> Judge:
        """The network, loaded."""
        if self._judge is None:
            key = (self.model, self._pretrained, self.view, device)
            self._judge = _judges.get(key) or _judges.setdefault(key, self._load(device))
        return self._judge

    @property
    def mixed(self) -> bool:
        """Whether images of several sizes may be in a set."""
        return self.view.sizes == "any"

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores may be compared, without options that only say where weights are."""
        return {
            "model": self.model if self._part == "pool" else f"{self.model}, {self._part}",
            "feature_weights": self._judge.weights if self._judge else "not loaded",
            "range": "[-1, 1] as pixels 0..255, rounded",
            **self.view.described(),
            **dict.fromkeys(("pretrained", "download", "protocol", "change")),
        }

    @property
    def _path(self) -> str:
        return self._pretrained if isinstance(self._pretrained, str) else ""

    def _load(self, device: torch.device) -> Judge:
        key = (self.model, self._kind, self._pretrained, self.view.size, device)
        return Judge(_networks.get(key) or _networks.setdefault(key, self._network(device)), self.view)

    def _network(self, device: torch.device) -> Loaded:
        if self.model == INCEPTION:
            tensors, digest = inception.PUBLISHED.read(self._path, self._download)
            said = "" if digest == inception.PUBLISHED.sha256 else ", not the published ones"
            network, weights, own = inception.Inception(tensors), f"sha256:{digest}{said}", SCALES["inception"]
        elif self._kind:
            network, weights = transformer(self._kind, self.model, self._pretrained, self.view.size)
            own = SCALES[KINDS[self._kind].scale]
        else:
            seen, weights = backbones.backbone(self.model, self._pretrained, self.view.size)
            own = tuple(tuple((255 * numbers).flatten().tolist()) for numbers in (seen.mean, seen.std))
            network = backbones.Pooled(seen)
        return Loaded(placed(network, device), weights, own)

    def _refuse_for_inception(self, resize: int | None) -> None:
        if self._pretrained is False:
            raise ValueError("random weights make no Inception score of any kind; give a file, or pretrained: true")
        if resize not in (None, inception.SIDE):
            raise ValueError(f"FID's InceptionV3 sees {inception.SIDE} px, not {resize}; leave resize out")


def few_at_a_time(see: Callable[..., T], *images: Tensor) -> list[T]:
    """What is seen of some images at a time, without gradients, in their order.

    On a CPU several are seen side by side: a thread for each of them loses less than all threads for one of them.

    Args:
        see: as many images of each tensor -> what it says of them.
        images: (B, ...) each.
    """
    device, threads = images[0].device.type, torch.get_num_threads()
    parts = list(zip(*(each.split(AT_ONCE.get(device, ON_A_GPU)) for each in images), strict=True))
    seeing = torch.no_grad()(see)
    abreast = min(threads, len(parts)) if device == "cpu" else 1
    if abreast == 1:
        return list(starmap(seeing, parts))
    try:
        with ThreadPoolExecutor(abreast, initializer=torch.set_num_threads, initargs=[threads // abreast]) as pool:
            return list(pool.map(seeing, *zip(*parts, strict=True)))
    finally:
        torch.set_num_threads(threads)  # a thread that sets its own sets those of threads to come


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
    if images.is_floating_point() and not bool(images.isfinite().all()):
        raise ValueError("the images hold numbers that are not finite")
    return images if channels == 3 else images.expand(-1, 3, -1, -1)
