"""Runs on the Hugging Face hub: fetched whole and kept by their commit, and pushed. Nothing of them is executed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from zoo.errors import RequestError
from zoo.machine.cache import cache_folder
from zoo.machine.disk import folder_written
from zoo.recipe.provided import FILE
from zoo.recipe.weights import HUB, RUN_DATA, RUN_FILES, RUN_RECIPE

CARD = "README.md"
REFUSED = (401, 403)
"""Answers to those who may not."""
READ = (RUN_RECIPE, FILE, *RUN_FILES.values(), "scores.json", RUN_DATA)
"""The files of a run that are fetched, where it has them."""


def fetched(place: str) -> Path:
    """The directory of a run of the hub, ``hf://ORG/NAME`` or ``hf://ORG/NAME@REVISION``, which is kept.

    Without a network it is the one that was fetched before.

    Raises:
        RequestError: if it is no such place, cannot be fetched, holds no run, or huggingface_hub is not installed.
    """
    name, _, revision = place.removeprefix(HUB).rstrip("/").partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise RequestError(f"{place} is no model of the hub; write {HUB}ORG/NAME, or {HUB}ORG/NAME@REVISION")
    hub = _library(place)
    with _told(f"{place} cannot be fetched"):
        there = Path(hub.snapshot_download(name, revision=revision or None, allow_patterns=list(READ)))
    if not (there / RUN_RECIPE).is_file():
        raise RequestError(f"{place} holds no run of zoo: it has no {RUN_RECIPE}")
    folder = cache_folder("hub") / name.replace("/", "--") / there.name  # named by the commit: it never changes
    if not folder.is_dir():
        try:
            with folder_written(folder) as beside:
                for file in filter(lambda file: (there / file).is_file(), READ):
                    shutil.copyfile(there / file, beside / file)  # a link there, which a run may not have
        except OSError as error:
            if not folder.is_dir():  # else another process was quicker
                raise RequestError(f"{place}: {folder} cannot be written: {error.strerror or error}") from None
    return folder


def push(folder: Path, place: str, private: bool) -> str:
    """Uploads a folder that ``zoo export --to hub`` wrote, as one commit; gives its address.

    Weights that are there and not in the folder are removed, so that what is read is what was pushed.

    Raises:
        RequestError: if the hub refuses, or huggingface_hub is not installed.
    """
    name = place.removeprefix(HUB)
    if name.count("/") != 1 or not all(name.split("/")) or "@" in name:
        raise RequestError(f"{place} is no name of a model on the hub; write ORG/NAME")
    api = _library(place).HfApi()
    with _told(f"{place} cannot be pushed"):
        url = str(api.create_repo(name, private=private or None, exist_ok=True))
        gone = [file for file in READ if not (folder / file).is_file()]
        api.upload_folder(
            repo_id=name, folder_path=folder, commit_message="A model of generative-zoo", delete_patterns=gone or None
        )
    return url


def _library(place: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        cure = "pip install 'generative-zoo[hub]'"
        raise RequestError(f"{place} needs huggingface_hub, which is not installed: {cure}") from None
    return huggingface_hub


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the library raises of many kinds, and those of what it is built on
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise RequestError(f"{what}: {said.strip().rstrip('.')}{_cure(error)}") from None


def _cure(error: Exception) -> str:
    """What helps: a token where the hub answered and refuses, a network where it did not answer."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    chain: list[BaseException] = [error]
    while before := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(before)
    answers = [getattr(getattr(one, "response", None), "status_code", 0) for one in chain]
    if {*answers} & {*REFUSED} or isinstance(error, LocalTokenNotFoundError):
        return "; to log in, run 'hf auth login' or set HF_TOKEN"
    return (
        "" if any(answers) else f"; see that {os.environ.get('HF_ENDPOINT') or 'https://huggingface.co'} can be reached"
    )
