"""MLflow tracking (https://mlflow.org/docs), the extra ``mlflow``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo import api


class MLflow:
    """Losses by row, speed, scores and pictures, and the recipe's numbers as parameters.

    A training that is taken up again goes on in the same MLflow run, found by its tag ``zoo.folder``.

    Args:
        folder: the run's directory.
        recipe: the resolved recipe, as plain data.
        experiment: MLflow's name for a group of runs.
        uri: of the tracking server or store; empty for MLflow's own setting (``MLFLOW_TRACKING_URI``).

    Raises:
        ModuleNotFoundError: if the extra is not installed.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], *, experiment: str = "zoo", uri: str = "") -> None:
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError:
            raise ModuleNotFoundError("it needs mlflow: pip install 'generative-zoo[mlflow]'") from None
        self._client = MlflowClient(uri or None)
        self._folder = folder
        self._experiment = experiment
        self._recipe = recipe
        self._run = ""

    def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002 - what a watcher is told
        """Opens the MLflow run, or goes on with it."""
        self._run = self._open()

    def log(self, record: api.Record) -> None:
        """Sends the losses and the speed."""
        losses = {f"loss/{name}": value for name, value in record.losses.items()}
        for name, value in {**losses, "images_per_s": record.images_per_s}.items():
            self._client.log_metric(self._run, _key(name), value, step=record.step)

    def picture(self, step: int, name: str, image: Tensor) -> None:
        """Sends a picture, uint8 (C, H, W)."""
        self._client.log_image(self._run, image.permute(1, 2, 0).numpy(), key=_key(name), step=step)

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """Sends the scores of the finished model."""
        run = self._open()
        for name, value in values.items():
            self._client.log_metric(run, _key(f"score/{name}"), value, step=step)
        self._client.set_terminated(run)

    def end(self) -> None:
        """Marks the MLflow run as finished."""
        if self._run:
            self._client.set_terminated(self._run)

    def _open(self) -> str:
        known = self._client.get_experiment_by_name(self._experiment)
        experiment = known.experiment_id if known else self._client.create_experiment(self._experiment)
        where = str(self._folder.resolve())
        runs = self._client.search_runs([experiment], f"tags.`zoo.folder` = '{where}'", max_results=1)
        if runs:
            self._client.update_run(runs[0].info.run_id, status="RUNNING")
            return str(runs[0].info.run_id)
        run = self._client.create_run(experiment, tags={"zoo.folder": where}, run_name=self._folder.name)
        for name, value in _leaves(self._recipe):
            self._client.log_param(run.info.run_id, name, value)
        return str(run.info.run_id)


def _key(name: str) -> str:
    """MLflow's names have no ``+``."""
    return name.replace(" + ", "_and_").replace(" ", "_")


def _leaves(data: Any, path: str = "") -> list[tuple[str, Any]]:
    """The recipe's values by dotted path, with MLflow's limit of 250 characters on each name."""
    if isinstance(data, Mapping):
        return [leaf for key, value in data.items() for leaf in _leaves(value, f"{path}.{key}".lstrip("."))]
    if isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        return [leaf for i, value in enumerate(data) for leaf in _leaves(value, f"{path}.{i}")]
    return [(_key(path)[:250], data)]
