"""A stand-in for a CUDA graph, on the CPU: it knows the operations that were recorded and the tensors they worked on,
and nothing of Python. What was no tensor is as it was at recording; nothing is moved by recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Call:
    """An operation, what it was given, and the tensors that it made."""

    function: Any
    given: tuple[Any, Mapping[str, Any]]
    made: list[Tensor]


class Tape(TorchDispatchMode):
    """Records what is dispatched inside, each operation after the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(
        self, function: Any, _: Any, given: Sequence[Any] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs and records; a number that Python asks for would make a recording on a device fail."""
        named = named or {}
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("called a synchronizing CUDA operation")
        for tensor in written(function, given, named):
            self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        found = function(*given, **named)
        old = {id(leaf) for leaf in tree_leaves((given, named))}
        views = any(argument.alias_info for argument in function._schema.arguments)
        made = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor) and id(leaf) not in old]
        self.calls.append(Call(function, (given, named), [] if views else made))
        return found

    @torch.no_grad()
    def undo(self) -> None:
        """What was written is as before."""
        for tensor, before in self.before.values():
            tensor.copy_(before)

    @torch.no_grad()
    def play(self) -> None:
        """Runs it all again, on the same tensors."""
        for call in self.calls:
            given, named = call.given
            found = [leaf for leaf in tree_leaves(call.function(*given, **named)) if isinstance(leaf, Tensor)]
            for place, new in zip(call.made, found, strict=False):
                place.copy_(new)


def written(function: Any, given: Sequence[Any], named: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors that an operation writes to; batch norm's does not say that it does."""
    for number, argument in enumerate(function._schema.arguments):
        if (argument.alias_info and argument.alias_info.is_write) or argument.name.startswith("running_"):
            value = given[number] if number < len(given) else named.get(argument.name)
            yield from (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


class Recorder:
    """In the place of ``zoo.engine.capture.Recorder``."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def record(self, play: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Records; nothing has moved when it returns."""
        assert len(set(map(id, generators))) == len(generators)
        streams = [*generators, torch.default_generator]
        states = [stream.get_state() for stream in streams]
        with Tape() as tape:
            play()
        tape.undo()
        for stream, state in zip(streams, states, strict=True):
            stream.set_state(state)
        return tape.play
