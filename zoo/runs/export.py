"""Writes a model for other programs, by an exporter, which a plugin brings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from zoo.errors import RequestError, ZooError, said_of
from zoo.machine.disk import cure
from zoo.model.forward import evaluating
from zoo.model.model import Model
from zoo.registry import Entry, check_options, to_arguments
from zoo.runs.exported import ExportedRun


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
    beside = to.with_name(f".{to.name}.{os.urandom(4).hex()}.tmp")
    try:
        if to.is_file() or (to.is_dir() and any(to.iterdir())):
            raise RequestError(f"{to}: is there already; choose another directory")
        beside.mkdir(parents=True)
        for sentence in run_exporter(exporter, model, beside, to_arguments(exporter.signature, options)):
            say(sentence)
        names = sorted(str(path.relative_to(beside)) for path in beside.rglob("*") if path.is_file())
        if to.is_dir():
            to.rmdir()
        beside.rename(to)
    except ZooError:
        raise
    except OSError as error:
        raise RequestError(f"{to}: cannot be written: {error.strerror or error}{cure(error)}") from None
    except Exception as error:  # a stranger's exporter may raise anything
        raise RequestError(f"{what}: {said_of(error)}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
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
