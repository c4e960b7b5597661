"""Those who learn: parameters, the optimiser that moves them, and the factor on its learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo.recipe.schema import Optimizer, Part, Schedule


@dataclass
class Player:
    """One who learns.

    Args:
        name: a slot, a dotted part of one, or a term that owns networks.
        parameters: name -> parameter.
        optimizer: what moves them, and perhaps other players'; None where gradients alone are wanted.
        rate: factor on the learning rate.
        lr: the learning rate.
    """

    name: str
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    rate: Schedule
    lr: float
    _lr: float | None = field(default=None, init=False)

    @property
    def on_device(self) -> bool:
        """Whether its optimiser's step reads nothing on the host: its rate and its counts are tensors on the device."""
        groups = self.optimizer.param_groups if self.optimizer else []
        return all(isinstance(group["lr"], Tensor) and group.get("capturable", True) for group in groups)

    @property
    def skips(self) -> bool:
        """Whether its optimiser can be told on the device, by ``found_inf``, to leave everything as it is."""
        return bool(getattr(self.optimizer, "_step_supports_amp_scaling", False))

    def put_on_device(self) -> None:
        """Makes rate and counts tensors on the device, where the optimiser has a way to, so that nothing is copied."""
        device = next(iter(self.parameters.values())).device
        for group in self.optimizer.param_groups if self.optimizer else ():
            if "capturable" in group or isinstance(self.optimizer, torch.optim.SGD):
                group["lr"] = torch.tensor(float(group["lr"]), device=device)
            if "capturable" in group:
                group["capturable"] = True

    def set_rate(self, step: int) -> None:
        """Sets the learning rate of a step."""
        lr = self.lr * self.rate(step)
        if lr == self._lr:
            return
        self._lr = lr
        for group in self.optimizer.param_groups if self.optimizer else ():
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def take(self, gradients: Mapping[str, Tensor], clip: float, norms: Mapping[str, Tensor] | None = None) -> None:
        """Has its gradients ready for the step.

        Args:
            gradients: parameter -> gradient, laid out like it; a parameter that is not in it stays.
            clip: largest norm of them all, 0 for no limit.
            norms: of the gradients as wholes, where these are pieces.
        """
        for key, parameter in self.parameters.items():
            gradient = gradients.get(key)
            if gradient is not None:
                parameter.grad = gradient
        if clip and norms is None:
            nn.utils.clip_grad_norm_(self.parameters.values(), clip)
        elif clip and norms:
            total = nn.utils.get_total_norm([norms[key] for key in self.parameters if key in norms])
            nn.utils.clip_grads_with_norm_(self.parameters.values(), clip, total.float())

    @property
    def moved(self) -> dict[int, nn.Parameter]:
        """Its parameters by their number in the optimiser, in the optimiser's order."""
        groups, own = self.optimizer.param_groups if self.optimizer else (), {id(p) for p in self.parameters.values()}
        every: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        return {number: p for number, p in enumerate(every) if id(p) in own}

    def state(self) -> dict[str, Tensor]:
        """The optimiser's tensors for its parameters: ``index/name``, by the parameter's index."""
        known = self.optimizer.state_dict()["state"] if self.optimizer else {}
        entries = {f"{i}/{key}": v for i, n in enumerate(self.moved) for key, v in known.get(n, {}).items()}
        return {name: torch.as_tensor(value) for name, value in entries.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up a saved state."""
        if self.optimizer is None:
            return
        own, whole = list(self.moved.items()), self.optimizer.state_dict()
        state = {n: entries for n, entries in whole["state"].items() if n not in dict(own)}
        for name, tensor in tensors.items():
            index, key = name.split("/", 1)
            number, parameter = own[int(index)]
            shaped = tensor.shape == parameter.shape
            laid_out = torch.empty_like(parameter).copy_(tensor) if shaped else tensor.clone()  # never the saver's own
            state.setdefault(number, {})[key] = laid_out
        self.optimizer.load_state_dict({**whole, "state": state})
        self._lr = None


def players_of(
    found: Mapping[str, dict[str, nn.Parameter]], chosen: Mapping[str, Optimizer], moves: bool
) -> dict[str, Player]:
    """The players, each with the optimiser that its recipe chose, if they move.

    Fused optimisers that are set alike are one object, which moves its players in one go: what they keep, they keep
    of each parameter by itself. Others may look at all that they move together, so each player has one of its own.

    Args:
        found: player -> its parameters by name.
        chosen: player -> its optimiser in the recipe.
        moves: whether they move.
    """
    made = {name: _optimizer(chosen[name].part, own.values()) if moves else None for name, own in found.items()}
    alike: dict[tuple[str, Schedule], list[str]] = {}
    for name, one in made.items():
        if one is not None and one.defaults.get("fused"):
            alike.setdefault((chosen[name].part.key, chosen[name].rate), []).append(name)
    for names in alike.values():
        parameters = [p for name in names for p in found[name].values()]
        if len(names) > 1 and len(set(map(id, parameters))) == len(parameters):
            made |= dict.fromkeys(names, _optimizer(chosen[names[0]].part, parameters))
    lrs = {name: one.param_groups[0]["lr"] if one else 0.0 for name, one in made.items()}
    return {name: Player(name, own, made[name], chosen[name].rate, lrs[name]) for name, own in found.items()}


def move(
    players: Sequence[Player],
    gradients: Mapping[str, Tensor],
    clip: float,
    poison: Tensor | None = None,
    norms: Mapping[str, Tensor] | None = None,
) -> None:
    """Every player takes a step.

    Args:
        players: who moves.
        gradients: parameter -> gradient, laid out like it; a parameter that is not in it stays.
        clip: largest norm of a player's, 0 for no limit.
        poison: a number on the device; where it is not 0 nothing moves. For optimisers that ``skip``.
        norms: of the gradients as wholes, where these are pieces.
    """
    for player in players:
        player.take(gradients, clip, norms)
    for optimizer in dict.fromkeys(player.optimizer for player in players):
        assert optimizer is not None
        if poison is not None:
            optimizer.grad_scale, optimizer.found_inf = None, poison  # type: ignore[attr-defined]
        optimizer.step()
    for player in players:
        for parameter in player.parameters.values():
            parameter.grad = None


def laid_out_like(
    gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor], *, apart: bool = False
) -> dict[str, Tensor]:
    """Gradients in the memory layout of their parameters.

    Fused optimisers walk both as flat memory: with other strides they are silently wrong, and
    ``autograd.grad``, unlike ``backward``, does not enforce the parameter's.

    Args:
        gradients: parameter -> gradient.
        parameters: by the same names.
        apart: whether each has memory of its own, as what writes to them needs. Those of weights that are added to
            each other are one tensor.
    """
    found, taken = {}, set()
    for key, gradient in gradients.items():
        own = parameters[key]
        as_it_is = gradient.stride() == own.stride()
        if apart and as_it_is:
            place = gradient.untyped_storage().data_ptr()
            as_it_is = place not in taken
            taken.add(place)
        found[key] = gradient if as_it_is else torch.empty_like(own).copy_(gradient)
    return found


def _optimizer(part: Part, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    made: Any = part.load()(list(parameters), **part.arguments_for())
    assert isinstance(made, torch.optim.Optimizer)
    given = made.defaults
    if isinstance(made, torch.optim.SGD) and given["fused"] and given["momentum"] and not given["dampening"]:
        _begin_momentum(made)
    optimizer: torch.optim.Optimizer = made
    return optimizer


def _begin_momentum(sgd: torch.optim.SGD) -> None:
    """Has every parameter's momentum begin at zero, which is where it begins by itself.

    Torch's fused step makes the buffers of all its parameters or of none, and fails where one has its first gradient
    later than others.
    """
    for parameter in (p for group in sgd.param_groups for p in group["params"]):
        sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


Gradients = tuple[dict[str, Tensor], dict[str, Tensor]]
"""``"row/term"`` -> the term's value, and parameter -> gradient."""


Named = tuple[dict[str, Tensor], dict[str, Tensor]]


def summed(first: Named, second: Named) -> Named:
    """What two parts of a batch gave, together."""
    losses, gradients = ({k: one[k] + two[k] for k in one} for one, two in zip(first, second, strict=True))
    return losses, gradients
