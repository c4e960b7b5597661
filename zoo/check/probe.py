"""Looks at a recipe's model before any training: shapes between slots, and who really learns.

``probe`` runs on the ``meta`` device, which has shapes and no memory; a model that cannot (an operation that looks at
the numbers) is probed on the CPU with a batch of two. ``probe_model`` takes a model that is about to be used, where it
is: torch's meta kernels are Python, and take longer than two small images do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.check.assembly import NotOnMeta, made, refuse, untrainable
from zoo.check.shapes import IMAGES, Broken, Misfit, Step, check_codes, check_image, misfit_at, watch
from zoo.data.augment import augmentations
from zoo.data.fields import blank, items
from zoo.engine.compiled import unmoved
from zoo.engine.engine import Engine
from zoo.engine.phases import PhasePlan
from zoo.errors import Position, Problem, RecipeError, reason
from zoo.machine.torch_private import Repeated, lacks_numbers
from zoo.metrics.evaluate import scored_of
from zoo.metrics.metric import Meter, Moment
from zoo.model.model import Model
from zoo.recipe.graph import route
from zoo.recipe.misfit import dims
from zoo.recipe.schema import Part, Phase, Recipe, Row, Term, slot_of
from zoo.types import Batch, Images, mapped

BATCH = 2


@dataclass(frozen=True)
class Reach:
    """What autograd found a row's gradient to do to a slot, or to a part of one.

    Args:
        phase: number of the phase, from 0.
        player: the player, or the slot that is passed through.
        how: ``"learns"`` or ``"passes"``.
        reached: parameter tensors of it that the gradient arrives at, of the ``parameters`` that could learn.
    """

    phase: int
    row: str
    player: str
    how: str
    reached: int
    parameters: int


def probe(recipe: Recipe) -> tuple[list[Reach], list[str]]:
    """Plays every phase once without stepping, on a model of its own.

    Returns:
        for each row its players, and the slots that its gradient passes through on its way to them; and sentences on
        weights that could learn and do not.

    Raises:
        RecipeError: if shapes do not fit, a part fails, a row does not reach its player, or the gradient
            takes another way than the recipe's graph says.
    """
    try:
        probing = _Probe(made(recipe, "meta"))
        with Repeated():
            return probing.play(measuring=False), probing.idle
    except NotOnMeta:
        probing = _Probe(made(recipe, "cpu"))
        return probing.play(measuring=True), probing.idle


def probe_model(model: Model, images: Images | None = None) -> list[str]:
    """Plays every phase of a model once without stepping; it comes back as it was.

    ``images`` are of its own data, to show metrics a batch of too; zeros serve for the phases where None. It raises as
    ``probe``, and for what only numbers and memory bring to light; it returns sentences on weights that do not learn.
    """
    batch = None
    if images is not None:
        _refuse_few(model.recipe, images)
        batch = items(images, "train", model.recipe, 0, _batch(model.recipe), model.device, model.dtype)
    probing = _Probe(model, batch)
    probing.play(measuring=images is not None)
    return probing.idle


def _refuse_few(recipe: Recipe, images: Images) -> None:
    few = []
    for part in recipe.evaluate:
        meter = Meter.of(part, recipe)
        n, least = scored_of(recipe, len(getattr(images, meter.split))), int(meter.optional("least"))
        if n < least and not part.optional:
            said = f"it needs at least {least} images, and {n} of the {meter.split} split are scored"
            said = f"metric '{part.label}': {said}"
            few.append(Problem(part.position, said))
    refuse(few)


def _batch(recipe: Recipe) -> int:
    return min(BATCH, recipe.train.batch)


def _versions(batch: Batch) -> dict[str, int]:
    """How often each field was written into."""
    return {name: tensor._version for name, tensor in batch.items()}


@dataclass(frozen=True)
class _Way:
    """The way of a term's gradient: the parameters it reached, the slots it came through, and what was declared."""

    term: Term
    reached: frozenset[str]
    declared: dict[str, str]
    through: frozenset[str]


