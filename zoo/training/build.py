"""``zoo build``: assembles, trains, evaluates and reports what a recipe describes; run again, it continues."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zoo.api import Watcher
from zoo.errors import Interrupted, Problem, RecipeError, TrainingError, reason
from zoo.machine.process import import_torch
from zoo.recipe import Recipe, write_recipe
from zoo.recipe.dimensions import crossed
from zoo.recipe.provided import FILE as PLUGINS
from zoo.recipe.provided import noted
from zoo.registry import Registry
from zoo.runs.data import compare_images, in_steps, note_images
from zoo.runs.history import keep, told
from zoo.runs.identity import BEGUN, VOUCHED, lost, plain_json, refuse_another, up_to_date, vouch
from zoo.runs.manifest import sealed
from zoo.runs.provenance import other_versions, provenance, software
from zoo.runs.run import Run, check_own, steps_of
from zoo.training.journal import Journal, few, read_journal
from zoo.training.watchers import Bell, Guarded

if TYPE_CHECKING:
    from zoo.machine.processes import Processes
    from zoo.model.model import Model
    from zoo.report.pictures import Picture
    from zoo.types import Examples


@dataclass(frozen=True)
class Built:
    """The outcome of a build.

    Its state is ``"assembled"``, ``"trained"``, ``"evaluated"``, ``"done"`` or ``"up to date"``; its scores are label
    -> value and protocol; its notes are sentences worth telling.
    """

    folder: Path
    state: str
    scores: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def build_run(
    recipe: Recipe,
    registry: Registry,
    *,
    out: Path | None = None,
    device: str = "auto",
    stop_after: str = "",
    watchers: Sequence[Watcher] = (),
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
    stop_on_alarm: bool = False,
    processes: Processes | None = None,
    extend: bool = False,
) -> Built:
    """Builds a run, or goes on with it.

    Args:
        out: the run's directory; ``runs/NAME`` when None.
        stop_after: a stage after which to stop; empty for none.
        stop: asked after each step; True saves and ends.
        say: told what happens, a sentence at a time.
        stop_on_alarm: whether a collapse or saturation (``zoo.training.alarms``) saves and ends the training.
        processes: those that build it together, of which this is the first; the others ``zoo.training.follow``.
        extend: whether a run may go on under other settings of its training.

    Raises:
        RequestError: if the directory holds something else, or a run of another recipe.
        TrainingError: if the training went wrong.
    """
    folder, tell = out or Path("runs") / recipe.name, (processes.told if processes else lambda _: None)
    check_own(folder)
    recipe = in_steps(folder, recipe, registry)
    if not stop_after and up_to_date(folder, recipe):
        tell("over")
        return Built(folder, "up to date", plain_json(folder, "scores.json"), compare_images(folder, recipe, say))
    with Run(folder) as run:
        model, images = _assemble(run, recipe, registry, device, say, extend)
        if stop_after == "assemble":
            tell("over")
            return Built(folder, "assembled", {}, images.notes)
        plugged = [Guarded(part, {"folder": folder, "recipe": recipe.plain()}, say) for part in recipe.watch]
        bell = Bell(run, say, stop, stop_on_alarm)
        weights = _train(run, model, images, (*plugged, *watchers), bell, processes)
        notes = (*images.notes, *bell.alarms)
        ending = stop_after == "train" or stop()
        tell("over" if ending else "evaluate")
        if stop_after == "train":
            return Built(folder, "trained", {}, notes)
        if ending:
            raise Interrupted("trained, not evaluated")
        scores, pictures = _evaluate(run, model, images, weights, plugged, processes, say)
        if stop_after != "evaluate":
            write_report(run, recipe, scores, pictures, notes)
            vouch(run, recipe, (*VOUCHED, *(picture.file for picture in pictures)))
    return Built(folder, "evaluated" if stop_after == "evaluate" else "done", scores, notes)


# -- the stages --------------------------------------------------------------------------------------------


def _assemble(
    run: Run, recipe: Recipe, registry: Registry, device: str, say: Callable[[str], None], extend: bool
) -> tuple[Model, Examples]:
    changes = refuse_another(run, recipe, extend)
    for sentence in changes:
        say(f"from here on, {sentence}")
    for name in lost(run.folder, recipe):
        say(f"{run.path(name)}: is gone, or is not what was written; to be made again")
    say(f"assembling {recipe.name} from {recipe.file}")
    for sentence in other_versions(run.folder, recipe):
        say(sentence)
    # where there is a checkpoint, it brings every weight, or the build ends: what they began as need not be there
    model, images = _prepared(recipe, device, say, restored=bool(steps_of(run.folder, "json")))
    say(f"{len(images.train):,} images to train on, {len(images.test):,} to test")
    begin(run, model, images, registry, changes, recipe=recipe, extend=extend, say=say)
    return model, images


def begin(
    run: Run,
    model: Model,
    images: Examples,
    registry: Registry,
    changes: Sequence[str],
    *,
    recipe: Recipe,
    extend: bool,
    say: Callable[[str], None],
) -> None:
    """Writes what a run is of, before a model trains by a recipe; ``changes`` are what is other from here on."""
    if not run.path("recipe.yaml").exists():  # by which a directory is a run: before whatever else a kill may leave
        run.write("recipe.yaml", sealed(write_recipe(recipe)))
    others = note_images(run, recipe, images, extend)
    for sentence in others:
        say(f"from here on, {sentence}")
    keep(run, [*changes, *others])
    if model.begun:
        run.write_json(BEGUN, model.begun)
        say("\n".join(begun_with(run.folder)))
    describe(run, recipe, registry)


def begun_with(folder: Path) -> list[str]:
    """The weights that a run's slots began with, as sentences."""
    begun = plain_json(folder, BEGUN).items()
    return [
        f"slot '{slot}' began with {w['from']}: {w['numbers']:,} numbers, SHA-256 {w['sha256']}" for slot, w in begun
    ]


