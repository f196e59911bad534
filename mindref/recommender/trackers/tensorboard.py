"""The tracker `tensorboard`: event files, by the package tensorboardX, which needs no TensorFlow.

The files are in `RUN/tensorboard`, so that `tensorboard --logdir runs` shows all runs. A training
without a run directory writes to the folder `tensorboard`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from mindref.recommender.trackers import flat_settings, report_metrics


class TensorboardTracker:
    """Writes scalars, the settings as text, and the test metrics as scalars of the last step."""

    def start(self, config: dict[str, Any]) -> None:
        """Open an event file and write the settings."""
        self.step = 0
        self.writer = SummaryWriter(str(Path(config["run"]) / "tensorboard"))
        rows = [f"| {name} | {value} |" for name, value in flat_settings(config).items()]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Write scalars."""
        self.step = max(self.step, step)
        for name, value in values.items():
            # tags of TensorBoard have no @; without this, tensorboardX prints a message
            self.writer.add_scalar(re.sub(r"[^-/\w.]", "_", name), value, step)

    def end(self, report: dict[str, object] | None) -> None:
        """Write the test metrics and close the file."""
        self.log(self.step, report_metrics(report))
        self.writer.close()
