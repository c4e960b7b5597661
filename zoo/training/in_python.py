"""What ``zoo.train``, ``zoo.save`` and ``zoo.evaluate`` do, for people who write Python."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo.api import Record, Watcher
from zoo.data.batches import load_images
from zoo.data.given import examples_of
from zoo.engine.engine import Engine
from zoo.errors import RequestError
from zoo.metrics import evaluate as scoring
from zoo.metrics.metric import alone
from zoo.model.model import Model
from zoo.recipe import Recipe, lasting, load_recipe, registry_for
from zoo.runs.identity import refuse_another
from zoo.runs.run import Run, steps_of
from zoo.runs.weights import note_frozen, save_weights, trained_steps
from zoo.training import loop
from zoo.training.after import try_fits
from zoo.training.build import begin, describe
from zoo.training.journal import Journal
from zoo.training.watchers import Guarded, ProgressWatcher
from zoo.types import Examples

Watching = Watcher | Callable[[Record], object]


def train(
    model: Model,
    data: Any = None,
    *,
    value_range: tuple[float, float] | None = None,
    steps: int | None = None,
    run: str | Path | None = None,
    extend: bool = False,
    watchers: Watching | Sequence[Watching] = (),
    progress: bool = True,
    stop: Callable[[], bool] = lambda: False,
    on_alarm: Callable[[str], None] | None = None,
) -> Engine:
    """Trains a model as its recipe says; the model is changed in place.

    Where the recipe averages weights (``train.ema``), the model holds the averaged ones afterwards. Trained once more,
    it goes on: two trainings in a row are one, bit for bit.

    Args:
        model: from ``zoo.build`` or ``zoo.load``.
        data: ``zoo.api.Examples``; a mapping of the fields' names to tensors (N, ...); or the images alone: a tensor or
            an array (N, C, H, W), (N, H, W, C), or (N, H, W) of grey; a ``Dataset`` or a ``DataLoader``, each of whose
            items is taken once, the values of a tuple for the fields that the recipe asks for, in its order; a list of
            any of these, of files or of Pillow's images; None for the recipe's own.
        value_range: the numbers for black and white where ``data`` has floats: ``(0, 1)`` or ``(-1, 1)``.
        steps: how many more; up to the recipe's number, or as many again, when None.
        run: a directory that ``zoo.load`` reads: checkpoints go there, and a training that was cut short is taken up
            from there.
        extend: whether a run may go on with other images, or under other settings of its training.
        watchers: who is told of the records: functions of a ``zoo.api.Record``, or ``zoo.api.Watcher``.
        progress: whether a line on stderr says how far it is.
        stop: asked after each step; True ends the training, and saves it where there is a run.
        on_alarm: told of a collapse or saturation; it is printed with the progress when None.

    Returns:
        the engine, with its step, optimisers and averaged weights.

    Raises:
        zoo.errors.TrainingError: if a term, a gradient or a weight is no longer finite, or the memory does not suffice.
        zoo.errors.Interrupted: if ``stop`` said so.
        zoo.errors.RequestError: if there are no such images, or the run is another's.
    """
    if not hasattr(model, "recipe"):
        raise RequestError(f"a model is one of zoo.build or zoo.load, not {type(model).__name__}")
    if steps is not None and (not isinstance(steps, int) or steps < 1):
        raise RequestError(f"steps={steps!r}: a training takes 1 step or more")
    recipe, done = model.recipe, _done(model, run)
    images = load_images(recipe) if data is None else data
    images = images if isinstance(images, Examples) else examples_of(images, recipe, value_range)
    try_fits(model, images)
    if recipe.train.epochs:
        recipe = model.last(lasting(recipe, len(images.train), registry_for({}, model.plugins)))
    whole = recipe.train.steps
    say: Callable[[str], None] = partial(print, file=sys.stderr, flush=True) if progress else lambda _: None
    seen: list[Watcher] = [*([ProgressWatcher()] if progress else []), *_watching(watchers)]
    total = done + steps if steps is not None else whole if done < whole else done + whole
    rates = [optimizer.rate for optimizer in recipe.train.optimizers.values()]
    if done < total and not any(rate(step) for rate in rates for step in range(done, total)):
        cure = f'overrides={{"train.steps": {total}}} in zoo.build spreads them'
        warnings.warn(
            f"steps {done + 1} to {total} teach nothing: their learning rates are all 0; {cure}", stacklevel=3
        )
    hooks: dict[str, Any] = {"stop": stop, "say": say, "on_alarm": on_alarm, "keep": True}
    if run is None:
        return loop.train(model, images, steps=total, watchers=seen, **hooks)
    engine = _into(Path(run), model, images, done, total, seen, extend, hooks)
    if engine.average:
        loop.hold_average(model, engine.average)
    return engine


def _into(
    folder: Path,
    model: Model,
    images: Examples,
    done: int,
    total: int,
    watchers: Sequence[Watcher],
    extend: bool,
    hooks: Mapping[str, Any],
) -> Engine:
    """Trains a model of ``done`` steps up to ``total`` in a run, from its newest checkpoint if it has one."""
    recipe, say = model.recipe, hooks["say"]
    with Run(folder) as run:
        there = max(steps_of(folder, "json"), default=0)
        if 0 < there < done:
            raise RequestError(f"{folder}: holds {there} steps, and this model has {done}: it is of another training")
        total = max(total, there)
        longer = _longer(recipe, total)
        changes = refuse_another(run, longer, extend)
        registry = registry_for({}, model.plugins)
        begin(run, model, images, registry, changes, recipe=longer, extend=extend, say=say)
        note_frozen(run, model)
        for sentence in changes:
            say(f"from here on, {sentence}")
        plugged = [Guarded(part, {"folder": folder, "recipe": recipe.plain()}, say) for part in recipe.watch]
        seen: list[Watcher] = [Journal(run.path("metrics.jsonl")), *plugged, *watchers]
        engine = loop.train(model, images, steps=total, watchers=seen, run=run, **hooks)
        save_weights(run, engine)
    return engine


def _watching(watchers: Any) -> list[Watcher]:
    """Watchers and functions, of which one may stand alone, as watchers."""
    alone = callable(watchers) or hasattr(watchers, "log")
    asked: list[Any] = [watchers] if alone else [*watchers]
    return [each if hasattr(each, "log") else _Told(each) for each in asked]  # type: ignore[misc]


@dataclass
class _Told:
    """Tells a function of every record."""

    log: Callable[[Record], object]

    def start(self, step: int, steps: int, batch: int) -> None:
        """A training begins."""

    def end(self) -> None:
        """It ended."""


def _done(model: Model, run: str | Path | None) -> int:
    """Steps behind a model's weights, as far as the training that is to go on is theirs."""
    if model.trained:
        return int(model.trained[1]["step"])
    own = run is not None and model.loaded_from is not None and Path(run).resolve() == model.loaded_from
    folder = Path(run or "")
    return (max(steps_of(folder, "json"), default=0) or trained_steps(folder)) if own else 0


