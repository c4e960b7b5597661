"""Exporters: computations as ONNX graphs or programs of ``torch.export``, a model for the hub, a page for Spaces."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Two that need no zoo afterwards, and two that do."""
    return (
        api.Component("exporter", "onnx", "zoo_export.graphs:export", "ONNX graphs, checked against onnxruntime"),
        api.Component("exporter", "torch", "zoo_export.programs:export", "programs that torch.export.load reads"),
        api.Component("exporter", "hub", "zoo_export.hub:export", "a folder for the Hugging Face hub, with a card"),
        api.Component("exporter", "space", "zoo_export.space:export", "a page of sliders, for Hugging Face Spaces"),
    )
