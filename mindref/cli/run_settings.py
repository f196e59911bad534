"""Settings of a run that its commands need before they load the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mindref.errors import ConfigError, MindrefError, say
from mindref.models.registry import is_reranker
from mindref.process.threads import THREADED_BACKEND, cores_per_process, is_multiprocess
from mindref.run.files import StoredFile, check_folder

MISSING = (FileNotFoundError, NotADirectoryError)


def read_run_config(run: Path) -> dict[str, Any]:
    """Return config.json of a run. A missing or damaged file gives {}; a later check reports it.

    Raises RunError or OSError if the file exists and cannot be read, because then the number of
    threads of the run is unknown.
    """
    try:
        check_folder(run)
        config = StoredFile(run / "config.json", "the configuration of a run", "").read_json()
    except (OSError, MindrefError) as error:
        reason = error if isinstance(error, OSError) else error.__cause__
        if isinstance(reason, OSError) and not isinstance(reason, MISSING):
            raise  # faults-R18
        return {}
    return config if isinstance(config, dict) else {}


def run_setting(run: Path, name: str, default: object = None) -> object:
    """Return a setting of a run; the default if it is missing or the run cannot be read."""
    settings = read_run_config(run).get("settings")
    return settings.get(name, default) if isinstance(settings, dict) else default


def run_backend(run: Path) -> str:
    """Return the backend of a run. For an unreadable run return the default backend."""
    return str(run_setting(run, "backend", THREADED_BACKEND))


def is_reranker_run(run: Path) -> bool:
    """Return whether a run directory holds a DIN reranker; False if it cannot be read."""
    return is_reranker(run_setting(run, "model"))


def run_threads(run: Path, requested: int | None, backend: str | None = None) -> int | None:
    """Return the number of threads to resume a run with. Another number changes the last bits.

    `numba` allows any number. For other backends, raises ConfigError unless `requested` is None or
    the number that the run was started with. If the run cannot be read, `resume` reports it.
    Several processes use `requested`, or the run's number limited to their share of the cores.
    backend: of the run, if its settings do not contain it.
    """
    try:
        text = read_run_config(run)["threads"]
        started = int(text) if text else None
    except (ValueError, KeyError, TypeError):
        return requested
    if started is None or (backend or run_backend(run)) == THREADED_BACKEND:
        return requested
    if is_multiprocess():
        return requested or min(started, cores_per_process())
    if requested not in (None, started):
        raise ConfigError(say("--threads", f"{started}, as the run was started", requested))
    return started


def recall_run_of(run: Path) -> Path:
    """Return the recall run stored in a DIN run; the DIN run itself if it cannot be read."""
    try:
        return Path(read_run_config(run)["recall"]["run"])
    except (ValueError, KeyError, TypeError):
        return run
