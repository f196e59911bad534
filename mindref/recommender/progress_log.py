"""Messages of the Python interface: the logger `mindref` of the module `logging`.

Progress has the level INFO, warnings have the level WARNING. Without a configuration of `logging`,
nothing is printed. The command line prints its own messages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from mindref.data.log import InteractionLog
from mindref.data.readers.advice import reading_hints
from mindref.recommender.callbacks import Callback
from mindref.training.loop import Validation

logger = logging.getLogger("mindref")


def log_reading(log: InteractionLog, *, exclude_seen: bool) -> None:
    """Log how much was read; as warnings, every damaged line and the hints.

    exclude_seen: whether top-n lists exclude the items of the history.
    """
    counts = len(log.user_ids), len(log.item_ids), len(log.interactions.values)
    logger.info("read %s users, %s items, %s interactions", *(f"{n:,}" for n in counts))
    if log.times is None:
        logger.info("no times: the interactions of a user are in the given order")
    for line in log.bad_lines:
        logger.warning("damaged: %s", line)
    for hint in reading_hints(log, exclude_seen=exclude_seen, is_command=False):  # data-R88
        logger.warning("hint: %s", hint)


def send_warnings(lines: Iterable[str]) -> None:
    """Log warnings, which have no prefix: the level is the prefix."""
    for line in lines:
        logger.warning("%s", line)


class ProgressLog(Callback):
    """Logs the validations and the end of a training."""

    def __init__(self) -> None:
        self.settings: dict[str, object] = {}

    def on_start(self, config: dict[str, Any]) -> None:
        """Log the model and the run directory."""
        self.settings = config["settings"]
        run = config["run"] or "no run directory"
        logger.info("training of the model %s, %s", self.settings["model"], run)

    def on_validation(self, validation: Validation) -> None:
        """Log a validation."""
        step, loss, value, is_best = validation
        text = "" if value is None else f", {self.settings['metric']} {value:.4f}"
        best = ", best so far" if is_best else ""
        logger.info("step %d of %d, loss %.4f%s%s", step, self.settings["steps"], loss, text, best)

    def on_end(self, report: dict[str, Any] | None) -> None:
        """Log why the training ended, and warn if a baseline is above the model."""
        if report is None:
            logger.info("the training was stopped")
            return
        if "ended_by" in report:
            logger.info("ended at step %d by %s", report["steps"], report["ended_by"])
        send_warnings(report.get("baseline_warnings", ()))
