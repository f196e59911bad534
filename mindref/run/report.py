"""report.json: the evaluation of a run, with the digest of the run and of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mindref.errors import RunError, say
from mindref.run import files

NAME = "report.json"
WHAT = "a report of mindref"


def save_report(run: Path, report: Mapping[str, object], identity: str) -> None:
    """Write the report of the run with this digest."""
    files.write_sealed(run / NAME, {**report, "identity": identity})


def load_report(run: Path, identity: str, todo: str) -> dict[str, Any]:
    """Return the report of the run. Raises RunError, or FileNotFoundError if there is none."""
    path = run / NAME
    words = files.unsealed(path, files.read_json(path, WHAT, todo), WHAT, todo)
    if words.pop("identity", None) != identity:  # security-R2
        expected = f"the report of the run of {run / 'config.json'}"
        raise RunError(say(str(path), expected, "that of another", todo))
    return words
