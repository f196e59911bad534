"""The learner's folder: one file for each exercise, and the progress.

A file is created once and never overwritten, except by `reset_file`, which keeps the old file.
"""

from __future__ import annotations

import json
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from mindref.errors import DataError, say
from mindref.run import atomic
from mindref.study.exercises.exercise import Exercise

FOLDER = "exercises"
PROGRESS = "progress.json"
FORMAT = "mindref.exercises/1"


class Progress(NamedTuple):
    """The learner's progress in one exercise."""

    checks: int = 0
    passed: bool = False  # passed at least once
    hints: int = 0  # printed so far
    gave_up: bool = False


class Workspace:
    """A folder with the learner's files."""

    def __init__(self, folder: Path | str = FOLDER) -> None:
        self.folder = Path(folder)

    def file_path(self, name: str) -> Path:
        """Return the path of the file of an exercise."""
        return self.folder / f"{name}.py"

    def create_file(self, exercise: Exercise) -> bool:
        """Create the learner's file unless it exists; return whether it was created."""
        path = self.file_path(exercise.name)
        with atomic.explain_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("x", encoding="utf-8") as stream:  # never overwrites a file
                    stream.write(exercise.starter)
            except FileExistsError:
                return False
        return True

    def reset_file(self, exercise: Exercise) -> Path | None:
        """Restore the starter; return the new path of the learner's file, None without a file."""
        path = self.file_path(exercise.name)
        if self.create_file(exercise):
            return None
        suffixes = chain([".py.old"], (f".py.old{number}" for number in count(2)))
        backup = next(x for x in map(path.with_suffix, suffixes) if not x.exists())
        with atomic.explain_errors(path):
            path.replace(backup)
        self.create_file(exercise)
        return backup

    def read_file(self, name: str) -> str:
        """Return the text of the learner's file. Raises DataError if it cannot be read."""
        path = self.file_path(name)
        try:
            return path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            todo = f"create it: mindref study --exercise {name}"
            raise DataError(say(str(path), "your file", "none", todo)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(say(str(path), "a text in UTF-8", error)) from error

    def read_progress(self) -> dict[str, Progress]:
        """Return the progress of every begun exercise. Raises DataError for a damaged file."""
        path = self.folder / PROGRESS
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return {name: Progress(**row) for name, row in document["exercises"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            expected = "a progress file written by `mindref study`"
            todo = "remove it; your exercise files stay"
            raise DataError(say(str(path), expected, error, todo)) from error

    def get_progress(self, name: str) -> Progress:
        """Return the progress of one exercise."""
        return self.read_progress().get(name, Progress())

    def record(self, name: str, **changes: Any) -> Progress:
        """Change the progress of an exercise and return it."""
        progress = self.read_progress()
        progress[name] = progress.get(name, Progress())._replace(**changes)
        with atomic.explain_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        rows = {n: x._asdict() for n, x in progress.items()}
        atomic.write_json(self.folder / PROGRESS, {"format": FORMAT, "exercises": rows})
        return progress[name]
