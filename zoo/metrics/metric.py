"""Metrics at work: what each asks for, and the batches of images that it is shown."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from zoo.api import Metric, MetricDefaults
from zoo.errors import Problem, RecipeError
from zoo.machine.device import placed
from zoo.model.model import Model
from zoo.recipe.schema import Part, Recipe
from zoo.registry import Registry
from zoo.types import Batch, count_of, mapped

SPLITS = ("test", "train")
_DEFAULTS = MetricDefaults()


def optional(metric: object, name: str) -> Any:
    """An attribute that a metric, or its class, may have; where it has none, that of ``zoo.api.MetricDefaults``."""
    return getattr(metric, name, getattr(_DEFAULTS, name))


@dataclass(frozen=True, eq=False)
class Absent:
    """In the place of a metric that cannot be had: it looks at nothing, and has the reason for a number."""

    why: tuple[Problem, ...]

    def update(self, **_: Any) -> None:
        """Passes over a batch."""

    def more(self) -> None:
        """Wants no samples."""

    def merge(self, others: Sequence[object]) -> None:
        """What others saw is not the whole: it stays absent."""

    def compute(self) -> float:
        """Raises the reason."""
        raise RecipeError(self.why)


def alone(wanted: Sequence[str], recipe: Recipe, registry: Registry) -> list[str]:
    """Overrides that ask for these scores alone: the recipe's own by label, others by the metric's name."""
    own: dict[str, Any] = {part.label: part.plain() for part in recipe.evaluate}
    parts = {name: json.dumps(own[name]) if name in own else registry.find("metric", name).id for name in wanted}
    return ["evaluate=null", *(f"evaluate.{name}={part}" for name, part in parts.items())] if wanted else []


@dataclass(frozen=True)
class Shown:
    """The images of a split: how many, and the hash of their pixels."""

    split: str
    n: int
    content: str


@dataclass(eq=False)
class Meter:
    """A metric at work: the part of the recipe, and the object that measures."""

    part: Part
    metric: Metric

    @classmethod
    def of(cls, part: Part, recipe: Recipe) -> Meter:
        """The metric of a part, made."""
        try:
            with placed(part.position, f"metric '{part.label}'"):
                meter = cls(part, part.load()(**part.arguments_for(recipe.sizes)))
                if meter.split not in SPLITS:
                    raise ValueError(f"its split is '{meter.split}'; choices: {', '.join(SPLITS)}")
                return meter
        except RecipeError as error:
            if not part.optional:
                raise
            return cls(part, Absent(error.problems))

    @property
    def label(self) -> str:
        """What the recipe calls it."""
        return self.part.label

    @property
    def split(self) -> str:
        """The images that it is given: its attribute ``split``, else ``test``."""
        return str(self.optional("split"))

    @property
    def samples(self) -> int:
        """How many samples it wants in all: its attribute; 0 for one for each image."""
        return int(self.optional("samples"))

    def passes(self, n: int) -> int:
        """How often it wants to see ``n`` images, to have its samples."""
        return max(math.ceil(self.samples / n), 1)

    def turns(self, again: int, n: int, batch: int) -> int:
        """How many batches of the images it wants when they have come ``again`` times before."""
        wanted = min(max(self.samples - again * n, 0), n) if again else n
        return math.ceil(wanted / batch)

    def needs(self, again: bool) -> dict[str, str]:
        """Parameter -> name of what ``update`` asks for, or, when the images come again, ``more``."""
        return {name: self.part.named(name) for name in self.more} if again else self.part.arguments

    @property
    def more(self) -> tuple[str, ...]:
        """What ``more`` asks for: the samples; nothing without it."""
        more = self.optional("more")
        return tuple(inspect.signature(more).parameters) if more else ()

    def optional(self, name: str) -> Any:
        """An attribute that it may have."""
        return optional(self.metric, name)

    def cut(self, given: Mapping[str, Any], before: int, here: int) -> dict[str, Any]:
        """What it is given, by parameter, without samples that, after those of the batches before, are more than it
        wants.
        """
        left = max(self.samples - before, 0)
        if not self.samples or left >= here:
            return dict(given)
        first = partial(mapped, lambda t: t[:left] if t.ndim else t)
        return {name: first(value) if name in self.more else value for name, value in given.items()}

    @contextmanager
    def placed(self) -> Iterator[None]:
        """A block whose errors are the recipe's, at the metric; an optional one is absent from then on."""
        try:
            with placed(self.part.position, f"metric '{self.label}'"):
                yield
        except RecipeError as error:
            if not self.part.optional:
                raise
            self.metric = Absent(error.problems)

    def score(self, common: Mapping[str, Any], shown: Mapping[str, Shown], recipe: Recipe) -> dict[str, Any]:
        """The number, how it was measured, and what else the metric tells."""
        part, metric, own = self.part, self.metric, shown[self.split]
        why = {}
        try:
            with placed(part.position, f"metric '{self.label}'"):
                value = float(metric.compute())
        except RecipeError as error:  # the others are good all the same
            value, why = math.nan, {"why": error.problems[0].message}
        protocol = {"n": own.n, "split": own.split, "images": own.content, **common}
        if self.optional("training"):
            protocol["training"] = shown["train"].content
        asked = {**part.arguments, **{name: part.named(name) for name in part.entry.signature.computes or {}}}
        asked.pop("draw", None)
        made = {need: _made(recipe, name) for need, name in asked.items() if name not in recipe.graph.fields}
        protocol |= {"metric": part.entry.id, **part.options, "of": asked, "made": made}
        protocol |= self.optional("protocol")
        if better := self.optional("better"):  # what `zoo compare` prints in bold
            protocol["better"] = better
        score = {"value": value, **why, "protocol": {key: said for key, said in protocol.items() if said is not None}}
        details = self.optional("details") if not why else None
        return score | ({"details": details()} if details else {})


