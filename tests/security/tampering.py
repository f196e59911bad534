"""Changes of run files by an attacker, who can also compute digests; requests to the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindref.recommender import load
from mindref.recommender.serving.recall import RequestedLists
from mindref.run import array_files
from mindref.run.files import sealed
from tests.list_requests import recalled
from tests.recall.annoy_trees import INDEX
from tests.runs import HISTORIES

Edit = Callable[[dict[str, Any]], Any]


def edit_json(path: Path, edit: Edit, seal: bool = True) -> None:
    """Change a JSON file, with a correct digest if `seal`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(sealed(content) if seal else content), encoding="utf-8")


def edit_model_arrays(run: Path, edit: Edit) -> None:
    """Change the arrays of a model file, with a correct digest."""
    arrays, metadata = array_files.load_arrays(run / array_files.MODEL)
    edit(arrays)
    array_files.save_arrays(run / array_files.MODEL, arrays, metadata)


def edit_metadata(path: Path, **changes: Any) -> None:
    """Change the metadata of an array file, with a correct digest."""
    arrays, metadata = array_files.load_arrays(path)
    array_files.save_arrays(path, arrays, {**metadata, **changes})


def bind_arrays(run: Path, identity: str) -> None:
    """Write the array files of a run as files of the run with this identity."""
    for name in (array_files.MODEL, array_files.STATE):
        edit_metadata(run / name, run=identity)


def recommend(run: Path) -> Any:
    """Return the recommendations of the run for a history."""
    return load(run).recommend(HISTORIES[0], 5)


def recall(run: Path, kind: str = INDEX) -> RequestedLists:
    """Return the lists of the run for a history, by an index of this kind."""
    return recalled(run, history=HISTORIES[0], index=kind)
