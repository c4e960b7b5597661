"""Loss curves: a chart for each row of players, a line for each term, each named where it ends.

Lines are SVG stretched to the width there is; every word and number beside them is HTML, so that it has the
same size on a telephone. Terms of very different size stand above each other, each group on its own axis:
on one axis a divergence of 20 beside a reconstruction of 3000 would be a flat line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.report.markup import as_number, escaped, number
from zoo.report.scale import POINTS, Axis, Point, finite, magnitude, runs, step_axis, thinned, value_axis

WIDTH = 1000
"""Of a drawing, in its own units; it is stretched."""
COLOURS = 8
"""The style sheet has so many; later lines are dashed and begin again."""
APART = 6.0
"""Terms share an axis while their sizes are within this factor."""
LINE_HEIGHT = 18
"""Pixels from one name to the next."""


@dataclass(frozen=True)
class Line:
    """A term's values.

    Args:
        term: its name.
        index: its place in the row; it gives the colour.
        points: step and value; the value may be NaN or infinite.
    """

    term: str
    index: int
    points: Sequence[Point]

    @property
    def style(self) -> str:
        """Its classes in the style sheet."""
        return f"c{self.index % COLOURS}" + (" dashed" if self.index >= COLOURS else "")

    @property
    def last(self) -> str:
        """Its last value, as shown."""
        return number(self.points[-1][1])


def charts(records: Sequence[Mapping[str, Any]]) -> str:
    """Every chart of a training.

    Args:
        records: the lines of ``metrics.jsonl``.

    Returns:
        a figure for each row; a sentence if there are no records.
    """
    rows: dict[str, dict[str, list[Point]]] = {}
    for record in sorted(records, key=lambda r: as_number(r["step"])):
        for key, value in record["losses"].items():
            row, slash, term = key.partition("/")
            points = rows.setdefault(row if slash else "", {}).setdefault(term if slash else key, [])
            points.append((as_number(record["step"]), as_number(value)))
    if not rows:
        return '<p class="none">No step has been recorded.</p>'
    steps = [step for terms in rows.values() for points in terms.values() for step, _ in points]
    across = step_axis(min(steps), max(steps))
    return f'<div class="charts">{"".join(_chart(row, terms, across) for row, terms in rows.items())}</div>'


def _chart(row: str, terms: Mapping[str, Sequence[Point]], across: Axis) -> str:
    """A row's chart: its bands above each other, the steps below."""
    lines = [Line(term, index, points) for index, (term, points) in enumerate(terms.items())]
    groups = _bands(lines)
    least, fineness = (190, 4) if len(groups) == 1 else (108, 3)
    bands = [(g, value_axis([v for line in g for v in finite(line.points)], fineness)) for g in groups]
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
        f'<div class="steps"><i>step</i><div>{below}</div></div></figure>'
    )


def _bands(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines in groups of about one size; groups and lines in the order of the recipe."""
    sizes = {line.index: magnitude(finite(line.points)) for line in lines}
    groups: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: -sizes[line.index]):
        if groups and sizes[line.index] * APART >= sizes[groups[-1][0].index]:
            groups[-1].append(line)
        else:
            groups.append([line])
    return sorted((sorted(group, key=lambda line: line.index) for group in groups), key=lambda g: g[0].index)


def _band(lines: Sequence[Line], axis: Axis, across: Axis, height: int) -> str:
    """Lines on one axis: its numbers to the left, the drawing, names and last values to the right."""
    drawn = "".join(_drawn(line, axis, across, height) for line in reversed(lines))
    told = escaped("; ".join(f"{line.term} {line.last} at step {line.points[-1][0]:.0f}" for line in lines))
    numbers = "".join(
        f'<span style="top:{(1 - axis.at(tick)) * height:.1f}px">{axis.label(tick)}</span>' for tick in axis.ticks
    )
    rules = "".join(
        f'<path class="{"zero" if tick == 0 else "rule"}" d="M0 {(1 - axis.at(tick)) * height:.1f}H{WIDTH}"/>'
        for tick in axis.ticks
    )
    return (
        f'<div class="band" style="height:{height}px"><div class="ticks">{numbers}</div>'
        f'<svg viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" role="img" aria-label="{told}">'
        f'{rules}{drawn}</svg><div class="names">{_names(lines, axis, height)}</div>{_beyond(lines, axis)}</div>'
    )


def _drawn(line: Line, axis: Axis, across: Axis, height: int) -> str:
    """A line: the spread of its values, their course, a dot where it stands alone or ends."""

    def at(step: float, value: float) -> str:
        return f"{across.at(step) * WIDTH:.1f} {(1 - axis.at(value)) * height:.1f}"

    size = -(-len(line.points) // POINTS)
    spread, course, dots = [], [], []
    for run in runs(line.points):
        groups = thinned(run, size)
        if size > 1:
            outline = [at(s, high) for s, _, _, high in groups] + [at(s, low) for s, _, low, _ in groups[::-1]]
            spread.append(f"M{'L'.join(outline)}Z")
        course.append(f"M{'L'.join(at(step, mean) for step, mean, _, _ in groups)}")
        if len(run) == 1 or run[-1][0] == line.points[-1][0]:
            dots.append(f"M{at(*groups[-1][:2])}h.01")
    paths = (("spread", spread), ("line", course), ("dot", dots))
    drawn = "".join(f'<path class="{kind}" d="{"".join(path)}"/>' for kind, path in paths if path)
    return f'<g class="{line.style}"><title>{escaped(line.term)}</title>{drawn}</g>'


def _names(lines: Sequence[Line], axis: Axis, height: int) -> str:
    """Each line's name and last value beside its end, none over another."""
    ends = [(finite(line.points) or [axis.low])[-1] for line in lines]
    wanted = [(1 - axis.at(end)) * height for end in ends]
    return "".join(
        f'<span class="{line.style}" style="top:{top:.1f}px" title="{escaped(line.term)} {line.last}">'
        f"<span>{escaped(line.term)}</span> <b>{line.last}</b></span>"
        for line, top in zip(lines, spaced(wanted, LINE_HEIGHT, height), strict=True)
    )


def _beyond(lines: Sequence[Line], axis: Axis) -> str:
    """What the drawing does not show: values outside it, values that are no numbers."""
    values = [value for line in lines for value in finite(line.points)]
    high, low = max(values, default=0.0), min(values, default=0.0)
    lost = sum(len(line.points) for line in lines) - len(values)
    told = [f"up to {number(high)}"] if high > axis.high else []
    told += [f"down to {number(low)}"] if low < axis.low else []
    told = [f"beyond the axis: {', '.join(told)}"] if told else []
    told += [f"not finite: {lost:,}"] if lost else []
    return f'<small class="beyond">{"; ".join(told)}</small>' if told else ""


def spaced(wanted: Iterable[float], gap: float, height: float) -> list[float]:
    """Heights near those wanted, at least ``gap`` apart, all inside.

    Args:
        wanted: from the top, in pixels.
        gap: least distance.
        height: what there is; at least ``gap`` for each.

    Returns:
        the heights, in the order of ``wanted``.
    """
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


def _steps(tick: float, across: Axis) -> str:
    """``500``, ``20k``, ``1.5M``; one unit along an axis."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if across.high >= 10 * unit or (across.step >= unit / 10 and across.high >= unit):
            return f"{tick / unit:g}{letter}" if tick else "0"
    return f"{tick:,.0f}"