@dataclass(frozen=True)
class Moment:
    """What the model makes of one batch of its data.

    Args:
        seed: of what is drawn for them.
        seeds: how many moments there are in all, so that what is drawn beside this has other seeds.
        before: images in the moments before, and so samples.
        known: values that have been computed, by name.
    """

    model: Model
    batch: Batch
    seed: int
    seeds: int
    before: int = 0
    known: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def give(self, meters: Iterable[Meter], again: bool) -> None:
        """Hands each metric what it asks for; a value is computed once for all of them."""
        needs = [(meter, meter.needs(again)) for meter in meters]
        found = self.values(sorted({name for _, asked in needs for name in asked.values()}))
        for meter, asked in needs:
            own = {**found, "draw": self.model.draw("evaluate", meter.label, self.seed)}
            given = {need: own[name] for need, name in asked.items()}
            given = meter.cut(given, self.before, count_of(self.batch))
            if not again and meter.part.entry.signature.computes is not None:
                given["compute"] = self.anew(meter.part)
            with meter.placed():
                (meter.optional("more") if again else meter.metric.update)(**given)

    def values(self, names: Iterable[str]) -> dict[str, Any]:
        """Values by name, but ``draw``; those asked for together share what they need, and none is computed again."""
        self.known.update(self.batch)
        asked = [name for name in dict.fromkeys(names) if name != "draw"]
        missing = [name for name in asked if name not in self.known]
        if missing:
            values = self.model.compute(*missing, given=self.batch, seed=self.seed)
            self.known.update(zip(missing, values, strict=True))
        return {name: self.known[name] for name in asked}

    def anew(self, part: Part) -> Callable[..., Any]:
        """``compute`` for a metric: names as the metric calls them, bound as the recipe binds them."""

        def compute(*names: str, given: Mapping[str, Any] | None = None, draw: int = 0) -> Any:
            known = {**self.batch, **{part.named(name): value for name, value in (given or {}).items()}}
            seed = self.seed + draw * self.seeds
            found = self.model.compute(*map(part.named, names), given=known, seed=seed)
            return found[0] if len(names) == 1 else found

        return compute


def _made(recipe: Recipe, name: str) -> str:
    """How a value comes about: what it is, whether images are behind it, and what is drawn on the way."""
    value = recipe.outputs.get(name, name)
    order = recipe.graph.order([value])
    drawn = [step for step in order if "draw" in recipe.graph.needs(step)]
    fields = [field for field in recipe.graph.fields if field in order]
    source = f"from {', '.join(fields)}" if fields else f"without {recipe.graph.fields[0]}"
    return f"{value}, {source}, drawn: {', '.join(drawn) or 'nothing'}"
