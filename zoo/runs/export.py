"""Writes a model for other programs, by an exporter, which a plugin brings: all that is known of it is at hand, and the
files that ``zoo.load`` reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from zoo.errors import RequestError, ZooError, said_of
from zoo.machine.disk import cure, folder_written, opened, read_text, write_atomically
from zoo.model.forward import evaluating
from zoo.model.model import Model
from zoo.model.tensorfile import BLANK, pieces, sealed
from zoo.recipe import registry_for, write_recipe
from zoo.recipe.provided import FILE
from zoo.recipe.routes import LEGEND, route_lines
from zoo.recipe.schema import PLACES, WHEREABOUTS
from zoo.recipe.weights import RUN_DATA, RUN_FILES, RUN_RECIPE
from zoo.registry import LOCAL, Entry, check_options, to_arguments
from zoo.runs.identity import plain_json
from zoo.runs.manifest import identity
from zoo.runs.manifest import sealed as sealed_text
from zoo.runs.provenance import provenance
from zoo.runs.weights import FROZEN, frozen, trained_steps

PICTURES = ("samples.png", "reconstructions.png")
SCORES = "scores.json"


def export_model(
    model: Model,
    exporter: Entry,
    to: Path,
    settings: Mapping[str, Any],
    say: Callable[[str], object] = lambda _: None,
) -> list[str]:
    """Writes a model into a new directory, whole or not at all, and gives the names of the files.

    Args:
        exporter: a component of that kind.
        to: the directory, which must not be there yet, or be empty.
        settings: options of the exporter.
        say: told what the exporter says.

    Raises:
        RequestError: the directory holds something, an option is wrong, or the exporter cannot write this model.
    """
    what = f"exporter '{exporter.name}'"
    options, problems = check_options(exporter.signature, settings)
    if problems:
        raise RequestError(f"{what} {problems[0].message}")
    try:
        if to.is_file() or (to.is_dir() and any(to.iterdir())):
            raise RequestError(f"{to}: is there already; choose another directory")
        with folder_written(to) as beside:
            for sentence in run_exporter(exporter, model, beside, to_arguments(exporter.signature, options)):
                say(sentence)
            names = sorted(str(path.relative_to(beside)) for path in beside.rglob("*") if path.is_file())
    except ZooError:
        raise
    except OSError as error:
        raise RequestError(f"{to}: cannot be written: {error.strerror or error}{cure(error)}") from None
    except Exception as error:  # a stranger's exporter may raise anything
        raise RequestError(f"{what}: {said_of(error)}") from error
    return names


def run_exporter(exporter: Entry, model: Model, folder: Path, options: Mapping[str, Any]) -> list[str]:
    """Has an exporter write a model, as at evaluation and without gradients; gives the sentences that it says."""
    target = exporter.load()
    with evaluating(model, model.recipe.batch_stats), torch.no_grad():
        given: dict[str, Any] = {"model": model, "folder": folder}
        if "run" in exporter.signature.needs:
            given["run"] = ExportedRun(model)
        said = target(**{name: given[name] for name in exporter.signature.needs}, **options)
    return [str(sentence) for sentence in said or ()]


# -- what is known of the model ------------------------------------------------------------------------------


def _scores(folder: Path) -> dict[str, Any]:
    """Those of a run, if it has any; a RequestError if they are damaged, so that nobody is told that it has none."""
    found = plain_json(folder, SCORES)
    whole = all(isinstance(score, dict) and isinstance(score.get("protocol"), dict) for score in found.values())
    if not whole or (not found and (folder / SCORES).exists() and (read_text(folder, SCORES) or "").strip() != "{}"):
        raise RequestError(f"{folder / SCORES}: is damaged; 'zoo evaluate {folder}' writes it anew")
    return found


class ExportedRun:
    """What ``zoo.api.ExportedRun`` says, of a model with the run that it was loaded from, or without one."""

    legend = LEGEND

    def __init__(self, model: Model) -> None:
        self._model, self._recipe, self._folder = model, model.recipe, model.loaded_from
        self.name, self.recipe = model.recipe.name, model.recipe.plain()
        self.routes = route_lines(model.recipe)
        self.step = trained_steps(self._folder) if self._folder else 0
        scores = _scores(self._folder) if self._folder else {}
        self.scores = {k: s for k, s in scores.items() if s["protocol"].get("weights") == model.weights}
        named = ("kind", "shape", "classes")
        self.fields = {key: {n: getattr(of, n) for n in named} for key, of in model.recipe.fields.items()}
        self.takes = {output: model.asked(value) for output, value in model.recipe.outputs.items()}
        known = ("kind", "name", "distribution", "version")
        entries = [part.entry for part in model.recipe.parts()]
        self.parts = list(
            {(entry.kind, entry.id): {key: getattr(entry, key) for key in known} for entry in entries}.values()
        )

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """PNG files of the run by name."""
        found = {}
        for name in PICTURES:
            if self._folder and (self._folder / name).is_file():
                with opened(self._folder, name) as file:
                    found[name] = file.read()
        return found

    @property
    def places(self) -> list[str]:
        """The places of this machine that its recipe names, such as ``data.path=/home/me/cats``."""
        sets = {key: part.options for key, part in self._recipe.sets.items()}
        said = [(".".join(filter(None, ("data", key, name))), v) for key, o in sets.items() for name, v in o.items()]
        here = [
            f"{path}={value}" for path, value in said if path.rpartition(".")[2] in (*WHEREABOUTS, *PLACES) and value
        ]
        return here + [
            f"slots.{slot}.weights={part.begins}" for slot, part in self._recipe.slots.items() if part.begins
        ]

    def write(self, folder: Path) -> None:
        """Writes the files that ``zoo.load`` reads: recipe, who provides its parts, the model's weights as they are."""
        if any(name in part.options for part in self._recipe.sets.values() for name in ("run",)):
            cure = "export the run whose codes it learnt from, and its networks by --to onnx or --to torch"
            raise RequestError(f"recipe '{self.name}' learns from another run, without which it is not read; {cure}")
        made = provenance(self._recipe, registry_for({}, self._model.plugins))
        plugins = [{k: v for k, v in p.items() if k != "file"} for p in made["plugins"] if p["distribution"] != LOCAL]
        local = [
            {**p, "file": Path(p["file"]).name} for p in made["plugins"] if p["distribution"] == LOCAL and "file" in p
        ]
        known = {"step": self.step, "recipe": identity(self.recipe), "averaged": False, "weights": "raw"}
        weights = sealed(pieces(self._model.state_dict(), {"sha256": BLANK, "zoo": json.dumps(known)}))
        write_atomically(folder / RUN_RECIPE, sealed_text(write_recipe(self._recipe)).encode())
        write_atomically(folder / FILE, (json.dumps({**made, "plugins": [*plugins, *local]}, indent=2) + "\n").encode())
        write_atomically(folder / RUN_FILES["raw"], weights)
        for name, content in ((SCORES, self.scores), (RUN_DATA, self._noted), (FROZEN, frozen(self._model))):
            if content:
                write_atomically(folder / name, (json.dumps(content, indent=2) + "\n").encode())

    @property
    def _noted(self) -> Any:
        return plain_json(self._folder, RUN_DATA) if self._folder else {}
