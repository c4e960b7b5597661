"""The networks of a script: which modules are one, what the script calls it, which optimisers hold it."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from zoo.auditing.flow import Info
from zoo.auditing.places import Place, bound, name_of

WRAPPERS = {"DistributedDataParallel": "module", "DataParallel": "module", "OptimizedModule": "_orig_mod",
            "FullyShardedDataParallel": "_fsdp_wrapped_module"}  # fmt: skip
"""Classes that wrap a network, and the attribute that they keep it in."""
NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
MODAL = (*NORMS, nn.modules.dropout._DropoutNd, nn.AlphaDropout)
"""Modules that do something else in training than in evaluation."""


@dataclass(eq=False)
class Network:
    """Parameters that the script's optimisers treat alike, under one name."""

    name: str
    modules: list[nn.Module]
    parameters: list[Tensor]
    epoch: int = 0
    """How often its weights were changed."""
    info: Info = field(default_factory=lambda: Info(0, 0))
    written: Place | None = None
    """Where they were changed last, by another than an optimiser."""
    first: list[Tensor] = field(default_factory=list)
    """A sample of its weights when it was first seen."""

    def names(self) -> dict[int, str]:
        """Each parameter's name in it."""
        found: dict[int, str] = {}
        for module in self.modules:
            prefix = f"{self.name}." if len(self.modules) == 1 else ""
            for name, parameter in module.named_parameters():
                found.setdefault(id(parameter), f"{prefix}{name}")
        return found | {id(p): self.name for p in self.parameters if id(p) not in found}

    @property
    def frozen(self) -> bool:
        """Whether none of its parameters takes a gradient."""
        return not any(parameter.requires_grad for parameter in self.parameters)

    def modal(self) -> nn.Module | None:
        """A module in it that is in training mode and then does something of its own."""
        return next((found for module in self.modules if (found := modal(module)) is not None), None)


def modal(module: nn.Module) -> nn.Module | None:
    """A part of a module that is in training mode and then does something of its own."""
    for each in module.modules():
        if each.training and isinstance(each, MODAL) and getattr(each, "p", True) and _tracks(each):
            return each
    return None


def _tracks(module: nn.Module) -> bool:
    return not isinstance(module, nn.modules.instancenorm._InstanceNorm) or module.track_running_stats


def sample(tensor: Tensor, most: int = 256) -> Tensor:
    """Some of a tensor's numbers, evenly spread, copied."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, -(-flat.numel() // most))].clone() if flat.numel() > most else flat.clone()


def keeps_statistics(module: nn.Module) -> str:
    """What of a module a pass in training mode moves: running statistics, or a spectral norm's vectors."""
    for each in module.modules():
        if each.training and isinstance(each, NORMS) and each.track_running_stats and each.momentum != 0:
            return f"the running statistics of its {type(each).__name__}"
        kinds = {type(each).__name__, *(type(hook).__name__ for hook in each._forward_pre_hooks.values())}
        if each.training and kinds & {"_SpectralNorm", "SpectralNorm"}:
            return "the vectors of its spectral norm"
    return ""


