"""The tracker `mlflow`: one run in MLflow. MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME apply.

Without an address, records are in the database `mlflow.db`. If only mlflow-skinny is installed,
which has no database, they are in the folder `mlruns`. If the program has started a run of MLflow,
the values are recorded in this run, and it stays open.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow

from mindref.recommender.trackers import flat_settings, report_metrics


class MlflowTracker:
    """Records the settings as parameters, and values and test metrics as metrics."""

    def start(self, config: dict[str, Any]) -> None:
        """Start a run if none is active, and record the settings."""
        self.step, self.starts_run = 0, mlflow.active_run() is None
        if not mlflow.is_tracking_uri_set() and find_spec("sqlalchemy") is None:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # required since MLflow 3.7
            mlflow.set_tracking_uri(Path("mlruns").absolute().as_uri())
        if self.starts_run:
            mlflow.start_run(run_name=Path(config["run"]).name or None)
        mlflow.log_params(flat_settings(config))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record metrics. MLflow has no @ in names."""
        self.step = max(self.step, step)
        mlflow.log_metrics({re.sub("[^-/ .:\\w]", "_", k): x for k, x in values.items()}, step)

    def end(self, report: dict[str, object] | None) -> None:
        """Record the test metrics, and end the run that `start` has started."""
        try:
            self.log(self.step, report_metrics(report))
        finally:
            if self.starts_run:
                mlflow.end_run("KILLED" if report is None else "FINISHED")
