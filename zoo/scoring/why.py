"""``zoo score --why X Y A B``: which single change to how it was measured makes one number of the other.

Every change is tried on a few images first, the same under each, which ranks them: a number of few images is another,
but changes as that of all does. They are then measured, the nearest first, until one is the number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.columns import table
from zoo.errors import RequestError
from zoo.machine.device import choose_device
from zoo.machine.progress import Progress
from zoo.metrics.metric import optional
from zoo.registry import Registry
from zoo.scoring.choice import Chosen, settings_of
from zoo.scoring.clouds import identity
from zoo.scoring.honest import Measured
from zoo.scoring.measure import Bench, feed, fill, measure, side_of
from zoo.scoring.score import Request
from zoo.scoring.sets import Images, Source

FEW = 16
"""Images of each set that every change is tried on."""
PATIENCE = 60.0
"""Seconds after which no further change is measured on all images."""
EXACT = 1e-6
"""How near a number of a passport must be met, relative; one that is typed, to half of its last digit."""
COUNTS = (1_000, 2_000, 5_000, 10_000, 50_000)
"""Numbers of images that papers take."""


@dataclass(frozen=True)
class Target:
    """A number that is to be explained, how near is near enough, and its passport where it has one."""

    value: float
    within: float
    passport: Mapping[str, Any] | None = None

    def met(self, value: float) -> bool:
        """Whether this is the number."""
        return abs(value - self.value) <= self.within


@dataclass(frozen=True)
class Variant:
    """A single change, and the number that it gives.

    Args:
        what: it is.
        options: of the metric, otherwise than asked.
        made: the images that are judged.
        real: the others.
        value: the number; an estimate from a few images where it is not ``sure``.
    """

    what: str
    options: Mapping[str, Any]
    made: Images
    real: Source
    value: float = 0.0
    sure: bool = False


@dataclass(frozen=True)
class Explanation:
    """What was tried.

    Args:
        label: of the metric.
        base: the number as asked.
        target: the number that was to be reached from there.
        tried: every change, the nearest first.
        apart: how two passports differ, in words.
    """

    label: str
    base: float
    target: Target
    tried: Sequence[Variant]
    apart: Sequence[str] = ()

    @property
    def cause(self) -> Variant | None:
        """The change that gives the number; None if none does."""
        return next((v for v in self.tried if v.sure and self.target.met(v.value)), None)

    @property
    def pending(self) -> bool:
        """Whether some change was tried on a few images alone."""
        return not all(v.sure for v in self.tried)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        tried = [{"change": v.what, "value": v.value, "all_images": v.sure} for v in self.tried]
        cause = self.cause.what if self.cause else None
        return {"metric": self.label, "base": self.base, "target": self.target.value, "cause": cause, "tried": tried}

    def text(self) -> str:
        """All of it in words."""
        said = f"{self.label} is {self.base:.5g} as asked; {self.target.value:.5g} is "
        measured = "change that was measured" if self.pending else "single change here"
        said += f"what it is with: {self.cause.what}" if self.cause else f"what no {measured} makes of it"
        rows = [["change", "value", "of the gap", "measured on"]]
        for v in self.tried:
            share = (v.value - self.base) / ((self.target.value - self.base) or 1)
            number = f"{v.value:.5g}" if v.sure else f"about {v.value:.2g}"
            rows.append([v.what, number, f"{100 * share:.0f} %", "all images" if v.sure else f"{FEW} of each set"])
        return "\n".join([*self.apart, said, "", table(rows)])


def explain(request: Request, x: str, y: str) -> Explanation:
    """Names the single change that makes one number of the other.

    Args:
        request: how one of them was measured, as far as is known.
        x: a number, or a file of scores with passports (``FILE`` or ``FILE#LABEL``).
        y: the other.

    Raises:
        RequestError: they are no numbers, or there is nothing to measure.
    """
    registry, device = request.registry(), choose_device(request.device)
    targets = target(x), target(y)
    request, apart = _as_in_passports(request, targets)
    chosen = request.chosen(registry)[0]
    made, real = request.sources(registry, device)
    whole = Variant("as asked", {}, made, real)
    with Bench(device) as bench:
        base = _number(chosen, whole, bench)
        goal = max(targets, key=lambda t: abs(t.value - base))
        seen = _seen(chosen, whole, bench)
        bench.keep = False  # what follows is of no use to anybody else
        known = [*_counted(whole, seen), *_moved(request, chosen, whole, bench, registry)]
        known += _screened(chosen, list(_changes(chosen, whole, goal)), seen, base, device) if seen else []
        tried, begun = sorted(known, key=lambda v: abs(v.value - goal.value)), time.monotonic()
        for variant in [v for v in tried if not v.sure]:
            if any(v.sure and goal.met(v.value) for v in tried) or time.monotonic() - begun > PATIENCE:
                break
            tried[tried.index(variant)] = replace(variant, value=_number(chosen, variant, bench), sure=True)
    tried.sort(key=lambda v: (not v.sure, abs(v.value - goal.value)))
    return Explanation(chosen.label, base, goal, tried, apart)


def target(text: str) -> Target:
    """A number as it is typed, or that of a passport."""
    name, _, label = text.partition("#")
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        digits = len(text.partition("e")[0].partition(".")[2])
        return Target(value, 0.5 * 10.0**-digits)
    try:
        scores = json.loads(Path(name).read_text("utf-8"))
        label = label or next(iter(scores))
        one = scores[label]
        return Target(float(one["value"]), abs(EXACT * float(one["value"])), {"label": label, **one["passport"]})
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise RequestError(
            f"--why {text}: is neither a number nor a file that zoo score --to wrote ({error or 'it is empty'})"
        ) from None


def _as_in_passports(request: Request, targets: Sequence[Target]) -> tuple[Request, list[str]]:
    """The request as the first passport has it, and how the second differs."""
    known = [t.passport for t in targets if t.passport]
    if not known:
        if not request.a or not request.b:
            raise RequestError("--why X Y of two numbers needs both sets, A and B; or give files that --to wrote")
        return request, []
    first = known[0]
    given = {f"{whose}.{name}".lstrip("."): value for (whose, name), value in settings_of(request.settings).items()}
    given |= {"change": first["change"]} if first.get("change") else {}
    request = replace(
        request,
        a=request.a or first["judged"]["place"],
        b=request.b or first["reference"]["place"],
        metrics=request.metrics or [first["label"]],
        protocol=request.protocol or first.get("protocol", ""),
        settings=given,
    )
    return request, _apart(*known) if len(known) == 2 else []


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """A line for each field in which two passports differ."""
    flat = [dict(_leaves(p)) for p in (one, other)]
    names = dict.fromkeys([*flat[0], *flat[1]])
    return [
        f"{name}: {flat[0].get(name, 'not said')} in one, {flat[1].get(name, 'not said')} in the other"
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    ]


def _leaves(passport: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in passport.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


# -- what is tried -------------------------------------------------------------------------------------------


def _number(chosen: Chosen, variant: Variant, bench: Bench) -> float:
    metric = replace(chosen, options={**chosen.options, **variant.options})
    scores, _ = measure(variant.made, variant.real, [metric], bench)
    return float(scores[chosen.label]["value"])


def _seen(chosen: Chosen, whole: Variant, bench: Bench) -> Measured | None:
    """The features of both sets; None for a metric that looks at something else."""
    metric = chosen.make(side_of(whole.made))
    if chosen.kind(metric) != "features":
        return None
    clouds = feed(whole.made, whole.real, [(chosen, metric)], bench, {})[chosen.label]
    return Measured(partial(chosen.make, side_of(whole.made)), *clouds, whole.real)


def _changes(chosen: Chosen, whole: Variant, goal: Target) -> Iterator[Variant]:
    """Other steps of the protocol, and the protocol of the other passport."""
    metric = chosen.make(side_of(whole.made))
    own = dict(chosen.options.get("change") or {})
    alternatives = optional(metric, "alternatives")
    for what, change in (alternatives() if alternatives else {}).items():
        yield replace(whole, what=what, options={"change": {**own, **change}})
    theirs = (goal.passport or {}).get("protocol")
    if theirs and theirs != chosen.options.get("protocol"):
        yield replace(whole, what=f"protocol {theirs}", options={"protocol": theirs, "change": own or None})


def _counted(whole: Variant, seen: Measured | None) -> Iterator[Variant]:
    """The same of fewer images, of features that are there already."""
    for place, cloud in zip(("A", "B"), seen.clouds if seen else (), strict=False):
        n = cloud.shape[0]
        for count in sorted({c for c in (*COUNTS, n // 2) if 1 < c < n}):
            which: list[Callable[[int], Any]] = [torch.arange, torch.arange]
            which["AB".index(place)] = partial(_first, count)
            what = f"the first {count:,} images of {place}"
            yield replace(whole, what=what, value=seen.of(*which) if seen else 0.0, sure=True)


def _first(count: int, _: int) -> Any:
    return torch.arange(count)


def _moved(request: Request, chosen: Chosen, whole: Variant, bench: Bench, registry: Registry) -> Iterator[Variant]:
    """The other split of a data set by name."""
    for source in (whole.made, whole.real):
        if source.about["kind"] == "data":
            split = "train" if source.about["split"] == "test" else "test"
            place = f"{source.place.partition(':')[0]}:{split}"
            other, _ = replace(request, a=place, b=place, n=0).sources(registry, bench.device)
            made, real = (other, whole.real) if source is whole.made else (whole.made, other)
            variant = Variant(f"{place} for {source.place}", {}, made, real)
            yield replace(variant, value=_number(chosen, variant, bench), sure=True)


def _screened(
    chosen: Chosen, variants: Sequence[Variant], seen: Measured, base: float, device: torch.device
) -> list[Variant]:
    """The changes with the number that each gives: sure where features stay what they are, else about."""
    found = []
    sets = [next(s.batches(FEW)).to(device) for s in _images(variants)]
    plain = seen.remade()
    few = _of_few(plain, seen, sets)
    with Progress("changes tried", len(variants)) as bar:
        for done, variant in enumerate(variants, 1):
            metric = chosen.make(min(sets[0].shape[2:]), **variant.options)
            metric.features(sets[0][:1])
            same = identity(metric.features) == identity(plain.features)
            value = _of_all(metric, seen) if same else base * _of_few(metric, seen, sets) / (few or 1.0)
            found.append(replace(variant, value=value, sure=same))
            bar.update(done)
    return found


def _images(variants: Sequence[Variant]) -> list[Images]:
    return [s for v in variants[:1] for s in (v.made, v.real) if isinstance(s, Images)]


def _of_few(metric: Any, seen: Measured, sets: Sequence[Tensor]) -> float:
    """A metric of a few images of each set, or of published statistics and a few."""
    if seen.reference is None:
        metric.reference(seen.source.statistics)
    for pixels, real in zip(sets, (False, True), strict=False):
        metric.take(metric.features(pixels), real)
    return float(metric.compute())


def _of_all(metric: Any, seen: Measured) -> float:
    """A metric of the features that all images have already."""
    if seen.reference is None:
        metric.reference(seen.source.statistics)
    blocks = [cloud.blocks() for cloud in seen.clouds]
    return float(fill(metric, blocks[0], blocks[1] if len(blocks) > 1 else ()).compute())
