"""Metrics over a whole split."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The metrics."""
    return (
        api.Component("metric", "mse", "zoo_metrics.reconstruction:Mse", "mean squared error of reconstructions"),
        api.Component(
            "metric",
            "edges",
            "zoo_metrics.sharpness:Edges",
            "edge strength of images against real ones (1 = as sharp)",
        ),
    )
