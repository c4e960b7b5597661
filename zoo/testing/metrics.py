"""Checks of metrics: on a tiny model that has what they ask for, measured as an evaluation measures."""

from __future__ import annotations

import inspect
import io
import json
import math
import pickle
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from typing import Any, NoReturn

import torch
from torch import nn

from zoo.data.fields import invented, items
from zoo.errors import RecipeError
from zoo.metrics.evaluate import evaluate
from zoo.metrics.metric import Meter, Moment, optional
from zoo.model.model import Model
from zoo.recipe.schema import Recipe
from zoo.testing.arrays import GPU, devices, equal
from zoo.testing.core import ContractError, T
from zoo.testing.traces import put_back
from zoo.testing.values import Setting
from zoo.types import Batch, Images, mapped

IMAGES = 4
PIECES = (slice(0, 2), slice(2, 3), slice(3, 4))
BETTER = ("lower", "higher", "one")


class Metric(Setting):
    """A metric, and something to measure."""

    def left_out(self) -> Collection[str]:
        """Streaming, of one that draws anew for each batch."""
        found = self.entry.signature
        return ("streaming",) if found.computes is not None or "draw" in found.needs else ()

    @cached_property
    def data(self) -> Images:
        """Images to train and to test on."""
        return invented(self.recipes[0], IMAGES, IMAGES)

    def batch(self, split: str, start: int, stop: int, device: str = "cpu") -> Batch:
        """Some items of a split."""
        return items(self.data, split, self.recipes[0], start, stop - start, device)

    def try_out(self, recipe: Recipe) -> None:
        """It is made for the recipe's sizes."""
        Meter.of(self.used(recipe), recipe)

    def make(self) -> Meter:
        """A new one."""
        return self._measured(lambda: Meter.of(self.used(self.recipes[0]), self.recipes[0]))

    def model(self, device: str = "cpu") -> Model:
        """What is measured, made once for all checks: measuring changes nothing of it."""
        return self.bench.kept(self, f"model on {device}", lambda: Model(self.recipes[0], device))

    def score(self, device: str = "cpu") -> dict[str, Any]:
        """Measures the test images: the value and its protocol."""
        model = self.model(device)
        score = self._measured(lambda: evaluate(model, self.data, batch=IMAGES))[self.name]
        return score if "why" not in score else self._refused(score["why"])

    def use(self) -> None:
        """Scores the test images; networks that judge are slow, and one look serves several checks."""
        self._scores.append(self.score())

    @cached_property
    def _scores(self) -> list[dict[str, Any]]:
        return []

    def scored(self, times: int = 1) -> dict[str, Any]:
        """Its score when measured so many times."""
        while len(self._scores) < times:
            with put_back():
                self.use()
        return self._scores[times - 1]

    def shown(self) -> dict[str, Any]:
        """The arguments that ``update`` is given for the test images."""
        seen = _Seen()
        moment = Moment(self.model(), self.batch("test", 0, IMAGES), 0, 1)
        moment.give([Meter(self.used(self.recipes[0]), seen)], again=False)
        return seen.given

    def apart(self, device: str = "cpu") -> tuple[Any, list[Any]]:
        """One that is shown every test image, and one for each batch of them and for samples that come after."""
        model, whole, seen = self.model(device), self.make(), []
        shown = [self.batch("test", piece.start, piece.stop, device) for piece in PIECES]
        shown += shown[:1] if whole.more else []
        for turn, x in enumerate(shown):
            moment, piece = Moment(model, x, turn, len(shown)), self.make()
            self._measured(partial(moment.give, (whole, piece), again=turn >= len(PIECES)))
            seen.append(piece.metric)
        return whole.metric, seen

    def trained(self, training: Callable[..., None], piece: slice) -> dict[str, Any]:
        """The arguments that ``training`` is given for some training images."""
        first, *others = inspect.signature(training).parameters
        batch = self.batch("train", *piece.indices(len(self.data.train))[:2])
        return {
            first: batch[self.part.named(self.recipes[0].x.name)],
            **{name: batch[self.part.named(name)] for name in others},
        }

    def _measured(self, measure: Callable[[], T]) -> T:
        try:
            return measure()
        except RecipeError as error:
            return self._refused("; ".join(problem.message for problem in error.problems), error)

    def _refused(self, told: str, error: Exception | None = None) -> NoReturn:
        cure = f"give contract_tests() an example of options, options={{'{self.key}': [{{...}}]}}"
        raise ContractError(f"{self} cannot be measured here: {told}. If it needs something, {cure}") from error

    def check_score(self) -> None:
        """``update`` takes batches in, and ``compute`` gives a finite number."""
        found = self.scored()["value"]
        self.require(math.isfinite(found), f"comes to {found} on {IMAGES} images; look at what divides")

    def check_streaming(self) -> None:
        """Images in batches of 2, 1 and 1 come to what all of them come to at once."""
        shown, whole, made = self.shown(), self.scored()["value"], self.make().metric
        for piece in PIECES:
            made.update(**mapped(lambda t, piece=piece: t[piece].clone() if t.ndim else t, shown))  # type: ignore[misc]
        if training := optional(made, "training"):
            training(**self.trained(training, slice(None)))
        same = math.isclose(whole, pieces := float(made.compute()), rel_tol=1e-4, abs_tol=1e-6)
        told = f"comes to {whole:.6g} on {IMAGES} images at once and to {pieces:.6g} in batches of 2, 1 and 1"
        self.require(same, f"{told}; sum over images and divide once, in compute()")

    def check_merging(self) -> None:
        """With ``merge`` (and ``merge_training``), what several saw apart comes, put together, to what one sees."""
        if not optional(self.target, "merge"):
            return
        whole, (first, *others) = self.apart()
        first.merge([_copied(other) for other in others])
        if optional(first, "training"):
            second = _copied(first) if optional(first, "merge_training") else first
            for metric, piece in ((first, slice(0, 2)), (second, slice(2, 4))):
                whole.training(**self.trained(whole.training, piece))
                metric.training(**self.trained(metric.training, piece))
            if second is not first:
                first.merge_training([_copied(second)])
        one, several = _told(whole), _told(first)
        for name in one:
            told = f"has {name} {one[name]!r} of everything and {several[name]!r} where several saw it"
            cure = "have merge() put together all that update() takes in"
            self.require(_alike(one[name], several[name]), f"{told}; {cure}")

    def check_travelling(self) -> None:
        """With ``merge``, it can be pickled to get there; a network and what is on a GPU stay behind."""
        if not optional(self.target, "merge"):
            return
        cure = "give its class a __getstate__() that leaves out what update() can load again, and keep sums on the CPU"
        for device in ("cpu", *map(str, devices()[1:])):
            luggage = _Luggage()
            try:
                luggage.dump(self.apart(device)[1][-1])
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise ContractError(f"{self} cannot be pickled, to be merged elsewhere: {error}; {cure}") from error
            heavy = " and ".join(sorted(luggage.heavy))
            self.require(not heavy, f"holds {heavy} when it is pickled to be merged elsewhere; {cure}")

    def check_determinism(self) -> None:
        """Measured again, the same images have the same score."""
        first, second = self.scored(1)["value"], self.scored(2)["value"]
        cure = "keep everything in the object, nothing in the class, and draw from 'draw'"
        self.require(first == second, f"comes to {first!r} and then to {second!r} on the same images; {cure}")

    def check_protocol(self) -> None:
        """``protocol`` is something that JSON can hold: a number says nothing without the way it was measured."""
        try:
            json.dumps({**self.scored(), "value": 0.0}, allow_nan=False)
        except (TypeError, ValueError) as error:
            cure = "make it a dict of numbers, texts and lists, as an attribute or a property"
            raise ContractError(f"the protocol (or details) of {self} cannot be kept: {error}; {cure}") from error

    def check_better(self) -> None:
        """Where it says which way is better, it says ``lower``, ``higher`` or ``one``."""
        found = self.scored()["protocol"].get("better", "lower")
        self.require(found in BETTER, f"says better = {found!r}; choices: {', '.join(map(repr, BETTER))}")

    def check_inputs_untouched(self) -> None:
        """It changes nothing that it is shown in place; the next metric sees it too."""
        shown = self.shown()
        before = mapped(torch.Tensor.clone, shown)
        self.make().metric.update(**shown)
        self.require(equal(shown, before), "changes what it is shown in place; work on a copy")

    def check_device_move(self) -> None:
        """It is made on meta too, as a check of a recipe does; on a GPU, if there is one, it gives the same."""
        with torch.device("meta"):
            self.make()
        for device in devices()[1:]:
            here, there = self.scored()["value"], self.score(str(device))["value"]
            same = math.isclose(here, there, rel_tol=GPU, abs_tol=1e-5)
            self.require(same, f"comes to {here:.6g} on the CPU and to {there:.6g} on {device}")


class _Seen:
    """Stands where a metric would, and keeps what it is given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def update(self, **given: Any) -> None:
        self.given = given

    def compute(self) -> float:
        return 0.0


class _Luggage(pickle.Pickler):
    """Pickles, and notes what should have stayed behind."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.heavy: set[str] = set()

    def persistent_id(self, thing: Any) -> None:
        if isinstance(thing, nn.Module):
            self.heavy.add(f"a network ({type(thing).__name__})")
        elif isinstance(thing, torch.Tensor) and thing.device.type != "cpu":
            self.heavy.add(f"a tensor on {thing.device}")


def _copied(metric: Any) -> Any:
    return pickle.loads(pickle.dumps(metric))


def _told(metric: Any) -> dict[str, Any]:
    value, details = float(metric.compute()), optional(metric, "details")
    return {"value": value, "details": details() if details else {}, "protocol": optional(metric, "protocol")}


def _alike(one: Any, other: Any) -> bool:
    """True if two values are the same but for rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return one is other or bool(one == other)
