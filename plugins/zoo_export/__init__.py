"""Exporters: a model's computations as ONNX graphs or as programs of ``torch.export``."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """What needs no zoo afterwards."""
    return (
        api.Component("exporter", "onnx", "zoo_export.graphs:export", "ONNX graphs, checked against onnxruntime"),
        api.Component("exporter", "torch", "zoo_export.programs:export", "programs that torch.export.load reads"),
    )
