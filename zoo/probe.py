"""Looks at a recipe's model before any training: shapes between slots, and who really learns.

Everything runs on the ``meta`` device, which has shapes and no memory; a model that cannot (an operation
that looks at the numbers) is probed on the CPU with a batch of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from zoo.contract import Contract, Shape, contract_of
from zoo.engine import Engine, PhasePlan
from zoo.errors import Position, Problem, RecipeError, did_you_mean
from zoo.graph import route
from zoo.model import Model
from zoo.recipe.schema import Part, Phase, Recipe, Row, slot_of
from zoo.tensors import CriticOutput, Gaussian, mapped

BATCH = 2

Placed = Callable[[Callable[[], Any], str, Position], Any]
"""Runs something; what goes wrong is noted as a sentence with a place."""


@dataclass(frozen=True)
class Reach:
    """What autograd found a row's gradient to do to a slot, or to a part of one.

    Args:
        phase: number of the phase, from 0.
        row: the row's label.
        player: the player, or the slot that is passed through.
        how: ``"learns"`` or ``"passes"``.
        reached: parameter tensors of it that the gradient arrives at.
        parameters: those that could learn.
    """

    phase: int
    row: str
    player: str
    how: str
    reached: int
    parameters: int


class _Misfit(Exception):
    """A tensor broke a slot's contract."""


def probe(recipe: Recipe) -> list[Reach]:
    """Plays every phase once without stepping.

    Returns:
        for each row its players, and the slots that its gradient passes through on its way to them.

    Raises:
        RecipeError: if shapes do not fit, a part fails, a row does not reach its player, or the gradient
            takes another way than the recipe's graph says.
    """
    try:
        return _probe(recipe, "meta")
    except NotImplementedError:
        return _probe(recipe, "cpu")


def _probe(recipe: Recipe, device: str) -> list[Reach]:
    _refuse(_taken_names(recipe))
    model = Model(recipe, device)
    _refuse([*_absent_players(model), *_bad_optimizers(recipe)])
    problems: list[Problem] = []
    inside: list[Part] = []
    passed: set[str] = set()
    for label, part in recipe.slots.items():
        _watch(model, label, part, recipe, inside)
        getattr(model, label).register_forward_hook(partial(_note_gradient, passed, label))
    engine = Engine(model, optimizers=False)
    model.train()
    sizes = recipe.sizes
    x = torch.zeros(min(BATCH, recipe.train.batch), sizes.channels, sizes.size, sizes.size, device=device)
    found = []
    for number, phase in enumerate(recipe.phases):
        found += _probe_phase(engine, number, phase, x, passed, partial(_placed, problems, inside))
    if not problems:
        _probe_shown(model, x, partial(_placed, problems, inside))
    _refuse(problems)
    return found


def _refuse(problems: Iterable[Problem]) -> None:
    found = list(problems)
    if found:
        raise RecipeError(found)


def _taken_names(recipe: Recipe) -> Iterator[Problem]:
    """Slots are attributes of the model, which has attributes of its own."""
    taken = {*dir(Model), *vars(nn.Module()), "recipe", "owned", "functions", "terms"}
    for label in taken & recipe.slots.keys():
        message = f"slot '{label}' has the name of an attribute that every model has; call it something else"
        yield Problem(recipe.slots[label].position, message)


def _absent_players(model: Model) -> Iterator[Problem]:
    """Players such as ``encoder.trunk`` are parts of networks; only the network knows its parts."""
    for row in (row for phase in model.recipe.phases for row in phase.played):
        for player in row.players:
            try:
                model.network(player)
            except AttributeError:
                slot = slot_of(player)
                parts = [f"{slot}.{name}" for name, _ in model.network(slot).named_modules() if name]
                message = f"player '{player}' of row '{row.label}' is no part of slot '{slot}'"
                yield Problem(row.position, message + did_you_mean(player, parts))


def _bad_optimizers(recipe: Recipe) -> Iterator[Problem]:
    """Optimisers check their numbers when they are made."""
    for optimizer in recipe.train.optimizers.values():
        part = optimizer.part
        try:
            part.load()([nn.Parameter(torch.zeros(1))], **part.arguments_for())
        except (ValueError, TypeError, RuntimeError) as error:
            yield Problem(part.position, f"optimizer '{part.entry.name}' cannot be made: {error}")


def _note_gradient(passed: set[str], label: str, _: nn.Module, __: Any, output: Any) -> None:
    """Has a slot's output note the slot when a gradient comes through it."""

    def noting(tensor: Tensor) -> Tensor:
        if tensor.requires_grad:
            tensor.register_hook(lambda _: passed.add(label))  # type: ignore[no-untyped-call]
        return tensor

    mapped(noting, output)


