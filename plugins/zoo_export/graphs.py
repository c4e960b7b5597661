"""The exporter ``onnx``: graphs that any runtime of ONNX computes."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_export.computations import computations
from zoo_export.told import Written, told
from zoo_export.traced import Named, checked, quietly, traced

LARGEST = 1_500_000_000
"""Bytes of weights that a file of ONNX can hold, whose own format ends at 2 GB; more lie beside it."""
SHOWN = """\
import numpy as np
import onnxruntime

{name} = onnxruntime.InferenceSession("{name}.onnx")
{makes}
found = {name}.run(None, {{{takes}}})  # {gives}
"""


def export(
    model: nn.Module,
    folder: Path,
    *,
    pixels: bool = False,
    opset: int | None = None,
    tolerance: float = 1e-5,
) -> list[str]:
    """Writes an ONNX graph for each computation, by torch's exporter, and holds it against onnxruntime at once.

    Args:
        model: whose computations they are.
        folder: empty; ``encode.onnx`` and the like are written there, ``graphs.json`` and ``README.md`` beside them.
        pixels: whether images are uint8 (B, H, W, C), as Pillow holds them, and not floats (B, C, H, W) in [-1, 1].
        opset: version of ONNX's operators; torch's choice when null.
        tolerance: up to which a result may differ from the model's, over the largest where that is above 1.

    Returns:
        how far each is from the model.

    Raises:
        ValueError: if onnx, onnxscript or onnxruntime is not installed, one cannot be traced, or is further.
    """
    runtime = _runtime()
    written = []
    for computation in computations(model):
        module = Named(computation, pixels)
        file = folder / f"{module.name}.onnx"
        _write(module, file, opset)
        session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])

        def run(given: dict[str, Tensor], session: Any = session) -> list[Tensor]:
            found = session.run(None, {name: tensor.cpu().numpy() for name, tensor in given.items()})
            return [torch.from_numpy(numbers).to(next(iter(given.values())).device) for numbers in found]

        written.append(Written(module, file.name, checked(module, run, tolerance), None))
    return told(folder, written, "onnxruntime", SHOWN)


def _write(module: Named, file: Path, opset: int | None) -> None:
    program, example = traced(module), module.examples(2)
    weights = sum(t.nbytes for t in (*program.state_dict.values(), *program.constants.values()) if hasattr(t, "nbytes"))
    try:
        with quietly():
            graph = torch.onnx.export(
                program,
                (),
                kwargs=example,
                dynamo=True,
                input_names=[*module.inputs],
                output_names=[*module.outputs],
                opset_version=opset,
                dynamic_shapes={name: {0: "batch"} for name in example},
                verbose=False,
            )
    except Exception as error:
        said = str(error.__cause__ or error).strip().splitlines()[-1]
        raise ValueError(f"'{module.name}' has what ONNX has not, or its exporter not yet: {said}") from error
    about = {"about": module.about, "inputs": json.dumps(module.inputs), "outputs": json.dumps(module.outputs)}
    graph.model.metadata_props.update(about)
    graph.model.doc_string = module.about
    for port in (*graph.model.graph.inputs, *graph.model.graph.outputs):
        port.doc_string = str((module.inputs | module.outputs)[port.name]["about"])
    graph.save(file, external_data=weights > LARGEST)


def _runtime() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import onnx  # noqa: F401
            import onnxruntime
            import onnxscript  # noqa: F401
    except ImportError as error:
        cure = "pip install 'generative-zoo[onnx]'"
        raise ValueError(f"needs onnx, onnxscript and onnxruntime ({error}): {cure}") from error
    return onnxruntime
