"""A timm model made ready to be a part: its name checked, its size set, its surprises taken out.

B batch, C channels, H height, W width.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

import timm
from timm.layers import BatchNormAct2d
from timm.models import get_pretrained_cfg
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""

SMALL = 64
"""Below this shorter side ``stem: auto`` takes the stem's strides away."""


class Misfit(ValueError):
    """An option that means nothing for this model. Its text says the reason and the cure."""


@dataclass(frozen=True)
class Plan:
    """What to build: everything that decides the shapes and the names of the parameters."""

    model: str
    channels: int
    size: Size
    small: bool
    patch: int | None
    norm: str = "keep"


def sides_of(size: Size) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def native_size(model: str) -> int:
    """The side of the images that a timm model was made for."""
    cfg = get_pretrained_cfg(model, allow_unregistered=True)
    return cfg.input_size[-1] if cfg else 224


def known(model: str) -> str:
    """``model`` if timm has it (a ``.tag`` of pretrained weights may follow the name).

    Raises:
        ValueError: timm has no such model; names the nearest ones.
    """
    if timm.is_model(model.split(".")[0]) and "/" not in model and ":" not in model:
        return model
    near = difflib.get_close_matches(model, timm.list_models(), n=3, cutoff=0.5)
    cure = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "see timm.list_models()"
    raise ValueError(f"timm {timm.__version__} has no model {model!r}; {cure}")


def build(plan: Plan) -> nn.Module:
    """A timm model without its classifier, for the plan's channels and size, with random weights.

    Raises:
        Misfit: the plan's patch does not apply, or patches do not tile the image.
    """
    sizes: dict[str, Size] = {}
    cfg = get_pretrained_cfg(plan.model, allow_unregistered=True)
    if cfg and cfg.fixed_input_size:
        sizes["img_size"] = plan.size
    if plan.patch is not None:
        sizes["patch_size"] = plan.patch
    try:
        network = timm.create_model(plan.model, num_classes=0, in_chans=plan.channels, **sizes)
    except TypeError as error:
        if "patch_size" not in str(error):
            raise
        raise Misfit(f"it has no patches to make {plan.patch} pixels wide; leave patch out") from error
    _check_patches(network, plan)
    return network


def _check_patches(network: nn.Module, plan: Plan) -> None:
    """Patches that do not tile the image would drop its last rows and columns without a word."""
    embed = getattr(network, "patch_embed", None)
    patch = getattr(embed, "patch_size", None)
    side = patch[0] if isinstance(patch, tuple) else patch
    stride = getattr(getattr(embed, "proj", None), "stride", (side, side))
    if stride != (side, side):
        return  # patches that overlap, as PVT v2's, are a convolution like any other
    sides = sides_of(plan.size)
    if isinstance(side, int) and any(one % side for one in sides) and plan.size != native_size(plan.model):
        whole = " and ".join(map(str, dict.fromkeys(sides)))
        raise Misfit(f"its patches of {side} pixels do not tile the image; set patch to a divisor of {whole}")


def settle(network: nn.Module, plan: Plan) -> nn.Module:
    """Make a fresh or freshly loaded network fit to be a player. Changes and returns it.

    Dropout and stochastic depth are off and activations do not work in place, so a value is the same whoever
    asks and a tap is what its module returned; attention is written out, because fused kernels have no second
    derivative; the stem and the batch norms follow the plan. The weights' own normalisation (``spectral``)
    comes after.

    Raises:
        Misfit: a small stem is asked of a model that has no strided convolution there.
    """
    for module in network.modules():
        _steady(module)
    if plan.small:
        _shrink_stem(network)
    if plan.norm != "keep":
        _replace_batch_norms(network, group=plan.norm == "group")
    return network


def spectral(network: nn.Module) -> nn.Module:
    """Spectral normalisation (Miyato et al. 2018) of every convolution and linear layer."""
    layers = (nn.Conv1d, nn.Conv2d, nn.Linear)
    for module in [m for m in network.modules() if isinstance(m, layers) and m.weight.numel()]:
        spectral_norm(module)
    return network


def _steady(module: nn.Module) -> None:
    """No dropout, no stochastic depth, nothing in place, attention with a second derivative."""
    if isinstance(module, nn.Dropout | nn.Dropout2d):
        module.p = 0.0
    for name in ("drop_prob", "drop_rate"):
        if isinstance(getattr(module, name, None), float):
            setattr(module, name, 0.0)
    if getattr(module, "inplace", False) is True:
        module.inplace = False
    if getattr(module, "fused_attn", False):
        module.fused_attn = False


def stem_convolutions(network: nn.Module) -> list[str]:
    """Names of the strided convolutions that meet the image first; none for a model that cuts patches."""
    names = network.pretrained_cfg.get("first_conv") or ()
    found = []
    for name in (names,) if isinstance(names, str) else names:
        module = dict(network.named_modules()).get(name)
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1 and not name.endswith("proj"):
            found.append(name)
    return found


def _shrink_stem(network: nn.Module) -> None:
    """Stride 1 in the stem and no max pool after it, as usual for CIFAR (He et al. 2016, section 4.2).

    Kernels keep their size, so pretrained weights still fit. A kernel that cut patches gets padding.
    """
    strided = stem_convolutions(network)
    if not strided:
        raise Misfit("it has no strided convolution in its stem to make small; use stem: auto")
    for name in strided:
        conv = network.get_submodule(name)
        conv.stride = (1, 1)
        if conv.kernel_size[0] % 2 == 0 and not isinstance(conv.padding, str) and not any(conv.padding):
            conv.padding = (conv.kernel_size[0] // 2, conv.kernel_size[1] // 2)
        pool = _stem_pool(network, name)
        if pool is not None:
            _put(network, pool, nn.Identity())


def _stem_pool(network: nn.Module, conv: str) -> str | None:
    """The max pool that follows the first convolution ``conv`` in the stem, if there is one."""
    for name, _ in network.named_modules():
        parent, _, last = name.rpartition(".")
        if last in ("maxpool", "pool", "pool0", "pool1", "conv1_pool") and conv.startswith(parent):
            return name
    return None


def _replace_batch_norms(network: nn.Module, *, group: bool) -> None:
    """Batch norms become group norms (8 channels or more a group, at most 32 groups), or nothing."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    for name, norm in [(n, m) for n, m in network.named_modules() if isinstance(m, norms)]:
        after = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
        if group:
            groups = math.gcd(norm.num_features, max(1, min(32, norm.num_features // 8)))
            after = nn.Sequential(nn.GroupNorm(groups, norm.num_features), after)
        _put(network, name, after)


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the submodule called ``name``."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)
