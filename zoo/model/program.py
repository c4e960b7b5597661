"""The one evaluator of a recipe's graph: values and terms in order, each handed what its parameters name.

Training, sampling, checking and explaining all compute by ``run``. They differ in what they bind: a slot itself, or a
view of it that takes no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zoo.draws import Draws
from zoo.recipe.graph import Graph
from zoo.types import mapped

Function = Callable[..., Any]


@dataclass(frozen=True)
class Computed:
    """A value or a term, with everything bound that does not change from one computation to the next.

    Args:
        function: what computes it; None for a value that is held.
        slots: parameter -> the slot, or a view of it.
        values: parameter -> name of a value or builtin that is known before; of a held value, the value.
        draws: the parameter that asks for random numbers; empty for none.
        recorded: whether autograd records it; None for as it stands.
    """

    name: str
    function: Function | None
    slots: Mapping[str, Any]
    values: tuple[tuple[str, str], ...]
    draws: str
    recorded: bool | None = None


def bound(name: str, graph: Graph, functions: Mapping[str, Function], slot: Callable[[str], Any]) -> Computed:
    """A value or term of ``graph``, bound; a name without a function is held."""
    if name not in functions:
        return Computed(name, None, {}, (("", graph.needs(name)[0]),), "", recorded=False)
    asked = graph.arguments[name]
    slots = {parameter: slot(of) for parameter, of in asked.items() if of in graph.slots}
    values = tuple((parameter, of) for parameter, of in asked.items() if parameter not in slots and of != "draw")
    draws = next((parameter for parameter, of in asked.items() if of == "draw"), "")
    return Computed(name, functions[name], slots, values, draws)


def names_computed(graph: Graph, targets: Iterable[str], given: Collection[str] = ()) -> list[str]:
    """The values and terms that ``targets`` need, each after what it needs; slots, builtins and ``given`` are there."""
    there = {*graph.slots, *graph.provided, *given}
    return [name for name in given_in(graph, given).order(targets) if name not in there]


def given_in(graph: Graph, given: Collection[str]) -> Graph:
    """The graph in which values that are ``given`` need nothing."""
    return replace(graph, arguments={**graph.arguments, **{name: {} for name in given}}) if given else graph


def run(program: Iterable[Computed], given: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    """Computes a program, whose every value stands after what it needs; gives everything known, by name."""
    known = dict(given)
    recording = torch.is_grad_enabled()
    for this in program:
        if this.function is None:
            known[this.name] = mapped(Tensor.detach, known[this.values[0][1]])
            continue
        handed = dict(this.slots)
        for parameter, name in this.values:
            handed[parameter] = known[name]
        if this.draws:
            handed[this.draws] = draws(this.name)
        if this.recorded is None or this.recorded == recording:
            known[this.name] = this.function(**handed)
        else:
            with torch.set_grad_enabled(this.recorded):
                known[this.name] = this.function(**handed)
    return known
