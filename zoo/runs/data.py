"""Which images a run is of."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import RecipeError, RequestError
from zoo.machine.disk import names_in
from zoo.machine.process import import_torch
from zoo.recipe import Recipe, lasting
from zoo.registry import Registry
from zoo.runs.identity import IMAGES, plain_json
from zoo.runs.run import Run

if TYPE_CHECKING:
    from zoo.types import Images


def _files(recipe: Recipe) -> str:
    """Hashes names, sizes and times of the files in paths that the data's options name; quick, and without torch."""
    options = [value for part in recipe.sets.values() for value in part.options.values()]
    said = [value for value in options if isinstance(value, str) and value]
    places = [os.path.expanduser(os.path.expandvars(value)) for value in said]
    files = [place for place in places if os.path.isfile(place)]
    files += [os.path.join(at, name) for place in places for at, _, names in os.walk(place) for name in names]
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(files):
        with suppress(OSError):  # it may be gone by now
            status = os.lstat(path)
            digest.update(repr([path, status.st_size, status.st_mtime_ns, status.st_ctime_ns]).encode())
    return digest.hexdigest()


def other_images(folder: Path, images: Images) -> str:
    """Says how images differ from those that a run was trained on; empty where they do not, or nothing is known."""
    from zoo.data.fields import differ, known_images

    return differ(plain_json(folder, IMAGES), known_images(images))


def note_images(run: Run, recipe: Recipe, images: Images, extend: bool = False) -> list[str]:
    """Notes which images a run is of; gives what is other from here on, as sentences.

    To go on with a training on others than it began with is a RequestError, but to ``extend`` it.
    """
    from zoo.data.fields import differ, known_images, types_of

    now = {**known_images(images), "types": types_of(images, recipe), "files": _files(recipe)}
    begun = any(name.endswith(".json") for name in names_in(run.path("state")))
    others = differ(plain_json(run.folder, IMAGES), now) if begun else ""
    if others and not extend:
        cure = "Bring them back, choose another --out, or train this run on with these with --extend"
        raise RequestError(f"{run.folder}: {others}. {cure}")
    if plain_json(run.folder, IMAGES) != now:
        run.write_json(IMAGES, now)
    return [f"the images are others: it {others}"] if others else []


def in_steps(folder: Path, recipe: Recipe, registry: Registry) -> Recipe:
    """A recipe that trains for so many epochs, in steps: by the images that its run is of, or those that it has."""
    if not recipe.train.epochs:
        return recipe
    noted = plain_json(folder, IMAGES).get("train")
    if isinstance(noted, dict):
        return lasting(recipe, int(noted["images"]), registry)
    import_torch()
    from zoo.data.batches import load_images

    return lasting(recipe, len(load_images(recipe).train), registry)


def compare_images(folder: Path, recipe: Recipe, say: Callable[[str], None]) -> tuple[str, ...]:
    """Compares the data of a finished run, if its files changed; other images are a RequestError.

    Where the data cannot be had, it says and returns a note.
    """
    then = plain_json(folder, IMAGES)
    if not then or then.get("files") == _files(recipe):
        return ()
    import_torch()
    from zoo.data.batches import load_images

    try:
        others = other_images(folder, load_images(recipe))
    except RecipeError as error:
        notes = tuple(f"its images cannot be compared: {problem.message}" for problem in error.problems)
        say("\n".join(notes))
        return notes
    if others:
        raise RequestError(f"{folder}: {others}. Bring them back, or choose another --out to train on these")
    return ()
