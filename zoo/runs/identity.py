"""Decides whether a build continues an existing run, is up to date, or is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from zoo.columns import leaves
from zoo.errors import Damaged, RequestError
from zoo.machine.disk import opened, read_text
from zoo.recipe import Recipe, write_recipe
from zoo.recipe.provided import FILE as PLUGINS
from zoo.recipe.schema import PLACES, WHEREABOUTS
from zoo.recipe.sections import Timing, Training
from zoo.recipe.weights import RUN_DATA, find_weights, split_part
from zoo.runs.history import EXTENDED, changes, own_identities
from zoo.runs.manifest import identity, seal_holds, sha256
from zoo.runs.provenance import build_again, own_recipe
from zoo.runs.run import DONE, Run, recipe_in, steps_of

FREE = (
    *("train.steps", "train.log_every", "train.save_every", "train.keep_last", "train.keep_best", "train.best_every"),
    *("train.activation_checkpointing", "train.fully_shard", "train.cuda_graph", "train.data_on"),
    *("evaluate", "outputs", "watch"),
)
"""Settings that may change between two builds of one run without another model coming out."""

IMAGES = RUN_DATA
"""What a run notes of the images it is trained on. Where it has, the ``PLACES`` of a set are free."""

BEGUN = "weights.json"
"""What a run notes of the weights that its slots began with: where they lay, and the SHA-256 of their file."""

VOUCHED = (PLUGINS, "model.safetensors", "ema.safetensors", "scores.json", "report.html")
"""Files that a finished run vouches for, beside its pictures; ``recipe.yaml`` has a seal of its own."""


def up_to_date(folder: Path, recipe: Recipe) -> bool:
    """True where a finished run of this very recipe is, and is whole."""
    return finished(folder, recipe) and not damaged(folder)


def finished(folder: Path, recipe: Recipe) -> bool:
    """True where this very recipe was built to its end; files may have been lost since."""
    return plain_json(folder, DONE).get("recipe") == digest(recipe)


def vouch(run: Run, recipe: Recipe, names: Iterable[str]) -> None:
    """Notes that a recipe is built, and what its files hold."""
    files = {name: sha for name in names if (sha := _sha256(run.folder, name))}
    run.write_json(DONE, {"recipe": digest(recipe), "files": files})


def vouch_again(run: Run, names: Iterable[str]) -> None:
    """Notes what some files of a finished run hold now that they were written anew."""
    done = plain_json(run.folder, DONE)
    if isinstance(done.get("files"), dict):
        done["files"] |= {name: _sha256(run.folder, name) for name in names}
        run.write_json(DONE, done)


def _may_be_of(folder: Path, recipe: Recipe) -> bool:
    """Tells whether a run without its recipe is this one's: it ended so, its newest checkpoint says so, or nothing in
    it was trained."""
    if finished(folder, recipe):
        return True
    if steps := steps_of(folder, "json"):
        newest = plain_json(folder, f"state/step-{max(steps):08d}.json")
        return str(newest.get("recipe")) in own_identities(folder, identity(recipe.plain()))
    return not any((folder / name).is_file() for name in (DONE, "model.safetensors"))


def lost(folder: Path, recipe: Recipe) -> list[str]:
    """Lists the files of a run that a build makes again: a finished one's, or the recipe of one with checkpoints."""
    if finished(folder, recipe):
        return damaged(folder)
    return ["recipe.yaml"] if steps_of(folder, "json") and not _recipe_holds(folder) else []


def damaged(folder: Path) -> list[str]:
    """Lists the files of a finished run that are gone, or not what was written.

    Its records, ``metrics.jsonl``, are not looked at: nothing but a training makes them again.
    """
    files = plain_json(folder, DONE).get("files")
    if not isinstance(files, dict):
        return [DONE]
    first = [] if _recipe_holds(folder) else ["recipe.yaml"]
    return [*first, *(name for name, sha in files.items() if not sha or _sha256(folder, name) != sha)]


def _recipe_holds(folder: Path) -> bool:
    try:
        return seal_holds(read_text(folder, "recipe.yaml") or "")
    except Damaged:
        return False


def _sha256(folder: Path, name: str) -> str:
    """Hashes a file; gives no text where there is none, or it lies elsewhere."""
    try:
        with opened(folder, name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, Damaged):
        return ""