def describe(run: Run, recipe: Recipe, registry: Registry) -> None:
    """Writes a run's recipe, and who provides its parts."""
    run.write("recipe.yaml", sealed(write_recipe(recipe)))
    run.write_json(PLUGINS, provenance(recipe, registry))


def _prepared(
    recipe: Recipe, device: str, say: Callable[[str], None], restored: bool = False
) -> tuple[Model, Examples]:
    """The model and the images that a training begins with, tried together."""
    import_torch()
    from zoo.check.assembly import assemble
    from zoo.check.probe import probe_model
    from zoo.data.batches import load_images
    from zoo.machine.device import choose_device
    from zoo.training.after import try_fits

    model = assemble(recipe, choose_device(device), restored=restored)
    probe_model(model)
    images = load_images(recipe)
    for note in (*images.notes, *probe_model(model, images)):
        say(note)
    try_fits(model, images)
    return model, images


def check_recipe(recipe: Recipe, run: Path | None = None) -> tuple[list[Problem], list[str]]:
    """Does what a build does before its first step, and leaves nothing behind.

    Args:
        run: the directory of the run that goes on by the recipe, if one does.

    Returns:
        what is wrong, and sentences that a build would say.
    """
    notes: list[str] = []
    found: list[Problem] = []
    try:
        model, _ = _prepared(recipe, "auto", notes.append, restored=bool(run and steps_of(run, "json")))
    except RecipeError as error:
        from zoo.data.batches import lacks

        found += error.problems
        found += () if recipe.data.position in {problem.position for problem in found} else lacks(recipe)
    else:
        from zoo.engine.engine import Engine

        Engine(model)
    with TemporaryDirectory() as folder:
        for part in recipe.watch:
            try:
                Guarded(part, {"folder": Path(folder), "recipe": recipe.plain()}, notes.append)
            except RecipeError as error:
                found += error.problems
    return sorted(set(found)), notes


