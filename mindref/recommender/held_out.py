"""Whether the evaluation cases of a run are held out: checks before an evaluation, and warnings.

Spec: specs/model.md, model-R54.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.log import InteractionLog
from mindref.data.protocols import EVALUATION_PROTOCOLS, NO_SPLIT
from mindref.data.splits import EvaluationCases
from mindref.errors import ConfigError, say
from mindref.run import checkpoint
from mindref.run.source import fingerprint


def last_time(log: InteractionLog) -> dict[str, float]:
    """Return the entry of config.json with the time of the last interaction; {} without times."""
    return {} if log.times is None else {"last_time": float(log.times.max())}


def check_evaluated(run: Path, protocol: str | None) -> None:
    """Raise ConfigError, before anything is loaded, for a run without held-out interactions.

    protocol: of the evaluation, None for that of the run.
    """
    if (protocol or checkpoint.load_config(run)[1]["protocol"]) == NO_SPLIT:  # model-R54
        got = "none: the run was trained on all interactions of its log"
        todo = "give a later log with --data, and the --split of that log"
        raise ConfigError(say(f"{run}: split", " or ".join(EVALUATION_PROTOCOLS), got, todo))


def training_warnings(
    protocol: str | None, facts: Mapping[str, Any], log: InteractionLog, cases: EvaluationCases
) -> list[str]:
    """Return a warning if the targets may be training examples: same log, another split.

    A run of the split none was trained on everything up to its last interaction.
    """
    if protocol in (None, facts["protocol"]):
        return []
    if fingerprint(log) == facts["log"]:
        return [
            f"the run was trained on the split {facts['protocol']} of this log: under {protocol}"
            " some of the targets were trained on, and the figures are too good"
        ]
    if facts["protocol"] == NO_SPLIT and "last_time" in facts and log.times is not None:
        first_targets = log.interactions.offsets[cases.users] + cases.histories.lengths
        early = int(np.count_nonzero(log.times[first_targets] <= facts["last_time"]))
        if early:  # model-R54
            return [
                f"{early:,} of {len(cases.users):,} cases have a target that is not later than the"
                " log of the run: the run may have trained on it, and the figures are too good"
            ]
    return []
