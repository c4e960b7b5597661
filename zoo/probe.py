"""Looks at a recipe's model before any training: shapes between slots, and who really learns.

Everything runs on the ``meta`` device, which has shapes and no memory; a model that cannot (an operation
that looks at the numbers) is probed on the CPU with a batch of two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.contract import Contract, Shape, contract_of
from zoo.engine import Engine
from zoo.errors import Position, Problem, RecipeError
from zoo.model import Model
from zoo.recipe.schema import Part, Phase, Recipe
from zoo.tensors import CriticOutput, Gaussian

BATCH = 2


@dataclass(frozen=True)
class Reach:
    """How much of a player a row's gradient reached, as autograd found it."""

    phase: int
    row: str
    player: str
    reached: int
    parameters: int


class _Misfit(Exception):
    """A tensor broke a slot's contract."""


def probe(recipe: Recipe) -> list[Reach]:
    """Plays every phase once without stepping.

    Returns:
        for each player of each row, how many of its parameter tensors the row's gradient reaches.

    Raises:
        RecipeError: if shapes do not fit, a part fails, or a row does not reach its player.
    """
    try:
        return _probe(recipe, "meta")
    except NotImplementedError:
        return _probe(recipe, "cpu")


def _probe(recipe: Recipe, device: str) -> list[Reach]:
    model = Model(recipe, device)
    problems: list[Problem] = []
    for label, part in recipe.slots.items():
        _watch(model, label, part, recipe)
    engine = Engine(model, optimizers=False)
    model.train()
    sizes = recipe.sizes
    x = torch.zeros(BATCH, sizes.channels, sizes.size, sizes.size, device=device)
    found = []
    for number, phase in enumerate(recipe.phases):
        found += _probe_phase(engine, number, phase, x, problems)
    if not problems:
        _probe_outputs(model, x, problems)
    if problems:
        raise RecipeError(problems)
    return found


def _probe_phase(engine: Engine, number: int, phase: Phase, x: Tensor, problems: list[Problem]) -> list[Reach]:
    found: list[Reach] = []
    for row in phase.rows:
        alone = Phase((row,), position=row.position)
        plan = engine.plan(alone)
        gradients = _placed(
            partial(engine.gradients, plan, x, every_term=True), f"row '{row.label}'", row.position, problems
        )
        if gradients is None:
            break
        for name in row.players:
            keys = engine.players[name].parameters
            reached = sum(key in gradients[1] for key in keys)
            found.append(Reach(number, row.label, name, reached, len(keys)))
            if not reached:
                message = f"'{name}' learns nothing in row '{row.label}': no gradient of it arrives there"
                problems.append(Problem(row.position, message))
    return found


def _probe_outputs(model: Model, x: Tensor, problems: list[Problem]) -> None:
    for label, name in model.recipe.outputs.items():
        where = model.recipe.source.at(("outputs", label))
        _placed(partial(model.compute, name, given={"x": x}), f"output '{label}'", where, problems)


def _placed(run: Callable[[], Any], what: str, position: Position, problems: list[Problem]) -> Any:
    """What ``run`` gives; None after noting, in a sentence, why it could not."""
    try:
        return run()
    except NotImplementedError:
        raise
    except _Misfit as misfit:
        problems.append(misfit.args[0])
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
        problems.append(Problem(position, f"{what} cannot be computed: {error}"))
    return None


def _watch(model: Model, label: str, part: Part, recipe: Recipe) -> None:
    """Checks every call of a slot against its contract."""
    try:
        contract = contract_of(part, recipe.sizes)
    except ValueError as error:
        message = f"{part.entry.kind} '{part.entry.name}': {error}"
        raise RecipeError([Problem(part.position, message)]) from None
    if contract is None:
        return
    module: nn.Module = getattr(model, label)
    module.register_forward_pre_hook(lambda _, inputs: _check_inputs(inputs, contract, part, recipe))
    module.register_forward_hook(lambda _, __, output: _check_output(output, contract, part, recipe))


def _check_inputs(inputs: tuple[Any, ...], contract: Contract, part: Part, recipe: Recipe) -> None:
    if len(inputs) != len(contract.inputs):
        _misfit(part, f"takes {len(contract.inputs)} inputs ('{contract.text}') and is handed {len(inputs)}")
    for shape, given in zip(contract.inputs, inputs, strict=True):
        if not shape.admits(tuple(given.shape)):
            _misfit(part, f"expects {_told(shape, recipe)} and is handed {_dims(given)}")


def _check_output(output: Any, contract: Contract, part: Part, recipe: Recipe) -> None:
    tensor = output
    if isinstance(output, Gaussian):
        tensor = output.mean
    elif isinstance(output, CriticOutput):
        tensor = output.logit
    if not isinstance(tensor, Tensor):
        _misfit(part, f"gives {type(output).__name__}, where a tensor of {contract.output} is promised")
    if not contract.output.admits(tuple(tensor.shape)):
        _misfit(part, f"gives {_dims(tensor)}, where {_told(contract.output, recipe)} is promised")


def _misfit(part: Part, message: str) -> None:
    raise _Misfit(Problem(part.position, f"slot '{part.label}' ({part.entry.kind} '{part.entry.name}') {message}"))


def _dims(tensor: Tensor) -> str:
    return " x ".join(["B", *map(str, tensor.shape[1:])]) if tensor.ndim else "a scalar"


def _told(shape: Shape, recipe: Recipe) -> str:
    """A shape with where its numbers come from: ``B x 64 (latent is 64, line 3)``."""
    places: list[tuple[str, tuple[str | int, ...]]] = []
    if {"latent"} & set(shape.names):
        places.append((f"latent is {recipe.sizes.latent}", ("latent",)))
    if {"noise"} & set(shape.names):
        places.append((f"noise is {recipe.sizes.noise}", ("noise",)))
    if {"C", "H", "W", "channels", "size"} & set(shape.names):
        places.append((f"images are {recipe.sizes.channels} x {recipe.sizes.size} x {recipe.sizes.size}", ("data",)))
    told = ", ".join(f"{text}, line {recipe.source.at(path).line}" for text, path in places)
    return f"{shape} ({told})" if told else str(shape)
