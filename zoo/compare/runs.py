"""The names of a request, and the rows of finished runs among them. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.compare.pictures import ROWS
from zoo.compare.scores import Member, read_scores
from zoo.compare.tables import find_table
from zoo.errors import RequestError
from zoo.registry import Registry
from zoo.runs.provenance import build_again
from zoo.runs.run import recipe_in


def find(names: Sequence[str], registry: Registry) -> tuple[list[str], list[Path], list[Path], list[str]]:
    """Sorts names into recipes, finished runs, tables, and sentences about what a shell's ``runs/*`` names besides.

    A directory of runs means every finished run below it. A comparison's own directory beside single runs is left out.
    Where nothing is left to compare, a RequestError has the reason.
    """
    recipes, runs, tables, left_out = list[str](), list[Path](), list[Path](), list[str]()
    single = any(_is_finished(Path(name)) for name in names)
    for name in names:
        folder = Path(name)
        if table := find_table(name, registry):
            tables.append(table)
        elif reason := _no_candidate(folder, single, registry):
            left_out.append(reason)
        elif folder.is_dir() and not registry.find_recipe(name):
            runs += [folder] if _is_finished(folder) else _below(folder)
        else:
            recipes.append(name)
    if left_out and not (recipes or runs or tables):
        raise RequestError(left_out[0])
    return recipes, list(dict.fromkeys(runs)), tables, [f"left out: {reason}" for reason in left_out]


def _no_candidate(path: Path, single: bool, registry: Registry) -> str:
    """Why a path that is there has nothing to compare; empty where it has, or where it is the name of a recipe."""
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        return f"{path}: is no recipe and no directory of runs"
    if not path.is_dir() or registry.find_recipe(str(path)) or _is_finished(path):
        return ""
    if (path / "recipe.yaml").is_file():
        return f"{path}: has no scores.json; finish it with: {build_again(path)}"
    if single and any(path.glob(ROWS.format("*"))):
        return f"{path}: is a comparison of its own; give its runs, such as {path}/*/*/*"
    return "" if _below(path) else f"{path}: holds no finished run; give recipes, or directories that 'zoo build' made"


def _is_finished(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("recipe.yaml", "scores.json"))


def _below(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("scores.json") if _is_finished(path.parent))


def given_runs(folders: Sequence[Path]) -> list[Member]:
    """Runs as members of a comparison; one that cannot be read, or has no scores, is refused."""
    recipes, members = {folder: recipe_in(folder) for folder in folders}, []
    for folder, model in row_names(recipes).items():
        scores = read_scores(folder, model)
        data = scores[0].data if scores else str(_use(recipes[folder])).rpartition("/")[2]
        members.append(Member(model, data, int(recipes[folder].get("seed", 0)), folder, "given"))
    return members


def row_names(recipes: Mapping[Path, Mapping[str, Any]]) -> dict[Path, str]:
    """Run -> the row it belongs to.

    Runs of one recipe that differ in nothing but data and seed are one row, called as the recipe is. Where
    that is not so, or one of them is there twice, each is a row called by its directory.
    """
    names = {folder: str(recipe.get("name")) for folder, recipe in recipes.items()}
    rows = {}
    for folder, name in names.items():
        same = [recipes[other] for other in recipes if names[other] == name]
        models = {_text({k: v for k, v in recipe.items() if k not in ("seed", "data")}) for recipe in same}
        places = {_text([_use(recipe), recipe.get("seed")]) for recipe in same}
        rows[folder] = name if len(models) == 1 and len(places) == len(same) else str(folder)
    return rows


def _use(recipe: Mapping[str, Any]) -> Any:
    data = recipe.get("data")
    return data.get("use") if isinstance(data, dict) else data


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, default=str)
