"""Lines below the tables of a report, the same for `mindref train` and `mindref evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindref.cli.progress import interests_lines, tie_lines, untrained_lines
from mindref.recommender.evaluate_run import SEEN_TARGETS


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Return warnings, metrics by ties, interest statistics, untrained items and counts."""
    return [
        *(f"Warning: {line}" for line in report["baseline_warnings"]),
        *tie_lines(report["by_tie"]),
        *interests_lines(report["interests"]),
        *untrained_lines(report["untrained"]),
        *note_lines(report["notes"], hidden=report["exclude_seen"]),
    ]


def note_lines(notes: Mapping[str, int], *, hidden: bool) -> list[str]:
    """Return a line for each non-zero count; `hidden`: seen items were excluded."""
    lines = {name: f"{count:,} {name}" for name, count in notes.items() if count}
    if hidden and SEEN_TARGETS in lines:
        advice = ": always missed, because seen items are excluded; try --include-seen"
        lines[SEEN_TARGETS] += advice
    return list(lines.values())
