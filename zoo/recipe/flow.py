"""What shapes flow from slot to slot, read from contracts alone: a misfit is known before torch is imported.

A value that is one call of a slot, ``decoder(z_posterior)``, hands it the shape of its argument and has the shape
that the slot's contract gives; a sample or the mean of a slot's output has that output's shape. Where a function
does more than that nothing is assumed, and the probe will see.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from zoo.errors import Problem
from zoo.recipe.contract import Contract, Dims, contract_of, wrong_count, wrong_input
from zoo.recipe.graph import HELD
from zoo.recipe.schema import Recipe


def misfits(recipe: Recipe) -> list[Problem]:
    """Every call of a slot that its contract, or that of the slot before it, rules out."""
    flow = _Flow(recipe)
    terms = [term.part for phase in recipe.phases for row in phase.played for term in row.terms]
    asked = [name for part in terms for name in part.arguments.values()]
    if flow.problems:
        return flow.problems
    for name in recipe.graph.order([*asked, *recipe.outputs.values()]):
        flow.shapes[name] = flow.of(name)
    return flow.problems


class _Flow:
    """The shape of each value; None where only torch can tell."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.problems: list[Problem] = []
        self.contracts: dict[str, Contract] = {}
        for label, part in recipe.slots.items():
            try:
                contract = contract_of(part, recipe.sizes)
            except ValueError as error:
                self.problems.append(Problem(part.position, f"{part.entry.kind} '{part.entry.name}': {error}"))
            else:
                self.contracts |= {label: contract} if contract else {}
        sizes = recipe.sizes
        self.shapes: dict[str, Dims | None] = {"x": (None, sizes.channels, sizes.size, sizes.size)}

    def of(self, name: str) -> Dims | None:
        """The shape of a value, those it asks for being known."""
        part = self.recipe.values.get(name)
        if part is None:
            return self.shapes.get(name.removesuffix(HELD))
        returns = part.entry.signature.returns
        return self._expression(ast.parse(returns, mode="eval").body, part.arguments) if returns else None

    def _expression(self, node: ast.expr, names: Mapping[str, str]) -> Dims | None:
        """The shape of what a value's function returns; ``names`` are those of its parameters."""
        match node:
            case ast.Name(id=parameter):
                return self.shapes.get(names.get(parameter, ""))
            case ast.Attribute(value=ast.Name() as posterior, attr="mean"):
                return self._expression(posterior, names)
            case ast.Call(func=ast.Attribute(value=ast.Name() as source, attr="sample")):
                return self._expression(source, names) or self._codes(names.get(source.id, ""))
            case ast.Call(func=ast.Attribute(attr="normal"), args=[_, ast.Attribute(attr="noise" | "latent" as size)]):
                return (None, int(getattr(self.recipe.sizes, size)))
            case ast.Call(func=ast.Name(id=parameter), args=given, keywords=[]):
                return self._call(names.get(parameter, ""), given, names)
        return None

    def _codes(self, slot: str) -> Dims | None:
        """The shape of a prior's samples: codes, unless its contract gives something else."""
        part = self.recipe.slots.get(slot)
        if part is None or part.entry.kind != "prior":
            return None
        return self.contracts[slot].output.numbers if slot in self.contracts else (None, self.recipe.sizes.latent)

    def _call(self, slot: str, given: list[ast.expr], names: Mapping[str, str]) -> Dims | None:
        contract, part = self.contracts.get(slot), self.recipe.slots.get(slot)
        if contract is None or part is None or any(isinstance(node, ast.Starred) for node in given):
            return None
        if len(given) != len(contract.inputs):
            self.problems.append(wrong_count(part, contract, len(given)))
            return contract.output.numbers
        for shape, node in zip(contract.inputs, given, strict=True):
            handed = self._expression(node, names)
            if handed is not None and not shape.admits(handed):
                self.problems.append(wrong_input(part, shape, handed, self.recipe))
        return contract.output.numbers
