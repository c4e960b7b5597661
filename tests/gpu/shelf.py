"""What ``make gpu`` trains: the paper's networks, then the shelf; on ``sprites``, which need no file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu.told import results
from zoo.recipe import load_recipe

PAPER = ("avae", "vae", "vaegan", "bigan", "gan")
STEPS = 50_000
"""The paper's."""

OVERHEAD = 40.0
"""Seconds of a part that go by beside its steps: starting, scoring, drawing."""

SCORED = ("--metrics", "mse,pd-lite0,fd-lite0,kernel,edges")
SMALL = ("train.batch=2", "slots.encoder.width=4", "slots.decoder.width=4")
TOY = ("--metrics", "edges", *(f"--set={one}" for one in (*SMALL, "train.steps=2", "data.train=8", "data.test=4")))


def paper(file: Path, toy: bool, until: float) -> list[str]:
    """The five systems in the paper's networks, for as many of its steps as the rates measured before say."""
    rates = {line["system"]: line["milliseconds"] / 1e3 for line in results(file, "rates")}
    names = [f"{name}-paper" for name in PAPER if name in rates]
    if toy:
        return compared(names, 1, TOY)
    steps = min(STEPS, int(0.8 * (until - time.time() - OVERHEAD) / sum(rates.values())) // 100 * 100) if rates else 0
    settings = ("train.precision=auto", f"train.steps={steps}", f"train.optimizer.rate.steps={steps}")
    return compared(names if steps > 0 else [], 1, [*SCORED, *(f"--set={setting}" for setting in settings)])


def shelf(until: float) -> list[str]:  # noqa: ARG001
    """Every other bundled recipe, with three seeds, seed by seed, whatever the time."""
    return compared(bundled(), 3, SCORED)


def bundled() -> list[str]:
    """The recipes that are not the paper's, of images alone: sprites have no ``label`` and are no signals."""
    listed = subprocess.run([sys.executable, "-m", "zoo", "list", "recipe", "--json"], capture_output=True, check=True)
    names = [line["name"] for line in json.loads(listed.stdout) if line["kind"] == "recipe"]
    recipes = {name: load_recipe(name) for name in names if not name.endswith("-paper")}
    return [name for name, recipe in recipes.items() if recipe.x.kind == "image" and {*recipe.graph.fields} <= {"x"}]


def compared(names: Sequence[str], seeds: int, settings: Sequence[str]) -> list[str]:
    """The arguments of the command that builds and scores them; none where there is nothing to build."""
    return ["compare", *names, "--data", "sprites", "--seeds", str(seeds), *settings] if names else []


def built(folder: Path) -> Iterator[dict[str, Any]]:
    """What came of the runs that are finished, of those below a folder."""
    for done in sorted(folder.glob("sprites/*/seed-*/state/done.json")):
        run = done.parents[1]
        scores = json.loads((run / "scores.json").read_text())
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        names = {"recipe": run.parent.name, "seed": int(run.name.removeprefix("seed-"))}
        yield {**names, "steps": last["step"], "scores": {name: score["value"] for name, score in scores.items()}}