def _train(
    run: Run, model: Model, images: Examples, watchers: Sequence[Watcher], bell: Bell, processes: Processes | None
) -> str:
    """Trains what is left to train and writes the weights; says which weights the model then holds."""
    from zoo.machine.processes import ALONE
    from zoo.runs.weights import load_weights, refuse_lost_weights, save_weights, trained_steps
    from zoo.training.loop import train

    settings = model.recipe.train
    if trained_steps(run.folder, model.recipe) != settings.steps:
        refuse_lost_weights(run)
        together = processes or ALONE
        together.told("resume" if steps_of(run.folder, "json") else "train")
        bell.say(f"training {settings.steps} steps of {settings.batch} images on {model.device}")
        seen_by = (Journal(run.path("metrics.jsonl")), *watchers)
        hooks: dict[str, Any] = {"stop": bell.stop, "say": bell.say, "on_alarm": bell.ring}
        try:
            engine = train(model, images, watchers=seen_by, run=run, processes=together, **hooks)
        except Interrupted as stopped:
            if bell.asked() or not bell.rung:
                raise
            raise TrainingError(f"stopped and saved at {stopped}, as --on-alarm stop asks: {bell.rung}") from None
        save_weights(run, engine)
    return load_weights(model, run.folder)


def _evaluate(
    run: Run,
    model: Model,
    images: Examples,
    weights: str,
    watchers: Sequence[Guarded],
    processes: Processes | None,
    say: Callable[[str], None],
) -> tuple[Mapping[str, Any], list[Picture]]:
    from zoo.machine.processes import ALONE
    from zoo.metrics.evaluate import evaluate
    from zoo.report.figures import show

    say("evaluating")
    together = processes or ALONE
    together.shared(model.state_dict(), model.device)
    try:
        with _short_of_memory(run, "scoring"):
            scores = evaluate(model, images, weights=weights, processes=together)
    except RecipeError as error:
        error.exit_code = TrainingError.exit_code  # the training is done: it is no request that was refused
        raise
    run.write_json("scores.json", scores)
    numbers = {label: score["value"] for label, score in scores.items() if math.isfinite(score["value"])}
    for watcher in watchers:
        watcher.scores(model.recipe.train.steps, numbers)
    with _short_of_memory(run, "drawing"):
        pictures = show(model, images)
    for picture in pictures:
        run.write(picture.file, picture.png)
    return scores, pictures


@contextmanager
def _short_of_memory(run: Run, stage: str) -> Iterator[None]:
    """Says of memory that does not suffice at which stage it was, and that the training is kept."""
    from zoo.machine.torch_private import out_of_memory

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        said = f"{run.folder}: out of memory while {stage}; the training is done and kept, and the same command goes on"
        raise TrainingError(f"{said}. Torch says: {reason(error)}") from error


def write_report(
    run: Run, recipe: Recipe, scores: Mapping[str, Any], pictures: Sequence[Picture], notes: Sequence[str]
) -> None:
    """Writes ``report.html`` of a run that is trained, with scores (label -> value and protocol) and notes."""
    from zoo.check.explain import described
    from zoo.recipe.routes import route_lines
    from zoo.report import Gallery, report_html
    from zoo.training.film import film, score_curve

    noise = f", noise {recipe.noise}" if recipe.noise else ""
    html = report_html(
        name=recipe.name,
        about=f"{described(recipe)}; latent {crossed(recipe.latent)}{noise}",
        recipe=write_recipe(recipe),
        routes=route_lines(recipe),
        records=few(read_journal(run.path("metrics.jsonl"))),
        scores=scores,
        plugins=noted(run.folder)["plugins"],
        pictures=[Gallery(picture.title, picture.caption, picture.blocks()) for picture in pictures],
        frames=film(run.folder, recipe.train.steps),
        curve=score_curve(run.folder, recipe.train.steps),
        versions=software(),
        notes=(*notes, *begun_with(run.folder), *told(run.folder)),
    )
    run.write("report.html", html)


def as_json(built: Built) -> dict[str, Any]:
    """A build's outcome as one JSON document."""
    return {**asdict(built), "folder": str(built.folder)}
