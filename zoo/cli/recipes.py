"""Commands on recipes: build, check, explain, bench, init."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.stopping import stop_signals, tell
from zoo.columns import json_text, printable, table
from zoo.compare.tables import find_table
from zoo.errors import Interrupted, Position, RecipeError, RequestError, ZooError
from zoo.machine.process import import_torch
from zoo.recipe import Recipe, load_recipe, locate, registry_for
from zoo.recipe.sections import DEFAULT_WATCHER
from zoo.runs.data import in_steps
from zoo.runs.provenance import resolved, run_of
from zoo.training.build import as_json, build_run, check_recipe
from zoo.training.watchers import ProgressWatcher

if TYPE_CHECKING:
    from zoo.machine.processes import Processes

LAUNCHED = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun, and whoever else starts several processes, sets beside ``WORLD_SIZE``."""


def build(arguments: argparse.Namespace) -> int:
    """``zoo build``."""
    recipe, registry = resolved(arguments.recipe, arguments.set, arguments.plugin)
    arguments.out = arguments.out or run_of(arguments.recipe)
    if arguments.no_tensorboard:
        recipe = replace(recipe, watch=tuple(part for part in recipe.watch if part.entry.name != DEFAULT_WATCHER))
    if arguments.replay_fault or arguments.verify_resume is not None:
        return _replay(in_steps(arguments.out or Path("runs") / recipe.name, recipe, registry), arguments)
    watchers: tuple[Any, ...] = () if arguments.json else (ProgressWatcher(),)
    with stop_signals() as stop, _processes(arguments.device) as (processes, device):
        if processes and not processes.first:
            from zoo.training.follow import follow

            with suppress(Interrupted):  # the first one says so; at another code torchrun would stop it while it saves
                follow(recipe, registry, device, stop, processes)
            return 0
        built = build_run(
            recipe,
            registry,
            out=arguments.out,
            device=device,
            stop_after=arguments.stop_after,
            watchers=(stop, *watchers),
            stop=stop,
            say=(lambda _: None) if arguments.json else tell,
            stop_on_alarm=arguments.on_alarm == "stop",
            processes=processes,
            extend=arguments.extend,
        )
    print(json_text(as_json(built)) if arguments.json else _outcome(built.state, built.folder, built.scores))
    return 0


def _replay(recipe: Recipe, arguments: argparse.Namespace) -> int:
    from zoo.training.replay import PICTURE, replay_fault, verify_resume

    folder = arguments.out or Path("runs") / recipe.name
    if arguments.replay_fault:
        say = (lambda _: None) if arguments.json else print
        fault = replay_fault(recipe, folder, device=arguments.device, say=say)
        where = f"the images of its batch: {folder / PICTURE}"
        print(json_text(asdict(fault)) if arguments.json else f"{fault}\n{where}")
        return 0
    verified = verify_resume(recipe, folder, device=arguments.device, steps=arguments.verify_resume)
    print(json_text([asdict(each) for each in verified]) if arguments.json else "\n".join(map(str, verified)))
    return 0


@contextmanager
def _processes(device: str) -> Iterator[tuple[Processes | None, str]]:
    """The processes that ``torchrun`` started and this one's device; None where there is one alone."""
    count, lacking = os.environ.get("WORLD_SIZE") or "1", [name for name in LAUNCHED if name not in os.environ]
    if count == "1" or lacking:
        if count != "1":
            print(f"WORLD_SIZE={count}, but no {' or '.join(lacking)}: this process trains alone", file=sys.stderr)
        yield None, device
        return
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        print(
            f"waiting for {count} processes at {place}; to train in this one alone: unset WORLD_SIZE", file=sys.stderr
        )
    from zoo.machine.processes import joined

    with joined(device) as mine:
        yield mine
    if not mine[0].first:  # it has written nothing and has nothing to tidy: no thread of a library can spoil its end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _outcome(state: str, folder: Path, scores: Any) -> str:
    lines = [["score", "value", "of", "n", "split"]]
    for label, score in scores.items():
        protocol = score["protocol"]
        of = ", ".join(v for v in protocol["of"].values() if v != "x")
        value = "-" if "why" in score else f"{float(score['value']):.4g}"
        lines.append([label, value, of, str(protocol["n"]), protocol["split"]])
    missing = "".join(printable(f"\n{score['why']}\n") for score in scores.values() if "why" in score)
    scored = f"\n{table(lines)}\n{missing}" if scores else ""
    where = f"; open {folder / 'report.html'}" if state in ("done", "up to date") else ""
    return f"{scored}\n{folder}: {state}{where}".lstrip("\n")


