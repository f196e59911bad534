"""The folder of a run: whether it is free, and making it."""

from __future__ import annotations

from pathlib import Path

from mindref.errors import RunError, say
from mindref.run import atomic, checkpoint, lock, report

WRITTEN = (*checkpoint.FILES, report.NAME)  # by a training; an export may be under way in it


def check_free(run: Path) -> None:
    """Raise RunError if a run or something else lies there, before anything expensive is done.

    What a kill before the first word of the configuration leaves is no hindrance.
    """
    if (run / "config.json").exists():
        todo = "choose another --out, or go on with --resume"
        raise RunError(say(str(run), "no run there", "one", todo))
    begun = {"items.tsv", lock.NAME}
    others = [x.name for x in run.glob("*") if x.name not in begun and x.suffix != ".tmp"]
    if others:
        got = f"{len(others)} others, such as {others[0]!r}"
        raise RunError(say(str(run), "a new or empty folder", got, "choose another --out"))


def make_folder(run: Path) -> None:
    """Make the folder of a new run. Raises RunError if it holds a run already."""
    check_free(run)
    with atomic.explained(run):
        run.mkdir(parents=True, exist_ok=True)
        atomic.sweep(run, "items.tsv", "config.json")  # left behind by a kill at this very place
