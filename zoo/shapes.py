"""Holds every call of a slot against its contract, and says in a sentence what does not fit."""

from __future__ import annotations

from typing import Any, NoReturn

from torch import Tensor, nn

from zoo.contract import Contract, Shape, contract_of
from zoo.errors import Position, Problem, RecipeError
from zoo.model import Model
from zoo.recipe.schema import Part, Recipe
from zoo.tensors import CriticOutput, Gaussian


class Misfit(Exception):
    """A tensor broke a slot's contract; the argument is the ``Problem``."""


def watch(model: Model, label: str, part: Part, recipe: Recipe, inside: list[Part]) -> None:
    """Checks every call of a slot against its contract."""
    try:
        contract = contract_of(part, recipe.sizes)
    except ValueError as error:
        message = f"{part.entry.kind} '{part.entry.name}': {error}"
        raise RecipeError([Problem(part.position, message)]) from None
    if contract is None:
        return

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        _check_inputs(inputs, contract, part, recipe)
        inside.append(part)

    def after(_: nn.Module, __: Any, output: Any) -> None:
        inside.pop()
        _check_output(output, contract, part, recipe)

    module: nn.Module = getattr(model, label)
    module.register_forward_pre_hook(before)
    module.register_forward_hook(after)


def _check_inputs(inputs: tuple[Any, ...], contract: Contract, part: Part, recipe: Recipe) -> None:
    if len(inputs) != len(contract.inputs):
        _misfit(part, f"takes {len(contract.inputs)} inputs ('{contract.text}') and is handed {len(inputs)}")
    for shape, given in zip(contract.inputs, inputs, strict=True):
        if not isinstance(given, Tensor):
            _misfit(part, f"expects {_told(shape, part, recipe)} and is handed {type(given).__name__}")
        if not shape.admits(tuple(given.shape)):
            source = _source(tuple(given.shape), part, recipe)
            _misfit(part, f"expects {_told(shape, part, recipe)} and is handed {dims(given)}{source}")


def _check_output(output: Any, contract: Contract, part: Part, recipe: Recipe) -> None:
    tensor = output
    if isinstance(output, Gaussian):
        tensor = output.mean
    elif isinstance(output, CriticOutput):
        tensor = output.logit
    if not isinstance(tensor, Tensor):
        _misfit(part, f"gives {type(output).__name__}, where {_told(contract.output, part, recipe)} is promised")
    if not contract.output.admits(tuple(tensor.shape)):
        _misfit(part, f"gives {dims(tensor)}, where {_told(contract.output, part, recipe)} is promised")


def _misfit(part: Part, message: str) -> NoReturn:
    misfit_at(part.position, f"{named(part)} {message}")


def misfit_at(position: Position, message: str) -> NoReturn:
    """Refuses, at a place."""
    raise Misfit(Problem(position, message))


def named(part: Part) -> str:
    """A slot and its component, for a sentence."""
    return f"slot '{part.label}' ({part.entry.kind} '{part.entry.name}')"


def dims(tensor: Tensor) -> str:
    """A tensor's shape, for a sentence: ``B x 64``."""
    return " x ".join(["B", *map(str, tensor.shape[1:])]) if tensor.ndim else "a scalar"


def _told(shape: Shape, part: Part, recipe: Recipe) -> str:
    """A shape with where its numbers come from: ``B x 64 (latent is 64, line 3)``."""
    told = [_size(name, part, recipe) for name in ("latent", "noise") if name in shape.names]
    if {"C", "H", "W", "channels", "size"} & set(shape.names):
        told.append(_size("images", part, recipe))
    return f"{shape} ({', '.join(told)})" if told else str(shape)


def _source(given: tuple[int, ...], part: Part, recipe: Recipe) -> str:
    """Where a shape that was handed on may come from: the slots that give such a one, and the sizes in it."""
    told = []
    for label, other in recipe.slots.items():
        contract = contract_of(other, recipe.sizes)
        if contract and contract.output.admits(given) and other is not part:
            told.append(f"as slot '{label}' gives, {_place(other.position, part)}")
    sizes = recipe.sizes
    if len(given) == 2:
        told += [_size(name, part, recipe) for name in ("latent", "noise") if getattr(sizes, name) == given[1]]
    elif given[1:] == (sizes.channels, sizes.size, sizes.size):
        told.append(_size("images", part, recipe))
    return f" ({'; '.join(told)})" if told else ""


def _size(name: str, part: Part, recipe: Recipe) -> str:
    """``latent is 64, line 3``."""
    sizes = recipe.sizes
    if name == "images":
        told, paths = f"images are {sizes.channels} x {sizes.size} x {sizes.size}", [("data", "size"), ("data",)]
    else:
        told, paths = f"{name} is {getattr(sizes, name)}", [(name,)]
    written = next((path for path in paths if recipe.source.get(path)), None)
    return f"{told}, {_place(recipe.source.at(written), part) if written else 'by default'}"


def _place(position: Position, part: Part) -> str:
    """``line 3``; with the file where that is not the part's own."""
    return f"line {position.line}" if position.line and position.file == part.position.file else str(position)
