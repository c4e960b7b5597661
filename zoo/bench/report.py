"""The findings of ``zoo bench``, and how they are shown: as text and as a JSON document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from zoo.bench.clock import Middle
from zoo.bench.floor import Ceilings, Floor
from zoo.bench.parts import Held
from zoo.columns import table

MIB = 2**20


@dataclass(frozen=True)
class Part:
    """A part of a step, and its share: ``data``, ``forward``, ``gradients``, ``optimiser``, ``average`` or ``rest``.

    ``phase`` is its number and rows; empty for what belongs to none.
    """

    phase: str
    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Against:
    """The recipe with an override, timed against it: its seconds an image over the recipe's own, or why none."""

    override: str
    ratio: Middle | None
    failure: str = ""


@dataclass(frozen=True)
class Bench:
    """The time of a recipe's step, where it goes, and how it could be shorter.

    Args:
        data: the data component, or ``random pixels``.
        images: in the set.
        clock: what ``seconds`` are of.
        first_step: the first one timed; ``steps`` are how many were.
        seconds: of a step, by ``clock``; ``wall`` by the wall's; ``host`` until the host has asked for all of it.
        same: the same step timed twice, a ratio: the noise.
        flops: an image.
        peak: bytes allocated on the GPU at the most; 0 on a CPU.
        rss: largest resident set of the process, imports and images included.
        eager: why steps are not replayed as CUDA graphs; empty if they are.
    """

    recipe: str
    data: str
    images: int
    device: str
    clock: str
    threads: int
    precision: str
    batch: int
    first_step: int
    steps: int
    seconds: Middle
    wall: Middle
    host: float
    same: Middle
    flops: float
    held: Held
    peak: int
    rss: int
    ceilings: Ceilings
    floor: Floor
    parts: tuple[Part, ...]
    eager: str
    against: tuple[Against, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def of_floor(self) -> float:
        """The floor over the time taken: 1 is as quick as this machine can be."""
        return self.floor.seconds / self.seconds.median

    @property
    def gpu(self) -> bool:
        """True if it ran on a GPU."""
        return self.clock == "CUDA events"

    @property
    def waits(self) -> float:
        """Share of a GPU's step that the host takes to launch it; from about 0.8 on the GPU waits for the host."""
        return self.host / self.seconds.median if self.gpu else 0.0

    def share(self, name: str) -> float:
        """Of the parts of a name."""
        return sum(part.share for part in self.parts if part.name == name)


def as_json(bench: Bench) -> dict[str, Any]:
    """Every figure: seconds, bytes, FLOP."""
    derived = {
        "images_per_second": bench.batch / bench.wall.median,
        "images_per_clock_second": bench.batch / bench.seconds.median,
        "of_floor": bench.of_floor,
        "quiet": bench.same.quiet,
    }
    return asdict(bench) | derived


def as_text(bench: Bench) -> str:
    """A page: the step, its parts, what was timed against it, advice."""
    threads = "" if bench.gpu else f", {bench.threads} thread{'s' * (bench.threads > 1)}"
    head = (
        f"{bench.recipe}: {bench.steps} steps of {bench.batch} images in {bench.precision}, from step "
        f"{bench.first_step} on\n{bench.device}{threads}; images: {bench.images} of {bench.data}"
    )
    tried = [["with", "time an image", "quartiles"]]
    for against in bench.against:
        ratio = against.ratio
        times = [f"{ratio.median:.3f} of it", f"{ratio.first:.3f} to {ratio.third:.3f}"] if ratio else []
        tried.append([against.override, *(times or ["not timed", against.failure])])
    blocks = [head, table(_figures(bench), header=False), table(_parts(bench))]
    blocks += [table(tried)] if bench.against else []
    return "\n\n".join([*blocks, "\n".join(bench.advice) or "Nothing stands out."])


def _figures(bench: Bench) -> list[list[str]]:
    floor, best, held = bench.floor, bench.ceilings, bench.held
    sizes = {
        "weights and gradients": 2 * held.weights,
        "optimiser": held.optimizer,
        "average": held.average,
        "kept for a backward": held.backward,
    }
    counted = ", ".join(f"{name} {size / MIB:,.1f}" for name, size in sizes.items() if size)
    rows = [
        ["images/s", f"{bench.batch / bench.wall.median:,.0f}"],
        ["a step", f"{_ms(bench.seconds)} by the {bench.clock}"],
        ["", f"{_ms(bench.wall)} by the wall's clock"],
        ["same step twice", f"{bench.same}{'' if bench.same.quiet else ': noisy'}"],
        ["MFLOP an image", f"{bench.flops / 1e6:,.1f}"],
        ["of the floor", f"{bench.of_floor:.1%} of {floor.seconds * 1e3:.3g} ms, bound by {floor.bound}"],
        ["", f"at {best.flops / 1e9:,.0f} GFLOP/s (matmul), {best.bandwidth / 1e9:,.1f} GB/s (copy), measured now"],
        ["training holds", f"{held.total / MIB:,.1f} MiB, counted: {counted}"],
    ]
    if bench.gpu:
        rows.append(["peak on the GPU", f"{bench.peak / MIB:,.0f} MiB allocated"])
    return [*rows, ["peak of the process", f"{bench.rss / MIB:,.0f} MiB resident, with torch and the images"]]


def _parts(bench: Bench) -> list[list[str]]:
    rows, before = [["part", "", "ms a step", "share"]], ""
    for part in bench.parts:
        cells = [part.phase if part.phase != before else "", part.name] if part.phase else [part.name, ""]
        rows.append([*cells, f"{part.seconds * 1e3:9.3f}", f"{part.share:6.1%}"])
        before = part.phase
    return rows


def _ms(seconds: Middle) -> str:
    return "{0.median:.2f} ms ({0.first:.2f} to {0.third:.2f})".format(seconds.times(1e3))
