"""Those who learn: parameters, the optimiser that moves them, and the factor on its learning rate."""

from __future__ import annotations

from collections.abc import Mapping
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
        optimizer: what moves them; None where gradients alone are wanted.
        rate: factor on the learning rate.
        lr: the learning rate.
    """

    name: str
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    rate: Schedule
    lr: float
    _lr: float | None = field(default=None, init=False)

    @classmethod
    def of(cls, name: str, parameters: dict[str, nn.Parameter], chosen: Optimizer, moves: bool) -> Player:
        """A player with the optimiser that its recipe chose, if it moves."""
        optimizer = _optimizer(chosen.part, parameters) if moves else None
        return cls(name, parameters, optimizer, chosen.rate, optimizer.param_groups[0]["lr"] if optimizer else 0.0)

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

    def move(self, gradients: Mapping[str, Tensor], clip: float, poison: Tensor | None = None) -> None:
        """Takes a step.

        Args:
            gradients: parameter -> gradient; a parameter that is not in it stays.
            clip: largest norm of them all, 0 for no limit.
            poison: a number on the device; where it is not 0 nothing moves. For optimisers that ``skips``.
        """
        assert self.optimizer is not None
        for key, parameter in self.parameters.items():
            gradient = gradients.get(key)
            parameter.grad = None if gradient is None else _laid_out_like(gradient, parameter)
        if clip:
            nn.utils.clip_grad_norm_(self.parameters.values(), clip)
        if poison is not None:
            self.optimizer.grad_scale, self.optimizer.found_inf = None, poison  # type: ignore[attr-defined]
        self.optimizer.step()
        for parameter in self.parameters.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """The optimiser's tensors: ``index/name``, by the parameter's index."""
        state = self.optimizer.state_dict()["state"] if self.optimizer else {}
        return {f"{i}/{key}": torch.as_tensor(value) for i, entries in state.items() for key, value in entries.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes up a saved state."""
        if self.optimizer is None:
            return
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, key = name.split("/", 1)
            parameter = parameters[int(index)]
            shaped = tensor.shape == parameter.shape
            laid_out = torch.empty_like(parameter).copy_(tensor) if shaped else tensor.clone()  # never the saver's own
            state.setdefault(int(index), {})[key] = laid_out
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self._lr = None


def _laid_out_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """``tensor`` in the memory layout of ``parameter``.

    Fused optimisers walk both as flat memory: with other strides they are silently wrong, and
    ``autograd.grad``, unlike ``backward``, does not enforce the parameter's.
    """
    if tensor.stride() == parameter.stride():
        return tensor
    return torch.empty_like(parameter).copy_(tensor)


def _optimizer(part: Part, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    made: Any = part.load()(list(parameters.values()), **part.arguments_for())
    assert isinstance(made, torch.optim.Optimizer)
    return made
