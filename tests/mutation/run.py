"""A mutation run: one thing is changed at a time, and the tests must notice. ``make mutation``

mutmut writes the mutants of every function of the modules below into a copy of the tree, never into the tree itself;
``loop.py`` runs them. What no function holds (defaults, regular expressions, class bodies) and what a decorator wraps
(properties, caches) is not mutated by it. The result is a table, and each survivor as a diff.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MUTATED = (
    *("zoo/recipe/*.py", "zoo/recipe/yaml/*.py", "zoo/registry/*.py"),
    *("zoo/runs/*.py", "zoo/machine/disk.py"),
)
TESTS = (
    *(
        f"recipe/{name}"
        for name in ("recipe", "recipe_errors", "recipe_text", "recipe_tree", "recipe_wiring", "schedule")
    ),
    *("recipe/graph", "registry/registry", "registry/names", "registry/descriptors", "registry/isolation"),
    *(
        "registry/entries",
        "registry/docstrings",
        "registry/signature",
        "registry/catalogue",
        "registry/catalogue_truth",
    ),
    *("registry/plugin_settings", "runs/run_files", "runs/manifests", "runs/checkpoints", "runs/corruption"),
    *("runs/finished_runs", "runs/hostile_runs/headers", "runs/hostile_runs/manifests", "runs/hostile_runs/files"),
)
"""What they are about; a mutant meets those that reach its function."""

LEFT_OUT = ("zoo/recipe/sections.py",)
"""Signatures that are read and never called."""

TIMED = ("registry/registry::test_the_registry_is_light",)
"""Tests of time, which says nothing here."""

SLOW = (
    "recipe/recipe_text::test_what_is_written_reads_the_same",
    "recipe/recipe_text::test_json_is_read_as_json",
    "recipe/recipe_text::test_pyyaml_agrees_on_what_is_text",
    "recipe/recipe_text::test_mutated_recipes_are_read_or_refused",
    "recipe/recipe_text::test_any_bytes_are_read_or_refused",
    "recipe/recipe_text::test_hostile_documents_are_read_or_refused",
    "recipe/recipe_tree::test_merge_does_what_the_rules_say",
    "recipe/recipe_tree::test_merging_the_same_again_changes_nothing",
    "recipe/recipe_tree::test_any_argument_is_applied_or_refused",
    "recipe/recipe_errors::test_torch_is_not_imported_for_what_can_be_seen_without_it",
    "recipe/recipe_errors::test_contracts_that_do_not_fit_are_told_with_both_places",
    "recipe/recipe_errors::test_parts_that_do_not_fit",
    "recipe/recipe_errors::test_a_misfit_that_an_argument_made_points_at_it",
    "registry/signature::test_source_and_import_agree",
    "runs/corruption::test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_taken_up",
    "runs/hostile_runs/manifests::test_mutated_headers_and_manifests_are_refused_or_say_the_same",
)
"""Tests of many seconds, left out unless ``--thorough``: without them the share of killed is a lower bound."""

Z95 = 1.96


def main() -> None:
    """Mutates, runs, tells."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder, "zoo")
        _copy_tree(copy)
        os.chdir(copy)
        every = _mutate(copy)
        wanted = arguments.names or [""]
        chosen = [name for name in every if any(part in name for part in wanted)]
        drawn = sorted(chosen, key=lambda name: hashlib.sha256(f"{arguments.seed} {name}".encode()).digest())
        chosen = sorted(drawn[: arguments.sample or None], key=every.index)
        outcomes = _run(copy, chosen, arguments.jobs, arguments.thorough)
        _tell(copy, every, outcomes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="how many mutants, drawn at random; 0 for all")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the draw, which depends on names alone: a change elsewhere leaves it"
    )
    parser.add_argument("names", nargs="*", help="only those with one of these in their name, such as zoo.recipe.graph")
    parser.add_argument("--thorough", action="store_true", help="with the slow tests, too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    return parser.parse_args()


def _copy_tree(copy: Path) -> None:
    for name in ("zoo", "plugins", "tests", "docs", "registry.yaml", "README.md", "pyproject.toml"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / "setup.cfg").write_text("[mutmut]\nsource_paths=zoo\n")


def _mutate(copy: Path) -> list[str]:
    """Writes every mutant into the copy; their names."""
    names = []
    for file in sorted(file for pattern in MUTATED for file in copy.glob(pattern)):
        path = file.relative_to(copy)
        if str(path) in LEFT_OUT:
            continue
        mutated = mutate_file_contents(str(path), file.read_text("utf-8"))
        file.write_text(mutated.code, "utf-8")
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        names += [f"{module}.{name}" for name in mutated.mutant_names]
    return names


def _run(copy: Path, mutants: list[str], jobs: int, thorough: bool) -> dict[str, str]:
    plan, results = copy / "plan.json", copy / "results.jsonl"
    plan.write_text(json.dumps({"mutants": mutants, "jobs": jobs, "results": str(results)}))
    paths = [str(copy), str(copy / "plugins"), str(HERE)]
    environment = {**os.environ, "MUTATION_PLAN": str(plan), "PYTHONPATH": os.pathsep.join(paths)}
    tests = [_file(name) for name in TESTS]
    left_out = TIMED if thorough else TIMED + SLOW
    without = [f"--deselect={_file(file)}::{test}" for file, _, test in (name.partition("::") for name in left_out)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "loop"]
    subprocess.run([*command, *without, *tests], env=environment, check=True)
    return {mutant: outcome for mutant, outcome, _ in map(json.loads, results.read_text().splitlines())}


def _file(name: str) -> str:
    """``recipe/graph`` -> ``tests/recipe/test_graph.py``."""
    folder, _, file = name.rpartition("/")
    return str(Path("tests", folder, f"test_{file}.py"))


def _tell(copy: Path, every: list[str], outcomes: dict[str, str]) -> None:
    survivors = [name for name, outcome in outcomes.items() if outcome in ("survived", "untested")]
    for name in sorted(survivors):
        print(f"\n{name}: {outcomes[name]}", *_difference(copy, name), sep="\n")
    modules = Counter(map(_module, every))
    tried, lost = Counter(map(_module, outcomes)), Counter(map(_module, survivors))
    print(f"\n{'module':32}  mutants  tried  killed")
    for module in sorted(tried):
        print(f"{module:32}  {modules[module]:7}  {tried[module]:5}  {tried[module] - lost[module]:6}")
    killed, n = len(outcomes) - len(survivors), len(outcomes)
    low, high = _wilson(killed, n)
    print(f"\n{killed} of {n} mutants killed, {killed / n:.1%}; of all {len(every)}: {low:.1%} to {high:.1%} (95 %)")


def _module(mutant: str) -> str:
    return mutant.partition(".x")[0]


def _wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's interval of a share (J. Am. Stat. Assoc. 22, 1927)."""
    share, square = hits / n, Z95**2
    centre, half = share + square / (2 * n), Z95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return (centre - half) / (1 + square / n), (centre + half) / (1 + square / n)


def _difference(copy: Path, mutant: str) -> Iterator[str]:
    module, _, function = mutant.rpartition(".")
    file = copy.joinpath(*module.split("."))
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    text = file.read_text("utf-8")
    found = {n.name: n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
    original = function.rpartition("__mutmut_")[0] + "__mutmut_orig"
    before, after = (_lines(text, found[name]) for name in (original, function))
    changed = difflib.unified_diff(before, after, lineterm="", n=1)
    yield from list(changed)[3:]


def _lines(text: str, node: ast.FunctionDef) -> list[str]:
    return text.splitlines()[node.lineno : node.end_lineno]


if __name__ == "__main__":
    main()
