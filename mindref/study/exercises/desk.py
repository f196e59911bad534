"""The learner's folder: one file an exercise, and what has been passed.

A file is made once and never written again, but for `reset`, which keeps the old one beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from mindref.errors import DataError, say
from mindref.run import atomic
from mindref.study.exercises.exercise import Exercise

FOLDER = "exercises"
PROGRESS = "progress.json"
FORMAT = "mindref.exercises/1"


class Standing(NamedTuple):
    """How far a learner has come with one exercise."""

    checks: int = 0
    passed: bool = False  # once is enough
    hints: int = 0  # given so far
    gave_up: bool = False


def free(path: Path) -> Path:
    """Return a path, or one with a number behind it, at which there is nothing."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}{number}")
    return found


class Desk:
    """A folder with the learner's files."""

    def __init__(self, folder: Path | str = FOLDER) -> None:
        self.folder = Path(folder)

    def file(self, name: str) -> Path:
        """Return the path of the file of an exercise."""
        return self.folder / f"{name}.py"

    def create(self, exercise: Exercise) -> bool:
        """Make the learner's file, unless there is one; return whether it was made."""
        path = self.file(exercise.name)
        with atomic.explained(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("x", encoding="utf-8") as stream:  # never over another one
                    stream.write(exercise.starter)
            except FileExistsError:
                return False
        return True

    def reset(self, exercise: Exercise) -> Path | None:
        """Put the starter back; return where the learner's file is kept, None if there was none."""
        path = self.file(exercise.name)
        if self.create(exercise):
            return None
        kept = free(path.with_suffix(".py.old"))
        with atomic.explained(path):
            path.replace(kept)
        self.create(exercise)
        return kept

    def text(self, name: str) -> str:
        """Return the learner's file. Raises DataError where there is none that can be read."""
        path = self.file(name)
        try:
            return path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            todo = f"make it: mindref study --exercise {name}"
            raise DataError(say(str(path), "your file", "none", todo)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(say(str(path), "a text in UTF-8", error)) from error

    def standings(self) -> dict[str, Standing]:
        """Return how far every exercise that was begun is. Raises DataError for a damaged file."""
        path = self.folder / PROGRESS
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {name: Standing(**row) for name, row in found["exercises"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            todo = "remove it; your exercises are not lost"
            raise DataError(
                say(str(path), "what `mindref study` has written", error, todo)
            ) from error

    def standing(self, name: str) -> Standing:
        """Return how far one exercise is."""
        return self.standings().get(name, Standing())

    def note(self, name: str, **changes: Any) -> Standing:
        """Change how far an exercise is, and return it."""
        standings = self.standings()
        standings[name] = standings.get(name, Standing())._replace(**changes)
        with atomic.explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        rows = {n: standing._asdict() for n, standing in standings.items()}
        atomic.write_json(self.folder / PROGRESS, {"format": FORMAT, "exercises": rows})
        return standings[name]
