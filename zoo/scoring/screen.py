"""Which change to how a number was measured may make another of it: each is tried on a few images.

All are tried on the same images; those that come nearest on twice as many, and so on (successive halving: Jamieson &
Talwalkar 2016).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from zoo.draws import seeded
from zoo.machine.progress import Progress
from zoo.metrics.metric import optional
from zoo.scoring.choice import Chosen
from zoo.scoring.clouds import BATCH, Cloud, identity
from zoo.scoring.honest import Measured
from zoo.scoring.measure import side_of
from zoo.scoring.sets import Images, Source

ALIKE = 8
"""Images of each set by which changes are told apart."""
SAME = 1e-4
"""How near features are that are the same but for rounding errors, relative to the largest."""
ROUNDS = (64, 128, 256)
"""Images of each set that all changes are tried on, the two in five that are nearest then, and so on."""


@dataclass(frozen=True)
class Target:
    """A number that is to be explained, how near is near enough, and its passport where it has one."""

    value: float
    within: float
    passport: Mapping[str, Any] | None = None

    def gap(self, value: float) -> float:
        """How far from the number this is."""
        return abs(value - self.value)

    def met(self, value: float) -> bool:
        """Whether this is the number."""
        return self.gap(value) <= self.within


@dataclass(frozen=True)
class Variant:
    """A single change, and the number that it gives.

    Args:
        what: it is.
        options: of the metric, otherwise than asked.
        made: the images that are judged.
        real: the others.
        value: the number; an estimate where it is not ``sure``.
        tried: images of each set that an estimate is from.
        like: the change that makes the same features of a few images, by name.
    """

    what: str
    options: Mapping[str, Any]
    made: Images
    real: Source
    value: float = 0.0
    sure: bool = False
    tried: int = 0
    like: str = ""


class Screen:
    """Tries changes on a few images of each set.

    A number of few images is too high, and changes more than that of all where a change makes features larger. By how
    much, two halves of a set tell, which are nothing apart but for being few: with d of n images, h of such halves, and
    what is primed of the change, the number of all is about ``base + d' - d - (h' / h - 1) (d - base)``.
    """

    def __init__(
        self, chosen: Chosen, whole: Variant, goal: Target, seen: Measured, base: float, device: torch.device
    ) -> None:
        self._chosen, self._whole, self._goal, self._base, self._device = chosen, whole, goal, base, device
        self._seen, self._side, plain = seen, side_of(whole.made), seen.remade()
        self._biased = bool(optional(plain, "reference") and seen.reference)
        changes = [(v, identity(self._made(v).features)) for v in _changes(chosen, whole, goal)]
        self._same = [v for v, features in changes if features == identity(plain.features)]
        self._other = [v for v, features in changes if features != identity(plain.features)]
        self._drawn: list[list[Tensor]] = []
        self._rows: dict[str, list[Tensor]] = {}
        self._networks: dict[str, Any] = {}

    def unchanged(self) -> list[Variant]:
        """Changes under which features stay what they are, with their numbers."""
        return [replace(v, value=self._of(v, self._seen.clouds), sure=True) for v in self._same]

    def ranked(self) -> list[Variant]:
        """The others, the most likely first, with about the number that each gives."""
        sets = [s for s in (self._whole.made, self._whole.real) if isinstance(s, Images)][: len(self._seen.clouds)]
        places = [_places(len(s.names)) for s in sets]
        self._drawn = [_drawn(s, which) for s, which in zip(sets, places, strict=True)]
        clouds = zip(self._seen.clouds, places, strict=True)
        self._rows = {"{}": [torch.cat(list(cloud.rows(torch.tensor(which)))) for cloud, which in clouds]}
        twins = self._told_apart()
        left, dropped = [kind[0] for kind in list(twins.values())[1:]], list[Variant]()
        for n in ROUNDS:
            try:
                left = sorted(self._tried(left, n), key=lambda v: self._goal.gap(v.value))
            except ValueError:  # as one that is taken of subsets of 1,000: it says nothing of so few
                continue
            keep = len(left) if n == ROUNDS[-1] else (2 * len(left) + 4) // 5
            left, dropped = left[:keep], left[keep:] + dropped
        ranked = [replace(t, value=v.value, tried=v.tried, like=v.what) for v in left + dropped for t in twins[v.what]]
        return ranked + [
            replace(v, value=self._base, tried=min(ALIKE, *map(len, self._drawn))) for v in twins[self._whole.what][1:]
        ]

    def _told_apart(self) -> dict[str, list[Variant]]:
        """What makes the same features, the first by name: what is as asked, then changes."""
        found = {self._whole.what: [self._whole]}
        for variant in self._other:
            features = self._features(variant, ALIKE)
            like = [kind for kind in found.values() if all(map(_alike, features, self._features(kind[0], ALIKE)))]
            (like[0] if like else found.setdefault(variant.what, [])).append(variant)
        return found

    def _tried(self, variants: Sequence[Variant], n: int) -> list[Variant]:
        """Changes with about their numbers, of n images of each set."""
        (few, halves), found = self._numbers(self._whole, n), []
        with Progress(f"changes tried on {n} images", len(variants)) as bar:
            for done, variant in enumerate(variants, 1):
                other, apart = self._numbers(variant, n)
                larger = apart / halves - 1 if halves else 0.0
                value = self._base + other - few - larger * (few - self._base)
                found.append(replace(variant, value=value, tried=min(n, *map(len, self._drawn))))
                bar.update(done)
        return found

    def _numbers(self, variant: Variant, n: int) -> tuple[float, float]:
        """The number of n images of each set; and those of two halves of each, 0 where few images make no bias."""
        parts = self._features(variant, n)
        halves = [part.tensor_split(2) for part in parts if self._biased and len(part) > 3]
        return self._of(variant, parts), sum(self._of(variant, half) for half in halves)

    def _features(self, variant: Variant, n: int) -> list[Tensor]:
        """Those of the first n images of each set, none of which is looked at twice."""
        key = json.dumps(variant.options, sort_keys=True)
        features = self._networks.setdefault(key, self._made(variant).features)
        known = self._rows.setdefault(key, [torch.zeros(0)] * len(self._drawn))
        for which, pixels in enumerate(self._drawn):
            groups = groupby(pixels[len(known[which]) : n], lambda image: image.shape)
            new = [features(torch.cat(list(group)).to(self._device)) for _, group in groups]
            known[which] = torch.cat([known[which], *new]) if new else known[which]
        return [part[:n] for part in known]

    def _of(self, variant: Variant, parts: Sequence[Tensor | Cloud]) -> float:
        """The metric of features: of both sets, or of one beside published statistics."""
        blocks = [torch.split(part, BATCH) if isinstance(part, Tensor) else part.blocks() for part in parts]
        return self._seen.number(self._made(variant), *blocks)

    def _made(self, variant: Variant) -> Any:
        return self._chosen.make(self._side, **variant.options)


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


def _alike(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() < SAME * other.abs().max())


def _places(n: int) -> list[int]:
    """Of some images of n, in a random order that is the same for sets of as many, which may be pairs."""
    return torch.randperm(n, generator=seeded("why", n))[: ROUNDS[-1]].tolist()


def _drawn(images: Images, places: Sequence[int]) -> list[Tensor]:
    """Some images of a set, each (1, 3, H, W)."""
    wanted, done = set(places), 0
    found: dict[int, Tensor] = {}
    for batch in images.batches(BATCH):
        found |= {done + at: batch[at : at + 1].clone() for at in range(len(batch)) if done + at in wanted}
        done += len(batch)
    return [found[place] for place in places]
