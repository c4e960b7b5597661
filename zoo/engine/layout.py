"""Layout of a model across processes: replicated, or with large parameters sharded.

With ``train.fully_shard`` each process keeps one of N pieces of every large parameter, of its gradient, of its
optimiser's moments and of its average: ZeRO's third stage (Rajbhandari et al. 2020). A module that reads such a
parameter gathers it differentiably, as in SimpleFSDP (Zhang et al. 2024). Torch's own would not do: ``fully_shard``
writes gradients to ``.grad`` in hooks of ``backward()``, and ``torch.autograd.grad``, which a phase takes for each row,
is given None for every parameter; with ``DTensor`` vit_small took a third more CPU time a step (gloo, 2 processes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from zoo.engine.average import Average
from zoo.engine.keys import TermKey
from zoo.engine.players import Gradients, Player
from zoo.engine.sentinel import first_bad
from zoo.errors import Problem, RecipeError, TrainingError
from zoo.machine.processes import Processes
from zoo.machine.torch_private import spectral_norms
from zoo.model.forward import SlotView
from zoo.model.model import Model

LEAST = 8192
"""Numbers in the smallest parameter that is sharded; to gather a smaller one costs more than it saves."""
ELEMENTWISE = frozenset(
    getattr(torch.optim, name)
    for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop")
)
"""Torch's optimisers that move each number by itself; another's class says ``elementwise = True``."""
LOWERED = frozenset(
    {nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d}
)
"""Layers whose parameters autocast casts as they are; cast before they are gathered, half as much is sent."""
WALKS = ("parameters", "named_parameters", "state_dict")
"""Methods of a network that hand out its parameters."""
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
"""Torch 2.14 calls them so, and warns of the names before."""


class Layout:
    """A model as its recipe lets it lie in the processes that train it.

    Args:
        model: whose parameters; a large one, frozen or not, is replaced in its module by this process's piece of it.
        processes: that have built the same model.

    Attributes:
        collective: whether every process takes part where the first one saves a state, shows the model or looks at it.
        read: a state as the first process read it, whole, until the others are given their pieces of it.
    """

    def __init__(self, model: Model, processes: Processes) -> None:
        self.collective = model.recipe.train.fully_shard and processes.count > 1
        self.read: Mapping[str, Tensor] = {}
        self._model, self._processes = model, processes
        self._places = _sharded(model) if self.collective else []
        named = [(name, p) for name, p in model.named_parameters(remove_duplicate=False) if isinstance(p, Piece)]
        self._pieces = {f"{kind}/{name}": piece for kind in ("model", "ema") for name, piece in named}
        self._learning: frozenset[str] = frozenset()

    def check(self, players: Mapping[str, Player]) -> None:
        """Takes note of who learns; an optimiser for which a piece of a parameter is not enough is a RecipeError."""
        for name, player in players.items() if self.collective else ():
            kind, part = type(player.optimizer), self._model.recipe.train.optimizers[name].part
            if player.optimizer and kind not in ELEMENTWISE and not getattr(kind, "elementwise", False):
                sentence = (
                    f"train.fully_shard: the optimiser '{part.entry.name}' of {name} ({kind.__name__}) may move a "
                    "parameter as a whole, and each process has but a piece of it; choose one that moves every number "
                    "by itself (adam, adamw, sgd, rmsprop), say elementwise = True on its class if it does, or set "
                    "train.fully_shard to false"
                )
                raise RecipeError([Problem(part.position, sentence)])
            placed = player.placed.items()
            self._pieces |= {f"optimizer/{name}/{place}": p for place, (_, p) in placed if isinstance(p, Piece)}
            self._learning |= {key for key, p in player.parameters.items() if isinstance(p, Piece)}

    # -- a step ----------------------------------------------------------------------------------------------

    def computing(self) -> AbstractContextManager[object]:
        """Inside, autograd keeps no gathered parameter for the backward; it is gathered again there."""
        return torch.autograd.graph.saved_tensors_hooks(_packed, _unpacked) if self.collective else nullcontext()

    def versions(self) -> dict[str, tuple[Tensor, int]]:
        """Which tensor each buffer of numbers is that processes may come to differ in, and how often it was changed.

        The vectors of spectral norm come of the weights alone, which all have.
        """
        if self._processes.count == 1:
            return {}
        same = {id(vector) for norm in spectral_norms(self._model) for vector in norm.buffers()}
        floating = ((name, b) for name, b in self._model.named_buffers() if b.is_floating_point() and id(b) not in same)
        return {name: (buffer, buffer._version) for name, buffer in floating}

    def mean(
        self,
        losses: Mapping[TermKey, Tensor],
        gradients: Mapping[str, Tensor],
        before: Mapping[str, tuple[Tensor, int]],
    ) -> Gradients:
        """Averages losses, gradients, and the buffers that were changed since ``before``, over the processes.

        Pieces of gradients are means already. A buffer that learns, such as a codebook's running sums, is then the
        same everywhere.
        """
        if self._processes.count == 1:
            return dict(losses), dict(gradients)
        whole = {key: gradient for key, gradient in gradients.items() if key not in self._learning}
        now = self.versions()
        buffers = [b for name, (b, version) in now.items() if b is not before[name][0] or version != before[name][1]]
        means = self._processes.mean([*losses.values(), *whole.values(), *buffers])
        for buffer, mean in zip(buffers, means[len(losses) + len(whole) :], strict=True):
            buffer.copy_(mean)
        averaged = zip(whole, means[len(losses) :], strict=False)
        return dict(zip(losses, means, strict=False)), {**gradients, **dict(averaged)}

    def norms(self, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        """The norm of every gradient as a whole, the same number in every process; None where each has them whole.

        A model that was sharded and is an ordinary one again is a TrainingError.
        """
        if not self.collective:
            return None
        if not self._places:
            raise TrainingError("train.fully_shard: this training is over and its model whole again; begin another")
        squares = {k: torch.linalg.vector_norm(g, dtype=torch.float64).square() for k, g in gradients.items()}
        pieces = [key for key in squares if key in self._learning]
        means = self._processes.mean([squares[key] for key in pieces])
        squares |= {key: mean * self._processes.count for key, mean in zip(pieces, means, strict=True)}
        return {key: square.sqrt() for key, square in squares.items()}

    def spoilt(self, players: Mapping[str, Player]) -> list[str]:
        """The players whose weights are not finite in some process."""
        bad = [name for name, player in players.items() if first_bad(player.parameters)]
        if not self.collective:
            return bad
        return [name for name in players if self._processes.any(name in bad, self._model.device)]

    def told(self, what: Any) -> Any:
        """Passes on what the first process says, where all must do the same."""
        return self._processes.told(what) if self.collective else what

    # -- whole again -----------------------------------------------------------------------------------------

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, the model is an ordinary one; where it is sharded every process enters."""
        self._assemble()
        try:
            yield
        finally:
            for owner, name, piece in self._places:
                owner._parameters[name] = piece
                piece.whole.data = piece.data.new_empty(0)

    def end(self, average: Average | None) -> None:
        """Makes a sharded model, and its averaged weights, ordinary ones for good; every process calls it."""
        self._assemble()
        for module in {owner for owner, _, _ in self._places}:
            module.__class__ = type(module).__mro__[1]
        self._places = []
        averaged = average.averaged if average else {}
        for name, tensor in averaged.items():
            if (piece := self._piece(f"ema/{name}", tensor)) is not None:
                averaged[name] = piece.gathered(tensor)

    def _assemble(self) -> None:
        for owner, name, piece in self._places:
            if not piece.whole.numel():  # it may stand in several places
                piece.whole.data = piece.gathered(piece.detach())
                piece.whole.requires_grad_(piece.requires_grad)
            owner._parameters[name] = piece.whole

    # -- state -----------------------------------------------------------------------------------------------

    def gathered(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """An engine's state, whole, on the CPU, at the first process; the others take part."""
        found = dict(tensors)
        for name, tensor in tensors.items():
            if (piece := self._piece(name, tensor)) is not None:
                whole = piece.gathered(tensor)
                found |= {name: whole.cpu()} if self._processes.first else {}
        return found

    def like(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors of the types and shapes that ``gathered`` gives, without memory in place of pieces."""
        pieces = {name: self._piece(name, tensor) for name, tensor in tensors.items()}
        return {**tensors, **{name: piece.form for name, piece in pieces.items() if piece is not None}}

    def piece(self, name: str, tensor: Tensor) -> Tensor:
        """This process's piece of a whole tensor of an engine's state; what is not sharded stays as it is."""
        return tensor if (piece := self._piece(name, tensor, whole=True)) is None else _piece(tensor, piece.form)

    def taken(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """This process's pieces of an engine's state; the first keeps it whole for the others too."""
        self.read = tensors if self.collective and self._processes.first else {}
        return {name: self.piece(name, tensor) for name, tensor in tensors.items()}

    def _piece(self, name: str, tensor: Tensor, whole: bool = False) -> Piece | None:
        """Finds whose piece, or whole, a tensor of an engine's state is; an optimiser's count of steps is nobody's."""
        piece = self._pieces.get(name, self._pieces.get(name.rpartition("/")[0]))
        shape = piece is not None and (piece.form.shape if whole else piece.shape)
        return piece if tensor.shape == shape else None


# -- pieces, gathered when they are read ---------------------------------------------------------------------


class Piece(nn.Parameter):
    """This process's piece of a parameter: an ordinary parameter of one dimension, a stretch of the whole's memory.

    Attributes:
        whole: the parameter, without memory while it is sharded.
        form: its type, shape and strides, a tensor without memory.
    """

    whole: nn.Parameter
    form: Tensor

    @staticmethod
    def made(whole: nn.Parameter) -> Piece:
        """The piece of a parameter, which is emptied."""
        form = torch.empty_like(whole, device="meta")
        piece = Piece(_piece(whole.detach(), form), whole.requires_grad)
        piece.whole, piece.form = whole, form
        whole.data = whole.data.new_empty(0)
        return piece

    def gathered(self, piece: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """The whole of everybody's pieces, such as this one, in ``dtype``; a collective."""
        return _Gather.apply(piece, self.form, dtype or piece.dtype)  # type: ignore[no-any-return]

    def read(self, dtype: torch.dtype | None = None) -> Tensor:
        """The whole, in memory that tells what it was gathered from."""
        whole = self.gathered(self, dtype)
        whole.untyped_storage()._zoo_gathered = (self, dtype)  # type: ignore[attr-defined]
        return whole


class _Gather(torch.autograd.Function):
    """The whole of everybody's pieces; its gradient is this process's piece of the mean, in float32 at least."""

    @staticmethod
    def forward(ctx: Any, piece: Tensor, form: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.form = form
        flat = piece.new_empty(len(piece) * dist.get_world_size(), dtype=dtype)
        _all_gather(flat, piece.to(dtype))
        return flat.as_strided(form.shape, form.stride())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        flat = _flat(gradient, ctx.form, torch.promote_types(gradient.dtype, torch.float32))
        piece = flat.new_empty(len(flat) // dist.get_world_size())
        _reduce_scatter(piece, flat)
        return piece.div_(dist.get_world_size()), None, None


def _flat(whole: Tensor, form: Tensor, dtype: torch.dtype) -> Tensor:
    """A whole as one stretch of memory, filled up with zeros to as many equal pieces as there are processes."""
    count, length = dist.get_world_size(), form.numel()
    flat = whole.new_empty(-(-length // count) * count, dtype=dtype)
    flat[length:] = 0
    flat.as_strided(form.shape, form.stride()).copy_(whole)
    return flat


def _piece(whole: Tensor, form: Tensor) -> Tensor:
    return _flat(whole, form, whole.dtype).chunk(dist.get_world_size())[dist.get_rank()].clone()


def _sharded(model: Model) -> list[tuple[nn.Module, str, Piece]]:
    """Has modules hold pieces of large parameters, gathered when they are read; says where they stand."""
    large = {
        module: {name: p for name, p in module._parameters.items() if p is not None and p.numel() >= LEAST}
        for module in model.modules()
        if not isinstance(module, nn.RNNBase)  # torch's recurrent networks hold theirs in a second list
    }
    pieces = {p: Piece.made(p) for p in dict.fromkeys(p for own in large.values() for p in own.values())}
    for module, own in large.items():
        kind = type(module)
        reading = {name: property(partial(_read, name=name, lowered=kind in LOWERED)) for name in own}
        if reading:
            module.__class__ = type(kind.__name__, (kind,), {"__module__": kind.__module__, **reading})
        module._parameters.update({name: pieces[p] for name, p in own.items()})
    return [(module, name, pieces[p]) for module, own in large.items() for name, p in own.items()]


def _read(module: nn.Module, name: str, lowered: bool) -> Tensor | None:
    parameter = module._parameters[name]
    if not isinstance(parameter, Piece):  # the model is whole for now
        return parameter
    device = parameter.device.type
    return parameter.read(torch.get_autocast_dtype(device) if lowered and torch.is_autocast_enabled(device) else None)


def _packed(tensor: Tensor) -> Any:
    gathered = getattr(tensor.untyped_storage(), "_zoo_gathered", None)
    return (*gathered, tensor.size(), tensor.stride(), tensor.storage_offset()) if gathered else tensor


@torch.no_grad()
def _unpacked(kept: Any) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    piece, dtype, *view = kept
    return piece.read(dtype).as_strided(*view)  # type: ignore[no-any-return]


class ShardedView(SlotView):
    """A slot with sharded parameters as one call sees it."""

    def __getattr__(self, name: str) -> Any:
        """A part, a method, or a weight, whole; a walk over parameters, which would meet pieces, is a TrainingError."""
        if name in WALKS:
            raise TrainingError(
                f"train.fully_shard: a value or a term calls {name}() of a network, and would meet this process's "
                "pieces of its weights; have it read those that it needs by name, or set train.fully_shard to false"
            )
        return super().__getattr__(name)
