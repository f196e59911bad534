"""Recall: the items nearest to the interests of a user, exactly or by a plugin, merged.

Spec: specs/recall.md. Sees arrays only: vectors of items and of interests.

    index = build_index(items, queries, directory=run / "index", kind="auto", seed=0)
    index = open_index(run / "index", items)
    ranked = recommend(index, interests, active, n=10, exclude=histories)
"""

from __future__ import annotations

from mindref.recall.build import build_index, open_index
from mindref.recall.exact import ExactIndex
from mindref.recall.index import Found, Index, Plugin, Structure, nearest
from mindref.recall.merge import merge
from mindref.recall.search import recommend

__all__ = [
    "ExactIndex",
    "Found",
    "Index",
    "Plugin",
    "Structure",
    "build_index",
    "merge",
    "nearest",
    "open_index",
    "recommend",
]
