"""Checks of metrics: on a tiny model that has what they ask for, measured as an evaluation measures."""

from __future__ import annotations

import io
import json
import math
import pickle
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import nn

from zoo.errors import RecipeError
from zoo.model.model import Model
from zoo.recipe.schema import Recipe
from zoo.score.evaluate import evaluate
from zoo.score.metric import Meter, Moment, optional
from zoo.testing.arrays import devices, equal, images
from zoo.testing.common import refuse_changes
from zoo.testing.core import Body, Case, ContractError, require
from zoo.testing.tiny import Setting
from zoo.testing.traces import changed, put_back, taken
from zoo.types import Images, mapped, to_model, to_pixels

IMAGES = 4
PIECES = (slice(0, 2), slice(2, 3), slice(3, 4))
T = TypeVar("T")
BETTER = ("lower", "higher", "one")


class Metric(Setting):
    """A metric, and something to measure."""

    @cached_property
    def data(self) -> Images:
        """Images to train and to test on."""
        sizes = self.recipes[0].sizes
        train, test = (images(IMAGES, sizes.channels, sizes.size, sizes.size, seed=seed) for seed in (1, 2))
        return Images(to_pixels(train), to_pixels(test))

    def try_out(self, recipe: Recipe) -> None:
        """It is made for the recipe's sizes."""
        Meter.of(self.part(recipe), recipe)

    def make(self) -> Meter:
        """A new one."""
        return self._refused(lambda: Meter.of(self.part(self.recipes[0]), self.recipes[0]))

    def score(self, device: str = "cpu") -> dict[str, Any]:
        """What it comes to on the test images, and its protocol."""
        model = Model(self.recipes[0], device)
        return self._refused(lambda: evaluate(model, self.data, batch=IMAGES))[self.case.entry.name]

    @cached_property
    def first(self) -> dict[str, Any]:
        """The first score: networks that judge are slow, and one look serves several checks."""
        with put_back():
            return self.score()

    @cached_property
    def second(self) -> tuple[float, list[str]]:
        """The number on the same images again, and what that changed of the whole process."""
        _ = self.first  # what it imports on first use is not its own
        before = taken()
        return self.score()["value"], changed(before)

    def shown(self) -> dict[str, Any]:
        """What ``update`` is given for the test images."""
        seen = _Seen()
        x = to_model(self.data.test)
        Moment(Model(self.recipes[0]), x, 0, 1).give([Meter(self.part(self.recipes[0]), seen)], again=False)
        return seen.given

    @cached_property
    def apart(self) -> tuple[Any, list[Any]]:
        """One that is shown every test image, and one for each batch of them and for samples that come after."""
        return self.shown_apart("cpu")

    def shown_apart(self, device: str) -> tuple[Any, list[Any]]:
        """The same on a device."""
        model, whole, seen = Model(self.recipes[0], device), self.make(), []
        shown = [to_model(self.data.test[piece].to(device)) for piece in PIECES]
        shown += shown[:1] if whole.more else []
        for turn, x in enumerate(shown):
            moment, own, again = Moment(model, x, turn, len(shown)), self.make(), turn >= len(PIECES)
            self._refused(partial(moment.give, (whole, own), again))
            seen.append(own.metric)
        return whole.metric, seen

    @cached_property
    def merged(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What one finds that is shown everything, and what several do when they are merged."""
        whole, (first, *others) = self.apart
        first.merge([pickle.loads(pickle.dumps(other)) for other in others])
        if optional(first, "training"):
            self._train(whole, first)
        return _found(whole), _found(first)

    def _train(self, whole: Any, first: Any) -> None:
        """Shows training images to one, and to another alone or, where it can, together with a copy."""
        second = pickle.loads(pickle.dumps(first)) if optional(first, "merge_training") else first
        x, half = to_model(self.data.train), IMAGES // 2
        for own, some in ((first, x[:half]), (second, x[half:])):
            whole.training(some)
            own.training(some)
        if second is not first:
            first.merge_training([pickle.loads(pickle.dumps(second))])

    def _refused(self, measure: Callable[[], T]) -> T:
        try:
            return measure()
        except RecipeError as error:
            told = "; ".join(problem.message for problem in error.problems)
            cure = f"give contract_tests() an example of options, options={{'{self.case.key}': [{{...}}]}}"
            raise ContractError(f"{self} cannot be measured here: {told}. If it needs something, {cure}") from error


class _Seen:
    """Stands where a metric would, and keeps what it is given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def update(self, **given: Any) -> None:
        self.given = given

    def compute(self) -> float:
        return 0.0


def score(metric: Metric) -> None:
    """``update`` takes batches in, and ``compute`` gives a finite number."""
    found = metric.first["value"]
    require(math.isfinite(found), f"{metric} comes to {found} on {IMAGES} images; look at what divides")


def streaming(metric: Metric) -> None:
    """Images in batches of 2, 1 and 1 come to what all of them come to at once."""
    shown, whole, made = metric.shown(), metric.first["value"], metric.make().metric
    for piece in PIECES:
        made.update(**mapped(lambda t, piece=piece: t[piece].clone() if t.ndim else t, shown))  # type: ignore[misc]
    if optional(made, "training"):
        optional(made, "training")(to_model(metric.data.train))
    pieces = float(made.compute())
    told = f"{metric} comes to {whole:.6g} on {IMAGES} images at once and to {pieces:.6g} in batches of 2, 1 and 1"
    same = math.isclose(whole, pieces, rel_tol=1e-4, abs_tol=1e-6)
    require(same, f"{told}; sum over images and divide once, in compute()")


def merging(metric: Metric) -> None:
    """With ``merge`` (and ``merge_training``), what several saw apart comes, put together, to what one sees."""
    if not optional(metric.case.target, "merge"):
        return
    one, several = metric.merged
    for name in one:
        told = f"{metric} has {name} {one[name]!r} of everything and {several[name]!r} where several saw it"
        require(_alike(one[name], several[name]), f"{told}; have merge() put together all that update() takes in")


def travelling(metric: Metric) -> None:
    """With ``merge``, it can be pickled to get there; a network and what is on a GPU stay behind."""
    if not optional(metric.case.target, "merge"):
        return
    cure = "give its class a __getstate__() that leaves out what update() can load again, and keep sums on the CPU"
    for _, seen in (metric.apart, *(metric.shown_apart(str(device)) for device in devices()[1:])):
        luggage = _Luggage()
        try:
            luggage.dump(seen[-1])
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ContractError(f"{metric} cannot be pickled, to be merged elsewhere: {error}; {cure}") from error
        told = f"{metric}, pickled to be merged elsewhere, holds {' and '.join(sorted(luggage.heavy))}"
        require(not luggage.heavy, f"{told}; {cure}")


class _Luggage(pickle.Pickler):
    """Pickles, and notes what should have stayed behind."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.heavy: set[str] = set()

    def persistent_id(self, thing: Any) -> None:
        """What is called with everything that goes in."""
        if isinstance(thing, nn.Module):
            self.heavy.add(f"a network ({type(thing).__name__})")
        elif isinstance(thing, torch.Tensor) and thing.device.type != "cpu":
            self.heavy.add(f"a tensor on {thing.device}")


def _found(made: Any) -> dict[str, Any]:
    value = float(made.compute())
    details = optional(made, "details")
    return {"value": value, "details": details() if details else {}, "protocol": optional(made, "protocol")}


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same but for rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return one is other or bool(one == other)


def determinism(metric: Metric) -> None:
    """The same images come to the same number again."""
    first, second = metric.first["value"], metric.second[0]
    told = f"{metric} comes to {first!r} and then to {second!r} on the same images"
    require(first == second, f"{told}; keep everything in the object, nothing in the class, and draw from 'draw'")


def protocol(metric: Metric) -> None:
    """``protocol`` is something that JSON can hold: a number says nothing without the way it was measured."""
    try:
        json.dumps({**metric.first, "value": 0.0}, allow_nan=False)
    except (TypeError, ValueError) as error:
        cure = "make it a dict of numbers, texts and lists, as an attribute or a property"
        raise ContractError(f"the protocol (or details) of {metric} cannot be kept: {error}; {cure}") from error


def better(metric: Metric) -> None:
    """Where it says which way is better, it says ``lower``, ``higher`` or ``one``."""
    found = metric.first["protocol"].get("better", "lower")
    require(found in BETTER, f"{metric} says better = {found!r}; choices: {', '.join(map(repr, BETTER))}")


def inputs_untouched(metric: Metric) -> None:
    """What it is shown is not changed in place; the next metric sees it too."""
    shown = metric.shown()
    before = mapped(torch.Tensor.clone, shown)
    metric.make().metric.update(**shown)
    require(equal(shown, before), f"{metric} changes what it is shown in place; work on a copy")


def device_move(metric: Metric) -> None:
    """It is made on meta too, as a check of a recipe does; on a GPU, if there is one, it gives the same."""
    with torch.device("meta"):
        metric.make()
    for device in devices()[1:]:
        here, there = metric.first["value"], metric.score(str(device))["value"]
        same = math.isclose(here, there, rel_tol=1e-2, abs_tol=1e-5)
        require(same, f"{metric} comes to {here:.6g} on the CPU and to {there:.6g} on {device}")


def no_global_side_effect(metric: Metric) -> None:
    """Measuring changes nothing that belongs to the whole process, random numbers included."""
    refuse_changes(metric.case, "it measures", metric.second[1])


ALWAYS: tuple[Body, ...] = (
    score,
    determinism,
    protocol,
    better,
    inputs_untouched,
    device_move,
    merging,
    travelling,
    no_global_side_effect,
)


def battery(case: Case) -> tuple[Body, ...]:
    """The checks of a metric; one that draws anew for each batch has no streaming to compare."""
    found = case.entry.signature
    draws = found.computes is not None or "draw" in found.needs
    return ALWAYS if draws else (*ALWAYS, streaming)
