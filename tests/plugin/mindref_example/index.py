"""Minimal example of a third-party index: items in buckets by their largest coordinate."""

from pathlib import Path
from typing import Any

import numpy as np


class Buckets:
    """The plugin: one bucket per coordinate and sign; the effort is the number of buckets."""

    name = "buckets"
    order = None

    def failure(self) -> str | None:
        return None

    def version(self) -> str:
        return "mindref-example 0.1.0"

    def build(self, items: Any, *, seed: int) -> "Structure":
        return Structure(items)

    def load(self, path: Path, dim: int, count: int) -> "Structure":
        return Structure(np.load(path, mmap_mode="r"))


class Structure:
    """Items in buckets."""

    min_effort = 1

    def __init__(self, items: Any) -> None:
        self.items = items
        self.max_effort = 2 * items.shape[1]
        self.bucket = np.abs(items).argmax(axis=1)
        signs = np.take_along_axis(items, self.bucket[:, None], axis=1)[:, 0] < 0
        self.bucket = self.bucket + items.shape[1] * signs

    def candidates(self, queries: Any, n: int, effort: int) -> Any:
        candidate_ids = np.full((len(queries), n), -1)
        for row, query in zip(candidate_ids, queries, strict=True):
            buckets = np.argsort(-np.concatenate([query, -query]))[:effort]
            ids = np.flatnonzero(np.isin(self.bucket, buckets))
            best = ids[np.argsort(-(self.items[ids] @ query))[:n]]
            row[: len(best)] = best
        return candidate_ids

    def save(self, path: Path) -> None:
        with path.open("wb") as stream:
            np.save(stream, np.asarray(self.items))
