"""Commands on runs: sample, reconstruct, interpolate, evaluate, export."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping, Sequence
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo
from zoo.cli.stopping import tell
from zoo.columns import json_text, table
from zoo.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from zoo.recipe import Recipe
    from zoo.recipe.data_fields import DataField
    from zoo.registry import Registry
    from zoo.runs.run import Run

OTHERS = "other-scores.json"
"""Where a run keeps scores of other data, seeds or weights than its own, by protocol."""
FORMS = (".png", ".jpg", ".jpeg", ".npz", ".pt")
"""Endings of files of images."""


def sample(arguments: argparse.Namespace) -> int:
    """``zoo sample RUN``; of files that are given, one after another, as often as it takes."""
    from zoo.report.figures import sampled
    from zoo.report.pictures import square

    _at_least(64 if arguments.n is None else arguments.n, 1, "-n")
    model = _model(arguments)
    given = _inputs(arguments, model)
    read = [len(value) for name, value in given.items() if model.recipe.fields[name].spatial]
    n = arguments.n or max(read, default=64)
    fields = model.recipe.fields
    given |= {name: v[[i % len(v) for i in range(n)]] for name, v in given.items() if fields[name].spatial}
    images = sampled(model, n, arguments.seed, given)
    return _write(arguments, "sample.png", square(images), images)


def reconstruct(arguments: argparse.Namespace) -> int:
    """``zoo reconstruct RUN IMAGES...``."""
    from zoo.report.figures import reconstruction_rows

    model = _model(arguments)
    model.output("reconstruction")
    batch = model.batch(_inputs(arguments, model, arguments.images))
    rows = reconstruction_rows(model, batch, arguments.seed)
    return _write(arguments, "reconstruct.png", rows, rows[-1])


def interpolate(arguments: argparse.Namespace) -> int:
    """``zoo interpolate RUN [IMAGE IMAGE]``."""
    import torch

    from zoo.report.codes import interpolation_rows, path_between

    _at_least(arguments.n, 1, "-n")
    _at_least(arguments.steps, 2, "--steps")
    model = _model(arguments)
    if not arguments.images:
        rows = interpolation_rows(model, arguments.n, arguments.steps, arguments.seed, _fields(arguments, model))
        return _write(arguments, "interpolate.png", rows, torch.cat(rows))
    ends = _read(arguments.images, model, model.recipe.x)
    if len(ends) != 2:
        raise RequestError(f"a path goes from one image to another, and here are {len(ends)}; give two")
    path = path_between(model, ends, arguments.steps, arguments.seed, _fields(arguments, model))
    return _write(arguments, "interpolate.png", [torch.cat([ends[:1], path, ends[1:]])], path)


def _inputs(arguments: argparse.Namespace, model: Any, images: Sequence[Path] = ()) -> dict[str, Any]:
    """Fields that are given, and the images; where several are directories, their files by name, as in training."""
    from zoo.data.fields import seen
    from zoo.data.given import read_partners

    fields, x = model.recipe.fields, model.recipe.x.name
    said = [(x, images[0])] if len(images) == 1 else []
    said += [(name, Path(value)) for name, _, value in (one.partition("=") for one in arguments.given)]
    folders = {name: path for name, path in said if name in fields and fields[name].spatial and path.is_dir()}
    folders = folders if len(folders) > 1 else {}
    read, notes = read_partners(folders, model.recipe) if folders else ({}, [])
    for note in notes:
        tell(note)
    arguments.given = [one for one in arguments.given if one.partition("=")[0] not in folders]
    found = {name: seen(pixels.to(model.device), fields[name], model.dtype) for name, pixels in read.items()}
    found |= {x: _read(images, model, fields[x])} if images and x not in folders else {}
    return {**found, **_fields(arguments, model)}


def _fields(arguments: argparse.Namespace, model: Any) -> dict[str, Any]:
    """Fields that are given as ``FIELD=VALUE``: a class by number or name, numbers with commas between, or a file."""
    import torch

    given: dict[str, Any] = {}
    for said in arguments.given:
        name, equals, value = said.partition("=")
        if not equals:
            raise RequestError(f"--given {said}: write it as FIELD=VALUE, such as label=3")
        field = model.recipe.fields.get(name)
        if field is None:
            raise RequestError(
                f"--given {said}: the data has no field '{name}'{did_you_mean(name, model.recipe.fields)}"
            )
        if name in given:
            raise RequestError(f"--given {said}: {name} is given before it; give it once")
        given[name] = value
        if field.kind == "vector":
            try:
                given[name] = torch.tensor([[float(number) for number in value.split(",")]])
            except ValueError:
                raise RequestError(f"--given {said}: a vector is numbers with commas between") from None
        elif field.kind != "label":
            given[name] = _read([value], model, field)
    return given


def _read(paths: Sequence[str | Path], model: Any, field: DataField) -> Any:
    from zoo.data.fields import seen
    from zoo.data.given import read_images

    pixels, notes = read_images(paths, model.recipe, field)
    for note in notes:
        tell(note)
    return seen(pixels.to(model.device), field, model.dtype)


def evaluate(arguments: argparse.Namespace) -> int:
    """``zoo evaluate RUN``: the recipe's metrics once more, or others beside them, into scores and report.

    Scores of other data, another seed or other weights than the run's are no scores of the run; they go to ``OTHERS``.
    """
    from zoo.data.batches import load_images
    from zoo.metrics.evaluate import evaluate as score
    from zoo.metrics.metric import alone
    from zoo.report.figures import show
    from zoo.runs.data import other_images
    from zoo.runs.identity import vouch_again
    from zoo.runs.run import Run
    from zoo.training.build import write_report
    from zoo.training.watchers import ALARMS

    recipe, registry = _recipe(arguments)
    model = _model(arguments, [*alone(arguments.metrics, recipe, registry), *arguments.set])
    own_weights = "ema" if (arguments.folder / "ema.safetensors").is_file() else "raw"
    weights = arguments.weights or own_weights
    images = load_images(model.recipe)
    scores: Mapping[str, Any] = score(model, images, weights=weights)
    with Run(arguments.folder) as run:
        other = other_images(arguments.folder, images) or _measured(model.recipe) != _measured(recipe)
        if other or weights != own_weights:
            kept_in = _keep_beside(run, scores)
            tell(f"kept in {kept_in}: they are not of the run's own data and weights")
        else:
            all_scores = {**((arguments.metrics and run.read_json("scores.json")) or {}), **scores}
            run.write_json("scores.json", all_scores)
            if run.path("report.html").is_file():
                notes = (*images.notes, *(run.read_json(ALARMS) or ()))
                write_report(run, recipe, all_scores, show(model, images), notes)
            vouch_again(run, ("scores.json", "report.html"))
    rows = [["score", "value"], *([label, s.get("why", f"{s['value']:.4g}")] for label, s in scores.items())]
    print(json_text(scores) if arguments.json else table(rows))
    return 0


def explore(arguments: argparse.Namespace) -> int:
    """``zoo explore RUN [RUN]``: serves the page until Ctrl-C."""
    from zoo.report.explore import launch

    runs = [arguments.folder, *arguments.others]
    models = {str(run): _model(argparse.Namespace(**{**vars(arguments), "folder": run})) for run in runs}
    served = launch(models, arguments.host, arguments.port)
    print(f"{served.local_url} shows {', '.join(models)}; Ctrl-C ends it", flush=True)
    served.block_thread()
    return 0


def export(arguments: argparse.Namespace) -> int:
    """``zoo export RUN --to EXPORTER DIR``."""
    from zoo.recipe.yaml.read import read_option
    from zoo.runs.export import export_model

    _, registry = _recipe(arguments)
    entry = registry.find("exporter", arguments.exporter)
    said: list[str] = []
    names = export_model(_model(arguments), entry, arguments.out, dict(map(read_option, arguments.set)), said.append)
    for sentence in said:
        tell(sentence)
    written = {"folder": str(arguments.out), "files": names, "notes": said}
    print(json_text(written) if arguments.json else arguments.out)
    return 0


def push(arguments: argparse.Namespace) -> int:
    """``zoo push RUN ORG/NAME``: a run as ``zoo export --to hub`` writes it, or such a folder as it stands."""
    from tempfile import TemporaryDirectory

    from zoo.recipe.yaml.read import read_option
    from zoo.runs.export import export_model
    from zoo.runs.hub import CARD, push

    settings = dict(map(read_option, arguments.set))
    with TemporaryDirectory() as beside:
        folder = arguments.folder
        if (folder / CARD).is_file() and settings:
            raise RequestError(f"{folder}: has a {CARD} already, which is pushed as it stands; edit it there")
        if not (folder / CARD).is_file():
            _, registry = _recipe(arguments)
            folder = Path(beside, "hub")
            export_model(_model(arguments), registry.find("exporter", "hub"), folder, settings, tell)
        url = push(folder, arguments.name, arguments.private)
    print(json_text({"url": url}) if arguments.json else url)
    return 0


def encode(arguments: argparse.Namespace) -> int:
    """``zoo encode RUN DATA --to DIR``."""
    from zoo.runs.encoding import INDEX, encode

    arguments.to, to = None, arguments.to
    model = _model(arguments, arguments.set)
    told = encode(model, arguments.data, to, output=arguments.output, batch=arguments.batch)
    numbers = told["statistics"]
    scale = f", scale factor {numbers['scale_factor']:.4g}" if "scale_factor" in numbers else ""
    print(json_text(told) if arguments.json else f"{to / INDEX}: {told['items']:,} items{scale}")
    return 0


def _measured(recipe: Recipe) -> dict[str, Any]:
    """All of a recipe that its scores depend on but which they are."""
    left_out = ("evaluate", "outputs", "watch", "train")
    return {key: v for key, v in recipe.plain().items() if key not in left_out} | {"data": recipe.data_identity()}


def _keep_beside(run: Run, scores: Mapping[str, Any]) -> Path:
    """Keeps scores that are not the run's own, those of one protocol together."""
    kept = {json.dumps(entry["protocol"], sort_keys=True): entry for entry in run.read_json(OTHERS) or ()}
    for label, score in scores.items():
        protocol = {key: score["protocol"][key] for key in ("data", "size", "seed", "batch_stats", "weights")}
        entry = kept.setdefault(json.dumps(protocol, sort_keys=True), {"protocol": protocol, "scores": {}})
        entry["scores"][label] = score
    run.write_json(OTHERS, list(kept.values()))
    return run.path(OTHERS)


