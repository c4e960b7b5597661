"""Finds why a training went wrong: which term, which network, which images; and what memory it would have needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from zoo.check.cost import MIB, costs
from zoo.data.batches import Batches
from zoo.engine.compiled import unmoved
from zoo.engine.engine import Engine
from zoo.engine.keys import TermKey
from zoo.engine.phases import PhasePlan
from zoo.engine.sentinel import Poisoned, Unwell, first_bad
from zoo.errors import TrainingError, reason
from zoo.machine.torch_private import out_of_memory, process_lost
from zoo.runs.provenance import build_again
from zoo.runs.run import Run
from zoo.types import Batch, tensors

FILE = "state/fault.json"
"""The file of a run that keeps a fault until a training gets past it."""


@dataclass(frozen=True)
class Fault:
    """The step that went wrong: the first term at fault, its row, its phase and play, both from 0, its value as text.

    ``module`` is the first network, or part of one, whose output is not finite; ``weights`` are the players whose
    weights are not; ``images`` those of the batch, by their place in the set.
    """

    step: int
    phase: int
    play: int
    row: str
    term: str
    value: str
    module: str
    weights: tuple[str, ...]
    images: tuple[int, ...]

    def __str__(self) -> str:
        said = f"term '{self.term}' of row '{self.row}' is {self.value}"
        if self.value not in ("nan", "inf", "-inf"):
            said += ", and its gradient is not finite"
        if self.module:
            said += f"; the first output that is not finite is that of {self.module}"
        spoilt = f"weights of {', '.join(self.weights)} are not finite" if self.weights else "every weight is finite"
        return f"step {self.step}: {said}; {spoilt}; no weight has moved by it"


@contextmanager
def told_why(engine: Engine, batches: Batches, run: Run | None) -> Iterator[None]:
    """Makes what goes wrong inside a TrainingError with its reason and the cure; the run keeps it, to be replayed."""
    try:
        yield
        if run:
            run.path(FILE).unlink(missing_ok=True)
    except (Poisoned, Unwell) as error:
        poisoned = _found_again(engine, error, batches) if isinstance(error, Unwell) else error
        fault = diagnose(engine, poisoned, batches)
        kept = ""
        if run:
            run.write_json(FILE, asdict(fault))
            again = f"{build_again(run.folder)} --replay-fault"
            kept = f"; the last checkpoint is from before, and this shows it again: {again}"
        advice = "Lower the learning rate or the term's weight, or set train.clip"
        raise TrainingError(f"{fault}{kept}. {advice}") from None
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            needed = f"out of memory: {memory_needed(engine)}"
            raise TrainingError(f"step {engine.step_index}: {needed}. Torch says: {reason(error)}") from error
        if process_lost(error):
            gone = "another process of this build is gone; its own words say why"
            again = f"the same command goes on. Here it is: {reason(error)}"
            raise TrainingError(f"step {engine.step_index}: {gone}; {again}") from error
        raise


def _found_again(engine: Engine, unwell: Unwell, batches: Batches) -> Poisoned:
    """Plays the step again to see what the device only counted; it gives the same, for weights have not moved since."""
    engine.begin_at(unwell.step)
    for which in engine.due():
        x = engine.batch(batches(engine.turn(which)))
        with unmoved(engine.model):
            losses, gradients = engine.shares(engine.plan_now(which[0]), x, which)
        if first_bad(losses) or first_bad(gradients):
            return Poisoned(unwell.step, which, losses, gradients)
    raise unwell


def diagnose(engine: Engine, poisoned: Poisoned, batches: Batches) -> Fault:
    """Plays what went wrong once more, without moving anything, and finds where it began."""
    number, play = poisoned.which
    plan = engine.plan_now(number)
    x = engine.batch(batches(engine.turn(poisoned.which)))
    outputs: list[str] = []
    with _watched(engine, outputs), unmoved(engine.model):
        engine.shares(plan, x, poisoned.which)
    term = _guilty(engine, plan, x, poisoned)
    spoilt = tuple(engine.shards.spoilt(engine.players))
    value, module = f"{float(poisoned.losses[term]):g}", outputs[0] if outputs else ""
    images = tuple(batches.images_of(engine.turn(poisoned.which)).tolist())
    return Fault(engine.step_index, number, play, term.row, term.term, value, module, spoilt, images)


def _guilty(engine: Engine, plan: PhasePlan, batch: Batch, poisoned: Poisoned) -> TermKey:
    """The term at fault: the first value that is not finite, else the first gradient."""
    if spoilt := first_bad(poisoned.losses):
        return spoilt
    bad = first_bad(poisoned.gradients)
    for bound in (bound for bound in plan.rows if bad in bound.parameters):
        for key, _, term in bound.terms:
            alone = engine.plan(replace(plan.phase, rows=(replace(bound.row, terms=(term,)),)))
            with unmoved(engine.model):
                gradients = engine.shares(alone, batch, poisoned.which, every_term=True)[1]
            mine = first_bad(gradients)  # the others must go the same way: they may wait for each other's shares
            if engine.processes.any(bool(mine), engine.device) or term is bound.terms[-1][-1]:
                return key
    raise poisoned


@contextmanager
def _watched(engine: Engine, noted: list[str]) -> Iterator[None]:
    """Notes every network, and part of one, that makes of finite inputs what is not, the innermost first."""
    with ExitStack() as hooks:
        for slot in engine.recipe.slots:
            for name, module in engine.model.network(slot).named_modules():
                note = partial(_note, noted, f"{slot}.{name}".rstrip("."))
                hooks.enter_context(module.register_forward_hook(note))
        yield


def _note(noted: list[str], name: str, module: nn.Module, inputs: Any, output: Any) -> None:
    if _finite(inputs) and not _finite(output):
        noted.append(f"{name} ({type(module).__name__})")


def _finite(value: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors(value))


# -- memory ------------------------------------------------------------------------------------------------


def memory_needed(engine: Engine) -> str:
    """Says how much memory a step needs, and which options lower that."""
    recipe, settings = engine.recipe, engine.recipe.train
    step = costs(recipe)[-1]
    count, shared = engine.processes.count, engine.shards.collective
    # weights, their gradients, the optimisers' moments
    fixed = (2 * step.weights + step.optimizer) / MIB / (count if shared else 1)
    rows = settings.batch // settings.accumulate // count
    kept = step.activations * rows / MIB
    finer = (n for n in range(settings.accumulate + 1, settings.batch + 1) if not settings.batch % (n * count))
    parts = next(finer, 0)
    does = "halves" if parts == 2 * settings.accumulate else "lowers"
    cures = [f"train.accumulate={parts} {does} the latter"] if parts else []
    if not settings.activation_checkpointing:
        cures.append("train.activation_checkpointing=true keeps only what networks hand each other")
    if count > 1 and not shared:
        cures.append(f"train.fully_shard=true shares the former out among the {count} processes")
    if not engine.eager:
        cures.append("train.cuda_graph=off keeps no memory for graphs")
    if settings.precision == "float32":
        cures.append("train.precision=bfloat16 makes activations half as large")
    return (
        f"a step needs about {fixed:,.0f} MiB for weights, gradients and optimisers and {kept:,.0f} MiB for the "
        f"activations of {rows} images; {'; '.join(cures) or 'choose smaller networks'}"
    )
