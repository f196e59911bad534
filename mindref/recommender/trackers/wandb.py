"""The tracker `wandb`: one run in Weights & Biases.

By default the run is offline: its files are in the run directory, and `wandb sync` uploads them.
WANDB_MODE=online sends them during the training. WANDB_PROJECT names another project than mindref.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import wandb

from mindref.recommender.trackers import report_metrics


class WandbTracker:
    """Records the settings as the configuration, values as history, test metrics as summary."""

    def start(self, config: dict[str, Any]) -> None:
        """Start a run."""
        folder = config["run"] or None
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "mindref"),
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=folder,
            name=Path(folder).name if folder else None,
            config=config,
            reinit="create_new",
            settings=wandb.Settings(console="off"),
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record values of a step."""
        self.run.log(values, step=step)

    def end(self, report: dict[str, object] | None) -> None:
        """Record the test metrics and end the run; a stopped training is a failed run."""
        self.run.summary.update(report_metrics(report))
        self.run.finish(exit_code=1 if report is None else 0)
