"""report.json: the evaluation of a run, with the digest of the run and of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mindref.run import files

NAME = "report.json"


def save_report(run: Path, report: Mapping[str, object], identity: str) -> None:
    """Write the report of the run with this digest."""
    files.write_sealed(run / NAME, {**report, "identity": identity})


def load_report(run: Path, identity: str, todo: str) -> dict[str, Any]:
    """Return the report of the run. Raises RunError, or FileNotFoundError if there is none."""
    stored = files.StoredFile(run / NAME, "a report of mindref", todo)
    words = stored.unseal(stored.read_json())
    if words.pop("identity", None) != identity:  # security-R2
        raise stored.error("that of another", f"the report of the run of {run / 'config.json'}")
    return words
