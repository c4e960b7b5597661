"""What every tensor comes from: the networks in it, those that a gradient reaches, and where it was cut off.

A mode of torch's sees each function that the script calls; it hands the call on as it is and then notes of the result,
in a few microseconds, which networks went into it. Nothing is computed on tensors here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from zoo.auditing.places import Place, operand, place

# fmt: off
SUMS = {
    "add", "add_", "sub", "sub_", "rsub", "__rsub__", "__radd__", "subtract", "subtract_", "stack", "cat", "concat",
    "hstack",
}
"""Functions whose result is a sum of terms, or holds terms that are summed next."""
SCALED = {
    "mean", "sum", "neg", "mul", "mul_", "div", "div_", "true_divide", "multiply", "divide", "__rmul__", "__rdiv__",
    "squeeze", "unsqueeze", "view", "reshape", "flatten", "to", "float", "double", "half", "bfloat16", "clone",
    "contiguous", "nansum", "nanmean", "cuda", "cpu",
}
"""Functions that leave the terms of a sum what they are."""
SHAPE_ONLY = {
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like", "new_zeros",
    "new_ones", "new_empty", "new_full", "new_tensor", "bernoulli_", "normal_", "uniform_", "zero_", "fill_", "random_",
    "exponential_", "kaiming_uniform_", "xavier_uniform_",
}
"""Functions that ask a tensor for its shape alone, or overwrite it."""
# fmt: on
NUMBERS = frozenset(("item", "__float__", "tolist", "__int__"))
SWAPPABLE = frozenset(("binary_cross_entropy", "binary_cross_entropy_with_logits"))


UNSEEN: Any = getattr(torch._C, "DisableTorchFunction", nullcontext)
"""Inside, torch does not ask the mode at all, which costs a microsecond for each call; nothing else depends on it."""


@dataclass(frozen=True)
class Cut:
    """Where a gradient ends, and by what."""

    reason: str
    place: Place


@dataclass(frozen=True)
class DeadTerm:
    """A term of a sum that is computed from networks and hands no gradient to any."""

    name: str
    place: Place
    cut: Cut | None
    bits: int = field(compare=False)


class Info:
    """Of one tensor: the networks it was computed from (``bits``), those that its gradient reaches or passes
    (``live``), where it was cut off, the dead terms of the sum that it is, where a scalar was made."""

    __slots__ = ("bits", "cut", "dead", "live", "origin", "place")

    def __init__(self, bits: int, live: int, cut: Cut | None = None) -> None:
        self.bits, self.live, self.cut = bits, live, cut
        self.dead: tuple[DeadTerm, ...] = ()
        self.place: Place | None = None
        self.origin: Info | None = None


PLAIN = (int, float, str, bool, torch.dtype, torch.device)


def tensors(values: Iterable[Any], depth: int = 3) -> Iterator[Tensor]:
    """Every tensor in arguments or results, whatever holds it."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif value is None or isinstance(value, PLAIN):
            continue
        elif depth and isinstance(value, list | tuple):
            yield from tensors(value, depth - 1)
        elif depth and isinstance(value, dict):
            yield from tensors(value.values(), depth - 1)
        elif depth and hasattr(value, "__dataclass_fields__"):
            yield from tensors(vars(value).values(), depth - 1)


