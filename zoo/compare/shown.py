"""Which pictures of a comparison are there already. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.registry import Registry
from zoo.run import write_atomically

MARKS = "pictures.json"
"""Picture's data set -> files and a digest of the runs in them."""


def draw_missing(
    data: str, runs: Mapping[str, Path], registry: Registry, out: Path, device: str, say: Callable[[str], None]
) -> tuple[list[Path], list[str]]:
    """The pictures of a data set, drawn if the runs in them are other than those of the last drawing.

    Args:
        data: its name.
        runs: model -> the run that stands for it.
        registry: the plugins the runs are loaded with.
        out: where the pictures go.
        device: where the models compute.
        say: told that something is drawn.

    Returns:
        the files, and a sentence for each run that could not be loaded.
    """
    marks = _marks(out)
    digest = _digest(runs, out)
    mark = marks.get(data, {})
    files = [out / name for name in mark.get("files", ())]
    if mark.get("runs") == digest and all(file.is_file() for file in files):
        return files, []
    from zoo.compare.pictures import draw

    say(f"drawing {data}: {', '.join(runs)}")
    pictures, notes = draw(data, runs, registry, device)
    for name, png in pictures.items():
        write_atomically(out / name, png)
    marks[data] = {"runs": "" if notes else digest, "files": list(pictures)}
    write_atomically(out / MARKS, json.dumps(marks, indent=2).encode())
    return [out / name for name in pictures], notes


def _marks(out: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((out / MARKS).read_text()))
    except (OSError, ValueError):
        return {}


def _digest(runs: Mapping[str, Path], out: Path) -> str:
    """Changes with the models, their runs, and what those were built from."""
    done = [
        (model, str(run.resolve()), _text(run / "recipe.yaml"), _text(run / "scores.json"))
        for model, run in runs.items()
    ]
    return hashlib.sha256(json.dumps([str(out), done]).encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
