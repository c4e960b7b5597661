"""The exporter ``onnx``: graphs that any runtime of ONNX computes."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.functional import scaled_dot_product_attention

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
    translated = {}
    for module in [Named(computation, pixels) for computation in computations(model)]:
        translated[module] = translate(module, opset)  # all of them, before a file is written
    written = []
    for module, graph in translated.items():
        file = folder / f"{module.name}.onnx"
        graph.save(file, external_data=_weights(graph) > LARGEST)
        session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])

        def run(given: dict[str, Tensor], session: Any = session) -> list[Tensor]:
            found = session.run(None, {name: tensor.cpu().numpy() for name, tensor in given.items()})
            return [torch.from_numpy(numbers).to(next(iter(given.values())).device) for numbers in found]

        written.append(Written(module, file.name, checked(module, run, tolerance), None))
    return told(folder, written, "onnxruntime", SHOWN)


def translate(module: Named, opset: int | None = None) -> torch.onnx.ONNXProgram:
    """The graph of a computation, which says in itself what it takes and gives.

    Raises:
        ValueError: if it cannot be traced, or computes what ONNX's exporter does not take.
    """
    program, refused = traced(module), []
    for optimize in (True, False):  # the optimiser fails where a batch is halved, whose size it does not know
        try:
            with quietly():
                graph = _graph(module, program, opset, optimize)
            break
        except Exception as error:  # noqa: BLE001 - the exporter raises of many kinds
            first: BaseException = error
            while first.__cause__:
                first = first.__cause__
            refused.append((str(first).strip().splitlines() or [type(first).__name__])[0])
    else:
        cure = "--to torch writes a program of it"
        raise ValueError(f"'{module.name}' has what ONNX has not, or its exporter not yet: {refused[-1]}; {cure}")
    about = {"about": module.about, "inputs": json.dumps(module.inputs), "outputs": json.dumps(module.outputs)}
    graph.model.metadata_props.update(about)
    graph.model.doc_string = module.about
    ports = (*graph.model.graph.inputs, *graph.model.graph.outputs)
    for port in ports:
        port.doc_string = str((module.inputs | module.outputs)[port.name]["about"])
    for value in {value for node in graph.model.graph for value in node.outputs}.difference(ports):
        if value.name in module.outputs:  # torch names values by their operators, such as mean
            value.name = f"{value.name}_inside"
    return graph


def _graph(module: Named, program: ExportedProgram, opset: int | None, optimize: bool) -> torch.onnx.ONNXProgram:
    if any(node.target in REWRITTEN for node in program.graph.nodes):
        program = program.run_decompositions(REWRITTEN)
    example = module.examples(2)
    return torch.onnx.export(
        program,
        (),
        kwargs=example,
        dynamo=True,
        input_names=[*module.inputs],
        output_names=[*module.outputs],
        opset_version=opset,
        dynamic_shapes={name: {0: "batch"} for name in example},
        verbose=False,
        optimize=optimize,
    )


def _weights(graph: torch.onnx.ONNXProgram) -> int:
    """Bytes of all that the graph knows."""
    return sum(known.const_value.nbytes for known in graph.model.graph.initializers.values())


def _attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *others: Any, **named: Any) -> Any:
    """Attention of items as one head of each, since the exporter takes that of heads alone."""
    if query.ndim > 3:
        return NotImplemented
    mask = mask if mask is None or mask.ndim < 3 else mask.unsqueeze(-3)
    heads = [numbers.unsqueeze(-3) for numbers in (query, key, value)]
    return scaled_dot_product_attention(*heads, mask, *others, **named).squeeze(-3)


def _counted(numbers: Tensor, value: Tensor, **how: Any) -> Any:
    """searchsorted: how many of sorted numbers are below a value, or not above it if that is asked for."""
    if how.get("sorter") is not None:
        return NotImplemented
    numbers, value = numbers.unsqueeze(-2) if numbers.ndim > 1 else numbers, value.unsqueeze(-1)
    below = numbers <= value if how.get("right") or how.get("side") == "right" else numbers < value
    return below.sum(-1, dtype=torch.int32 if how.get("out_int32") else torch.int64)


REWRITTEN = {
    torch.ops.aten.searchsorted.Tensor: _counted,
    torch.ops.aten.scaled_dot_product_attention.default: _attended,
    torch.ops.aten.__lshift__.Tensor: lambda bits, by: bits * 2**by,
    torch.ops.aten.__lshift__.Scalar: lambda bits, by: bits * 2**by,
    torch.ops.aten.__rshift__.Tensor: lambda bits, by: torch.div(bits, 2**by, rounding_mode="floor"),
    torch.ops.aten.__rshift__.Scalar: lambda bits, by: torch.div(bits, 2**by, rounding_mode="floor"),
}
"""Operators that torch's exporter does not take, or not of each shape, and the same by those that it takes.

ONNX shifts bits of numbers without a sign alone; products are the same below 2^53, which is more than an index has."""


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
