"""Parameters of which each process has a piece, whole for as long as a part of a network computes.

The gather is differentiable, as in SimpleFSDP (Zhang et al. 2024): its backward scatters the mean gradient, so that
``torch.autograd.grad`` finds each process's piece of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from zoo.errors import TrainingError
from zoo.machine.processes import Processes
from zoo.model.forward import SlotView

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
LOWERED = frozenset(
    {nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d}
)
"""Layers whose parameters autocast casts as they are; cast before they are gathered, half as much is sent."""
WALKS = ("parameters", "named_parameters", "state_dict")
"""Methods of a network that hand out its parameters."""
Place = tuple[nn.Module, str]
"""A module and the name of a parameter of its own."""


@dataclass(frozen=True, eq=False)
class Group:
    """What the shards of one model have in common.

    Args:
        processes: those that share its parameters.
        forgets: whether autograd is told to keep no gathered parameter for the backward.
        alive: address -> shard and type of each that is gathered now.
    """

    processes: Processes
    forgets: bool
    alive: dict[int, tuple[nn.Parameter, torch.dtype]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Whole:
    """What a shard is a piece of.

    Args:
        parameter: the whole parameter, without memory while it is shared out.
        shape: of it.
        stride: of its memory, which is dense.
        group: what it has in common with the others.
    """

    parameter: nn.Parameter
    shape: torch.Size
    stride: tuple[int, ...]
    group: Group

    @property
    def each(self) -> int:
        """Numbers in a shard; the last is filled up with zeros."""
        return -(-self.shape.numel() // self.group.processes.count)

    def is_piece(self, tensor: Tensor) -> bool:
        """Whether a tensor has the shape of a shard; a parameter's moments have, a count of steps has not."""
        return tensor.shape == (self.each,)

    def like(self, tensor: Tensor) -> Tensor:
        """``tensor`` itself, or in place of a piece one of its type and of the whole's shape, without memory."""
        return torch.empty(self.shape, dtype=tensor.dtype, device="meta") if self.is_piece(tensor) else tensor

    def share(self, whole: Tensor) -> Tensor:
        """This process's piece of a whole tensor."""
        rank = self.group.processes.rank
        return self._flat(whole, whole.dtype)[rank * self.each : (rank + 1) * self.each].clone()

    def gathered(self, shard: Tensor, dtype: torch.dtype) -> Tensor:
        """The whole of everybody's pieces, in ``dtype``; a collective."""
        flat = torch.empty(self.each * self.group.processes.count, dtype=dtype, device=shard.device)
        dist.all_gather_into_tensor(flat, shard.detach().to(dtype))
        return flat.as_strided(self.shape, self.stride)

    def scattered(self, gradient: Tensor) -> Tensor:
        """This process's piece of the mean of everybody's whole gradients, in float32 at least; a collective."""
        flat = self._flat(gradient, torch.promote_types(gradient.dtype, torch.float32))
        own = flat.new_empty(self.each)
        dist.reduce_scatter_tensor(own, flat)
        return own.div_(self.group.processes.count)

    def _flat(self, whole: Tensor, dtype: torch.dtype) -> Tensor:
        flat = torch.empty(self.each * self.group.processes.count, dtype=dtype, device=whole.device)
        flat[self.shape.numel() :] = 0
        flat.as_strided(self.shape, self.stride).copy_(whole.detach())
        return flat


def whole_of(tensor: Any) -> Whole | None:
    """What a tensor is a shard of; None if it is none."""
    return getattr(tensor, "_zoo_whole", None)


def the_whole(shard: Tensor) -> Whole:
    """What a shard is a shard of."""
    found = whole_of(shard)
    assert found is not None
    return found