def _probe_phase(engine: Engine, number: int, phase: Phase, x: Tensor, passed: set[str], placed: Placed) -> list[Reach]:
    found: list[Reach] = []
    for row in phase.played:
        plan = _with_scalars(engine.plan(Phase((row,), position=row.position)), row)
        passed.clear()
        gradients = placed(partial(engine.gradients, plan, x, every_term=True), f"row '{row.label}'", row.position)
        if gradients is None:
            break
        for name in row.players:
            keys = engine.players[name].parameters
            reached = sum(key in gradients[1] for key in keys)
            found.append(Reach(number, row.label, name, "learns", reached, len(keys)))
            if not reached:
                message = f"'{name}' learns nothing in row '{row.label}': no gradient of it arrives there"
                placed(partial(_misfit_at, row.position, message), "", row.position)
        through = [label for label in engine.recipe.slots if label in passed - row.slots]
        found += [Reach(number, row.label, label, "passes", 0, 0) for label in through]
        placed(partial(_compare_routes, engine.model, row, frozenset(through)), "", row.position)
    return found


def _compare_routes(model: Model, row: Row, through: frozenset[str]) -> None:
    """The routes that the graph declares against those the gradient took."""
    declared = route(model.recipe.graph, row.slots, [term.part.arguments for term in row.terms])
    for slot in model.recipe.slots:
        if not any(True for _ in getattr(model, slot).parameters()):
            continue
        if declared.get(slot) == "passes" and slot not in through:
            message = f"declares that its gradient passes through '{slot}', and none does: a gradient is cut on the way"
            _misfit_at(row.position, f"row '{row.label}' {message}; stop one by a value's name, NAME_held")
        if declared.get(slot) != "passes" and slot in through:
            message = f"has a gradient that passes through '{slot}', which no term or value of it asks for"
            _misfit_at(row.position, f"row '{row.label}' {message}")


def _with_scalars(plan: PhasePlan, row: Row) -> PhasePlan:
    """The plan with every term's value checked: what a row minimises is a scalar."""
    by_key = {term.part.key: term for term in row.terms}

    def checked(key: str, function: Callable[..., Any], **named: Any) -> Tensor:
        value = function(**named)
        if not isinstance(value, Tensor) or value.ndim:
            given = _dims(value) if isinstance(value, Tensor) else type(value).__name__
            part = by_key[key].part
            _misfit_at(part.position, f"term '{part.label}' gives {given}, where a scalar is promised")
        return value

    terms = {key: (partial(checked, key, run), needs, name) for key, (run, needs, name) in plan.terms.items()}
    return replace(plan, terms=terms)


def _probe_shown(model: Model, x: Tensor, placed: Placed) -> None:
    """Computes what outputs show and metrics look at."""
    recipe = model.recipe
    for label, name in recipe.outputs.items():
        where = recipe.source.at(("outputs", label))
        placed(partial(model.compute, name, given={"x": x}), f"output '{label}'", where)
    for part in recipe.evaluate:
        names = [name for name in part.arguments.values() if name != "x"]
        placed(partial(model.compute, *names, given={"x": x}), f"metric '{part.label}'", part.position)


def _placed(problems: list[Problem], inside: list[Part], run: Callable[[], Any], what: str, position: Position) -> Any:
    """What ``run`` gives; None after noting, in a sentence, why it could not.

    Args:
        problems: where to note it.
        inside: the slots whose call had begun and not ended: the last is the culprit.
        run: what to try.
        what: it, for a sentence.
        position: where it is asked for.
    """
    inside.clear()
    try:
        return run()
    except NotImplementedError:
        raise
    except _Misfit as misfit:
        problems.append(misfit.args[0])
    except Exception as error:  # noqa: BLE001 - whatever a plugin's code may raise
        why = "no gradient reaches its players" if "does not require grad" in str(error) else error
        why = why if str(why) and not isinstance(why, KeyError) else repr(why)
        if inside:
            position, what = inside[-1].position, _named(inside[-1])
        problems.append(Problem(position, f"{what} cannot be computed: {why}"))
    return None


def _watch(model: Model, label: str, part: Part, recipe: Recipe, inside: list[Part]) -> None:
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
            _misfit(part, f"expects {_told(shape, part, recipe)} and is handed {_dims(given)}{source}")


def _check_output(output: Any, contract: Contract, part: Part, recipe: Recipe) -> None:
    tensor = output
    if isinstance(output, Gaussian):
        tensor = output.mean
    elif isinstance(output, CriticOutput):
        tensor = output.logit
    if not isinstance(tensor, Tensor):
        _misfit(part, f"gives {type(output).__name__}, where {_told(contract.output, part, recipe)} is promised")
    if not contract.output.admits(tuple(tensor.shape)):
        _misfit(part, f"gives {_dims(tensor)}, where {_told(contract.output, part, recipe)} is promised")


def _misfit(part: Part, message: str) -> NoReturn:
    _misfit_at(part.position, f"{_named(part)} {message}")


def _misfit_at(position: Position, message: str) -> NoReturn:
    raise _Misfit(Problem(position, message))


def _named(part: Part) -> str:
    return f"slot '{part.label}' ({part.entry.kind} '{part.entry.name}')"


def _dims(tensor: Tensor) -> str:
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
