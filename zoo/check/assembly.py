"""The model of a recipe, or every reason why it cannot be assembled."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from math import prod

import torch
from torch import nn

from zoo.engine.losses import TrainableModel
from zoo.errors import Problem, RecipeError, RequestError, did_you_mean, reason
from zoo.machine.device import VARIABLE, memory, size_of
from zoo.machine.torch_private import take_step, without_compiler
from zoo.metrics.metric import optional
from zoo.model.kept import unkept
from zoo.model.model import Model, build_part
from zoo.recipe.schema import Recipe, slot_of

FLOAT = 4
"""Bytes of a float32."""


class NotOnMeta(Exception):
    """Something has no implementation on the meta device; the CPU will tell whether it has one at all."""


def assemble(recipe: Recipe, device: torch.device | str = "cpu", *, restored: bool = False) -> TrainableModel:
    """The model on a device: made on ``meta`` first, so that what cannot fit is refused before it takes memory.

    What wants its numbers while it is made cannot be made on ``meta``; of it, the allocator's error tells. A
    RequestError says how much memory the model asks for and how much there is. Of a ``restored`` model a run brings
    the weights.
    """
    there = memory(device)
    _refuse_larger(recipe, f"one {recipe.x.kind}", prod(recipe.x.shape) * FLOAT, there)
    _refuse_larger(recipe, "one code", (prod(recipe.sizes.code) + recipe.noise) * FLOAT, there)
    try:
        model = made(recipe, "meta", restored=restored)
    except NotOnMeta:
        return made(recipe, device, restored=restored)
    tensors = [*model.parameters(), *model.buffers()]
    _refuse_larger(recipe, "its weights", sum(tensor.nbytes for tensor in tensors), there)
    return model if model.device == torch.device(device) else made(recipe, device, restored=restored)


def made(recipe: Recipe, device: torch.device | str, *, restored: bool = False) -> TrainableModel:
    """The model on a device, whatever it costs.

    Raises:
        RecipeError: a slot cannot be made or called so.
        NotOnMeta: something cannot be made on the meta device.
    """
    refuse(_taken_names(recipe))
    try:
        return TrainableModel(recipe, device, restored=restored)
    except NotImplementedError as error:
        raise NotOnMeta from error
    except RecipeError as error:
        raise RecipeError([*error.problems, *_refused(recipe, device, error)]) from error


def untrainable(model: Model) -> Iterator[Problem]:
    """What stands in the way of a training, though the model can be made."""
    yield from _unkept(model)
    yield from list(_absent_players(model)) or _shared_weights(model)
    yield from _bad_optimizers(model.recipe)
    yield from _bad_keep_best(model.recipe)
    yield from _not_fitted(model)


def refuse(problems: Iterable[Problem]) -> None:
    """Raises RecipeError if there are any."""
    if found := list(problems):
        raise RecipeError(found)


def _refuse_larger(recipe: Recipe, what: str, asked: int, there: int) -> None:
    if asked > there:
        raise RequestError(
            f"recipe '{recipe.name}': {what} would take {size_of(asked)}, more than the {size_of(there)} of memory "
            f"here; make it smaller, or set {VARIABLE}={size_of(asked).replace(' ', '')} to try all the same"
        )


def _refused(recipe: Recipe, device: torch.device | str, first: RecipeError) -> Iterator[Problem]:
    """The slots that cannot be made for other reasons than the first has: one size may suit none of them."""
    whys = {_why(problem) for problem in first.problems}
    for part in recipe.slots.values():
        try:
            build_part(recipe, part, device)
        except (RecipeError, NotImplementedError) as error:
            found = [problem for problem in getattr(error, "problems", ()) if _why(problem) not in whys]
            whys |= set(map(_why, found))
            yield from found


def _why(problem: Problem) -> str:
    """What a problem says behind the part that it names."""
    return problem.message.partition(": ")[2]


def _taken_names(recipe: Recipe) -> Iterator[Problem]:
    """Slots are attributes of the model, which has attributes of its own."""
    taken = {*dir(Model), *vars(nn.Module()), "recipe", "parts", "still", "owned", "functions", "terms", "frequencies"}
    for label in taken & recipe.slots.keys():
        message = f"slot '{label}' has the name of an attribute that every model has; call it something else"
        yield Problem(recipe.slots[label].position, message)


def _unkept(model: Model) -> Iterator[Problem]:
    """Tensors that could not be written with the weights of a slot, or of what a value or term owns."""
    for name, part in model.parts.items():
        whose = f"{part.entry.kind} '{part.entry.name}'"
        yield from (Problem(part.position, f"{whose} {why}") for why in unkept(model.get_submodule(name)))


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


def _shared_weights(model: Model) -> Iterator[Problem]:
    """Players of a phase that have weights in common, as tied parts have: those would be moved twice."""
    for phase in model.recipe.phases:
        owners: dict[nn.Parameter, str] = {}
        pairs = [(row, player) for row in phase.played for player in row.players]
        for row, player in pairs:
            own = list(model.network(player).parameters())
            if other := next((owners[p] for p in own if owners.get(p, player) != player), ""):
                message = f"players '{other}' and '{player}' share weights, which would be moved twice"
                yield Problem(row.position, f"{message}; give one of them a phase of its own")
            owners |= dict.fromkeys(own, player)


def _bad_optimizers(recipe: Recipe) -> Iterator[Problem]:
    """Optimisers check their numbers when they are made, and what they need when they take a step."""
    for optimizer in recipe.train.optimizers.values():
        part, step = optimizer.part, recipe.train.steps
        parameter, doing = nn.Parameter(torch.zeros(1)), "be made"
        parameter.grad = torch.zeros(1)
        try:
            with without_compiler():
                part.load()([parameter], **part.arguments_for(step=step))
                made = part.load()([parameter], **part.arguments_for())
            if isinstance(made, torch.optim.Optimizer):
                doing = "take a step"
                take_step(made)
                continue
            why = f"it gives {getattr(made, '__name__', type(made).__name__)}, no torch.optim.Optimizer"
        except Exception as error:  # noqa: BLE001 - whatever a plugin's code may raise
            why = reason(error)
        yield Problem(part.position, f"optimizer '{part.entry.name}' cannot {doing}: {why}")


def _not_fitted(model: Model) -> Iterator[Problem]:
    """Slots that are to be fitted and cannot be."""
    for slot in model.recipe.after:
        part, fit = model.recipe.slots[slot], getattr(model.get_submodule(slot), "fit", None)
        asked = [*inspect.signature(fit).parameters] if callable(fit) else []
        if "codes" not in asked or not {"codes", "draw"}.issuperset(asked):
            has = f"fit({', '.join(asked)})" if asked else "no fit(codes)"
            cure = "'after' calls fit(codes) or fit(codes, draw)"
            message = f"slot '{slot}' ({part.entry.kind} '{part.entry.name}') has {has}, and {cure}"
            yield Problem(part.position, message)


def _bad_keep_best(recipe: Recipe) -> Iterator[Problem]:
    """What the best checkpoint is chosen by must be measured on the way, and say which way is better."""
    label, where = recipe.train.keep_best, recipe.source.at(("train", "keep_best"))
    parts = {part.label: part.load() for part in recipe.evaluate} if label else {}
    quick = [name for name, metric in parts.items() if optional(metric, "quick") and optional(metric, "better")]
    if label and label not in parts:
        hint = did_you_mean(label, quick) or "; 'evaluate' has none that is quick and says what is better"
        yield Problem(where, f"train.keep_best: 'evaluate' has no metric '{label}'{hint}")
    elif label and label not in quick:
        said = f"choices: {', '.join(sorted(quick))}" if quick else "'evaluate' has none that is"
        yield Problem(where, f"train.keep_best: '{label}' is not measured on the way: it is not quick; {said}")
