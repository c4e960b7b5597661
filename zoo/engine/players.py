"""A player: its parameters, its optimiser, its learning-rate schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.keys import StateKey, TermKey
from zoo.machine.torch_private import can_skip, skip_where, take_step, without_compiler
from zoo.recipe.schema import Optimizer, Part, Schedule

Gradients = tuple[dict[TermKey, Tensor], dict[str, Tensor]]
"""Term -> its value, and parameter -> gradient."""


@dataclass
class Player:
    """A slot, a dotted part of one, or a term that owns networks: what learns.

    The optimiser may move other players' parameters too; it is None where gradients alone are wanted. ``rate`` is a
    factor on the learning rate ``lr``, ``part`` has the options that the optimiser was made with. ``places`` are those
    of its parameters among all of its network, frozen or not.
    """

    name: str
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    rate: Schedule
    lr: float
    places: Mapping[str, int]
    part: Part
    _lr: float | None = field(default=None, init=False)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Its optimiser's groups of parameters."""
        return self.optimizer.param_groups if self.optimizer else []

    @property
    def on_device(self) -> bool:
        """Whether its optimiser's step reads nothing on the host: its rate and its counts are tensors on the device."""
        return all(isinstance(group["lr"], Tensor) and group.get("capturable", True) for group in self.groups)

    @property
    def skips(self) -> bool:
        """Whether its optimiser can be told on the device to leave everything as it is."""
        return can_skip(self.optimizer)

    def put_on_device(self) -> None:
        """Makes rate and counts tensors on the device, where the optimiser has a way to, so that nothing is copied."""
        for group in self.groups:
            device = group["params"][0].device
            if "capturable" in group or isinstance(self.optimizer, torch.optim.SGD):
                group["lr"] = torch.tensor(float(group["lr"]), device=device)
            if "capturable" in group:
                group["capturable"] = True

    def set_rate(self, step: int) -> None:
        """Sets the learning rate of a step, and whatever else of the optimiser changes."""
        if changing := self.part.changing:
            now = self.part.arguments_for(step=step)
            for group in self.groups:
                group |= {name: now[name] for name in changing}
        lr = self.lr * self.rate(step)
        if lr == self._lr:
            return
        self._lr = lr
        for group in self.groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def take(self, gradients: Mapping[str, Tensor], clip: float, norms: Mapping[str, Tensor] | None) -> None:
        """Has its gradients ready for the step; arguments as for ``move``."""
        for key, parameter in self.parameters.items():
            if key in gradients:
                parameter.grad = gradients[key]
        if clip and norms is None:
            nn.utils.clip_grad_norm_(self.parameters.values(), clip)
        elif clip and norms:
            total = nn.utils.get_total_norm([norms[key] for key in self.parameters if key in norms])
            nn.utils.clip_grads_with_norm_(self.parameters.values(), clip, total.float())

    @property
    def moved(self) -> dict[int, nn.Parameter]:
        """Its parameters by their number in the optimiser, in the optimiser's order."""
        own = {id(parameter) for parameter in self.parameters.values()}
        every = [parameter for group in self.groups for parameter in group["params"]]
        return {number: parameter for number, parameter in enumerate(every) if id(parameter) in own}

    @property
    def placed(self) -> dict[int, tuple[int, nn.Parameter]]:
        """Its parameters by their places, by which a state has them whatever is frozen; each with its number."""
        places = {id(self.parameters[key]): place for key, place in self.places.items() if key in self.parameters}
        return {places[id(parameter)]: (number, parameter) for number, parameter in self.moved.items()}

    def state(self) -> dict[StateKey, Tensor]:
        """The optimiser's tensors for its parameters."""
        with without_compiler():
            known = self.optimizer.state_dict()["state"] if self.optimizer else {}
        return {
            StateKey("optimizer", self.name, place, entry): torch.as_tensor(value)
            for place, (number, _) in self.placed.items()
            for entry, value in known.get(number, {}).items()
        }

    def restore(self, tensors: Mapping[StateKey, Tensor]) -> None:
        """Takes up a saved state; tensors of others are passed over, and of what is frozen, or another, since."""
        if self.optimizer is None:
            return
        with without_compiler():
            placed, whole = self.placed, self.optimizer.state_dict()
        mine = {key: tensor for key, tensor in tensors.items() if (key.kind, key.name) == ("optimizer", self.name)}
        whose = [(key, t, placed[key.number][1]) for key, t in mine.items() if key.number in placed]
        several = [
            (key, t, p) for key, t, p in whose if t.numel() > 1 and t.ndim == p.ndim
        ]  # one number is of any size
        other = {key.number for key, t, p in several if t.shape != p.shape}
        state = {number: entries for number, entries in whole["state"].items() if number not in self.moved}
        for key, tensor in mine.items():
            if key.number in placed and key.number not in other:
                number, parameter = placed[key.number]
                shaped = tensor.shape == parameter.shape
                kept = torch.empty_like(parameter).copy_(tensor) if shaped else tensor.clone()  # never the saver's own
                state.setdefault(number, {})[key.entry] = kept
        with without_compiler():
            self.optimizer.load_state_dict({**whole, "state": state})
        self._lr = None


