# SPDX-License-Identifier: Apache-2.0
"""MLflow: a run in a store of files, `mlflow/` of the training's folder.

Elsewhere where the environment says so (`MLFLOW_TRACKING_URI`). Through the library's client alone,
which leaves its global "active run" to the user's own program.
"""

import importlib
import os
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spade_eval.training.trackers.base import Tracked

_EXPERIMENT = "spade-eval"
_CONFIG = "spade_eval.train_config_sha256"
_LONGEST_VALUE = 500  # letters of a parameter, of every version of the library


class MLflow:
    """A run of the library's own; a training that is continued goes on with it."""

    def __init__(self, training: Tracked) -> None:
        # Read when the library is imported: it counts its uses on a server.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        address = os.environ.get("MLFLOW_TRACKING_URI")
        if address is None:  # newer versions write files only where they are told to
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            address = (training.folder / "mlflow").resolve().as_uri()
        mlflow = importlib.import_module("mlflow")
        self._metric = importlib.import_module("mlflow.entities").Metric
        self._client = mlflow.MlflowClient(tracking_uri=address)
        self._run = self._continued(training) or self._begun(training)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def image(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None:
        self._client.log_image(self._run, pixels, f"{name}/step_{step:07d}.png")

    def close(self) -> None:
        self._client.set_terminated(self._run)

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _continued(self, training: Tracked) -> str | None:
        wanted = f"tags.`{_CONFIG}` = '{training.sha256}'"
        found = self._client.search_runs([self._experiment()], wanted, max_results=1)
        if not found:
            return None
        run = str(found[0].info.run_id)
        self._client.update_run(run, status="RUNNING")
        return run

    def _begun(self, training: Tracked) -> str:
        made = self._client.create_run(
            self._experiment(), run_name=training.name, tags={_CONFIG: training.sha256}
        )
        run = str(made.info.run_id)
        for name, value in training.settings.items():
            self._client.log_param(run, name, str(value)[:_LONGEST_VALUE])
        return run


def open_mlflow(training: Tracked) -> MLflow:
    """Open a run of the store."""
    return MLflow(training)
