"""Exporters, each with one fault."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn


def _write(model: nn.Module, folder: Path) -> None:
    (folder / "names.txt").write_text("\n".join(model.state_dict()))


def exporter_good(model: nn.Module, folder: Path, *, indent: int = 1) -> None:  # noqa: ARG001
    """Writes names.

    Args:
        indent: blanks.
    """
    _write(model, folder)


def exporter_signature(model: nn.Module, folder: Path, colour: int) -> None:  # noqa: ARG001
    """Asks for a colour."""
    _write(model, folder)


def exporter_options_documented(model: nn.Module, folder: Path, *, indent: int = 1) -> None:  # noqa: ARG001
    _write(model, folder)


def exporter_options_round_trip(model: nn.Module, folder: Path, *, indent: int = 1.5) -> None:  # type: ignore[assignment]  # noqa: ARG001
    """Writes names.

    Args:
        indent: blanks.
    """
    _write(model, folder)


def exporter_example(model: nn.Module, folder: Path, *, indent: int) -> None:  # noqa: ARG001
    """Writes names.

    Args:
        indent: blanks.
    """
    _write(model, folder)


def exporter_files(model: nn.Module, folder: Path) -> None:
    """Writes nothing."""


def exporter_model_untouched(model: nn.Module, folder: Path) -> None:
    """Empties a weight."""
    _write(model, folder)
    with torch.no_grad():
        next(model.parameters()).zero_()


def exporter_no_global_side_effect(model: nn.Module, folder: Path) -> None:
    """Leaves a variable."""
    _write(model, folder)
    os.environ["ZOO_BAD_EXPORTER"] = str(os.urandom(4))