def _recipe(arguments: argparse.Namespace) -> tuple[Recipe, Registry]:
    from zoo.runs.provenance import own_recipe, resolved

    if isinstance(arguments.folder, str):
        from zoo.runs.hub import fetched

        arguments.folder = fetched(arguments.folder)
    own_recipe(arguments.folder)
    return resolved(arguments.folder, (), tuple(arguments.plugin))


def _model(arguments: argparse.Namespace, overrides: Sequence[str] = ()) -> Any:
    to = getattr(arguments, "to", None)
    if to and to.suffix and not to.is_dir() and to.suffix.lower() not in FORMS:
        forms = "a picture (.png, .jpg), numbers (.npz, .pt), or a directory, which has no ending"
        raise RequestError(f"--to {to}: nothing is written as '{to.suffix}'; choose {forms}")
    how = {"weights": arguments.weights, "device": arguments.device, "plugins": arguments.plugin}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        model = unwrap(zoo.load)(arguments.folder, overrides=overrides, **how)  # whose errors speak of options
    for warning in caught:
        tell(warning.message)
    return model


def _at_least(number: int, low: int, option: str) -> None:
    if number < low:
        raise RequestError(f"{option} must be at least {low}, not {number}")


def _write(arguments: argparse.Namespace, name: str, rows: Any, images: Any) -> int:
    """Writes rows as one picture, or the images alone, (N, C, H, W) in [-1, 1], as numbers or a file each."""
    from zoo.machine.disk import write_atomically
    from zoo.report.pictures import encoded, grid_image

    here = Path() if isinstance(arguments.folder, str) else arguments.folder
    path: Path = arguments.to or here / name
    if not path.suffix or path.is_dir():
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"--to {path}: cannot be made: {error.strerror}") from None
        for number, image in enumerate(images):
            one = grid_image([image[None]], side=1).convert("RGB" if len(image) >= 3 else "L")
            write_atomically(path / f"{number:05d}.png", encoded(".png", one, image))
    else:
        write_atomically(path, encoded(path.suffix.lower(), grid_image(rows), images))
    print(json_text({"file": str(path)}) if arguments.json else path)
    return 0
