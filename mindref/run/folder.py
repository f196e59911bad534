"""The folder of a new run: check that it is free, and create it."""

from __future__ import annotations

from pathlib import Path

from mindref.errors import RunError, say
from mindref.run import atomic, checkpoint, lock, report

# files of a training; the folder may also contain an export
WRITTEN = (*checkpoint.FILES, report.NAME)


TODO = "choose another --out, or go on with --resume"


def check_free(run: Path, todo: str = TODO) -> None:
    """Raise RunError if the folder contains a run or other files, before expensive work.

    Files of a training that was killed before it wrote config.json are allowed.
    todo: advice if the folder contains a run.
    """
    if (run / "config.json").exists():
        raise RunError(say(str(run), "no run there", "one", todo))
    begun = {"items.tsv", lock.NAME}
    entries = [x.name for x in run.glob("*") if x.name not in begun and x.suffix != ".tmp"]
    if entries:
        got = f"other entries, such as {entries[0]!r}"
        raise RunError(say(str(run), "a new or empty folder", got, "choose another --out"))


def make_folder(run: Path) -> None:
    """Make the folder of a new run. Raises RunError if it contains a run."""
    check_free(run)
    with atomic.explain_errors(run):
        run.mkdir(parents=True, exist_ok=True)
        # temporary files of a training that was killed here
        atomic.remove_leftovers(run, "items.tsv", "config.json")
