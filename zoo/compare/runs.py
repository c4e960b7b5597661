"""Runs given by their directories: what their rows are called. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.compare.result import Member
from zoo.compare.scores import read_scores
from zoo.errors import RequestError
from zoo.recipe.text import read
from zoo.registry import Registry


def find_runs(name: str, registry: Registry) -> list[Path]:
    """The runs an argument means: a run's directory, or every finished run below a directory; none for a recipe.

    Raises:
        RequestError: for a directory without runs.
    """
    folder = Path(name)
    if (folder / "recipe.yaml").is_file():
        return [folder]
    if not folder.is_dir() or registry.find_recipe(name):
        return []
    found = sorted(path.parent for path in folder.rglob("scores.json") if (path.parent / "recipe.yaml").is_file())
    if not found:
        raise RequestError(f"{folder}: holds no finished run; give recipes, or directories that 'zoo build' made")
    return found


def given_runs(folders: Sequence[Path]) -> list[Member]:
    """Runs as members of a comparison.

    Raises:
        RequestError: if one cannot be read, or has no scores.
    """
    members = []
    for folder, model in row_names(folders).items():
        recipe = _recipe(folder)
        scores = read_scores(folder, model)
        data = scores[0].data if scores else str(_use(recipe)).rpartition("/")[2]
        members.append(Member(model, data, int(recipe.get("seed", 0)), folder, "given"))
    return members


def row_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Run -> the row it belongs to.

    Runs of one recipe that differ in nothing but data and seed are one row, called as the recipe is. Where
    that is not so, or one of them is there twice, each is a row called by its directory.

    Raises:
        RequestError: if a run's recipe cannot be read.
    """
    recipes = {folder: _recipe(folder) for folder in dict.fromkeys(folders)}
    names = {folder: str(recipe.get("name")) for folder, recipe in recipes.items()}
    return {folder: name if _alike(name, names, recipes) else str(folder) for folder, name in names.items()}


def _alike(name: str, names: Mapping[Path, str], recipes: Mapping[Path, Mapping[str, Any]]) -> bool:
    same = [recipes[folder] for folder, other in names.items() if other == name]
    models = {_text({k: v for k, v in recipe.items() if k not in ("seed", "data")}) for recipe in same}
    places = {_text([_use(recipe), recipe.get("seed")]) for recipe in same}
    return len(models) == 1 and len(places) == len(same)


def _use(recipe: Mapping[str, Any]) -> Any:
    data = recipe.get("data")
    return data.get("use") if isinstance(data, dict) else data


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, default=str)


def _recipe(folder: Path) -> dict[str, Any]:
    try:
        plain = read((folder / "recipe.yaml").read_bytes(), str(folder / "recipe.yaml")).plain()
    except OSError as error:
        raise RequestError(f"{folder / 'recipe.yaml'}: cannot be read: {error.strerror}") from None
    if not isinstance(plain, dict):
        raise RequestError(f"{folder / 'recipe.yaml'}: is not a recipe")
    return plain
