"""Index plugins of another package, and a function that installs them for a test."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.recall import build, registry, run_index
from mindref.recommender.serving import recall as bulk

HERE = "tests.recall.example_plugins"


class Half:
    """Finds the best of every second item, or of all items with an effort of two."""

    name = "half"
    order: int | None = None
    broken: str | None = None
    asked: list[Any] = []  # noqa: RUF012  # queries, n, effort

    def failure(self) -> str | None:
        return self.broken

    def version(self) -> str:
        return "half 1"

    def build(self, items: Any, *, seed: int) -> Any:
        self.seen = items
        return Structure(items)

    def load(self, path: Path, dim: int, count: int) -> Any:
        return Structure(np.load(path))


class Structure:
    min_effort, max_effort = 1, 2

    def __init__(self, items: Any) -> None:
        self.items = items

    def candidates(self, queries: Any, n: int, effort: int) -> Any:
        Half.asked.append((queries, n, effort))
        products = queries @ self.items.T
        if effort < 2:
            products[:, 1::2] = -np.inf
        best = np.argsort(-products, axis=1)[:, :n]
        return np.where(np.take_along_axis(products, best, axis=1) == -np.inf, -1, best)

    def save(self, path: Path) -> None:
        with path.open("wb") as stream:
            np.save(stream, self.items)


class Early(Half):
    name, order = "early", 0


class Late(Half):
    name, order = "late", 9


class Careless(Half):
    """Returns the ids in `found`."""

    name = "careless"
    found: Any = None

    @staticmethod
    def answer(queries: Any, n: int, effort: int) -> Any:
        one_row = getattr(Careless.found, "ndim", 0) == 1
        return np.tile(Careless.found, (len(queries), 1)) if one_row else Careless.found

    def build(self, items: Any, **_: Any) -> Any:
        structure = Structure(items)
        structure.candidates = Careless.answer
        return structure


class Failing(Half):
    name, order = "failing", 0

    def build(self, items: Any, **_: Any) -> Any:
        raise KeyError("something of its own")


class Untestable(Half):
    name, order = "untestable", 0

    def failure(self) -> str | None:
        raise KeyError("something of its own")


class Unversioned(Half):
    name, order = "unversioned", 0

    def version(self) -> str:
        raise KeyError("something of its own")


class Wanton(Half):
    """Has the efforts in `efforts`."""

    name, order = "wanton", 0
    efforts: dict[str, Any] = {}  # noqa: RUF012

    def build(self, items: Any, **_: Any) -> Any:
        return type("Wild", (), {"candidates": Careless.answer, **self.efforts})()


class Unmakeable(Half):
    name, order = "unmakeable", 0

    def __init__(self) -> None:
        raise SystemExit(0)


class Misnamed(Half):
    name = "another"


class Disordered(Half):
    name, order = "disordered", "first"


lacking = object()


def install(monkeypatch: pytest.MonkeyPatch, **objects: str) -> None:
    """Install only these objects of this module, under these names."""
    made = [
        metadata.EntryPoint(name.replace("_", "-"), value, registry.GROUP)
        for name, value in objects.items()
    ]
    real = metadata.entry_points

    def entry_points(**asked):
        return made if asked == {"group": registry.GROUP} else real(**asked)

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    Half.asked.clear()


def measure_small_catalogues(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], recall: float | None = None
) -> None:
    """Measure catalogues of 50 items: seconds per user by kind, and a recall if one is given."""
    for module in (build, run_index, bulk):
        monkeypatch.setattr(module, "MIN_MEASURED_ITEMS", 50)
    monkeypatch.setattr(build, "seconds_per_user", lambda index, _: seconds[index.kind])
    if recall is not None:
        monkeypatch.setattr(build, "probe_recall", lambda *_: recall)
