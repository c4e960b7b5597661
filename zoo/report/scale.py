"""Puts numbers on paper: ranges that survive anything, round ticks, long lines thinned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from zoo.report.markup import minus, number

Point = tuple[float, float]
"""A step and a value."""

LARGEST = 1e300
"""Values are drawn no larger than this, so that no difference of two overflows."""
FLAT = 1e-6
"""A range narrower than this part of its numbers is drawn as a constant."""
CROWD = 20
"""With fewer values than this, none is an outlier."""
POINTS = 120
"""A line is drawn through about this many points at most; between them is shown the spread."""
SMOOTH = 20
"""A line is smoothed over this part of its points: one in so many."""
DECADES = 2.0
"""Positive values that span so many powers of ten are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Linear:
    """An axis from ``low`` to a larger ``high`` with a tick at every ``step``."""

    low: float
    high: float
    step: float

    def at(self, value: float) -> float:
        """Where a number is, 0 at the start and 1 at the end; never outside."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    @property
    def ticks(self) -> list[float]:
        """The round numbers on the axis."""
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return [i * self.step for i in range(first, last + 1)]

    def label(self, tick: float) -> str:
        """A tick's number, with as many digits as tell it from its neighbours."""
        if tick == 0:
            return "0"
        fine, large = _exponent(self.step), _exponent(max(abs(self.low), abs(self.high)))
        # A step of 2.5 needs a digit more than a step of 2.
        fine -= not math.isclose(self.step / 10.0**fine, round(self.step / 10.0**fine))
        if large >= 5 or fine < -4:
            mantissa, exponent = f"{tick:.{max(_exponent(tick) - fine, 0)}e}".split("e")
            return minus(f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}")
        return minus(f"{tick:,.{max(-fine, 0)}f}")


@dataclass(frozen=True)
class Logarithmic:
    """A logarithmic axis from a positive ``low`` to a larger ``high``, with about ``fineness`` ticks."""

    low: float
    high: float
    fineness: int

    def at(self, value: float) -> float:
        """Where a number is, 0 at the start and 1 at the end; never outside."""
        if value <= self.low:
            return 0.0
        return min((math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low)), 1.0)

    @property
    def ticks(self) -> list[float]:
        """Powers of ten; every second, third ... where there are many."""
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        return [10.0**power for power in range(first, last + 1, max(1, round((last - first) / self.fineness)))]

    def label(self, tick: float) -> str:
        """A power of ten."""
        return number(tick)


Axis = Linear | Logarithmic


def value_axis(values: Sequence[float], ticks: int = 3) -> Axis:
    """An axis for values: logarithmic for positive ones that span decades, else from 0 where that costs little.

    It leaves a few wild values outside, goes from 0 to 1 if there are no values, and has about so many ticks.
    """
    if spans_decades(values):
        low, high = _decades(values)
        return Logarithmic(10 ** (low - 0.06 * (high - low)), 10 ** min(high + 0.06 * (high - low), 304), ticks)
    low, high = _range(sorted(min(max(v, -LARGEST), LARGEST) for v in values) or [0.0, 1.0])
    if high - low <= max(abs(low), abs(high)) * FLAT or high - low < 1 / LARGEST:
        margin = abs(high) / 2 if abs(high) > 1 / LARGEST else 1.0
        low, high = low - margin, high + margin
    margin = (high - low) * 0.06
    from_zero = 0 <= low < 0.5 * high
    to_zero = 0 >= high > 0.5 * low
    low, high = 0.0 if from_zero else low - margin, 0.0 if to_zero else high + margin
    return Linear(low, high, _round_step((high - low) / ticks))


def step_axis(first: float, last: float) -> Linear:
    """An axis for steps: from 0 unless the training was taken up late, with about four ticks at whole numbers."""
    low = 0.0 if first <= last / 2 or first == last else first
    high = last if last > low else low + 1
    return Linear(low, high, max(1.0, math.ceil(_round_step((high - low) / 4))))


def runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Stretches of finite values; a line is broken where a value is not finite."""
    for whole, run in groupby(points, lambda point: math.isfinite(point[1])):
        if whole:
            yield [(step, min(max(value, -LARGEST), LARGEST)) for step, value in run]


def thinned(run: Sequence[Point], size: int, window: int = 1) -> list[tuple[float, float, float, float]]:
    """A stretch in groups of ``size`` points: the step, mean, least and largest value of each.

    The mean is over ``window`` points around the group, never fewer than are in it. The first and the last group stand
    at the first and the last step, so that a line is as long as its training.
    """
    groups = []
    for start in range(0, len(run), size):
        group = run[start : start + size]
        values = [value for _, value in group]
        beyond = max(window - size, 0) // 2
        around = [value for _, value in run[max(start - beyond, 0) : start + size + beyond]]
        mean = sum(value / len(around) for value in around)
        last = start + size >= len(run)
        step = group[0][0] if start == 0 else group[-1][0] if last else group[len(group) // 2][0]
        groups.append((step, mean, min(values), max(values)))
    return groups


def spans_decades(values: Sequence[float]) -> bool:
    """Says whether values, but for a few wild ones, are positive and reach over ``DECADES``, if only for a while."""
    if not values or min(values) <= 1 / LARGEST:
        return False
    low, high = _decades(values)
    return high - low >= DECADES


def _decades(values: Sequence[float]) -> tuple[float, float]:
    return _range(sorted(math.log10(min(v, LARGEST)) for v in values), 400)


def magnitude(values: Sequence[float]) -> float:
    """How large values are, a few wild ones left out; 0 if there are none."""
    low, high = _range(sorted(values) or [0.0])
    return max(abs(low), abs(high))


def finite(points: Sequence[Point]) -> list[float]:
    """The finite values of a line."""
    return [value for _, value in points if math.isfinite(value)]


def _range(values: Sequence[float], few: int = 40) -> tuple[float, float]:
    """Least and largest of sorted values; one in ``few`` at either end left out if they would flatten the rest."""
    low, high = values[0], values[-1]
    if len(values) < CROWD:
        return low, high
    cut = max(1, len(values) // few)
    inner_low, inner_high = values[cut], values[-1 - cut]
    span = inner_high - inner_low
    if span <= 0 or high / 4 - low / 4 <= span:
        return low, high
    return max(low, inner_low - span / 4), min(high, inner_high + span / 4)


def _round_step(raw: float) -> float:
    """The round number (1, 2, 2.5, 5 or 10 of some power of ten) near a number or above."""
    power = 10.0 ** _exponent(raw)
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.8)


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)) + 1e-9)
