"""``zoo score --why X Y A B``: which single change to how it was measured makes one number of the other.

What needs no network is measured at once; every other change is tried on a few images (``screen``). Those that come
nearest are then measured on all, until one is the number.
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

from zoo.columns import leaves, table
from zoo.errors import RequestError
from zoo.machine.device import choose_device
from zoo.registry import Registry
from zoo.scoring.choice import Chosen, settings_of
from zoo.scoring.honest import Measured
from zoo.scoring.measure import Bench, feed, measure, opened, side_of
from zoo.scoring.score import Request
from zoo.scoring.screen import Screen, Target, Variant

PATIENCE = 300.0
"""Seconds in which to end: the nearest change is measured on all images, a further one where there is time."""
EXACT = 1e-5
"""How near a number must be met, relative, for two libraries round otherwise; one that is typed, to half a digit."""
TWINS = 1e-3
"""How far numbers of changes lie apart at most, relative, that make the same features of a few images."""
COUNTS = (1_000, 2_000, 5_000, 10_000, 50_000)
"""Numbers of images that papers take."""


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
    def same(self) -> bool:
        """Whether there is nothing to explain."""
        return self.target.met(self.base)

    @property
    def pending(self) -> bool:
        """Whether some change was tried on a few images alone."""
        return any(v.tried and not v.sure for v in self.tried)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        tried = [{"change": v.what, "value": v.value, "all_images": v.sure} for v in self.tried]
        cause = self.cause.what if self.cause else None
        return {"metric": self.label, "base": self.base, "target": self.target.value, "cause": cause, "tried": tried}

    def text(self) -> str:
        """All of it in words."""
        if self.same:
            said = f"{self.label} is {self.base:.5g} as asked, and so is the other number: what differs changes nothing"
            return "\n".join([*self.apart, said])
        said = f"{self.label} is {self.base:.5g} as asked; {self.target.value:.5g} is "
        measured = "change that was measured" if self.pending else "single change here"
        said += f"what it is with: {self.cause.what}" if self.cause else f"what no {measured} makes of it"
        rows = [["change", "value", "of the gap", "measured on"]]
        for v in self.tried:
            share = (v.value - self.base) / ((self.target.value - self.base) or 1)
            number, where = f"{v.value:.5g}", "all images" if v.sure else f"as {v.like}"
            if v.tried and not v.sure:
                number, where = f"about {v.value:.4g}", f"{v.tried} of each set"
            rows.append([v.what, number, f"{100 * share:.0f} %", where])
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
    begun, registry, device = time.monotonic(), request.registry(), choose_device(request.device)
    targets = target(x), target(y)
    request, apart = _as_in_passports(request, targets)
    chosen = request.chosen(registry)[0]
    made, real = request.sources(registry, device)
    whole = Variant("as asked", {}, made, real)
    with opened(device) as bench:
        base = _number(chosen, whole, bench)
        goal = max(targets, key=lambda t: abs(t.value - base))
        if goal.met(base):
            return Explanation(chosen.label, base, goal, [], apart)
        seen = _seen(chosen, whole, bench)
        bench.keep = False  # what follows is of no use to anybody else
        tried = [*_counted(whole, seen), *_moved(request, chosen, whole, bench, registry)]
        if seen:
            screen = Screen(chosen, whole, goal, seen, base, device)
            tried += screen.unchanged()
            tried += [] if _found(tried, goal) else screen.ranked()
        took = 0.0
        for at in range(len(tried)):
            variant, start = tried[at], time.monotonic()
            if _found(tried, goal) or (took and start + took - begun > PATIENCE):
                break
            if variant.tried and not variant.sure:
                found = replace(variant, value=_number(chosen, variant, bench), sure=True)
                tried = [*tried[:at], found, *_settled(tried[at + 1 :], found, goal)]
                took = time.monotonic() - start
    tried.sort(key=lambda v: (not v.sure, -v.tried * (not v.sure), goal.gap(v.value)))
    return Explanation(chosen.label, base, goal, tried, apart)


def _settled(tried: Sequence[Variant], found: Variant, goal: Target) -> list[Variant]:
    """Where a change is not it by far, neither are those that make the same features: they have its number."""
    far = goal.gap(found.value) > TWINS * abs(found.value)
    return [replace(v, value=found.value, tried=0) if far and v.tried and v.like == found.like else v for v in tried]


def _found(tried: Sequence[Variant], goal: Target) -> bool:
    return any(v.sure and goal.met(v.value) for v in tried)


def target(text: str) -> Target:
    """A number as it is typed, or that of a passport."""
    name, _, label = text.partition("#")
    try:
        value = float(text)
    except ValueError:
        pass
    else:
        digits = len(text.partition("e")[0].partition(".")[2])
        return Target(value, max(0.5 * 10.0**-digits, abs(EXACT * value)))
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
    flat = [leaves(dict(p)) for p in (one, other)]
    names = dict.fromkeys([*flat[0], *flat[1]])
    return [
        f"{name}: {flat[0].get(name, 'not said')} in one, {flat[1].get(name, 'not said')} in the other"
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    ]


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