class Flow(TorchFunctionMode):
    """Notes of every tensor what it comes from. ``of_parameter`` knows the parameters; ``wrote`` hears of changes
    that are made to one in place, by another function than its optimiser's."""

    def __init__(self, of_parameter: Callable[[Tensor], Info | None], wrote: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.of_parameter, self.wrote = of_parameter, wrote
        self.asleep = 0
        self.swapped: dict[Place, int] = {}
        self.mse_swapped: dict[Place, int] = {}
        self._known: dict[int, tuple[weakref.ref[Tensor], Info]] = {}
        self._read: dict[float, tuple[Info, Place]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls a function of torch's as it was called, then notes what came out."""
        result = func(*args, **kwargs) if kwargs else func(*args)
        if not self.asleep:
            self._note(func, args, kwargs, result)
        return result

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Inside, nothing is noted."""
        self.asleep += 1
        try:
            with UNSEEN():
                yield
        finally:
            self.asleep -= 1

    def info(self, tensor: Tensor) -> Info | None:
        """What is known of a tensor."""
        found = self.of_parameter(tensor)
        if found is None and (entry := self._known.get(id(tensor))) is not None:
            found = entry[1]
        return found

    def keep(self, tensor: Tensor, info: Info) -> None:
        """Notes of a tensor what it comes from, for as long as it lives."""
        key, known = id(tensor), self._known

        def forget(dead: Any) -> None:
            if key in known and known[key][0] is dead:
                del known[key]

        known[key] = (weakref.ref(tensor, forget), info)

    def add(self, tensor: Tensor, bits: int, live: int) -> None:
        """Adds networks to what a tensor comes from: those of a module whose inside was not seen."""
        if self.of_parameter(tensor) is not None:
            return
        if (info := self.info(tensor)) is None:
            self.keep(tensor, Info(bits, live))
        elif (info.bits | bits, info.live | live) != (info.bits, info.live):
            more = Info(info.bits | bits, info.live | live, info.cut)
            more.dead, more.place, more.origin = info.dead, info.place, info.origin
            self.keep(tensor, more)

    def _note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        if isinstance(result, Tensor):
            outputs = [result]
        elif isinstance(result, list | tuple):
            if not (outputs := [each for each in result if isinstance(each, Tensor)]):
                return
        elif result is None and func is Tensor.__setitem__:
            outputs = [args[0]]
        else:
            if type(result) is float and func.__name__ in NUMBERS and (info := self.info(args[0])) is not None:
                self._read = dict(list(self._read.items())[-32:]) | {result: (info, place())}
            return
        name = func.__name__
        inputs = list(tensors((args, kwargs) if kwargs else args))
        infos = [self.info(tensor) for tensor in inputs]
        if not any(infos) or name in SHAPE_ONLY:
            return
        if name == "__get__":
            name = func.__self__.__name__
            if name in ("grad", "_grad"):
                return
        if ((name[-1] == "_" and name[-2:] != "__") or func is Tensor.__setitem__) and isinstance(args[0], Tensor):
            self.wrote(args[0])
        self._results(name, args, inputs, infos, outputs)
        if name in SWAPPABLE or name == "mse_loss":
            self._swapped(name, args, kwargs or {})

    def _results(self, name: str, args: Any, inputs: list[Tensor], infos: list[Info | None], outputs: Any) -> None:
        bits = live = 0
        cut = None
        severed = False
        for tensor, info in zip(inputs, infos, strict=True):
            if info is not None:
                bits |= info.bits
                cut = cut or info.cut
                if tensor.requires_grad:
                    live |= info.live or info.bits
                    severed = True
                elif self.of_parameter(tensor) is not None:
                    live |= info.live
        for output in outputs:
            carries = output.requires_grad
            if not carries and severed and cut is None:
                cut = Cut(_reason(name, output), place())
            info = Info(bits, live if carries else 0, cut)
            if name in SUMS or name in SCALED:
                self._terms(name, args, inputs, infos, info, carries)
            elif name in ("detach", "data", "detach_"):
                info.origin = infos[0]
            if output.dim() == 0 or output.numel() == 1:
                info.place = next((each.place for each in infos if each and each.place and name in SCALED), None)
                info.place = info.place or place()
            if self.of_parameter(output) is None:
                self.keep(output, info)

    def _terms(
        self, name: str, args: Any, inputs: list[Tensor], infos: list[Info | None], info: Info, carries: bool
    ) -> None:
        """The dead terms of a sum: those of its operands, and the operands that are dead themselves."""
        alive = [each for tensor, each in zip(inputs, infos, strict=True) if each and tensor.requires_grad]
        if carries:
            info.dead = tuple(dict.fromkeys(term for each in alive for term in each.dead))
        if name not in SUMS or not carries:
            return
        for number, (tensor, each) in enumerate(zip(inputs, infos, strict=True)):
            if each is not None and not tensor.requires_grad and each.origin not in alive and each.bits:
                info.dead += (_dead(number, each.cut, each.bits, name),)
        for number, value in enumerate(args):
            if type(value) is float and value in self._read and value not in (0.0, 1.0, -1.0):
                each, where = self._read[value]
                info.dead += (_dead(number, Cut("turned into a number", where), each.bits, name),)

    def _swapped(self, name: str, args: Any, kwargs: Any) -> None:
        prediction, target = (*args, kwargs.get("input"), kwargs.get("target"))[:2]
        if len(args) == 1:
            target = kwargs.get("target")
        if not (isinstance(prediction, Tensor) and isinstance(target, Tensor)):
            return
        if target.requires_grad and not prediction.requires_grad and self.info(prediction) is None:
            found = self.swapped if name in SWAPPABLE else self.mse_swapped
            where = place()
            found[where] = found.get(where, 0) + 1


def _reason(name: str, output: Tensor) -> str:
    if name in ("detach", "detach_"):
        return "detached"
    if name == "data":
        return "taken from .data"
    if not torch.is_grad_enabled():
        return "computed under no_grad"
    if not output.dtype.is_floating_point:
        return f"made whole numbers by {name}"
    return f"cut off by {name}"


def _dead(number: int, cut: Cut | None, bits: int, name: str) -> DeadTerm:
    where = place()
    if name in ("__rsub__", "rsub"):
        number = 1 - number
    return DeadTerm(operand(where.text, number) or "a term", where, cut, bits)
