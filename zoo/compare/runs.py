"""Runs given by their directories: what their rows are called. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import RequestError
from zoo.recipe.text import read


def find_runs(name: str) -> list[Path]:
    """The runs an argument means: a run's directory, or every finished run below a directory; none for a recipe."""
    folder = Path(name)
    if (folder / "recipe.yaml").is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob("scores.json") if (path.parent / "recipe.yaml").is_file())


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
