"""Loss curves: a chart for each row of players, a line for each term, each named where it ends.

Lines are SVG stretched to the width there is; every word and number beside them is HTML, so that it has the same size
on a telephone. Terms of very different size stand above each other, each group on its own axis: on one axis a
divergence of 20 beside a reconstruction of 3000 would be a flat line. A long line is smoothed; behind it are the values
as they were recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.engine.keys import TermKey
from zoo.report.markup import as_number, escaped, number
from zoo.report.scale import (
    POINTS,
    SMOOTH,
    Axis,
    Linear,
    Logarithmic,
    Point,
    finite,
    magnitude,
    runs,
    spans_decades,
    step_axis,
    thinned,
    value_axis,
)

WIDTH = 1000
"""Of a drawing, in its own units; it is stretched."""
COLOURS = 8
"""The style sheet has so many; later lines are dashed and begin again."""
APART = 6.0
"""Terms share an axis while their sizes are within this factor."""
LINE_HEIGHT = 18
"""Pixels from one name to the next."""


@dataclass
class Line:
    """A term's values: its name, its place in the row, which gives the colour, and points, which need not be finite."""

    term: str
    index: int
    points: Sequence[Point]

    def __post_init__(self) -> None:
        self.style = f"c{self.index % COLOURS}" + (" dashed" if self.index >= COLOURS else "")
        self.last = number(self.points[-1][1])
        self.values = finite(self.points)
        self.window = max(len(self.points) // SMOOTH, 1)  # values averaged to smooth it
        self.size = -(-len(self.points) // POINTS)  # values drawn as one


def charts(records: Sequence[Mapping[str, Any]]) -> str:
    """Every chart of a training: a figure for each row of ``metrics.jsonl``; a sentence if there are no records."""
    rows: dict[str, dict[str, list[Point]]] = {}
    for record in sorted(records, key=lambda r: as_number(r["step"])):
        for key, value in record["losses"].items():
            row, term, _ = TermKey.read(key)
            rows.setdefault(row, {}).setdefault(term, []).append((as_number(record["step"]), as_number(value)))
    return _charts(rows) if rows else '<p class="none">No step has been recorded.</p>'


def score_charts(curve: Mapping[int, Mapping[str, Any]]) -> str:
    """The chart of scores on the way, step -> ``n`` images and their ``scores`` by label; nothing if there are none."""
    labels = dict.fromkeys(label for record in curve.values() for label in record["scores"])
    points = {
        label: [(float(step), as_number(record["scores"][label])) for step, record in sorted(curve.items())]
        for label in labels
        if all(label in record["scores"] for record in curve.values())
    }
    if not points:
        return ""
    n = max(record["n"] for record in curve.values())
    return _charts({f"on the first {n} test images": points})


def _charts(rows: Mapping[str, Mapping[str, Sequence[Point]]]) -> str:
    steps = [step for terms in rows.values() for points in terms.values() for step, _ in points]
    across = step_axis(min(steps), max(steps))
    drawn = "".join(_chart(row, terms, across) for row, terms in rows.items())
    return f'<div class="charts" data-low="{across.low:g}" data-high="{across.high:.0f}">{drawn}</div>{_legend(rows)}'


def _legend(rows: Mapping[str, Mapping[str, Sequence[Point]]]) -> str:
    window = max(Line("", 0, points).window for terms in rows.values() for points in terms.values())
    if window == 1:
        return ""
    return (
        f'<p class="legend">Lines are means over {window} records around each; behind them are the records '
        "themselves, or their spread. A term's number is its last record, or that at the step pointed at.</p>"
    )


def _chart(row: str, terms: Mapping[str, Sequence[Point]], across: Linear) -> str:
    """A row's chart: its bands above each other, the steps below."""
    lines = [Line(term, index, points) for index, (term, points) in enumerate(terms.items())]
    groups = _bands(lines)
    least, fineness = (230, 4) if len(groups) == 1 else (108, 3)
    bands = [(group, value_axis([v for line in group for v in line.values], fineness)) for group in groups]
    ticks = max(len(axis.label(tick)) for _, axis in bands for tick in axis.ticks)
    names = min(max(len(line.term) + len(line.last) for line in lines) + 1, 26)
    drawn = "".join(_band(band, axis, across, max(least, LINE_HEIGHT * (len(band) + 1))) for band, axis in bands)
    below = "".join(
        f'<span style="left:{across.at(tick) * 100:.2f}%">{escaped(_steps(tick, across))}</span>'
        for tick in across.ticks
    )
    return (
        f'<figure class="chart" style="--ticks:{max(ticks, 4)}ch;--names:{names}ch">'
        f"<figcaption>{escaped(row or 'losses')}</figcaption>{drawn}"
        f'<div class="steps"><i>step</i><div>{below}<b class="at" hidden></b></div></div></figure>'
    )


def _bands(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines in groups of about one size, those for a logarithmic axis apart; in the order of the recipe."""
    sizes = {line.index: magnitude(line.values) for line in lines}
    wide = {line.index for line in lines if spans_decades(line.values)}
    groups: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.index in wide, -sizes[line.index])):
        first = groups[-1][0].index if groups else -1
        together = groups and (first in wide) == (line.index in wide)
        if together and sizes[line.index] * APART >= sizes[first]:
            groups[-1].append(line)
        else:
            groups.append([line])
    return sorted((sorted(group, key=lambda line: line.index) for group in groups), key=lambda g: g[0].index)


def _band(lines: Sequence[Line], axis: Axis, across: Linear, height: int) -> str:
    """Lines on one axis: its numbers to the left, the drawing, names and last values to the right."""
    drawn = "".join(_drawn(line, axis, across, height) for line in reversed(lines))
    words = escaped("; ".join(f"{line.term} {line.last} at step {line.points[-1][0]:.0f}" for line in lines))
    numbers = "".join(
        f'<span style="top:{(1 - axis.at(tick)) * height:.1f}px">{axis.label(tick)}</span>' for tick in axis.ticks
    )
    rules = "".join(
        f'<path class="{"zero" if tick == 0 else "rule"}" d="M0 {(1 - axis.at(tick)) * height:.1f}H{WIDTH}"/>'
        for tick in axis.ticks
    )
    return (
        f'<div class="band" style="--high:{height}px"><div class="ticks">{numbers}</div>'
        f'<svg viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'{rules}{drawn}</svg><div class="plot"><i class="cursor" hidden></i>{_beyond(lines, axis)}</div>'
        f'<div class="names">{_names(lines, axis, height)}</div></div>'
    )


def _drawn(line: Line, axis: Axis, across: Linear, height: int) -> str:
    """A line: its values or, of many, their spread; their course; a dot where it stands alone or ends."""

    def at(step: float, value: float) -> str:
        return f"{across.at(step) * WIDTH:.1f} {(1 - axis.at(value)) * height:.1f}"

    raw, spread, course, dots = [], [], [], []
    for run in runs(line.points):
        groups = thinned(run, line.size, line.window)
        if line.size > 1:
            outline = [at(s, high) for s, _, _, high in groups] + [at(s, low) for s, _, low, _ in groups[::-1]]
            spread.append(f"M{'L'.join(outline)}Z")
        elif line.window > 1:
            raw.append(f"M{'L'.join(at(step, value) for step, value in run)}")
        course.append(f"M{'L'.join(at(step, mean) for step, mean, _, _ in groups)}")
        if len(run) == 1 or run[-1][0] == line.points[-1][0]:
            dots.append(f"M{at(*groups[-1][:2])}h.01")
    paths = (("spread", spread), ("raw", raw), ("line", course), ("dot", dots))
    drawn = "".join(f'<path class="{kind}" d="{"".join(path)}"/>' for kind, path in paths if path)
    return f'<g class="{line.style}"><title>{escaped(line.term)}</title>{drawn}</g>'


def _names(lines: Sequence[Line], axis: Axis, height: int) -> str:
    """Each line's name and last value beside its end, none over another."""
    wanted = [(1 - axis.at((line.values or [axis.low])[-1])) * height for line in lines]
    return "".join(
        f'<span class="{line.style}" style="top:{top:.1f}px" title="{escaped(line.term)}"{_values(line)}>'
        f"<span>{escaped(line.term)}</span> <b>{line.last}</b></span>"
        for line, top in zip(lines, spaced(wanted, LINE_HEIGHT, height), strict=True)
    )


def _values(line: Line) -> str:
    """Steps and values for the script to read; of many, one in so many, and the last."""
    points = [*line.points[: -1 : line.size], line.points[-1]]
    steps, values = " ".join(f"{step:.0f}" for step, _ in points), " ".join(number(value) for _, value in points)
    return f' data-steps="{steps}" data-values="{values}"'


def _beyond(lines: Sequence[Line], axis: Axis) -> str:
    """Says what to know of the drawing: a logarithmic axis, values outside it, values that are no numbers."""
    values = [value for line in lines for value in line.values]
    high, low = max(values, default=0.0), min(values, default=0.0)
    lost = sum(len(line.points) for line in lines) - len(values)
    beyond = [f"up to {number(high)}"] * (high > axis.high) + [f"down to {number(low)}"] * (low < axis.low)
    words = [f"beyond the axis: {', '.join(beyond)}"] if beyond else []
    words += [f"not finite: {lost:,}"] * bool(lost) + ["log scale"] * isinstance(axis, Logarithmic)
    return f'<small class="beyond">{"; ".join(words)}</small>' if words else ""


def spaced(wanted: Iterable[float], gap: float, height: float) -> list[float]:
    """Heights from the top near those wanted, in their order, at least ``gap`` apart, all inside ``height``."""
    placed = dict(enumerate(wanted))
    order = sorted(placed, key=lambda i: placed[i])
    least = gap / 2
    for i in order:
        placed[i] = least = max(placed[i], least)
        least += gap
    most = height - gap / 2
    for i in reversed(order):
        placed[i] = most = min(placed[i], most)
        most -= gap
    return list(placed.values())


def _steps(tick: float, across: Linear) -> str:
    """``500``, ``20k``, ``1.5M``; one unit along an axis."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if across.high >= 10 * unit or (across.step >= unit / 10 and across.high >= unit):
            return f"{tick / unit:g}{letter}" if tick else "0"
    return f"{tick:,.0f}"
