"""How a model lies in the processes that train it: whole in each, or its large parameters shared out among them.

With ``train.fully_shard`` each process keeps one of N equal pieces of every large parameter, of its gradient, of its
optimiser's moments and of its average: ZeRO's third stage (Rajbhandari et al. 2020). ``gathering`` makes parameters
whole where a network computes. ``torch.distributed.fsdp.fully_shard`` would not do: it writes gradients to ``.grad`` in
hooks of ``backward()``; ``torch.autograd.grad``, which a phase takes for each row, is given None for every parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from zoo.engine.average import Average
from zoo.engine.gathering import Group, Whole, hooked, the_whole, units, whole_of
from zoo.engine.players import Gradients, Player
from zoo.engine.sentinel import first_bad
from zoo.errors import Problem, RecipeError, RequestError, TrainingError
from zoo.machine.processes import Processes
from zoo.model.model import Model

LEAST = 8192
"""Numbers in the smallest parameter that is shared out; to gather a smaller one costs more than it saves."""
ELEMENTWISE = frozenset(
    getattr(torch.optim, name)
    for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop")
)
"""Torch's optimisers that move each number by itself; another's class says ``elementwise = True``."""


class Replicas:
    """A model that is whole in every process.

    Args:
        processes: those that train it.

    Attributes:
        read: a state as the first process read it, whole, until the others are given their pieces of it.
    """

    collective = False
    """Whether every process takes part where the first one saves a state, shows the model or looks at it."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._pieces: frozenset[str] = frozenset()
        self.read: Mapping[str, Tensor] = {}

    def check(self, players: Mapping[str, Player]) -> None:
        """Refuses players who cannot be trained so."""

    def mean(self, losses: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> Gradients:
        """What a phase gave, averaged over the processes; of pieces, it is so already."""
        if self._processes.count == 1:
            return dict(losses), dict(gradients)
        own = {k: g for k, g in gradients.items() if k not in self._pieces} if self._pieces else gradients
        means = self._processes.mean([*losses.values(), *own.values()])
        mean = dict(zip(own, means[len(losses) :], strict=True))
        return dict(zip(losses, means, strict=False)), {**gradients, **mean} if self._pieces else mean

    def norms(self, _: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        """The norm of every gradient as a whole, the same number in every process; None where each has them whole."""
        return None

    def spoilt(self, players: Mapping[str, Player]) -> list[str]:
        """The players whose weights are not finite."""
        return [name for name, player in players.items() if first_bad(player.parameters)]

    def told(self, what: Any) -> Any:
        """What the first process says where all must do the same."""
        return what

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, the model is an ordinary one; where it is shared out every process enters."""
        yield

    def gathered(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """An engine's state with whole tensors in place of pieces."""
        return tensors

    def like(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors of the types and shapes that ``gathered`` gives."""
        return tensors

    def piece(self, _: str, tensor: Tensor) -> Tensor:
        """What this process keeps of a tensor of an engine's state."""
        return tensor

    def taken(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What this process keeps of an engine's state."""
        return tensors

    def end(self, average: Average | None) -> Average | None:
        """Makes a model that is shared out an ordinary one again; every process calls it.

        Returns:
            the averaged weights, whole too.
        """
        return average


class Shards(Replicas):
    """A model whose large parameters, frozen ones too, are shared out among processes.

    Args:
        model: whose parameters; each is replaced in its module by this process's piece of it.
        processes: that have built the same model.
        forgets: whether autograd is told to keep no gathered parameter. Not where activations are computed again:
            there it keeps none, and it heeds the innermost of such hooks alone.
    """

    collective = True

    def __init__(self, model: Model, processes: Processes, forgets: bool) -> None:
        super().__init__(processes)
        self._model, self._frozen, group = model, model.frozen, Group(processes, forgets)
        self._players: Mapping[str, Player] = {}
        self._places = _shared_out(model, group)
        shards = {id(shard): the_whole(shard).parameter for _, _, shard in self._places}
        model.frozen |= {shard for shard, parameter in shards.items() if id(parameter) in self._frozen}
        named = model.named_parameters(remove_duplicate=False)
        self._names = {name: whole for name, parameter in named if (whole := whole_of(parameter))}
        roots = [module for name, module in model.named_children() if name != "owned"]
        self._hooks = [hook for unit in units([*roots, *model.owned.children()]) for hook in hooked(unit)]

    def check(self, players: Mapping[str, Player]) -> None:
        """Refuses an optimiser for which a piece of a parameter is not enough.

        Raises:
            RecipeError: placed at it.
        """
        for name, player in players.items():
            kind, part = type(player.optimizer), self._model.recipe.train.optimizers[name].part
            if player.optimizer and kind not in ELEMENTWISE and not getattr(kind, "elementwise", False):
                raise RecipeError([Problem(part.position, _refusal(name, part.entry.name, kind))])
        self._players = players
        self._pieces = frozenset(k for player in players.values() for k, p in player.parameters.items() if whole_of(p))

    def norms(self, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        """The norm of every gradient as a whole, the same number in every process.

        Raises:
            TrainingError: if the model is an ordinary one again.
        """
        if not self._hooks:
            raise TrainingError("train.fully_shard: this training is over and its model whole again; begin another")
        squares = {k: torch.linalg.vector_norm(g, dtype=torch.float64).square() for k, g in gradients.items()}
        pieces = [key for key in squares if key in self._pieces]
        if pieces:
            together = torch.stack([squares[key] for key in pieces])
            dist.all_reduce(together)
            squares |= dict(zip(pieces, together.unbind(), strict=True))
        return {key: square.sqrt() for key, square in squares.items()}

    def spoilt(self, players: Mapping[str, Player]) -> list[str]:
        """The players whose weights are not finite in some process."""
        found = set(super().spoilt(players))
        return [name for name in players if self._processes.any(name in found, self._model.device)]

    def told(self, what: Any) -> Any:
        """What the first process says."""
        return self._processes.told(what)

    # -- whole again -----------------------------------------------------------------------------------------

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, the model is an ordinary one; every process enters."""
        self._assemble()
        try:
            yield
        finally:
            for owner, name, shard in self._places:
                owner._parameters[name] = shard
                _emptied(the_whole(shard).parameter)

    def end(self, average: Average | None) -> Average | None:
        """Makes the model an ordinary one for good; every process calls it.

        Returns:
            the averaged weights, whole too.
        """
        self._assemble()
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._model.frozen = [], self._frozen
        if average is None:
            return None
        whole = Average(self._model, average.decay)
        for name, tensor in average.averaged.items():
            whole.averaged[name].copy_(self._together(f"ema/{name}", tensor))
        return whole

    def _assemble(self) -> None:
        for owner, name, shard in self._places:
            whole = the_whole(shard)
            if not whole.parameter.numel():  # it may stand in several places
                whole.parameter.data = whole.gathered(shard, shard.dtype)
                whole.parameter.requires_grad_(shard.requires_grad)
            owner._parameters[name] = whole.parameter

    # -- state -----------------------------------------------------------------------------------------------

    def gathered(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """An engine's state with whole tensors, on the CPU, in place of pieces, at the first process.

        The others take part, and are given what is not shared out.
        """
        found = {}
        for name, tensor in tensors.items():
            together = self._together(name, tensor)
            if together is tensor:
                found[name] = tensor
            elif self._processes.first:
                found[name] = together.cpu()
        return found

    def like(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors of the types and shapes that ``gathered`` gives, without memory in place of pieces."""
        return {
            name: whole.like(tensor) if (whole := self._whole_of(name)) else tensor for name, tensor in tensors.items()
        }

    def piece(self, name: str, tensor: Tensor) -> Tensor:
        """This process's piece of a whole tensor of an engine's state; what is not shared out stays as it is."""
        whole = self._whole_of(name)
        return whole.share(tensor) if whole and tensor.shape == whole.shape else tensor

    def taken(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """This process's pieces of an engine's state; the first keeps it whole for the others too."""
        self.read = tensors if self._processes.first else {}
        return {name: self.piece(name, tensor) for name, tensor in tensors.items()}

    def _together(self, name: str, tensor: Tensor) -> Tensor:
        whole = self._whole_of(name)
        return whole.gathered(tensor, tensor.dtype) if whole and whole.is_piece(tensor) else tensor

    def _whole_of(self, name: str) -> Whole | None:
        """What a tensor of an engine's state, if it has such a shape, is or holds a piece of."""
        kind, rest = name.split("/", 1)
        if kind != "optimizer":
            return self._names.get(rest)
        player, index, _ = rest.rsplit("/", 2)
        return whole_of([*self._players[player].moved.values()][int(index)])


def laid_out(model: Model, processes: Processes) -> Replicas:
    """A model as its recipe lets it lie in the processes that train it.

    Raises:
        RequestError: if the recipe wants both ``train.fully_shard`` and ``train.compile``.
    """
    settings = model.recipe.train
    if settings.fully_shard and settings.compile:
        raise RequestError("train.fully_shard does not go with train.compile; set one to false")
    if not settings.fully_shard or processes.count == 1:
        return Replicas(processes)
    return Shards(model, processes, forgets=not settings.activation_checkpointing)


def _shared_out(model: nn.Module, group: Group) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Replaces every large parameter by this process's piece of it; says where the pieces stand."""
    places = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is not None and parameter.numel() >= LEAST
        if not isinstance(module, nn.RNNBase)  # torch's recurrent networks hold theirs in a second list
    ]
    shards = {parameter: _shard(parameter, group) for parameter in dict.fromkeys(p for _, _, p in places)}
    for module, name, parameter in places:
        module._parameters[name] = shards[parameter]
    return [(module, name, shards[parameter]) for module, name, parameter in places]


def _shard(parameter: nn.Parameter, group: Group) -> nn.Parameter:
    whole = Whole(parameter, parameter.shape, torch.empty_like(parameter, device="meta").stride(), group)
    shard = nn.Parameter(whole.share(parameter), parameter.requires_grad)
    shard._zoo_whole = whole  # type: ignore[attr-defined]
    _emptied(parameter)
    return shard


def _emptied(parameter: nn.Parameter) -> None:
    parameter.data = parameter.data.new_empty(0)


def _refusal(player: str, name: str, kind: type) -> str:
    return (
        f"train.fully_shard: the optimiser '{name}' of {player} ({kind.__name__}) may move a parameter as a whole, and "
        "each process has but a piece of it; choose one that moves every number by itself (adam, adamw, sgd, rmsprop), "
        "say elementwise = True on its class if it does, or set train.fully_shard to false"
    )
