"""The finished weights of a run: written sealed, and loaded once they are known to be what was written."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.engine.engine import Engine
from zoo.errors import Damaged, RequestError, RunError
from zoo.machine.disk import opened, remove, write_atomically
from zoo.model.model import Model
from zoo.model.tensorfile import (
    BLANK,
    LARGEST_HEADER,
    check_fit,
    checked,
    judged,
    pieces,
    refuse_larger,
    sealed,
    tensors_in,
)
from zoo.recipe.schema import Recipe
from zoo.recipe.weights import RUN_FILES
from zoo.runs.checkpoint import CHECKED, best_checkpoint, checkpoints, read_manifest, read_tensors, tensors_path
from zoo.runs.history import own_identities
from zoo.runs.identity import plain_json
from zoo.runs.manifest import SHAPING, Manifest, identity
from zoo.runs.provenance import build_again
from zoo.runs.run import Run, recipe_in, steps_of

FROZEN = "frozen.json"
"""Where a run notes what asks for no gradient, so that it is asked for none again where the run goes on."""


def frozen(model: Model) -> dict[str, list[str]]:
    """Player -> those of its parameters that ask for no gradient, whoever said so."""
    named = {name: model.network(name).named_parameters() for name in model.recipe.players()}
    return {n: keys for n, own in named.items() if (keys := [key for key, p in own if not p.requires_grad])}


def note_frozen(run: Run, model: Model) -> None:
    """Notes what a model that trains in a run, or is saved in it, has ``frozen``."""
    if (found := frozen(model)) or run.path(FROZEN).exists():
        run.write_json(FROZEN, found)


def freeze(model: Model, noted: Mapping[str, Any]) -> None:
    """Has what ``frozen`` found ask for no gradient."""
    for name, keys in noted.items():
        known = isinstance(keys, list) and name in model.recipe.players()
        for key, parameter in model.network(name).named_parameters() if known else ():
            parameter.requires_grad_(parameter.requires_grad and key not in keys)


def save_weights(run: Run, engine: Engine) -> None:
    """Writes ``model.safetensors``, and before it ``ema.safetensors`` where weights are averaged."""
    known = {"step": engine.step_index, "recipe": identity(engine.recipe.plain()), "averaged": bool(engine.average)}
    states = {"ema": engine.average, "raw": engine.model}
    for weights, state in states.items():
        if state is not None:
            metadata = {"sha256": BLANK, "zoo": json.dumps({**known, "weights": weights})}
            write_atomically(run.path(RUN_FILES[weights]), sealed(pieces(state.state_dict(), metadata)))
    if engine.average is None:
        remove(run.path(RUN_FILES["ema"]))  # of a training that averaged, and went on without


def trained_steps(folder: Path, recipe: Recipe | None = None) -> int:
    """Counts the steps behind a run's weights; 0 if those are not there, damaged, or not fitted as ``recipe`` says."""
    try:
        _, plain = _unpacked(folder, "raw")
        whole = not plain["averaged"] or _unpacked(folder, "ema")[1]["step"] == plain["step"]
        whole &= not (recipe and recipe.after) or plain["recipe"] == identity(recipe.plain())
        return int(plain["step"]) if whole else 0
    except (FileNotFoundError, Damaged):
        return 0


def refuse_lost_weights(run: Run) -> None:
    """Refuses to train from step 0 where finished weights are damaged and no checkpoint has them: a RunError."""
    for weights, name in RUN_FILES.items():
        try:
            _unpacked(run.folder, weights)
        except FileNotFoundError:
            continue
        except Damaged as error:
            if not checkpoints(run):
                raise RunError(
                    f"{run.path(name)}: cannot be read ({error}), and {run.path('state')} has no checkpoint to write "
                    "it again from. Bring one of them back from a copy, or remove the file to train from step 0"
                ) from None


