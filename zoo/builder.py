"""``zoo build``: assembles, trains, evaluates and reports what a recipe describes; run again, it continues."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import Interrupted, RequestError, TrainingError
from zoo.provenance import FILE as PLUGINS
from zoo.provenance import other_versions, provenance, software
from zoo.recipe import Recipe, write_recipe
from zoo.recipe.schema import WHEREABOUTS
from zoo.recipe.text import read
from zoo.registry import Registry
from zoo.run import Run, check_own
from zoo.watch import Bell, Guarded, Journal, Watcher, read_journal

if TYPE_CHECKING:
    from zoo.model import Model
    from zoo.pictures import Picture
    from zoo.tensors import Images

FREE = (
    *("train.steps", "train.log_every", "train.save_every", "train.keep_last", "train.keep_best"),
    *("train.activation_checkpointing", "train.cuda_graph", "train.data_on", "evaluate", "outputs", "watch"),
    *(f"data.{name}" for name in WHEREABOUTS),
)
"""What may change between two builds of one run without another model coming out."""

DONE = "state/done.json"
FILES = ("recipe.yaml", PLUGINS, "model.safetensors", "metrics.jsonl", "scores.json", "report.html")
"""What every finished run holds; pictures depend on what the recipe's outputs can show."""


@dataclass(frozen=True)
class Built:
    """What a build came to.

    Args:
        folder: the run.
        state: ``"assembled"``, ``"trained"``, ``"evaluated"``, ``"done"`` or ``"up to date"``.
        scores: label -> value and protocol.
        notes: sentences worth telling.
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
) -> Built:
    """Builds a run, or goes on with it.

    Args:
        recipe: what to build.
        registry: the plugins it was resolved against.
        out: the run's directory; ``runs/NAME`` when None.
        device: ``auto``, ``cpu``, ``cuda`` ...
        stop_after: a stage after which to stop; empty for none.
        watchers: who sees the training.
        stop: asked after each step; True saves and ends.
        say: told what happens, a sentence at a time.
        stop_on_alarm: whether a collapse or saturation (``zoo.alarms``) saves and ends the training.

    Raises:
        RequestError: if the directory holds something else, or a run of another recipe.
        TrainingError: if the training went wrong.
    """
    folder = out or Path("runs") / recipe.name
    check_own(folder)
    if not stop_after and up_to_date(folder, recipe):
        return Built(folder, "up to date", _json(folder / "scores.json"))
    with Run(folder) as run:
        _refuse_another(run, recipe)
        model, images = _assemble(run, recipe, registry, device, say)
        notes = images.notes
        if stop_after == "assemble":
            return Built(folder, "assembled", {}, notes)
        given = {"folder": folder, "recipe": recipe.plain()}
        plugged = [Guarded(part, given, say) for part in recipe.watch]
        bell = Bell(run, say, stop, stop_on_alarm)
        weights = _train(run, model, images, (*plugged, *watchers), bell)
        notes = (*notes, *bell.alarms)
        if stop_after == "train":
            return Built(folder, "trained", {}, notes)
        if stop():
            raise Interrupted("trained, not evaluated")
        scores, pictures = _evaluate(run, model, images, weights, say)
        for watcher in plugged:
            watcher.scores(recipe.train.steps, {label: score["value"] for label, score in scores.items()})
        if stop_after == "evaluate":
            return Built(folder, "evaluated", scores, notes)
        write_report(run, recipe, scores, pictures, notes)
        run.write_json(DONE, {"recipe": _digest(recipe), "files": [*FILES, *(picture.file for picture in pictures)]})
        return Built(folder, "done", scores, notes)


# -- is there anything to do? ------------------------------------------------------------------------------


def up_to_date(folder: Path, recipe: Recipe) -> bool:
    """Whether a finished run of this very recipe is there."""
    done = _json(folder / DONE)
    files = done.get("files", FILES)
    return done.get("recipe") == _digest(recipe) and all((folder / name).is_file() for name in files)


def _json(path: Path) -> dict[str, Any]:
    import json

    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _digest(recipe: Recipe) -> str:
    """Of everything that a finished run is a function of: not of who looked on."""
    data = {name: value for name, value in recipe.data.options.items() if name not in WHEREABOUTS}
    same = replace(recipe, watch=(), data=replace(recipe.data, options=data))
    return hashlib.sha256(write_recipe(same).encode()).hexdigest()


def _refuse_another(run: Run, recipe: Recipe) -> None:
    """A run belongs to one recipe; of what shapes the model, nothing may change under it.

    Raises:
        RequestError: naming what differs.
    """
    text = run.read_text("recipe.yaml")
    if text is None:
        return
    there = _leaves(_trained(recipe, read(text, str(run.path("recipe.yaml"))).plain()))
    here = _leaves(_trained(recipe, recipe.plain()))
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


# -- the stages --------------------------------------------------------------------------------------------


def _assemble(
    run: Run, recipe: Recipe, registry: Registry, device: str, say: Callable[[str], None]
) -> tuple[Model, Images]:
    from zoo.data import load_images
    from zoo.model import Model, choose_device
    from zoo.probe import probe, probe_batch

    say(f"assembling {recipe.name} from {recipe.file}")
    probe(recipe)
    model = Model(recipe, choose_device(device))
    for sentence in other_versions(run.folder, recipe):
        say(sentence)
    images = load_images(recipe)
    for note in images.notes:
        say(note)
    probe_batch(recipe, images)
    run.write("recipe.yaml", write_recipe(recipe))
    run.write_json(PLUGINS, provenance(recipe, registry))
    return model, images


def _train(run: Run, model: Model, images: Images, watchers: Sequence[Watcher], bell: Bell) -> str:
    """Trains what is left to train and writes the weights; says which weights the model then holds."""
    from zoo.state import save_weights, trained_steps
    from zoo.training import train

    settings = model.recipe.train
    if trained_steps(run.folder) != settings.steps:
        bell.say(f"training {settings.steps} steps of {settings.batch} images on {model.device}")
        seen_by = (Journal(run.path("metrics.jsonl")), *watchers)
        try:
            engine = train(model, images, watchers=seen_by, run=run, stop=bell.stop, say=bell.say, on_alarm=bell.ring)
        except Interrupted as stopped:
            if bell.asked() or not bell.rung:
                raise
            raise TrainingError(f"stopped and saved at {stopped}, as --on-alarm stop asks: {bell.rung}") from None
        save_weights(run, engine)
    from zoo.state import load_weights

    return load_weights(model, run.folder)


def _evaluate(
    run: Run, model: Model, images: Images, weights: str, say: Callable[[str], None]
) -> tuple[Mapping[str, Any], list[Picture]]:
    """Writes scores and pictures, and gives them back."""
    from zoo.evaluate import evaluate
    from zoo.showing import show

    say("evaluating")
    scores = evaluate(model, images, weights=weights)
    run.write_json("scores.json", scores)
    pictures = show(model, images)
    for picture in pictures:
        run.write(picture.file, picture.png)
    return scores, pictures


def write_report(
    run: Run, recipe: Recipe, scores: Mapping[str, Any], pictures: Sequence[Picture], notes: Sequence[str]
) -> None:
    """Writes ``report.html``.

    Args:
        run: a run that is trained.
        recipe: its recipe.
        scores: label -> value and protocol.
        pictures: what the model makes.
        notes: what is worth telling.
    """
    from zoo.explain import route_lines
    from zoo.film import film, score_curve
    from zoo.report import Gallery, report_html

    sizes = recipe.sizes
    colour, noise = "grey" if sizes.channels == 1 else "colour", f", noise {sizes.noise}" if sizes.noise else ""
    html = report_html(
        name=recipe.name,
        about=f"{recipe.data.entry.name}, {sizes.size} px, {colour}; latent {sizes.latent}{noise}",
        recipe=write_recipe(recipe),
        routes=route_lines(recipe),
        records=read_journal(run.path("metrics.jsonl")),
        scores=scores,
        plugins=run.read_json(PLUGINS)["plugins"],
        pictures=[Gallery(picture.title, picture.caption, picture.blocks()) for picture in pictures],
        frames=film(run.folder, recipe.train.steps),
        curve=score_curve(run.folder, recipe.train.steps),
        versions=software(),
        notes=notes,
    )
    run.write("report.html", html)


def as_json(built: Built) -> dict[str, Any]:
    """A build's outcome as one JSON document."""
    return {**asdict(built), "folder": str(built.folder)}
