"""Scores of a model over its data; each keeps the protocol it was measured under."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.data import in_order
from zoo.errors import Problem, RecipeError
from zoo.model import Model
from zoo.recipe.schema import Part, Recipe
from zoo.tensors import Images

Scores = dict[str, dict[str, Any]]
"""label -> {"value": number, "protocol": {...}}, and "details" where the metric has any."""
SPLITS = ("test", "train")
AT_ONCE = 1000
"""Images hashed at a time: they may lie on a disk."""


def evaluate(
    model: Model, images: Images, *, batch: int = 250, weights: str = "raw", parts: Sequence[Part] | None = None
) -> Scores:
    """Every metric, in one pass over the images of each split that they ask for.

    Args:
        model: the model.
        images: its data; the ``test`` split is used, ``train`` by the metrics that say so.
        batch: images at a time.
        weights: which weights the model holds, ``raw`` or ``ema``; kept in the protocol.
        parts: the metrics; the recipe's when None.

    Returns:
        label -> value and protocol.

    Raises:
        RecipeError: placed at the metric that cannot be measured, with its reason.
    """
    meters = [Meter.of(part, model.recipe) for part in (model.recipe.evaluate if parts is None else parts)]
    splits: dict[str, Tensor] = {split: getattr(images, split) for split in SPLITS}
    for split, pixels in splits.items():
        _measure(model, pixels, [meter for meter in meters if meter.split == split], batch)
    learned = [meter for meter in meters if hasattr(meter.metric, "training")]
    for x in in_order(images.train, batch, device=model.device, dtype=model.dtype) if learned else ():
        for meter in learned:
            with meter.placed():
                meter.metric.training(x)
    recipe = model.recipe
    common = {"size": recipe.sizes.size, "seed": recipe.seed, "data": recipe.data.identity(), "batch": batch}
    common |= {"batch_stats": recipe.batch_stats, "weights": weights}
    used = {meter.split for meter in meters} | ({"train"} if learned else set())
    shown = {split: Shown(split, len(splits[split]), _content(splits[split])) for split in sorted(used)}
    return {meter.part.label: meter.score(common, shown, recipe) for meter in meters}


@dataclass(frozen=True)
class Shown:
    """The images of a split: how many, and the hash of their pixels."""

    split: str
    n: int
    content: str


@dataclass(frozen=True)
class Meter:
    """A metric at work: the part of the recipe, and the object that measures."""

    part: Part
    metric: Any

    @classmethod
    def of(cls, part: Part, recipe: Recipe) -> Meter:
        """The metric of a part, made."""
        with _placed(part):
            meter = cls(part, part.load()(**part.arguments_for(recipe.sizes)))
            if meter.split not in SPLITS:
                raise ValueError(f"its split is '{meter.split}'; choices: {', '.join(SPLITS)}")
            return meter

    @property
    def split(self) -> str:
        """The images that it is given: its attribute ``split``, else ``test``."""
        return str(getattr(self.metric, "split", "test"))

    @property
    def samples(self) -> int:
        """How many samples it wants in all: its attribute; 0 for one for each image."""
        return int(getattr(self.metric, "samples", 0))

    def needs(self, again: bool) -> dict[str, str]:
        """Parameter -> name of what ``update`` asks for, or, when the images come again, ``more``."""
        if not again:
            return self.part.arguments
        return {name: self.part.named(name) for name in inspect.signature(self.metric.more).parameters}

    def placed(self) -> Any:
        """A block whose errors are the recipe's, at the metric."""
        return _placed(self.part)

    def score(self, common: Mapping[str, Any], shown: Mapping[str, Shown], recipe: Recipe) -> dict[str, Any]:
        """The number, how it was measured, and what else the metric tells."""
        part, metric, own = self.part, self.metric, shown[self.split]
        with self.placed():
            value = float(metric.compute())
        protocol = {"n": own.n, "split": own.split, "images": own.content, **common}
        if hasattr(metric, "training"):
            protocol["training"] = shown["train"].content
        asked = {**part.arguments, **{name: part.named(name) for name in part.entry.signature.computes or {}}}
        asked.pop("draw", None)
        made = {need: _made(recipe, name) for need, name in asked.items() if name != "x"}
        protocol |= {"metric": part.entry.id, **part.options, "of": asked, "made": made}
        protocol |= getattr(metric, "protocol", {})
        if hasattr(metric, "better"):  # "lower", "higher", or "one": nearest to 1; what `zoo compare` prints in bold
            protocol["better"] = metric.better
        score = {"value": value, "protocol": {key: said for key, said in protocol.items() if said is not None}}
        return score | ({"details": metric.details()} if hasattr(metric, "details") else {})


