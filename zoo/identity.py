"""What makes two builds the same run: whether one is up to date, and what may change under it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

from zoo.errors import RequestError
from zoo.provenance import FILE as PLUGINS
from zoo.recipe import Recipe, write_recipe
from zoo.recipe.schema import WHEREABOUTS
from zoo.recipe.sections import train
from zoo.recipe.text import read
from zoo.run import Run, own_recipe

FREE = (
    *("train.steps", "train.log_every", "train.save_every", "train.keep_last", "train.keep_best"),
    *("train.activation_checkpointing", "train.cuda_graph", "train.data_on", "evaluate", "outputs", "watch"),
    *(f"data.{name}" for name in WHEREABOUTS),
)
"""What may change between two builds of one run without another model coming out."""

DONE = "state/done.json"
FILES = ("recipe.yaml", PLUGINS, "model.safetensors", "metrics.jsonl", "scores.json", "report.html")
"""What every finished run holds; pictures depend on what the recipe's outputs can show."""


def up_to_date(folder: Path, recipe: Recipe) -> bool:
    """Whether a finished run of this very recipe is there."""
    done = plain_json(folder / DONE)
    files = done.get("files", FILES)
    return done.get("recipe") == digest(recipe) and all((folder / name).is_file() for name in files)


def plain_json(path: Path) -> dict[str, Any]:
    """A file's JSON; empty where it is not there or is none."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def digest(recipe: Recipe) -> str:
    """Of everything that a finished run is a function of: not of who looked on."""
    data = {name: value for name, value in recipe.data.options.items() if name not in WHEREABOUTS}
    same = replace(recipe, watch=(), data=replace(recipe.data, options=data))
    return hashlib.sha256(write_recipe(same).encode()).hexdigest()


def refuse_another(run: Run, recipe: Recipe) -> None:
    """A run belongs to one recipe; of what shapes the model, nothing may change under it.

    Raises:
        RequestError: naming what differs.
    """
    text = run.read_text("recipe.yaml")
    if text is None:
        return
    own_recipe(run.folder)
    there = _leaves(_trained(recipe, read(text, str(run.path("recipe.yaml"))).plain()))
    here = _leaves(_trained(recipe, recipe.plain()))
    unsaid = {f"train.{name}": parameter.default for name, parameter in signature(train).parameters.items()}
    there = {**{path: value for path, value in unsaid.items() if path in here}, **there}  # a key since then
    differ = [
        f"{path} is {there.get(path, 'not set')} there and {here.get(path, 'not set')} here"
        for path in sorted(there.keys() | here.keys())
        if there.get(path) != here.get(path) and not path.startswith(FREE)
    ]
    if differ:
        more = f" (and {len(differ) - 3} more)" if len(differ) > 3 else ""
        raise RequestError(
            f"{run.folder}: holds a run of another recipe: {'; '.join(differ[:3])}{more}. "
            "Choose another --out, or remove the directory"
        )
    steps = there.get("train.steps", 0)
    if steps > recipe.train.steps and run.path("model.safetensors").is_file():
        raise RequestError(
            f"{run.folder}: has {steps} steps, more than the {recipe.train.steps} asked for; choose another --out"
        )


def _trained(recipe: Recipe, plain: dict[str, Any]) -> dict[str, Any]:
    """A recipe's plain data less the values that only outputs and metrics need."""
    terms = [term.part for phase in recipe.phases for row in phase.played for term in row.terms]
    needed = recipe.graph.order([name for part in terms for name in part.arguments.values()])
    return {**plain, "values": {name: part for name, part in plain.get("values", {}).items() if name in needed}}


def _leaves(plain: Any, path: str = "") -> dict[str, Any]:
    if isinstance(plain, dict) and plain:
        return {k: v for key, item in plain.items() for k, v in _leaves(item, f"{path}.{key}".lstrip(".")).items()}
    if isinstance(plain, list) and any(isinstance(item, dict) for item in plain):
        return {k: v for i, item in enumerate(plain) for k, v in _leaves(item, f"{path}.{i}").items()}
    return {path: plain}