class _Probe:
    def __init__(self, model: Model, batch: Batch | None = None) -> None:
        self.model, self.recipe = model, model.recipe
        self.real = batch is not None
        self.batch = batch or blank(model.recipe, _batch(model.recipe), model.device, model.dtype)
        self.problems: list[Problem] = []
        self.broken: list[Problem] = []
        """Contracts of slots that were not kept: what fails otherwise may fail for that."""
        self.inside: list[Step] = []
        """The calls that have begun and not ended: of what fails, the last is the culprit."""
        self.reached: set[str] = set()
        """Parameters at which some gradient arrived."""
        self.idle: list[str] = []
        """Sentences on weights that could learn and do not."""
        self.slots: set[str] = set()
        self.values: set[str] = set()
        """Slots and values that a gradient came through."""

    def play(self, measuring: bool) -> list[Reach]:
        """Plays every phase; with ``measuring`` it hands a batch to every metric, as evaluation will."""
        refuse(untrainable(self.model))
        self._augment()
        free = {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        with _as_it_was(self.model), self._watched():
            engine = Engine(self.model, optimizers=False)
            self.model.train()
            found = [
                reach
                for number, phase in enumerate(self.recipe.phases)
                for row in phase.played
                for reach in self._row(engine, number, row)
            ]
            if not (self.problems or self.broken):
                self._shown(measuring)
        refuse(self.broken or self.problems)
        moved = {p for player in engine.players.values() for key, p in player.parameters.items() if key in self.reached}
        self.idle += _idle(self.model, free, moved)
        return found

    def placed(self, run: Callable[[], Any], what: str, position: Position) -> Any:
        """The result of ``run``; None after noting, in a sentence on ``what`` and where it is asked for, why none."""
        self.inside.clear()
        try:
            return run()
        except Misfit as misfit:
            (self.broken if isinstance(misfit, Broken) else self.problems).append(misfit.args[0])
        except RecipeError as error:
            self.problems += error.problems
        except Exception as error:  # whatever a plugin's code may raise
            if self.model.device.type == "meta" and lacks_numbers(error):
                raise NotOnMeta from error
            problem = (self.inside[-1] if self.inside else Step(what)).failed(reason(error), position)
            if problem.message not in {known.message for known in self.problems}:  # another row may need the same
                self.problems.append(problem)
        return None

    # -- watching --------------------------------------------------------------------------------------------

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Inside, slots are held to their contracts, and slots and values note the gradients that pass."""
        with ExitStack() as hooks:
            for label, part in self.recipe.slots.items():
                module, note = self.model.get_submodule(label), partial(self._note_output, label)
                checking = watch(module, part, self.recipe, self.inside)
                noting = [part_of.register_forward_hook(note) for part_of in module.modules()]
                for hook in (*checking, *noting):
                    hooks.enter_context(hook)
            functions = self.model.functions.items()
            self.model.functions = {name: partial(self._note_value, name, run) for name, run in functions}
            yield

    def _note_output(self, label: str, _: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        if not any(output is one for one in given):  # such as nn.Identity's, whose gradient others may take
            _noted(output, self.slots, label)

    def _note_value(self, name: str, function: Callable[..., Any], /, **given: Any) -> Any:
        part = self.recipe.values[name]
        written = part.position.line or part.position.file.startswith("--set")  # else the recipe only needs it
        found = self._within(Step(f"value '{name}'", part.position if written else None), function, given)
        _noted(found, self.values, name)
        return found

    def _within(self, step: Step, function: Callable[..., Any], given: dict[str, Any]) -> Any:
        self.inside.append(replace(step, given=given))
        found = function(**given)
        self.inside.pop()
        return found

    # -- what is tried ---------------------------------------------------------------------------------------

    def _augment(self) -> None:
        """Tries each augmentation on two images on the CPU: they are made of memory already, and cost little."""
        batch, tickets = blank(self.recipe, BATCH), torch.arange(BATCH)
        for part in self.recipe.augment:
            tried = partial(_augmented, replace(self.recipe, augment=(part,)), batch, tickets)
            self.placed(tried, f"augmentation '{part.label}'", part.position)

    def _row(self, engine: Engine, number: int, row: Row) -> Iterator[Reach]:
        """Takes the gradient of each term of a row, and follows the ways that it took."""
        plan = self._with_scalars(engine.plan(Phase((row,), position=row.position)), row)
        found: list[_Way] = []

        def look(row: Row, term: Term, take: Callable[[], dict[str, Tensor]]) -> None:
            self.slots.clear()
            self.values.clear()
            gradients = take()
            if self.real and gradients and not any(bool(gradient.any()) for gradient in gradients.values()):
                self.idle.append(f"term '{term.label}' of row '{row.label}' has a gradient of 0 on the first images")
            declared = route(self.recipe.graph, row.slots, [term.part.arguments])
            found.append(_Way(term, frozenset(gradients), declared, self._passed_through(row, term, declared)))

        run = partial(engine.by_term, plan, self.batch, look)
        before, problems = _versions(self.batch), len(self.problems)
        failed = self.placed(lambda: run() or found, f"row '{row.label}'", row.position) is None
        if changed := [name for name, version in _versions(self.batch).items() if version != before[name]]:
            told = f"row '{row.label}' changes {' and '.join(changed)} in place, which others see too"
            self.problems[problems:] = [Problem(row.position, f"{told}; work on a copy (x + 1 for x.add_(1))")]
        if failed or changed:
            return
        self.reached |= {key for way in found for key in way.reached}
        for name in row.players:
            keys = engine.players[name].parameters
            reached = sum(any(key in way.reached for way in found) for key in keys)
            yield Reach(number, row.label, name, "learns", reached, len(keys))
            if not reached:
                why = "no gradient of it arrives there" if keys else "all of its parameters are frozen"
                self.problems.append(Problem(row.position, f"'{name}' learns nothing in row '{row.label}': {why}"))
        through = [slot for slot in self.recipe.slots if any(slot in way.through for way in found)]
        yield from (Reach(number, row.label, slot, "passes", 0, 0) for slot in through)
        for way in found if len(self.problems) == problems else ():
            if message := self._otherwise(row, way):
                self.problems.append(Problem(way.term.part.position, message))

    def _passed_through(self, row: Row, term: Term, declared: dict[str, str]) -> frozenset[str]:
        """Slots that a term's gradient came through: their modules' outputs, or values that use them otherwise."""
        used = {need for name in self.values for need in self.recipe.graph.needs(name)}
        used |= set(term.part.arguments.values())
        otherwise = {slot for slot, how in declared.items() if how == "passes" and slot in used}
        return frozenset(self.slots | otherwise) - row.slots

    def _otherwise(self, row: Row, way: _Way) -> str:
        """Where the routes that the graph declares for a term and those its gradient took part, in a sentence."""
        what = f"term '{way.term.label}' of row '{row.label}'"
        if not way.reached:
            return f"{what} moves nothing: no gradient of it arrives; look for no_grad(), detach() or item() in it"
        arrived = {player for player in row.players for key in way.reached if key.startswith(f"{player}.")}
        for slot in self.recipe.slots:
            does = way.declared.get(slot, "")
            declares = {"learns": f"moves '{slot}'", "passes": f"passes through '{slot}'"}.get(does)
            if declares and slot not in way.through | arrived and (slot in row.players or slot not in row.slots):
                message = f"{what} declares that its gradient {declares}, and none does: a gradient is cut on the way"
                return f"{message}; stop one by a value's name, NAME_held"
            if does != "passes" and slot in way.through:
                return f"{what} has a gradient that passes through '{slot}', which no term or value of it asks for"
        return ""

    def _with_scalars(self, plan: PhasePlan, row: Row) -> PhasePlan:
        """The plan with every term's value checked: what a row minimises is a scalar."""
        parts = {term.part.key: term.part for term in row.terms}

        def checked(part: Part, function: Callable[..., Any], /, **given: Any) -> Tensor:
            value = self._within(Step(f"term '{part.label}'", part.position), function, given)
            if not isinstance(value, Tensor) or value.ndim:
                gives = dims(value.shape) if isinstance(value, Tensor) else type(value).__name__
                misfit_at(part.position, f"term '{part.label}' gives {gives}, where a scalar is promised")
            if self.real and not value.isfinite():
                misfit_at(part.position, f"term '{part.label}' is {value:.4g} on the first images: nothing learns")
            return value

        program = [
            replace(this, function=partial(checked, parts[this.name], this.function))
            if this.function and this.name in parts
            else this
            for this in plan.program
        ]
        return replace(plan, program=program)

    def _shown(self, measuring: bool) -> None:
        """Computes what outputs show and metrics look at."""
        recipe, moment = self.recipe, Moment(self.model, self.batch, seed=0, seeds=1)
        wanted = {part.label: [*part.arguments.values(), *part.computed] for part in recipe.evaluate}
        with suppress(Exception):  # each is asked for again below, and told of there
            moment.values([*recipe.outputs.values(), *(name for names in wanted.values() for name in names)])
        for label, name in recipe.outputs.items():
            where = recipe.source.at(("outputs", label))
            found = self.placed(partial(moment.values, [name]), f"output '{label}'", where)
            check = check_image if label in IMAGES else check_codes if label == "posterior" else None
            if found and check:
                self.placed(partial(check, label, found[name], recipe), "", where)
        for part in recipe.evaluate:
            what = f"metric '{part.label}'"
            self.placed(partial(_metric, part, recipe), what, part.position)
            self.placed(partial(moment.values, wanted[part.label]), what, part.position)
        for part in [p for p in recipe.evaluate if measuring and not (p.optional or self.problems)]:
            give = lambda part=part: moment.give([Meter.of(part, recipe)], again=False)  # noqa: E731
            self.placed(give, f"metric '{part.label}'", part.position)


def _idle(model: Model, free: dict[str, nn.Parameter], moved: Collection[nn.Parameter]) -> Iterator[str]:
    """Says of which slots, values and terms there are weights among the ``free`` that no row has ``moved``."""
    recipe = model.recipe
    for number, phase in enumerate(recipe.phases, 1):
        if not recipe.train.epochs and phase.start >= recipe.train.steps:  # how many epochs are is not known yet
            rows = " and ".join(row.label for row in phase.rows)
            starts = f"phase {number} ({rows}) starts at step {phase.start:,}"
            yield f"{starts}, and the training has {recipe.train.steps:,}: it is never played"
    playing = {slot_of(player) for player in recipe.players()}
    for slot in (slot for slot in recipe.slots if slot not in recipe.held()):  # those stay as their weights are
        left = [name for name, p in free.items() if name.startswith(f"{slot}.") and p not in moved]
        count = f"{sum(free[name].numel() for name in left):,} numbers"
        if left and slot not in playing:
            yield f"slot '{slot}' is in no row: its {count} stay as they are made"
        elif left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            yield f"slot '{slot}': no row's gradient arrives at '{left[0]}'{more}: {count} stay as they are made"
    for name in model.still:
        part = model.parts[name]
        yield (
            f"{part.entry.kind} '{part.label}' owns networks that ask for gradients, and nothing trains them: only a "
            "term with a learn() has its own trained; they stay as they are made"
        )


@contextmanager
def _as_it_was(model: Model) -> Iterator[None]:
    """Undoes what a probe does to a model: to its buffers and modes, to who learns, and to the global random stream."""
    functions, modes = model.functions, [(module, module.training) for module in model.modules()]
    learning = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with unmoved(model):
        try:
            yield
        finally:
            model.functions = functions
            for module, training in modes:
                module.training = training
            for parameter, learns in learning:
                parameter.requires_grad_(learns)


def _augmented(recipe: Recipe, batch: Batch, tickets: Tensor) -> None:
    for augment in augmentations(recipe):
        for name, tensor in batch.items():
            for step in {0, recipe.train.steps}:
                augment(recipe.fields[name], tensor, tickets, step)


def _noted(value: Any, names: set[str], name: str) -> None:
    """Has the tensors of a value note a name when a gradient comes through them."""

    def noting(tensor: Tensor) -> Tensor:
        if tensor.requires_grad:
            tensor.register_hook(lambda _: names.add(name))  # type: ignore[no-untyped-call]
        return tensor

    mapped(noting, value)


def _metric(part: Part, recipe: Recipe) -> None:
    """Makes a metric, so that what its options say wrong is known before training; on meta, it loads nothing."""
    with suppress(Exception) if part.optional else nullcontext(), torch.device("meta"):
        part.load()(**part.arguments_for(recipe.sizes))
