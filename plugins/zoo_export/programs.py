"""The exporter ``torch``: programs of ``torch.export``."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from zoo_export.computations import computations
from zoo_export.told import Written, told
from zoo_export.traced import Named, checked, most_of, quietly, traced

SHOWN = """\
import torch

{name} = torch.export.load("{name}.pt2").module()
{makes}
found = {name}({takes})
"""


def export(model: nn.Module, folder: Path, *, pixels: bool = False, tolerance: float = 1e-5) -> list[str]:
    """Writes a program for each computation, which ``torch.export.load`` reads where there is no zoo.

    Args:
        model: whose computations they are.
        folder: empty; ``encode.pt2`` and the like are written there, ``graphs.json`` and ``README.md`` beside them.
        pixels: whether images are uint8 (B, H, W, C), as Pillow holds them, and not floats (B, C, H, W) in [-1, 1].
        tolerance: up to which a result may differ from the model's, over the largest where that is above 1.

    Returns:
        how far each is from the model.

    Raises:
        ValueError: if one cannot be traced, or is further.
    """
    written = []
    for computation in computations(model):
        module = Named(computation, pixels)
        program = traced(module)
        file = folder / f"{module.name}.pt2"
        with quietly():
            torch.export.save(program, file)
            loaded = torch.export.load(file).module()
        apart = checked(module, lambda given, loaded=loaded: [*loaded(**given).values()], tolerance)
        written.append(Written(module, file.name, apart, most_of(program)))
    return told(folder, written, "torch.export", SHOWN)