def _longer(recipe: Recipe, steps: int) -> Recipe:
    return replace(recipe, train=replace(recipe.train, steps=steps)) if steps else recipe


def save(model: Model, folder: str | Path) -> None:
    """Saves a model as it is, weights and recipe, in a new directory that ``zoo.load`` and ``zoo sample`` read.

    Raises:
        zoo.errors.RequestError: if something is there already.
    """
    place = Path(folder)
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise RequestError(f"{place}: is there already; save into another directory")
    with Run(place) as run:
        done = int(model.trained[1]["step"]) if model.trained else 0
        describe(run, _longer(model.recipe, done), registry_for({}, model.plugins))
        note_frozen(run, model)
        engine = Engine(model)
        engine.begin_at(done)
        save_weights(run, engine)


def evaluate(
    model: Model,
    data: Any = None,
    *,
    metrics: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
) -> Mapping[str, Any]:
    """Scores of a model, each with its protocol, as ``scores.json`` of a run has them.

    Args:
        model: from ``zoo.build`` or ``zoo.load``.
        data: images as for ``zoo.train``, which serve as test and as training images; None for the recipe's own.
        metrics: names; those of the recipe when None.
        value_range: the numbers for black and white where ``data`` has floats.

    Returns:
        label -> ``{"value": number, "protocol": {...}}``; of a metric that cannot be had the value is NaN, and ``why``.
    """
    recipe = model.recipe
    if isinstance(metrics, str):
        raise RequestError(f"metrics={metrics!r} is text; give a list: [{metrics!r}]")
    images = load_images(recipe) if data is None else data
    if not isinstance(images, Examples):
        given = examples_of(images, recipe, value_range)
        images = replace(given, test=given.train, fields={name: (a, a) for name, (a, _) in given.fields.items()})
    parts = recipe.evaluate
    if metrics is not None:
        registry = registry_for({}, model.plugins)
        parts = load_recipe(recipe.plain(), alone(metrics, recipe, registry), registry).evaluate
    return scoring.evaluate(model, images, parts=parts, weights=model.weights)
