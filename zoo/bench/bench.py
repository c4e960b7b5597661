"""Times a recipe's step, takes it apart, and times what could be quicker against it."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from zoo.bench.advice import advise, candidates
from zoo.bench.clock import Middle, Spent, in_turns, ratio
from zoo.bench.floor import ceilings, floor
from zoo.bench.parts import FORWARD, SHARES, Pieces, Subject, held, pieces
from zoo.bench.report import Against, Bench, Part
from zoo.check.assembly import assemble
from zoo.check.cost import costs
from zoo.check.probe import probe_model
from zoo.data.batches import load_images
from zoo.data.fields import invented
from zoo.draws import forked
from zoo.engine.capture import WARM
from zoo.errors import Problem, RecipeError, RequestError, ZooError
from zoo.machine.device import choose_device, compute_type
from zoo.model.model import Model
from zoo.recipe.schema import Recipe
from zoo.types import Examples

LEAST_NOISE = 1024
"""Images that random data has at least, so that a batch is gathered from more than a cache line or two."""

STEP, AGAIN = ("", "step"), ("", "again")


def bench(
    recipe: Recipe,
    variant: Callable[[str], Recipe],
    *,
    against: Mapping[str, Recipe] | None = None,
    device: str = "auto",
    steps: int = 24,
    random_data: bool = False,
) -> Bench:
    """Times training as the recipe says it, in the middle of it; nothing is written.

    ``variant`` makes the recipes that are worth timing against it: given an override, the recipe with it; ``against``
    has others, by override. So many ``steps`` of the recipe's own are timed.
    """
    where = choose_device(device)
    if where.type not in ("cpu", "cuda"):
        raise RequestError(f"--device {device}: steps are timed on cpu and cuda, not on {where.type}")
    model = assemble(recipe, where)
    probe_model(model)
    examples = _noise(recipe) if random_data else _examples(recipe)
    with forked(where):
        subject = Subject.of(model, examples)
        data = "random numbers" if random_data else recipe.data.entry.name
        measured = _measured(subject, steps, data, len(examples.train))
        others = dict(against or {}) | {other: variant(other) for other in candidates(measured, subject)}
        tried = tuple(_against(subject, name, other, examples, steps) for name, other in others.items())
        measured = replace(measured, against=tried)
    return replace(measured, advice=tuple(advise(measured, subject)))


def _noise(recipe: Recipe) -> Examples:
    """Random numbers in the place of a recipe's data."""
    return invented(recipe, max(4 * recipe.train.batch, LEAST_NOISE), 1, recipe.seed)


def _examples(recipe: Recipe) -> Examples:
    try:
        return load_images(recipe)
    except RecipeError as error:
        cure = "; --random-data times the recipe without its images"
        raise RecipeError([Problem(p.position, p.message.rstrip(".") + cure) for p in error.problems]) from None


def _measured(subject: Subject, steps: int, data: str, images: int) -> Bench:
    recipe, device = subject.recipe, subject.engine.device
    gpu = device.type == "cuda"
    first, cycle = subject.engine.step_index, _cycle(recipe)
    _warm(subject, cycle)
    peak = torch.cuda.max_memory_allocated(device) if gpu else 0
    rss = _largest_resident_set()
    whole = partial(subject.step, cycle)
    taken = pieces(subject)
    sides = {STEP: whole, AGAIN: whole} | {piece: run for piece, (_, run) in taken.items()}
    spent = in_turns(sides, _rounds(steps, cycle), device)
    both = [*spent[STEP], *spent[AGAIN]]
    seconds = Middle.of([one.seconds / cycle for one in both])
    counted, flops = held(subject), costs(recipe)[-1].flops
    dtype = compute_type(recipe.train.precision, device) or torch.float32
    best = ceilings(device, dtype)
    return Bench(
        recipe=recipe.name,
        data=data,
        images=images,
        device=torch.cuda.get_device_name(device) if gpu else "CPU",
        clock="CUDA events" if gpu else "CPU time of the process",
        threads=torch.get_num_threads(),
        precision=str(dtype).removeprefix("torch."),
        batch=recipe.train.batch,
        first_step=first,
        steps=len(both) * cycle,
        seconds=seconds,
        wall=Middle.of([one.wall / cycle for one in both]),
        host=statistics.median(one.host for one in both) / cycle,
        same=ratio(spent[AGAIN], spent[STEP]),
        flops=flops,
        held=counted,
        peak=peak,
        rss=rss,
        ceilings=best,
        floor=floor(flops * recipe.train.batch, counted.moved, counted.weights, counted.optimizer, best),
        parts=_parts(taken, spent, seconds.median),
        eager=subject.engine.eager,
    )


def _largest_resident_set() -> int:
    try:
        import resource
    except ImportError:  # on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _cycle(recipe: Recipe) -> int:
    """Steps after which the same phases are due again."""
    return math.lcm(*(phase.every for phase in recipe.phases))


def _rounds(steps: int, cycle: int) -> int:
    return max(3, math.ceil(steps / cycle / 2))


def _warm(subject: Subject, cycle: int) -> None:
    """Plans, optimiser states and caches; a CUDA graph is captured at the play after the ``WARM``th."""
    subject.step(cycle * (WARM + 2 if not subject.engine.eager else 2))


def _parts(pieces: Pieces, spent: Mapping[tuple[str, str], Sequence[Spent]], step: float) -> tuple[Part, ...]:
    """Each part's seconds in a step; shares are of the step, or of all parts where these take longer alone."""
    seconds = {
        piece: plays * statistics.median(s.seconds for s in spent[piece]) for piece, (plays, _) in pieces.items()
    }
    for (title, name), taken in seconds.items():
        if name == SHARES:
            seconds[title, name] = max(taken - seconds.get((title, FORWARD), 0.0), 0.0)
    known = sum(seconds.values())
    whole = max(step, known)
    if whole > known:
        seconds["", "rest"] = whole - known
    return tuple(Part(title, name, taken, taken / whole) for (title, name), taken in seconds.items())


def _against(subject: Subject, name: str, recipe: Recipe, examples: Examples, steps: int) -> Against:
    """Another recipe's time an image over this one's, taken in turns."""
    fitting = examples if recipe.fields == subject.recipe.fields else _noise(recipe)
    cycle = math.lcm(_cycle(recipe), _cycle(subject.recipe))
    try:
        other = Subject.of(Model(recipe, subject.engine.device), fitting)
        _warm(other, cycle)
        sides = {"other": partial(other.step, cycle), "own": partial(subject.step, cycle)}
        spent = in_turns(sides, _rounds(steps, cycle), subject.engine.device)
    except (ZooError, torch.OutOfMemoryError) as error:
        return Against(name, None, str(error).splitlines()[0])
    an_image = subject.recipe.train.batch / recipe.train.batch
    return Against(name, ratio(spent["other"], spent["own"]).times(an_image))
