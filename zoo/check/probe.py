"""Looks at a recipe's model before any training: shapes between slots, and who really learns.

``probe`` runs on the ``meta`` device, which has shapes and no memory; a model that cannot (an operation that
looks at the numbers) is probed on the CPU with a batch of two. So is one that is about to be trained: torch's meta
kernels are Python, and take longer than two small images do. ``probe_batch`` does the same with real images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.check.assembly import NotOnMeta, assemble, refuse
from zoo.check.shapes import IMAGES, Broken, Misfit, Step, check_image, misfit_at, watch
from zoo.data.augment import augmentations
from zoo.engine.engine import Engine
from zoo.engine.phases import PhasePlan
from zoo.errors import Position, Problem, RecipeError, reason
from zoo.model.model import Model, wants_numbers
from zoo.recipe.contract import dims
from zoo.recipe.graph import route
from zoo.recipe.schema import Part, Phase, Recipe, Row
from zoo.score.metric import Meter, Moment
from zoo.types import Images, mapped, to_model

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


@dataclass(frozen=True)
class Passed:
    """Slots and values that a gradient came through."""

    slots: set[str]
    values: set[str]


def probe(recipe: Recipe, device: Literal["meta", "cpu"] = "meta") -> list[Reach]:
    """Plays every phase once without stepping.

    Args:
        recipe: what to probe.
        device: where; on ``cpu`` metrics are left to ``probe_batch``.

    Returns:
        for each row its players, and the slots that its gradient passes through on its way to them.

    Raises:
        RecipeError: if shapes do not fit, a part fails, a row does not reach its player, or the gradient
            takes another way than the recipe's graph says.
    """
    try:
        return _probe(recipe, device)
    except NotOnMeta:
        return _probe(recipe, "cpu", measured=True)


def probe_batch(recipe: Recipe, images: Images) -> None:
    """Plays every phase once on images of the recipe's own data, on the CPU, without stepping.

    Raises:
        RecipeError: as for ``probe``, for what only numbers and memory bring to light.
    """
    few = []
    for part in recipe.evaluate:
        meter = Meter.of(part, recipe)
        n, least = len(getattr(images, meter.split)), int(meter.optional("least"))
        if n < least:
            said = f"metric '{part.label}': it needs at least {least} images, and the {meter.split} split has {n}"
            few.append(Problem(part.position, said))
    refuse(few)
    x = to_model(images.train[: min(BATCH, recipe.train.batch)], torch.float32)
    _probe(recipe, "cpu", x, measured=True)


def _probe(recipe: Recipe, device: str, x: Tensor | None = None, *, measured: bool = False) -> list[Reach]:
    model = assemble(recipe, device)
    problems: list[Problem] = []
    broken: list[Problem] = []
    inside: list[Step] = []
    _probe_augmentations(recipe, partial(_placed, "cpu", problems, broken, inside))
    passed = Passed(set(), set())
    for label, part in recipe.slots.items():
        watch(model, label, part, recipe, inside)
        for module in getattr(model, label).modules():
            module.register_forward_hook(partial(_note_output, passed.slots, label))
    steps = {name: Step(f"value '{name}'", _written(part)) for name, part in recipe.values.items()}
    functions = {name: partial(_within, inside, steps[name], run) for name, run in model.functions.items()}
    model.functions = {name: partial(_note_value, passed.values, name, run) for name, run in functions.items()}
    engine = Engine(model, optimizers=False)
    model.train()
    if x is None:
        sizes = recipe.sizes
        x = torch.zeros(min(BATCH, recipe.train.batch), sizes.channels, sizes.size, sizes.size, device=device)
    placed = partial(_placed, device, problems, broken, inside)
    found = []
    for number, phase in enumerate(recipe.phases):
        found += _probe_phase(engine, number, phase, x, passed, placed, inside)
    if not (problems or broken):
        _probe_shown(model, x, placed)
    if not (problems or broken) and measured:
        for part in recipe.evaluate:
            placed(partial(_measure, model, part, x), f"metric '{part.label}'", part.position)
    refuse(broken or problems)  # what fails otherwise may fail for a shape that is broken
    return found


def _written(part: Part) -> Position | None:
    """Where the recipe has a value; None where it only needs it."""
    return part.position if part.position.line or part.position.file.startswith("--set") else None


def _within(inside: list[Step], step: Step, run: Callable[..., Any], /, **given: Any) -> Any:
    """What ``run`` gives, and for as long as it runs a step that can be named."""
    inside.append(replace(step, given=given))
    found = run(**given)
    inside.pop()
    return found


def _note_output(noted: set[str], label: str, _: nn.Module, __: Any, output: Any) -> None:
    _note_gradient(noted, label, output)


def _note_value(noted: set[str], name: str, function: Callable[..., Any], /, **named: Any) -> Any:
    found = function(**named)
    _note_gradient(noted, name, found)
    return found


def _note_gradient(noted: set[str], name: str, value: Any) -> None:
    """Has the tensors of a value note a name when a gradient comes through them."""

    def noting(tensor: Tensor) -> Tensor:
        if tensor.requires_grad:
            tensor.register_hook(lambda _: noted.add(name))  # type: ignore[no-untyped-call]
        return tensor

    mapped(noting, value)


def _probe_phase(
    engine: Engine, number: int, phase: Phase, x: Tensor, passed: Passed, placed: Placed, inside: list[Step]
) -> list[Reach]:
    found: list[Reach] = []
    for row in phase.played:
        plan = _with_scalars(engine.plan(Phase((row,), position=row.position)), row, inside)
        passed.slots.clear()
        passed.values.clear()
        gradients = placed(partial(engine.gradients, plan, x, every_term=True), f"row '{row.label}'", row.position)
        if gradients is None:
            continue
        for name in row.players:
            keys = engine.players[name].parameters
            reached = sum(key in gradients[1] for key in keys)
            found.append(Reach(number, row.label, name, "learns", reached, len(keys)))
            if not reached:
                message = f"'{name}' learns nothing in row '{row.label}': no gradient of it arrives there"
                placed(partial(misfit_at, row.position, message), "", row.position)
        through = _passed_through(engine.model, row, passed)
        found += [Reach(number, row.label, label, "passes", 0, 0) for label in through]
        placed(partial(_compare_routes, engine.model, row, through), "", row.position)
    return found


def _passed_through(model: Model, row: Row, passed: Passed) -> list[str]:
    """Slots that a row's gradient came through: their modules' outputs, or values that use them otherwise."""
    graph = model.recipe.graph
    declared = route(graph, row.slots, [term.part.arguments for term in row.terms])
    used = {need for name in passed.values for need in graph.needs(name)}
    used |= {need for term in row.terms for need in term.part.arguments.values()}
    otherwise = {slot for slot, how in declared.items() if how == "passes" and slot in used}
    return [label for label in model.recipe.slots if label in (passed.slots | otherwise) - row.slots]


def _compare_routes(model: Model, row: Row, through: list[str]) -> None:
    """The routes that the graph declares against those the gradient took."""
    declared = route(model.recipe.graph, row.slots, [term.part.arguments for term in row.terms])
    for slot in model.recipe.slots:
        if declared.get(slot) == "passes" and slot not in through:
            message = f"declares that its gradient passes through '{slot}', and none does: a gradient is cut on the way"
            misfit_at(row.position, f"row '{row.label}' {message}; stop one by a value's name, NAME_held")
        if declared.get(slot) != "passes" and slot in through:
            message = f"has a gradient that passes through '{slot}', which no term or value of it asks for"
            misfit_at(row.position, f"row '{row.label}' {message}")


def _with_scalars(plan: PhasePlan, row: Row, inside: list[Step]) -> PhasePlan:
    """The plan with every term's value checked: what a row minimises is a scalar."""
    parts = {term.part.key: term.part for term in row.terms}

    def checked(key: str, function: Callable[..., Any] | None, /, **named: Any) -> Tensor:
        assert function is not None
        part = parts[key]
        value = _within(inside, Step(f"term '{part.label}'", part.position), function, **named)
        if not isinstance(value, Tensor) or value.ndim:
            given = dims(value.shape) if isinstance(value, Tensor) else type(value).__name__
            misfit_at(part.position, f"term '{part.label}' gives {given}, where a scalar is promised")
        return value

    program = [
        replace(this, function=partial(checked, this.name, this.function)) if this.name in parts else this
        for this in plan.program
    ]
    return replace(plan, program=program)


