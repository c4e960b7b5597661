"""Checks of whatever is saved: networks, priors, and the networks that terms own."""

from __future__ import annotations

from typing import Any, Protocol

import safetensors.torch
from torch import Tensor, nn

from zoo.runs.tensorfile import pieces
from zoo.testing.arrays import equal
from zoo.testing.core import Body, ContractError, require


class Saved(Protocol):
    """Something with weights."""

    def fresh(self, seed: int) -> nn.Module:
        """A new one, in evaluation mode, its weights a function of the seed."""

    def look(self, module: nn.Module) -> Any:
        """What it gives for made-up inputs."""


def state_dict_round_trip(net: Saved) -> None:
    """Another one, loaded from the first one's state dict, gives identical outputs."""
    first, second = net.fresh(1), net.fresh(2)
    try:
        second.load_state_dict({key: value.clone() for key, value in first.state_dict().items() if _is_tensor(value)})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ContractError(f"{net} cannot load its own state dict: {reason}; keep torch's own naming") from error
    cure = "what its outputs depend on belongs into a parameter or a (persistent) buffer"
    require(equal(net.look(first), net.look(second)), f"{net}, loaded from a state dict, gives another output; {cure}")


def pickle_free_save(net: Saved) -> None:
    """Its state dict goes through a safetensors file: tensors alone, no two of them one piece of memory."""
    state = net.fresh(1).state_dict()
    foreign = [f"'{key}' ({type(value).__name__})" for key, value in state.items() if not _is_tensor(value)]
    cure = "weights never travel in a pickle; make it a buffer, or compute it in __init__"
    require(not foreign, f"{net} has {', '.join(foreign)} in its state dict, which is no tensor; {cure}")
    try:
        again = safetensors.torch.load(b"".join(pieces(state, {})))
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        cure = "one tensor under two names must be saved once: leave one of them out of the state dict"
        raise ContractError(f"{net} cannot be saved as safetensors: {reason}. If it is tied weights, {cure}") from error
    changed = [key for key, value in state.items() if not equal(value, again[key])]
    require(not changed, f"{net} comes back from safetensors with another {' and '.join(changed)}")


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


STATE: tuple[Body, ...] = (state_dict_round_trip, pickle_free_save)
