"""Vectors and trees of Annoy, and what skips a test where Annoy is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from mindref.recall.index import ApproximateIndex, scale_by_longest
from mindref.shapes import Array

NO_ANNOY = "the package annoy or annoy-mm is not installed"
needs_annoy = pytest.mark.skipif(find_spec("annoy") is None, reason=NO_ANNOY)
INDEX = "annoy" if find_spec("annoy") else "faiss-ivf"
"""The kind of index of tests that work with any plugin."""


def annoy_module() -> Any:
    """Return the module of the plugin; skip the calling test or module without Annoy."""
    return pytest.importorskip("mindref.recall.annoy", reason=NO_ANNOY)


def vectors(n: int, width: int = 8, seed: int = 0) -> Array:
    """Vectors as those of a factorisation: a common direction, and norms by popularity."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.standard_normal((n, 1)) / 2)
    return ((rng.standard_normal((n, width)) + 2) * lengths).astype(np.float32)


def index_of(items: Array, effort: int = 100_000) -> ApproximateIndex:
    """Return an index of trees."""
    trees = annoy_module().Annoy().build(scale_by_longest(items), seed=1)
    return ApproximateIndex("annoy", trees, items, effort)