def _probe_augmentations(recipe: Recipe, placed: Placed) -> None:
    """Tries each augmentation on two images on the CPU: they are made of memory already, and cost little."""
    sizes = recipe.sizes
    x = torch.zeros(BATCH, sizes.channels, sizes.size, sizes.size)
    for part in recipe.augment:
        placed(partial(_augment, replace(recipe, augment=(part,)), x), f"augmentation '{part.label}'", part.position)


def _augment(recipe: Recipe, x: Tensor) -> None:
    for run in augmentations(recipe):
        run(x, torch.arange(BATCH))


def _probe_shown(model: Model, x: Tensor, placed: Placed) -> None:
    """Computes what outputs show and metrics look at."""
    recipe = model.recipe
    for label, name in recipe.outputs.items():
        where = recipe.source.at(("outputs", label))
        found = placed(partial(model.compute, name, given={"x": x}), f"output '{label}'", where)
        if found and label in IMAGES:
            placed(partial(check_image, label, found[0], recipe), "", where)
    for part in recipe.evaluate:
        placed(partial(_metric, part, recipe), f"metric '{part.label}'", part.position)
        names = [name for name in (*part.arguments.values(), *part.computed) if name != "x"]
        placed(partial(model.compute, *names, given={"x": x}), f"metric '{part.label}'", part.position)


def _measure(model: Model, part: Part, x: Tensor) -> None:
    """Hands a metric a batch, as evaluation will: better now than after the training."""
    Moment(model, x, seed=0, seeds=1).give([Meter.of(part, model.recipe)], again=False)


def _metric(part: Part, recipe: Recipe) -> None:
    """Makes a metric, so that what its options say wrong is known before training; on meta, it loads nothing."""
    with torch.device("meta"):
        part.load()(**part.arguments_for(recipe.sizes))


def _placed(
    device: str,
    problems: list[Problem],
    broken: list[Problem],
    inside: list[Step],
    run: Callable[[], Any],
    what: str,
    position: Position,
) -> Any:
    """What ``run`` gives; None after noting, in a sentence, why it could not.

    Args:
        device: where the probe runs.
        problems: where to note it.
        broken: where to note that a slot's contract is broken.
        inside: the calls that had begun and not ended: the last is the culprit.
        run: what to try.
        what: it, for a sentence.
        position: where it is asked for.
    """
    inside.clear()
    try:
        return run()
    except Broken as misfit:
        broken.append(misfit.args[0])
    except Misfit as misfit:
        problems.append(misfit.args[0])
    except RecipeError as error:
        problems += error.problems
    except Exception as error:  # whatever a plugin's code may raise
        if device == "meta" and wants_numbers(error):
            raise NotOnMeta from error
        why = "no gradient reaches its players" if "does not require grad" in str(error) else reason(error)
        problem = (inside[-1] if inside else Step(what)).failed(why, position)
        if problem.message not in {known.message for known in problems}:  # another row may need the same value
            problems.append(problem)
    return None
