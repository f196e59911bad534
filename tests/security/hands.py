"""What a stranger, who can make digests as well, does to the files of a run; what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindref.recommender import load
from mindref.run import array_files
from mindref.run.files import sealed
from tests.damage.damaged_runs import HISTORIES


def change(path: Path, how: Callable[[Any], Any], seal: bool = True) -> None:
    """Change a file of JSON as a stranger would, who can make digests as well."""
    words = json.loads(path.read_text())
    how(words)
    path.write_text(json.dumps(sealed(words) if seal else words))


def crafted(run: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    """Change the arrays of a model, and write it as mindref does."""
    arrays, words = array_files.load_arrays(run / array_files.MODEL)
    how(arrays)
    array_files.save_arrays(run / array_files.MODEL, arrays, words)


def spoiled(path: Path, **changes: Any) -> None:
    """Change the words beside the arrays of a file, and write it as mindref does."""
    arrays, words = array_files.load_arrays(path)
    array_files.save_arrays(path, arrays, {**words, **changes})


def answer(run: Path) -> Any:
    return load(run).recommend(HISTORIES[0], 5)
