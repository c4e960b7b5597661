"""Writes the results of ``make gpu`` into a page: the tables of docs/benchmarks.md that stand for a GPU.

python tests/gpu/page.py RESULTS.jsonl [PAGE]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import report
from benchmarks.report import machine, percent, rows, told

from gpu.told import results

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"

SIDES = ("naive float32", "tuned float32", "engine float32", "engine bfloat16", "captured", "captured by hand")
SIDES += ("compiled", "compiled and captured")

Lines = Sequence[Mapping[str, Any]]


def fill(folder: Path) -> None:
    """The page of a folder of results, with the tables of all that is known by now."""
    (folder / "benchmarks.md").write_text(written(PAGE.read_text(), folder / "results.jsonl"))


def written(page: str, file: Path) -> str:
    """A page with the tables of a file of results."""
    lines = list(results(file))
    tables = {name: table([line for line in lines if line["part"] in of]) for name, (of, table) in TABLES.items()}
    return report.written(page, "gpu", tables)


def machines(lines: Lines) -> str:
    """What the numbers were made on."""
    return machine(lines[-1], lines[-1]["datetime"]) if lines else ""


def course(lines: Lines) -> str:
    """What each part took, and what of it failed or was skipped."""
    body = []
    for line in lines:
        if line["part"] == "parts":
            body.append([line["name"], f"{line['seconds']:.0f} s"])
        else:
            why = f" ({line['why']})" if "why" in line else ""
            body.append([line["of"], f"{line['part']}: {line['what']}{why}"])
    return rows(["part", "what became of it"], body)


def tests(lines: Lines) -> str:
    """How many tests of captured steps passed; those that did not, by name."""
    counts = {outcome: sum(line["outcome"] == outcome for line in lines) for outcome in ("passed", "failed", "skipped")}
    failed = [f"\n- `{line['name']}`: {line['why']}" for line in lines if line["outcome"] == "failed"]
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) + "".join(failed) if lines else ""


def steps(lines: Lines) -> str:
    """Milliseconds of a step, a column for each way to take it."""
    body: dict[tuple[str, str], dict[str, str]] = {}
    for line in lines:
        body.setdefault((line["images"], line["system"]), {})[line["side"]] = told(line["milliseconds"])
    shown = [[*case, *(sides.get(side, "") for side in SIDES)] for case, sides in body.items()]
    return rows(["images", "system", *SIDES], shown)


def use(lines: Lines) -> str:
    """What captured steps make of the device, and what was wanted and missed."""
    body = []
    for one in lines:
        ratios = ["{:.3f} ({:.3f} to {:.3f})".format(*one[key]) for key in ("by_hand", "aa")]
        parts = [percent(one["peak"]), percent(one["matmul"]), f"{percent(one['of_floor'])} ({one['bound']})"]
        rate, more = f"{one['images_a_second']:,.0f}", [f"{one['data']:.3f}", percent(one["host"])]
        missed = ", ".join(one["missed"]) or "none"
        body.append([one["images"], one["system"], rate, f"{one['times']:.1f}", *ratios, *parts, *more, missed])
    head = ["images", "system", "images/s", "naive / captured", "captured / by hand", "A/A"]
    return rows([*head, "of the peak", "of the matmul", "of the floor", "with data", "host", "missed"], body)


def tokenizer(lines: Lines) -> str:
    """What a step of a tokenizer takes, and makes of the device."""
    keys = ("batch", "mode", "gflop_an_image", "milliseconds", "images_a_second", "peak")
    body = [[told(line[key]) if isinstance(line[key], float) else line[key] for key in keys[:-1]] for line in lines]
    body = [[*one, percent(line["peak"])] for one, line in zip(body, lines, strict=True)]
    return rows(["batch", "mode", "GFLOP an image", "ms", "images/s", "of the peak"], body)


def scores(lines: Lines) -> str:
    """The scores of recipes, over their seeds."""
    names = list(dict.fromkeys(name for line in lines for name in line["scores"]))
    recipes: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        recipes.setdefault(line["recipe"], []).append(line)
    body = [
        [name, len(runs), f"{max(run['steps'] for run in runs):,}", *(over(runs, score) for score in names)]
        for name, runs in recipes.items()
    ]
    return rows(["recipe", "seeds", "steps", *names], body)


def over(runs: Iterable[Mapping[str, Any]], score: str) -> str:
    """The mean of a score, and its standard deviation."""
    values = [run["scores"][score] for run in runs if score in run["scores"]]
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4g}{spread}" if values else "-"


TABLES: dict[str, tuple[tuple[str, ...], Any]] = {
    "machine": (("machine",), machines),
    "parts": (("parts", "failed", "skipped"), course),
    "tests": (("tests",), tests),
    "steps": (("steps",), steps),
    "use": (("use",), use),
    "tokenizer": (("tokenizer",), tokenizer),
    "paper": (("paper",), scores),
    "shelf": (("shelf",), scores),
}
"""Of the page -> the parts whose results it has, and how it is made."""


if __name__ == "__main__":
    source, page = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else PAGE
    page.write_text(written(page.read_text(), source))
