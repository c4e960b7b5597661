"""timm models whose features judge images, and the packaged EfficientNet-Lite0."""

from __future__ import annotations

import difflib
from itertools import pairwise
from pathlib import Path

import timm
import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from timm.models import EfficientNet, get_pretrained_cfg
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zoo_metrics.weights import LITE0, PACKAGED, aside, existing, fill, sha256, state

ARCHITECTURE = "tf_efficientnet_lite0"
CENTRE = (0.5, 0.5, 0.5)
"""Mean and standard deviation that map [0, 1] to [-1, 1]."""


class Backbone(nn.Module):
    """A timm model as a judge of images.

    Args:
        network: without its classifier.
        mean: of the images it was trained on, in [0, 1], for each of 3 channels.
        std: their standard deviation.
    """

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] -> pooled features (B, F)."""
        return self.network((images - self.mean) / self.std)

    def stages(self, images: Tensor) -> list[Tensor]:
        """(B, 3, S, S) in [0, 1] -> the feature map after each stage, (B, F', H', W')."""
        return self.network.forward_intermediates((images - self.mean) / self.std, intermediates_only=True)


class Pooled(nn.Module):
    """Pooled features of a backbone, whose normalisations are folded into the convolutions before them where it can be.

    Args:
        backbone: the network, which is not to be used otherwise from here on.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        fold(backbone.network)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S), scaled -> (B, F)."""
        return {"pool": self.backbone.network(images)}


def fold(network: nn.Module) -> None:
    """Folds each normalisation of timm's EfficientNets, and the padding of images of even sides, into the convolution
    before or after it: a third less time on a CPU.

    All are sums of weighted pixels, so that the features are the same but for rounding.
    """
    if not isinstance(network, EfficientNet):
        return
    for part in list(network.modules()):
        children = list(part.named_children())
        for (name, convolution), (after, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
                fused = fuse_conv_bn_eval(convolution, norm)
                halves = isinstance(fused, Conv2dSame) and fused.stride == (2, 2)
                setattr(part, name, Halving(fused) if halves else fused)
                setattr(part, after, nn.Sequential(norm.drop, norm.act))


class Halving(nn.Module):
    """timm's convolution of stride 2 that pads an even side by one more at its end: the padding of both ends is that of
    the end, and the kernel has a row and a column of zeros before it, for what is then too much at the beginning.

    Args:
        padded: the convolution, of an odd kernel.
    """

    def __init__(self, padded: Conv2dSame) -> None:
        super().__init__()
        self.padded, self.side = padded, padded.kernel_size[0]
        self.register_buffer("wide", pad(padded.weight, (1, 0, 1, 0)).contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, F, H / 2, W / 2)."""
        if images.shape[2] % 2 or images.shape[3] % 2:
            return self.padded(images)
        return conv2d(images, self.wide, self.padded.bias, 2, self.side // 2, 1, self.padded.groups)


def known(model: str) -> str:
    """``model`` if it is ``lite0`` or timm has it (a ``.tag`` of pretrained weights may follow the name).

    Raises:
        ValueError: there is no such model; names the nearest ones.
    """
    if model == LITE0 or (timm.is_model(model.split(".")[0]) and "/" not in model and ":" not in model):
        return model
    near = difflib.get_close_matches(model, [LITE0, *timm.list_models()], n=3, cutoff=0.5)
    cure = f"did you mean {' or '.join(map(repr, near))}?" if near else "see timm.list_models()"
    raise ValueError(f"timm {timm.__version__} has no model {model!r}; {cure}")


def native_side(model: str) -> int:
    """The side of the images that a model was made for."""
    cfg = get_pretrained_cfg(ARCHITECTURE if model == LITE0 else model, allow_unregistered=True)
    return cfg.input_size[-1] if cfg else 224


def check(model: str, pretrained: bool | str) -> None:
    """Refuses what could never be loaded.

    Raises:
        ValueError: no such model, no such file, or no package with the weights.
    """
    if known(model) == LITE0:
        PACKAGED.find(_packaged_path(pretrained), download=False)
    elif isinstance(pretrained, str):
        existing(pretrained)


def backbone(model: str, pretrained: bool | str, side: int) -> tuple[Backbone, str]:
    """A model with its weights, and what they are.

    Args:
        model: ``lite0``, or a name of ``timm.list_models()``.
        pretrained: the path of a file, True for the published weights, False for random ones: the same every time.
        side: of the images it will see.

    Raises:
        ValueError: weights that cannot be had or do not fit.
    """
    if model == LITE0:
        return _lite0(pretrained)
    cfg = get_pretrained_cfg(model, allow_unregistered=True)
    sizes = {"img_size": side} if cfg and cfg.fixed_input_size else {}
    try:
        with aside():
            made = timm.create_model(model, pretrained=pretrained is True, num_classes=0, **sizes)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        cure = "give the path of a .safetensors or .pt file of this model, or pretrained: false"
        raise ValueError(f"timm model {model!r} cannot be loaded: {reason}; {cure}") from error
    if not pretrained:
        weights = f"random, seed 0, torch {torch.__version__}, timm {timm.__version__}"
        return Backbone(made, CENTRE, CENTRE), weights
    published = made.pretrained_cfg
    weights = f"timm {timm.__version__} {published['architecture']}.{published['tag']}"
    if isinstance(pretrained, str):
        weights = f"sha256:{_fill(made, existing(pretrained), published['classifier'], model)}"
    return Backbone(made, published["mean"], published["std"]), weights


def _fill(network: nn.Module, path: Path, classifier: str | tuple[str, ...], model: str) -> str:
    """Weights from a file of timm's names, whose classifier is ignored; the file's hash."""
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    ignored = tuple(f"{head}." for head in heads)
    fill(network, {k: v for k, v in state(path).items() if not k.startswith(ignored)}, model)
    return sha256(path)


def _lite0(pretrained: bool | str) -> tuple[Backbone, str]:
    """The package's tensors are timm's, in timm's order, under other names."""
    tensors, digest = PACKAGED.read(_packaged_path(pretrained), download=False)
    network = unfilled()
    names = list(network.state_dict())
    if len(names) != len(tensors):
        raise ValueError(f"these are not weights of {PACKAGED.what}: {len(tensors)} tensors, not {len(names)}")
    try:
        network.load_state_dict(dict(zip(names, tensors.values(), strict=True)))
    except RuntimeError as error:
        raise ValueError(f"these are not weights of {PACKAGED.what}: {str(error).splitlines()[-1].strip()}") from None
    network.reset_classifier(0)
    return Backbone(network, CENTRE, CENTRE), f"sha256:{digest}"


def unfilled() -> nn.Module:
    """EfficientNet-Lite0 with random weights, on the default device."""
    with aside():
        return timm.create_model(ARCHITECTURE)


def _packaged_path(pretrained: bool | str) -> str:
    if pretrained is False:
        raise ValueError(f"'{LITE0}' is its ImageNet weights; for random ones: {ARCHITECTURE}, pretrained: false")
    return pretrained if isinstance(pretrained, str) else ""
