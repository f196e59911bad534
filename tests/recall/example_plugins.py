"""Index plugins that need no library, and a function that installs them for a test."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.recall import build, registry, run_index
from mindref.recall.registry import import_plugin
from mindref.recommender.serving import recall as bulk


class Half:
    """Finds the best of every second item, or of all items with an effort of two."""

    name = "half"
    order = 5
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


def plugin(name: str, order: int = Half.order, **members: Any) -> type[Half]:
    """Return a plugin of this name with other members."""
    return type(name.title(), (Half,), {"name": name, "order": order, **members})


def fail(*_: Any, **__: Any) -> Any:
    """A member that raises an error."""
    raise KeyError("something of its own")


def answering(found: Any) -> type[Half]:
    """Return the plugin `careless`, whose searches return `found`; a row is for each query."""

    def build(self: Half, items: Any, *, seed: int) -> Any:
        structure: Any = Structure(items)
        one_row = getattr(found, "ndim", 0) == 1
        structure.candidates = lambda queries, n, effort: (
            np.tile(found, (len(queries), 1)) if one_row else found
        )
        return structure

    return plugin("careless", build=build)


def install(monkeypatch: pytest.MonkeyPatch, **plugins: Any) -> None:
    """Let these plugins be the only ones: functions, or texts as in `registry.PLUGINS`."""

    def import_installed(kind: str) -> Any:
        return import_plugin(kind) if isinstance(plugins[kind], str) else plugins[kind]

    monkeypatch.setattr(registry, "PLUGINS", plugins)
    monkeypatch.setattr(registry, "import_plugin", import_installed)
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
