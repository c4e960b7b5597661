"""Trains a run on under other settings: which may change, what that does to its schedules, and what it went through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import Damaged
from zoo.machine.disk import read_text
from zoo.recipe import Recipe
from zoo.recipe.schedule import Schedule
from zoo.runs.manifest import identity
from zoo.runs.run import Run, recipe_in, steps_of

FILE = "history.json"
"""Where a run keeps under which other settings it went on, and from which step."""
EXTENDED = re.compile(r"train\.(?!.*\.use$)|phases\.\d+\.rows\..*\.weight(\.|$)")
"""Settings under which ``--extend`` trains a run on: all of its training but other optimisers, and weights of terms."""
_CHANGING = re.compile(r"(.*\.(?:rate|weight)|train\.ema)(?:\.\d+)?(?:\.(?:from|to|steps|start|shape))?$")


def history(folder: Path) -> list[dict[str, Any]]:
    """What a run went through: ``step``, the ``recipe`` before by its identity, and ``changes`` as sentences.

    Nothing where that is damaged; a RunError where it cannot be read.
    """
    try:
        kept = json.loads(read_text(folder, FILE) or "[]")
        return [
            {"step": int(e["step"]), "recipe": str(e["recipe"]), "changes": [*map(str, e["changes"])]} for e in kept
        ]
    except (Damaged, ValueError, LookupError, TypeError, RecursionError):
        return []


def own_identities(folder: Path, now: str) -> set[str]:
    """The identities that a run's weights and checkpoints may have: its recipe's, and those that it had before."""
    return {now, *(entry["recipe"] for entry in history(folder))}


def told(folder: Path) -> list[str]:
    """A run's history as sentences."""
    return [f"from step {entry['step']} on, {change}" for entry in history(folder) for change in entry["changes"]]


def keep(run: Run, changes: list[str]) -> None:
    """Keeps what is other from here on; before the recipe is the new one."""
    if changes:
        step, before = max(steps_of(run.folder, "json"), default=0), identity(recipe_in(run.folder))
        entry = {"step": step, "recipe": before, "changes": changes}
        kept = history(run.folder)
        if kept[-1:] != [entry]:  # a kill came between this and the recipe
            run.write_json(FILE, [*kept, entry])


def changes(
    recipe: Recipe, there: Mapping[str, Any], here: Mapping[str, Any], paths: Iterable[str], step: int
) -> list[str]:
    """Tells what another training, or another length of it, means for a run.

    Args:
        recipe: the new one.
        there: the settings of the run, by path.
        here: those of the recipe.
        paths: of the settings that differ.
        step: steps done.
    """
    lines: dict[str, list[str]] = {}
    for path in paths:
        match = _CHANGING.match(path)
        what = match[1] if match else path
        if match:
            old, new = _schedule(there, what), _schedule(here, what)
            line = f"{new} (it was {old}): at step {step} it is {new(step):g}, not {old(step):g}"
        else:
            line = f"{here.get(path, 'not set')} (it was {there.get(path, 'not set')})"
        if what not in lines.setdefault(line, []):
            lines[line].append(what)
    resting = {
        f"train.optimizers.{name}.rate": optimizer.rate
        for name, optimizer in recipe.train.optimizers.items()
        if lines and step < recipe.train.steps and not any(map(optimizer.rate, range(step, recipe.train.steps)))
    }
    cure = next((f"{path}{_longer(rate, recipe.train.steps)}" for path, rate in resting.items()), "")
    said = f"{', '.join(resting)}: 0 at every step that is left, so nothing is learnt there; --set {cure} spreads it"
    idle = [said] if resting else []
    return [*(f"{', '.join(names)}: {line}" for line, names in lines.items()), *idle]


def _longer(rate: Schedule, whole: int) -> str:
    """What makes a schedule's last piece end with the training."""
    last = len(rate.pieces) - 1
    return f"{f'.{last}' if last else ''}.steps={whole - rate.pieces[-1].start}"


def _schedule(leaves: Mapping[str, Any], path: str) -> Schedule:
    """What the leaves below a path say: a number, one piece, or several by their places."""
    if path in leaves:
        return Schedule.of(leaves[path])
    pieces: dict[str, dict[str, Any]] = {}
    for leaf in (leaf for leaf in leaves if leaf.startswith(f"{path}.")):
        place, _, key = leaf.removeprefix(path).rpartition(".")
        pieces.setdefault(place, {})[key] = leaves[leaf]
    return Schedule.of([*pieces.values()])