def _measure(model: Model, pixels: Tensor, meters: Sequence[Meter], batch: int) -> None:
    """One pass over a split, and as many more as it takes to draw the samples that some metrics want."""
    turns = math.ceil(len(pixels) / batch)
    rounds = max((math.ceil(meter.samples / len(pixels)) for meter in meters), default=0)
    for again in range(max(rounds, 1) if meters else 0):
        wanting = [meter for meter in meters if not again or meter.samples > again * len(pixels)]
        for turn, x in enumerate(in_order(pixels, batch, device=model.device, dtype=model.dtype)):
            moment = Moment(model, x, again * turns + turn, max(rounds, 1) * turns)
            moment.give(wanting, again=again > 0)


@dataclass(frozen=True)
class Moment:
    """What the model makes of one batch of images.

    Args:
        model: the model.
        x: the images.
        seed: of what is drawn for them.
        seeds: how many moments there are in all, so that what is drawn beside this has other seeds.
    """

    model: Model
    x: Tensor
    seed: int
    seeds: int

    def give(self, meters: Iterable[Meter], again: bool) -> None:
        """Hands each metric what it asks for; a value is computed once for all of them."""
        needs = [(meter, meter.needs(again)) for meter in meters]
        names = sorted({name for _, asked in needs for name in asked.values()} - {"x", "draw"})
        found = dict(zip(names, self.model.compute(*names, given={"x": self.x}, seed=self.seed), strict=True))
        found["x"] = self.x
        for meter, asked in needs:
            own = {"draw": self.model.draw("evaluate", meter.part.label, self.seed)}
            given = {need: own[name] if name in own else found[name] for need, name in asked.items()}
            if not again and meter.part.entry.signature.computes is not None:
                given["compute"] = self.anew(meter.part)
            with meter.placed():
                (meter.metric.more if again else meter.metric.update)(**given)

    def anew(self, part: Part) -> Callable[..., Any]:
        """``compute`` for a metric: names as the metric calls them, bound as the recipe binds them."""

        def compute(*names: str, given: Mapping[str, Any] | None = None, draw: int = 0) -> Any:
            known = {"x": self.x, **{part.named(name): value for name, value in (given or {}).items()}}
            seed = self.seed + draw * self.seeds
            found = self.model.compute(*map(part.named, names), given=known, seed=seed)
            return found[0] if len(names) == 1 else found

        return compute


def _content(pixels: Tensor) -> str:
    """A hash of images, by which equal ones are known however they were come by."""
    found = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    for start in range(0, len(pixels), AT_ONCE):
        found.update(pixels[start : start + AT_ONCE].numpy().tobytes())
    return f"sha256:{found.hexdigest()}"


def _made(recipe: Recipe, name: str) -> str:
    """How a value comes about: what it is, whether images are behind it, and what is drawn on the way."""
    value = recipe.outputs.get(name, name)
    order = recipe.graph.order([value])
    drawn = [step for step in order if "draw" in recipe.graph.needs(step)]
    return f"{value}, {'from x' if 'x' in order else 'without x'}, drawn: {', '.join(drawn) or 'nothing'}"


@contextmanager
def _placed(part: Part) -> Iterator[None]:
    """Says of what goes wrong inside which metric it was."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise RecipeError([Problem(part.position, f"metric '{part.label}': {error}")]) from error