def plain_json(folder: Path, name: str) -> dict[str, Any]:
    """Reads the mapping in a run's JSON file; an empty one where there is none, or it is damaged."""
    try:
        content = json.loads(read_text(folder, name) or "")
    except (Damaged, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def digest(recipe: Recipe) -> str:
    """Hashes everything that a finished run is a function of: not who looked on."""
    here = (*WHEREABOUTS, *PLACES)
    sets = {
        key: replace(part, options={name: value for name, value in part.options.items() if name not in here})
        for key, part in recipe.sets.items()
    }
    return sha256(write_recipe(replace(recipe, watch=(), sets=sets)))


def refuse_another(run: Run, recipe: Recipe, extend: bool = False) -> list[str]:
    """Refuses to build a recipe into the run of another; settings of ``FREE`` may differ.

    A RequestError names what differs; it is a RunError if the run's recipe is damaged or lost, and neither its end nor
    its checkpoints say that it is this one. What ``after`` fits may be another, and is fitted anew.

    To ``extend`` a run is to go on under other settings of its training: what is other comes back as
    sentences.
    """
    if not _recipe_holds(run.folder) and _may_be_of(run.folder, recipe):
        return []  # it is written again
    own_recipe(run.folder)
    there, here = (leaves(_trained(recipe, plain)) for plain in (recipe_in(run.folder), recipe.plain()))
    sections = {"train": Training, **{f"phases.{number}": Timing for number in range(len(recipe.phases))}}
    defaults = {f"{place}.{key.name}": key.default for place, section in sections.items() for key in fields(section)}
    there = {**{path: value for path, value in defaults.items() if path in here}, **there}  # keys since then
    kept = max(steps_of(run.folder, "json"), default=0)
    done = kept or (there["train.steps"] if run.path("model.safetensors").is_file() else 0)
    others = [path for path in sorted(there.keys() | here.keys()) if there.get(path) != here.get(path)]
    after = tuple(f"{section}.{slot}." for slot in recipe.after for section in ("after", "slots"))
    fitted = [path for path in others if f"{path}.".startswith(after)]
    _refuse_length(run, recipe.train.steps, kept, done, again=bool(fitted))
    differ = [p for p in others if not (p in fitted or _free(p, recipe, run) or _begun_alike(p, here.get(p), run))]
    extensible = all(map(EXTENDED.match, differ))
    if differ and not (extend and extensible):
        steps = ["train.steps"] if there["train.steps"] != recipe.train.steps else []  # what others may come of
        named = [
            f"{path} is {there.get(path, 'not set')} there and {here.get(path, 'not set')} here"
            for path in (*steps, *differ)
        ]
        more = f" (and {len(named) - 3} more)" if len(named) > 3 else ""
        cure = ", or train this run on under them with --extend" if extensible else ", or remove the directory"
        raise RequestError(
            f"{run.folder}: holds a run of another recipe: {'; '.join(named[:3])}{more}. Choose another --out{cure}"
        )
    if differ and done == recipe.train.steps == there["train.steps"]:
        raise RequestError(f"{run.folder}: has all of its {done} steps; to train on, ask for more train.steps")
    changed = [*differ, *fitted, *(["train.steps"] if there["train.steps"] != recipe.train.steps else [])]
    return changes(recipe, there, here, changed, done) if done else []


def _refuse_length(run: Run, steps: int, kept: int, done: int, again: bool) -> None:
    """Refuses fewer steps than a run has, and more, or to fit ``again``, where no checkpoint is ``kept``."""
    if done > steps:
        whole = run.path("model.safetensors").is_file()
        end = "" if whole else f"end it where it is with --set train.steps={done} --extend, or "
        raise RequestError(
            f"{run.folder}: has {done} steps in all, more than the {steps} asked for; "
            f"{end}build it as it is with {build_again(run.folder)}, or choose another --out"
        )
    if done and not kept and (done < steps or again):
        on = "be trained on" if done < steps else "be fitted on anew"
        raise RequestError(
            f"{run.folder}: has no checkpoint ({run.path('state')}) from which its {done} steps could {on}; "
            f"bring one back, or train all {steps} anew with another --out"
        )


def _free(path: str, recipe: Recipe, run: Run) -> bool:
    """Tells whether a setting may differ: it is one of ``FREE`` or within one, or says where a set of data lies."""
    here = (*WHEREABOUTS, *(PLACES if run.path(IMAGES).is_file() else []))
    lies = (".".join(filter(None, ("data", key, name))) for key in recipe.sets for name in here)
    return any(f"{path}.".startswith(f"{free}.") for free in (*FREE, *lies))


def _begun_alike(path: str, place: Any, run: Run) -> bool:
    """Tells whether a slot's ``weights`` are those that the run began with, by another way to their file."""
    slot = path.removeprefix("slots.").removesuffix(".weights")
    noted = plain_json(run.folder, BEGUN).get(slot) if path == f"slots.{slot}.weights" else None
    if not noted or not isinstance(place, str) or split_part(place)[1] != split_part(noted["from"])[1]:
        return False
    with suppress(RequestError):
        return find_weights(place, slot).sha256() == str(noted["sha256"])
    return False


def _trained(recipe: Recipe, plain: dict[str, Any]) -> dict[str, Any]:
    """Leaves out of a recipe's plain data the values that only outputs and metrics need."""
    return {**plain, "values": {n: part for n, part in plain.get("values", {}).items() if n in recipe.needed}}
