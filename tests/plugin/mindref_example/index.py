"""A kind of index by somebody else, as small as it can be: items by their largest coordinate."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np


class Shelves:
    """The plugin: a shelf for each coordinate and sign; an effort is a number of shelves."""

    name = "shelves"
    order = None
    options: ClassVar[dict[str, int]] = {}

    def failure(self) -> str | None:
        return None

    def version(self) -> str:
        return "mindref-example 0.1.0"

    def build(self, items: Any, *, seed: int, n_jobs: int) -> "Structure":
        return Structure(items)

    def load(self, path: Path, dim: int, count: int) -> "Structure":
        return Structure(np.load(path, mmap_mode="r"))


class Structure:
    """Items on shelves."""

    min_effort = 1

    def __init__(self, items: Any) -> None:
        self.items = items
        self.max_effort = 2 * items.shape[1]
        self.shelf = np.abs(items).argmax(axis=1)
        signs = np.take_along_axis(items, self.shelf[:, None], axis=1)[:, 0] < 0
        self.shelf = self.shelf + items.shape[1] * signs

    def candidates(self, queries: Any, n: int, effort: int) -> Any:
        found = np.full((len(queries), n), -1)
        for row, query in zip(found, queries, strict=True):
            shelves = np.argsort(-np.concatenate([query, -query]))[:effort]
            ids = np.flatnonzero(np.isin(self.shelf, shelves))
            best = ids[np.argsort(-(self.items[ids] @ query))[:n]]
            row[: len(best)] = best
        return found

    def save(self, path: Path) -> None:
        with path.open("wb") as stream:
            np.save(stream, np.asarray(self.items))