class Networks:
    """Every network seen so far. A network is the largest module that the script has a name for, split where
    different optimisers hold its parts."""

    def __init__(self) -> None:
        self.all: list[Network] = []
        self.bits: list[tuple[Network | None, int]] = []
        """Of each bit in an ``Info``: the network and its epoch; None marks a pass."""
        self.wrapped: dict[int, nn.Module] = {}
        """Wrappers, by the id of the module in each."""
        self.holders: dict[int, list[torch.optim.Optimizer]] = {}
        self._of: dict[int, Network] = {}
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        self.roots: dict[int, Network] = {}
        """Networks by the ids of the modules that the script calls."""

    def of(self, parameter: Tensor) -> Network | None:
        """The network that a parameter belongs to."""
        return self._of.get(id(parameter))

    def info(self, tensor: Tensor) -> Info | None:
        """What a parameter comes from: its network, as it is now."""
        network = self._of.get(id(tensor))
        return None if network is None else network.info

    def stored(self, tensor: Tensor, bits: int) -> Network | None:
        """The network, of some, whose parameter lies where a tensor does."""
        where = tensor.data_ptr()
        own = self._of.get(id(tensor))
        candidates = [own] if own else list(dict.fromkeys(network for network, _ in self.decode(bits)))
        return next((n for n in candidates if any(p.data_ptr() == where for p in n.parameters)), None)

    def new_bit(self, network: Network | None) -> int:
        """A bit for a network at its present epoch, or for a pass."""
        self.bits.append((network, network.epoch if network else 0))
        return 1 << (len(self.bits) - 1)

    def changed(self, network: Network) -> None:
        """Says that a network's weights changed: what was computed before comes from its past."""
        network.epoch += 1
        bit = self.new_bit(network)
        network.info = Info(bit, bit)

    def decode(self, bits: int) -> Iterator[tuple[Network, int]]:
        """The networks of some bits, each with its epoch then."""
        while bits:
            low = bits & -bits
            network, epoch = self.bits[low.bit_length() - 1]
            if network is not None:
                yield network, epoch
            bits ^= low

    # -- discovery -----------------------------------------------------------------------------------------

    def hold(self, optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor]) -> None:
        """An optimiser holds parameters; where they belong to one network with others, it is divided."""
        for parameter in parameters:
            holders = self.holders.setdefault(id(parameter), [])
            if optimizer not in holders:
                holders.append(optimizer)
        self._kept.append(optimizer)
        for network in list(self.all):
            if len({self._held(p) for p in network.parameters if p.requires_grad}) > 1 and network.epoch == 0:
                self._divide(network)

    def lacks(self, module: nn.Module) -> bool:
        """Whether a module has parameters of its own that belong to no network yet."""
        if not module._parameters or id(module) in self._seen:
            return False
        return any(each is not None and id(each) not in self._of for each in module._parameters.values())

    def called(self, module: nn.Module, frames: list[FrameType]) -> Network | None:
        """The network of a module that the script calls; a new one is looked at and named."""
        if (network := self.roots.get(id(module))) is not None:
            return network
        if id(module) not in self._seen and not any(is_lazy(each) for each in module.parameters()):
            self._seen.add(id(module))
            self._kept.append(module)
            self._discover(module, frames)
        own = next((self._of[id(p)] for p in module.parameters() if id(p) in self._of), None)
        if own is not None:
            self.roots[id(module)] = own
        return own

    def _discover(self, module: nn.Module, frames: list[FrameType]) -> None:
        inner = unwrapped(module)
        top, name = inner, name_of(module, frames) or name_of(inner, frames)
        parts = {id(each) for each in inner.parameters()}
        if not parts or parts <= self._of.keys():
            return
        for bound_name, value in bound(frames):
            if isinstance(value, nn.Module):
                whole = unwrapped(value)
                if whole is not top and any(each is top for each in whole.modules()):
                    top, name = whole, type(whole).__name__ if bound_name in ("self", "module") else bound_name
        self._take(top, name or type(top).__name__, is_self=any(f.f_locals.get("self") is top for f in frames))

    def _take(self, module: nn.Module, name: str, is_self: bool = False) -> None:
        """Makes a network of a module, or one of each child where different optimisers hold them."""
        new: list[Tensor] = [p for p in module.parameters() if id(p) not in self._of]
        if not new:
            return
        if self._apart(module, new):
            prefix = "" if is_self else f"{name}."
            for child_name, child in module.named_children():
                self._take(child, f"{prefix}{child_name}")
            own: list[Tensor] = [p for p in module.parameters(recurse=False) if id(p) not in self._of]
            for holders in dict.fromkeys(self._held(p) for p in own):
                alike = [p for p in own if self._held(p) == holders]
                names = [n for n, p in module.named_parameters(recurse=False) if any(p is a for a in alike)]
                self._make(f"{prefix}{names[0]}" if len(names) == 1 else f"{name} (own)", [module], alike)
        else:
            self._make(name, [module], new)

    def loose(self, optimizer: torch.optim.Optimizer, name: str, frames: list[FrameType]) -> None:
        """What an optimiser holds and no module that was called has."""
        new = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in self._of]
        if not new:
            return
        wanted = {id(parameter) for parameter in new}
        for bound_name, value in bound(frames):
            if isinstance(value, nn.Module) and any(id(p) in wanted for p in value.parameters()):
                self._take(unwrapped(value), type(value).__name__ if bound_name == "self" else bound_name)
        if rest := [parameter for parameter in new if id(parameter) not in self._of]:
            called = name_of(rest[0], frames) if len(rest) == 1 else ""
            self._make(called or f"what {name} holds", [], rest)

    def _make(self, name: str, modules: list[nn.Module], parameters: list[Tensor]) -> None:
        taken = {network.name for network in self.all}
        unique = next(n for n in chain([name], (f"{name} ({i})" for i in count(2))) if n not in taken)
        network = Network(unique, modules, parameters)
        self.all.append(network)
        bit = self.new_bit(network)
        network.info = Info(bit, bit)
        network.first = [sample(parameter, 32) for parameter in parameters]
        self._kept.append(parameters)
        for parameter in parameters:
            self._of[id(parameter)] = network

    def _divide(self, network: Network) -> None:
        self.all.remove(network)
        for parameter in network.parameters:
            del self._of[id(parameter)]
        self.roots = {key: each for key, each in self.roots.items() if each is not network}
        for module in network.modules:
            self._take(module, network.name, is_self=network.name == type(module).__name__)

    def _apart(self, module: nn.Module, parameters: list[Tensor]) -> bool:
        """Whether different optimisers hold parts of a module, or one of its children is frozen and moves statistics.
        (Dropout in a frozen part of what is trained, as under LoRA, is a regulariser.)"""
        if len({self._held(parameter) for parameter in parameters if parameter.requires_grad}) > 1:
            return True
        children = [child for child in module.children() if any(True for _ in child.parameters())]
        frozen = [child for child in children if not any(p.requires_grad for p in child.parameters())]
        return len(frozen) < len(children) and any(isinstance(modal(child), NORMS) for child in frozen)

    def _held(self, parameter: Tensor) -> frozenset[int]:
        return frozenset(map(id, self.holders.get(id(parameter), ())))


def unwrapped(module: nn.Module) -> nn.Module:
    """The network in a wrapper, or in several."""
    while (attribute := WRAPPERS.get(type(module).__name__)) and isinstance(
        getattr(module, attribute, None), nn.Module
    ):
        module = getattr(module, attribute)
    return module


def below(kind: type) -> set[type]:
    """A class and all that are derived from it."""
    return {kind}.union(*map(below, type.__subclasses__(kind)))


def alive() -> list[Any]:
    """Every optimiser and every wrapper that there is."""
    kinds = below(torch.optim.Optimizer) | {kind for kind in below(nn.Module) if kind.__name__ in WRAPPERS}
    return [each for each in gc.get_objects() if type(each) in kinds]
