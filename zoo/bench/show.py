"""What ``zoo bench`` found, as text and as a JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from zoo.bench.clock import Middle
from zoo.bench.report import Against, Bench
from zoo.columns import table

MIB = 2**20


def as_json(found: Bench) -> dict[str, Any]:
    """Every figure: seconds, bytes, FLOP."""
    derived = {
        "images_per_second": found.batch / found.wall.median,
        "images_per_clock_second": found.batch / found.seconds.median,
        "of_floor": found.of_floor,
        "quiet": found.same.quiet,
    }
    return asdict(found) | derived


def as_text(found: Bench) -> str:
    """A page: the step, its parts, what was timed against it, advice."""
    blocks = [_head(found), table(_figures(found), header=False), table(_parts(found))]
    if found.against:
        blocks.append(table([["with", "time an image", "quartiles"], *map(_against, found.against)]))
    blocks.append("\n".join(found.advice) or "Nothing stands out.")
    return "\n\n".join(blocks)


def _head(found: Bench) -> str:
    threads = "" if found.gpu else f", {found.threads} thread{'s' * (found.threads > 1)}"
    return (
        f"{found.recipe}: {found.steps} steps of {found.batch} images in {found.precision}, from step "
        f"{found.first_step} on\n{found.device}{threads}; images: {found.images} of {found.data}"
    )


def _figures(found: Bench) -> list[list[str]]:
    floor, best = found.floor, found.ceilings
    rows = [
        ["images/s", f"{found.batch / found.wall.median:,.0f}"],
        ["a step", f"{_ms(found.seconds)} by the {found.clock}"],
        ["", f"{_ms(found.wall)} by the wall's clock"],
        ["same step twice", f"{found.same}{'' if found.same.quiet else ': noisy'}"],
        ["MFLOP an image", f"{found.flops / 1e6:,.1f}"],
        ["of the floor", f"{found.of_floor:.1%} of {floor.seconds * 1e3:.3g} ms, bound by {floor.bound}"],
        ["", f"at {best.flops / 1e9:,.0f} GFLOP/s (matmul), {best.bandwidth / 1e9:,.1f} GB/s (copy), measured now"],
        ["training holds", _held(found)],
    ]
    if found.gpu:
        rows.append(["peak on the GPU", f"{found.peak / MIB:,.0f} MiB allocated"])
    return [*rows, ["peak of the process", f"{found.rss / MIB:,.0f} MiB resident, with torch and the images"]]


def _held(found: Bench) -> str:
    memory = found.held
    parts = {
        "weights and gradients": 2 * memory.weights,
        "optimiser": memory.optimizer,
        "average": memory.average,
        "kept for a backward": memory.backward,
    }
    told = ", ".join(f"{name} {size / MIB:,.1f}" for name, size in parts.items() if size)
    return f"{memory.total / MIB:,.1f} MiB, counted: {told}"


def _parts(found: Bench) -> list[list[str]]:
    rows, before = [["part", "", "ms a step", "share"]], ""
    for part in found.parts:
        title = part.phase if part.phase != before else ""
        cells = [title, part.name] if part.phase else [part.name, ""]
        rows.append([*cells, f"{part.seconds * 1e3:9.3f}", f"{part.share:6.1%}"])
        before = part.phase
    return rows


def _against(against: Against) -> list[str]:
    if against.ratio is None:
        return [against.override, "not timed", against.failure]
    ratio = against.ratio
    return [against.override, f"{ratio.median:.3f} of it", f"{ratio.first:.3f} to {ratio.third:.3f}"]


def _ms(seconds: Middle) -> str:
    return "{0.median:.2f} ms ({0.first:.2f} to {0.third:.2f})".format(seconds.times(1e3))
