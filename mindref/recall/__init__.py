"""Recall: for each user, the items with the largest inner products with the interests.

Spec: specs/recall.md. The search is exact or approximate, by a plugin. The lists of the interests
are merged. Works on arrays only: item vectors and interests.

    index = build_index(items, queries, directory=run / "index", kind="auto", seed=0)
    index = open_index(run / "index", items)
    seen = ItemFilter(exclude=histories)
    ranked = retrieve_top_n(index, interests, active, n=10, item_filter=seen)
"""

from __future__ import annotations

from mindref.recall.build import build_index, open_index
from mindref.recall.exact import ExactIndex
from mindref.recall.index import Index, Neighbours, Plugin, SearchStructure, nearest_items
from mindref.recall.retrieval import ItemFilter, merge_lists, retrieve_top_n

__all__ = [
    "ExactIndex",
    "Neighbours",
    "Index",
    "ItemFilter",
    "Plugin",
    "SearchStructure",
    "build_index",
    "merge_lists",
    "nearest_items",
    "open_index",
    "retrieve_top_n",
]
