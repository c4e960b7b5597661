"""What an audit found, as text, JSON and a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from zoo.auditing import gradients, modes, steps
from zoo.auditing.networks import Network
from zoo.auditing.problem import Problem
from zoo.auditing.record import Loss, Optimizer, Record
from zoo.columns import json_text, table

KINDS: tuple[Callable[[Record], Iterator[Problem]], ...] = (
    modes.not_finite,
    modes.changed_between,
    gradients.foreign_gradients,
    gradients.stale_gradients,
    gradients.dead_terms,
    gradients.unheld_networks,
    gradients.never_receive,
    gradients.unused_gradients,
    gradients.undetached_fakes,
    steps.stepped_twice,
    steps.never_stepped,
    steps.scheduled_twice,
    steps.counted_per_optimizer,
    steps.never_move,
    modes.swapped_arguments,
    modes.around_wrappers,
    modes.ranks_diverge,
    modes.statistics_moved,
    modes.frozen_in_train_mode,
    modes.averages_nothing,
)
"""Every kind of problem, each read from the record by a function of its own."""

LEGEND = (
    "learns: its optimiser steps with this loss's gradient. receives: takes the gradient, no step uses it. "
    "passes: hands it on, takes none. stops: the loss depends on it, the gradient ends before it."
)


class Found:
    """What an audit found: ``problems``, the losses by the networks they train, the optimisers by whose gradient
    they step with. Empty until the audited code is over."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.record = Record()

    def read(self, record: Record) -> None:
        """Reads the problems from what was recorded."""
        self.record = record
        self.problems = [problem for kind in KINDS for problem in kind(record)]
        self.notes = [*record.notes, *_notes(record)]

    @property
    def networks(self) -> list[str]:
        """The networks' names, as the script calls them, in the order in which it calls them."""
        return [network.name for network in self._columns()]

    @property
    def losses(self) -> list[dict[str, Any]]:
        """Of each loss: ``name``, ``place``, ``kind`` (``backward`` or ``grad``), ``calls``, and under ``networks``
        what each does with its gradient: ``learns``, ``receives``, ``passes``, ``stops`` or ``.``."""
        return [
            {
                "name": loss.name,
                "place": str(loss.place),
                "kind": loss.kind,
                "calls": loss.calls,
                "networks": {network.name: _cell(loss, network) for network in self._columns()},
            }
            for loss in self.record.losses.values()
        ]

    @property
    def optimizers(self) -> list[dict[str, Any]]:
        """Of each optimiser: ``name``, ``place``, ``kind``, ``steps``, and by network the ``shares`` of the gradient's
        size that each loss brought and the mean ``cosines`` between losses."""
        return [
            {
                "name": each.name,
                "place": str(each.place),
                "kind": each.kind,
                "steps": len(each.steps),
                "networks": {network.name: _shares(each, network) for network in each.networks},
            }
            for each in self.record.optimizers.values()
        ]

    def _columns(self) -> list[Network]:
        seen = {n for loss in self.record.losses.values() for n in (*loss.depends, *loss.gives)}
        return [network for network in self.record.networks if network in seen]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "problems": [vars(problem) | {"place": str(problem.place)} for problem in self.problems],
            "notes": self.notes,
            "networks": self.networks,
            "losses": self.losses,
            "optimizers": self.optimizers,
        }

    def json(self) -> str:
        """All of it as a JSON document."""
        return json_text(self.as_json(), indent=2)

    def text(self) -> str:
        """All of it for a terminal: tables, then each problem with its evidence, effect and cure."""
        parts = [self._losses_text(), self._optimizers_text(), *(f"note: {note}" for note in self.notes)]
        number = len(self.problems)
        parts.append(f"{number} problem{'s' * (number != 1)}" + (":" if number else " found."))
        for problem in self.problems:
            lines = (problem.evidence, problem.effect, problem.cure)
            parts.append(f"{problem.place}: {problem.kind}: {problem.what}\n" + "\n".join(f"    {x}" for x in lines))
        return "\n\n".join(part for part in parts if part)

    def html(self, title: str = "") -> str:
        """All of it as one self-contained page."""
        from zoo.auditing.page import page

        return page(self.as_json(), LEGEND, title)

    def _losses_text(self) -> str:
        if not self.record.losses:
            return "No loss went backward."
        rows = [["loss", "at", *self.networks]]
        rows += [[_called(loss), loss["place"], *loss["networks"].values()] for loss in self.losses]
        return f"{table(rows)}\n\n{LEGEND}"

    def _optimizers_text(self) -> str:
        rows = [["optimiser", "steps", "network", "its gradient comes from", "cosine"]]
        for each in self.optimizers:
            for network, told in each["networks"].items():
                shares = ", ".join(f"{share:.0%} {name}" for name, share in told["shares"].items())
                cosines = ", ".join(f"{value:+.2f}" for value in list(told["cosines"].values())[:3])
                rows.append([each["name"], str(each["steps"]), network, shares or "nothing", cosines])
        return table(rows) if len(rows) > 1 else ""


def _called(loss: dict[str, Any]) -> str:
    return loss["name"] if loss["kind"] == "backward" else f"grad of {loss['name']}"


def _cell(loss: Loss, network: Network) -> str:
    if loss.used[network]:
        return "learns"
    if loss.gives[network]:
        return "receives"
    if loss.passes[network]:
        return "passes"
    return "stops" if loss.depends[network] else "."


def _shares(optimizer: Optimizer, network: Network) -> dict[str, Any]:
    """The mean share of each loss in the size of a network's gradient, and the mean cosines."""
    sizes: dict[str, float] = defaultdict(float)
    cosines: dict[str, list[float]] = defaultdict(list)
    for step in optimizer.steps:
        parts = step.parts.get(network, [])
        whole = sum(part.norm for part in parts)
        for part in parts:
            sizes[part.loss.name] += part.norm / whole if whole else 0.0
        for (one, other), value in step.cosines.get(network, {}).items():
            cosines[f"{one.name}, {other.name}"].append(value)
    whole = sum(sizes.values())
    return {
        "shares": {name: size / whole if whole else 0.0 for name, size in sizes.items()},
        "cosines": {pair: sum(values) / len(values) for pair, values in cosines.items()},
    }


def _notes(record: Record) -> Iterator[str]:
    for place, number in record.mse_swapped.items():
        yield (
            f"{place}: mse_loss is given the data first and the prediction second ({number} times): it is symmetric, "
            "nothing changes."
        )
    for loss in record.losses.values():
        for network, number in loss.zero.items():
            if number == loss.gives[network] and number >= 2 and loss.kind == "backward":
                yield f"{loss.place}: all that {loss.name} gave {network.name} is exactly zero so far ({number} calls)."
