"""Watchers that take a training's records to where people look at them."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """TensorBoard's files, and two trackers that are extras."""
    return (
        api.Component(
            "watcher", "tensorboard", "zoo_watch.tensorboard:TensorBoard", "event files: tensorboard --logdir runs"
        ),
        api.Component("watcher", "wandb", "zoo_watch.wandb:WandB", "Weights & Biases; the extra 'wandb'"),
        api.Component("watcher", "mlflow", "zoo_watch.mlflow:MLflow", "MLflow; the extra 'mlflow'"),
    )