class _Gather(torch.autograd.Function):
    """The whole of a parameter; its gradient is this process's piece of the mean gradient."""

    @staticmethod
    def forward(ctx: Any, shard: Tensor, whole: Whole, dtype: torch.dtype) -> Tensor:
        ctx.whole = whole
        return whole.gathered(shard, dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Scatter.apply(gradients[0], ctx.whole), None, None


class _Scatter(torch.autograd.Function):
    """A piece of the mean of all processes' tensors; in its gradient each of them counts one Nth."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, whole: Whole) -> Tensor:
        ctx.whole, ctx.dtype = whole, tensor.dtype
        return whole.scattered(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Gather.apply(gradients[0], ctx.whole, ctx.dtype) / ctx.whole.group.processes.count, None


# -- whole for as long as a module computes ------------------------------------------------------------------


def places_of(module: nn.Module) -> Iterator[Place]:
    """The parameters that a module sees whole when it is entered: all below it but those of units of their own.

    A unit is what stands directly in a ``Sequential``, ``ModuleList`` or ``ModuleDict`` and is none of them.
    """
    yield from ((module, name) for name, parameter in module._parameters.items() if parameter is not None)
    for child in module.children():
        if isinstance(child, CONTAINERS) or not isinstance(module, CONTAINERS):
            yield from places_of(child)


@contextmanager
def gathered(places: Sequence[Place], dtype: torch.dtype | None) -> Iterator[None]:
    """Has parameters whole inside, those that are not yet.

    Args:
        places: where they are.
        dtype: the type that autocast computes in; None where it does not.
    """
    own = [(owner, name, shard) for owner, name in places if whole_of(shard := _own(owner, name))]
    if not own:
        yield
        return
    group = the_whole(own[0][2]).group
    made: dict[tuple[int, torch.dtype], Tensor] = {}
    for owner, name, shard in own:
        kind = dtype if dtype and type(owner) in LOWERED else shard.dtype
        if (id(shard), kind) not in made:
            made[id(shard), kind] = found = _Gather.apply(shard, the_whole(shard), kind)
            group.alive[found.data_ptr()] = (shard, kind)
        owner._parameters[name] = made[id(shard), kind]  # type: ignore[assignment] # torch takes any tensor
    try:
        with _forgetting(group) if group.forgets else nullcontext():
            yield
    finally:
        for found in made.values():
            del group.alive[found.data_ptr()]
        for owner, name, shard in own:
            owner._parameters[name] = shard


def _own(owner: nn.Module, name: str) -> nn.Parameter:
    found = owner._parameters[name]
    assert found is not None
    return found


@dataclass(frozen=True)
class _Again:
    """A whole parameter, or a view of one, that is gathered again when the backward asks for it."""

    shard: nn.Parameter
    dtype: torch.dtype
    size: torch.Size
    stride: tuple[int, ...]
    offset: int | torch.SymInt

    def tensor(self) -> Tensor:
        found = the_whole(self.shard).gathered(self.shard, self.dtype)
        return found.as_strided(self.size, self.stride, self.offset)


def _forgetting(group: Group) -> torch.autograd.graph.saved_tensors_hooks:
    """Inside, autograd keeps for the backward no gathered parameter, but what it takes to gather it again."""

    def pack(tensor: Tensor) -> Tensor | _Again:
        known = group.alive.get(tensor.untyped_storage().data_ptr())
        return _Again(*known, tensor.size(), tensor.stride(), tensor.storage_offset()) if known else tensor

    def unpack(kept: Tensor | _Again) -> Tensor:
        return kept.tensor() if isinstance(kept, _Again) else kept

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


class ShardedView(SlotView):
    """A slot, some of whose parameters are shared out, as one call sees it: whole while it is entered.

    Args:
        given: as for ``SlotView``.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._places = tuple(places_of(self._module))

    def __getattr__(self, name: str) -> Any:
        """A part, a method, or a weight, whole.

        Raises:
            TrainingError: for a walk over parameters, which would meet pieces.
        """
        if name in WALKS:
            raise TrainingError(
                f"train.fully_shard: a value or a term calls {name}() of a network, and would meet this process's "
                "pieces of its weights; have it read those that it needs by name, or set train.fully_shard to false"
            )
        found = super().__getattr__(name)
        whole = whole_of(found)
        return found if whole is None else _Gather.apply(found, whole, found.dtype)

    def _computed(self, function: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        with gathered(self._places, self._dtype):
            return super()._computed(function, *inputs, **named)


def is_sharded(module: nn.Module) -> bool:
    """Whether a parameter of it is shared out."""
    return any(whole_of(parameter) for parameter in module.parameters())


def units(roots: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The modules that gather parameters when they are called: roots, and what stands in containers below them."""
    for root in roots:
        inside = (c for m in root.modules() if isinstance(m, CONTAINERS) for c in m.children())
        yield from dict.fromkeys((root, *(module for module in inside if not isinstance(module, CONTAINERS))))


def hooked(unit: nn.Module) -> Iterator[RemovableHandle]:
    """Has a unit gather its parameters for the length of each call."""
    places = tuple((owner, name) for owner, name in places_of(unit) if whole_of(owner._parameters[name]))
    if not places:
        return
    device = next(unit.parameters()).device.type
    entered: list[AbstractContextManager[None]] = []

    def enter(*_: object) -> None:
        lowered = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        entered.append(gathered(places, lowered))
        entered[-1].__enter__()

    def leave(*_: object) -> None:
        entered.pop().__exit__(None, None, None)

    yield unit.register_forward_pre_hook(enter, prepend=True)
    yield unit.register_forward_hook(leave, always_call=True)
