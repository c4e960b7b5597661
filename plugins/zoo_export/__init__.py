"""Exporters: a model's computations as ONNX graphs or programs of ``torch.export``, and a model for the hub."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Two that need no zoo afterwards, and one that does."""
    return (
        api.Component("exporter", "onnx", "zoo_export.graphs:export", "ONNX graphs, checked against onnxruntime"),
        api.Component("exporter", "torch", "zoo_export.programs:export", "programs that torch.export.load reads"),
        api.Component("exporter", "hub", "zoo_export.hub:export", "a folder for the Hugging Face hub, with a card"),
    )