def check(arguments: argparse.Namespace) -> int:
    """``zoo check``: every problem of every recipe."""
    found = {name: _looked_at(name, arguments.set, arguments.plugin) for name in arguments.recipes}
    problems = {name: lines for name, (lines, _) in found.items()}
    if arguments.json:
        said = {name: notes for name, (_, notes) in found.items()}
        print(json_text({"ok": not any(problems.values()), "problems": problems, "notes": said}))
    else:
        for name, (lines, notes) in found.items():
            print("\n".join(lines) if lines else f"{name}: ok", file=sys.stderr if lines else sys.stdout)
            print("".join(f"{name}: {note}\n" for note in notes), end="", file=sys.stderr)
    return RequestError.exit_code if any(problems.values()) else 0


def _looked_at(name: str, overrides: list[str], plugins: list[Path]) -> tuple[list[str], list[str]]:
    """What is wrong with a recipe, and what else is worth telling of it."""
    try:
        if not run_of(name) and find_table(name, registry := registry_for(name, plugins)):  # of its cells, each once
            from zoo.compare import Request, draw_up
            from zoo.compare.needs import problems

            where = problems(draw_up(Request([name], seeds=1, overrides=overrides), registry).cells)
            return [f"{name}: error: {cells[0].model} on {cells[0].data}: {each}" for each, cells in where.items()], []
        wrong, notes = check_recipe(resolved(name, overrides, plugins)[0], run=run_of(name))
    except RecipeError as error:
        return [str(problem) for problem in error.problems], []
    except ZooError as error:
        return [f"zoo: error: {error}"], []
    return [str(problem) for problem in wrong], notes


def explain(arguments: argparse.Namespace) -> int:
    """``zoo explain``."""
    from zoo.check.explain import as_json
    from zoo.check.explain import explain as explained
    from zoo.recipe.routes import dot

    recipe, _ = resolved(arguments.recipe, arguments.set, arguments.plugin)
    if arguments.dot:
        print(json_text({"dot": dot(recipe)}) if arguments.json else printable(dot(recipe)))
    else:
        print(json_text(as_json(recipe)) if arguments.json else printable(explained(recipe)))
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """``zoo bench``: times a recipe's step here and now; writes nothing."""
    if arguments.steps < 1:
        raise RequestError(f"--steps must be at least 1, not {arguments.steps}")
    registry = registry_for(arguments.recipe, arguments.plugin)

    def variant(*overrides: str) -> Recipe:
        return load_recipe(arguments.recipe, [*arguments.set, *overrides], registry)

    recipe = variant()
    try:
        others = {override: variant(override) for override in arguments.against}
    except RecipeError as error:  # the recipe alone is right
        raise RecipeError(
            replace(p, position=Position(p.position.file.replace("--set", "--try"))) for p in error.problems
        ) from None
    import_torch()
    from zoo.bench import bench as benched
    from zoo.bench.report import as_json, as_text

    how = {"device": arguments.device, "steps": arguments.steps, "random_data": arguments.random_data}
    measured = benched(recipe, variant, against=others, **how)
    print(json_text(as_json(measured)) if arguments.json else as_text(measured))
    return 0


def init(arguments: argparse.Namespace) -> int:
    """``zoo init``: an editable copy of a recipe or a table, comments and all."""
    registry = registry_for(arguments.recipe, arguments.plugin)
    compared = find_table(arguments.recipe, registry)
    source = compared or locate(arguments.recipe, registry)
    out = arguments.out or Path(source.name)
    try:
        with out.open("x") as file:
            file.write(source.read_text())
    except FileExistsError:
        raise RequestError(f"{out}: is there already; choose another --out, or edit it") from None
    except OSError as error:
        raise RequestError(f"{out}: cannot be written: {error.strerror}") from None
    verb = "compare" if compared else "build"
    print(json_text({"file": str(out)}) if arguments.json else f"{out}: edit it, then run: zoo {verb} {out}")
    return 0