def players_of(
    learning: Mapping[str, dict[str, nn.Parameter]],
    chosen: Mapping[str, Optimizer],
    moves: bool,
    places: Mapping[str, Mapping[str, int]],
) -> dict[str, Player]:
    """The players, by name, each with the optimiser that its recipe chose, if it ``moves``.

    Fused optimisers that are set alike are one object, which moves its players in one go: what they keep, they keep of
    each parameter by itself. Others may look at all that they move together, so each player has one of its own.
    """
    made = {n: _optimizer(chosen[n].part, own.values()) if moves and own else None for n, own in learning.items()}
    alike: dict[tuple[str, Schedule], list[str]] = {}
    for name, one in made.items():
        if one is not None and one.defaults.get("fused"):
            alike.setdefault((chosen[name].part.key, chosen[name].rate), []).append(name)
    for names in alike.values():
        parameters = [p for name in names for p in learning[name].values()]
        if len(names) > 1 and len(set(map(id, parameters))) == len(parameters):
            made |= dict.fromkeys(names, _optimizer(chosen[names[0]].part, parameters))
    lrs = {name: one.param_groups[0]["lr"] if one else 0.0 for name, one in made.items()}
    return {
        n: Player(n, own, made[n], chosen[n].rate, lrs[n], places[n], chosen[n].part) for n, own in learning.items()
    }


def move(
    players: Sequence[Player],
    gradients: Mapping[str, Tensor],
    clip: float,
    poison: Tensor | None = None,
    norms: Mapping[str, Tensor] | None = None,
) -> None:
    """Every player takes a step.

    Args:
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
            skip_where(optimizer, poison)
        take_step(optimizer)
    for player in players:
        for parameter in player.parameters.values():
            parameter.grad = None


def laid_out_like(
    gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor], *, apart: bool = False
) -> dict[str, Tensor]:
    """Gradients in the memory layout of the parameters of the same names.

    Fused optimisers walk both as flat memory: with other strides they are silently wrong, and ``autograd.grad``, unlike
    ``backward``, does not enforce the parameter's. Gradients of weights that are added to each other are one tensor;
    ``apart``, each has memory of its own, as what writes to them needs.
    """
    laid_out, taken = {}, set()
    for key, gradient in gradients.items():
        fits = gradient.stride() == parameters[key].stride()
        if apart and fits:
            place = gradient.untyped_storage().data_ptr()
            fits = place not in taken
            taken.add(place)
        laid_out[key] = gradient if fits else torch.empty_like(parameters[key]).copy_(gradient)
    return laid_out


def summed(first: Gradients, second: Gradients) -> Gradients:
    """The sums of two parts of a batch."""
    losses = {key: loss + second[0][key] for key, loss in first[0].items()}
    return losses, {key: gradient + second[1][key] for key, gradient in first[1].items()}


def _optimizer(part: Part, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    with without_compiler():
        made: torch.optim.Optimizer = part.load()(list(parameters), **part.arguments_for())
    assert isinstance(made, torch.optim.Optimizer)
    given = made.defaults
    moves = given.get("momentum") or "momentum" in part.changing
    if isinstance(made, torch.optim.SGD) and given["fused"] and moves and not given["dampening"]:
        # momentum begins at zero by itself; but the fused step makes the buffers of all its parameters or of none, and
        # fails where one has its first gradient later than others
        for parameter in (p for group in made.param_groups for p in group["params"]):
            made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return made