def load_weights(model: Model, folder: Path, weights: str = "") -> str:
    """Puts a run's weights into a model built from its recipe, and says which.

    They are ``raw``, ``ema``, ``best`` (those that scored best, as ``train.keep_best`` says; averaged where there are
    averages), or, where nothing is asked, the averaged ones where there are any. If they are missing, are not what was
    written, or do not fit, that is a RunError. Of a training that goes on, or was stopped, they are those of its newest
    good checkpoint, with a warning. Where they are whole and the model is of other settings, it is a RequestError.
    """
    freeze(model, plain_json(folder, FROZEN))
    if weights == "best":
        model.load_state_dict(_best(model, folder))
        return weights
    chosen = weights or ("ema" if (folder / RUN_FILES["ema"]).is_file() else "raw")
    path = folder / RUN_FILES[chosen]
    unfinished = not any((folder / name).is_file() for name in RUN_FILES.values())
    if unfinished and (taken := _newest(model, folder, weights)):
        return taken
    if not path.is_file() and chosen == "ema" and not model.recipe.train.ema:
        raise RunError(f"{folder}: its recipe averages no weights (train.ema: 0); ask for raw")
    if not path.is_file():
        raise RunError(f"{folder}: has no {path.name}; finish it with: {build_again(folder)}")
    try:
        tensors, plain = _unpacked(folder, chosen, model.state_dict())
        if plain["averaged"] and not weights and chosen == "raw":
            raise Damaged("ema.safetensors, the averaged weights, was removed from beside it")
        if plain["recipe"] not in own_identities(folder, identity(recipe_in(folder))):
            raise Damaged("these are the weights of another recipe")
        if taken := _newest(model, folder, weights, plain["step"]):
            return taken
        with judged():
            model.load_state_dict(tensors)
    except Damaged as error:
        own, asked = recipe_in(folder), model.recipe.plain()
        other = [name for name in ("data", *SHAPING) if own.get(name) != asked.get(name)]
        if other and trained_steps(folder):  # the file is whole
            said = f"its weights do not fit a model with another {' and '.join(map(repr, other))}: {error}"
            raise RequestError(f"{folder}: {said}; leave that as the run has it") from None
        again = f"; to have it made again, run: {build_again(folder)}"
        raise RunError(f"{path}: cannot be loaded: {error}{again}") from None
    return chosen


def _unpacked(
    folder: Path, weights: str, wanted: Mapping[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what ``save_weights`` wrote; no tensors where none are ``wanted``."""
    name = RUN_FILES[weights]
    with opened(folder, name) as there:
        size = os.fstat(there.fileno()).st_size
    most = size if wanted is None else LARGEST_HEADER + sum(tensor.nbytes for tensor in wanted.values())
    if wanted is None:
        refuse_larger(folder / name, size)
    with judged(), checked(folder, name, most) as file:
        plain = {**json.loads(file.metadata()["zoo"])}
        plain |= {key: kind(plain[key]) for key, kind in (("step", int), ("recipe", str), ("averaged", bool))}
        if plain["weights"] != weights:
            raise ValueError(f"these are the {plain['weights']} weights, not the {weights} ones")
        if wanted is not None:
            check_fit(file, set(file.keys()), wanted)
        return {} if wanted is None else tensors_in(file), plain


def _best(model: Model, folder: Path) -> dict[str, Tensor]:
    """Reads the weights of the best checkpoint, averaged ones in place of what is averaged."""
    label = model.recipe.train.keep_best
    if not label:
        raise RunError(f"{folder}: keeps no best checkpoint; set train.keep_best to a quick metric and build it again")
    manifest = best_checkpoint(folder, label)
    if manifest is None:
        raise RunError(f"{folder}: has no checkpoint that was scored by {label}; they are kept as it trains")
    try:
        return _of_checkpoint(model, folder, manifest)
    except Damaged as error:
        raise RunError(f"{tensors_path(folder, manifest.step)}: cannot be loaded: {error}") from None


def _of_checkpoint(model: Model, folder: Path, manifest: Manifest, weights: str = "") -> dict[str, Tensor]:
    """Reads the weights of a checkpoint, averaged ones where there are any and not the ``raw`` are asked for."""
    state = model.state_dict()
    wanted = {f"model/{name}": tensor for name, tensor in state.items()}
    if model.recipe.train.ema:
        wanted |= {f"ema/{name}": tensor for name, tensor in state.items() if tensor.is_floating_point()}
    if manifest.recipe not in own_identities(folder, identity(recipe_in(folder))):
        raise Damaged("it belongs to a run of another recipe")
    tensors = read_tensors(folder, tensors_path(folder, manifest.step), manifest, wanted, model.recipe.after)
    kinds = CHECKED[:1] if weights == "raw" else CHECKED
    return {name.removeprefix(kind): t for kind in kinds for name, t in tensors.items() if name.startswith(kind)}


def _newest(model: Model, folder: Path, weights: str, after: int = 0) -> str:
    """Puts the weights of the newest good checkpoint after a step into the model and says which; empty for none."""
    if weights == "ema" and not model.recipe.train.ema:
        return ""
    for step in sorted((step for step in steps_of(folder, "json") if step > after), reverse=True):
        with suppress(Damaged), judged():  # the one before it will do
            manifest = read_manifest(folder, tensors_path(folder, step))
            model.load_state_dict(_of_checkpoint(model, folder, manifest, weights))
            taken = weights or ("ema" if model.recipe.train.ema else "raw")
            said = f"{folder}: is not finished; these are the {taken} weights of step {step}"
            warnings.warn(said, stacklevel=3)
            return taken
    return ""
