"""Interfaces of an index and of a plugin (entry points `mindref.indexes`).

Spec: specs/recall.md, recall-R28 to R33. A plugin returns candidates. Scores, order and
merging of lists are computed by mindref, in the same way for every kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from mindref.data.log import Ragged
from mindref.recall.exact import rescore_candidates, unite_lists
from mindref.shapes import Array, Ints

EFFORT_ITEMS = 50  # length of a list to which an effort refers, and which a probe requests


class Neighbours(NamedTuple):
    """The nearest items of Q queries, best first; -1 and -inf where there are fewer than n."""

    ids: Ints  # (Q, n) dense item ids
    scores: Array  # (Q, n) exact inner products, never rising along a row


@runtime_checkable
class Index(Protocol):
    """Finds the items (N, D) with large inner products."""

    items: Array
    warning: str | None  # one line for the user, or None
    recall: float | None  # fraction of the true neighbours that the index finds, if measured
    choice_reason: str | None  # what `auto` went by when it took it, or None

    @property
    def kind(self) -> str:
        """Return `exact` or the name of a plugin."""

    def candidates(self, queries: Array, n: int) -> Ints:
        """Return ids (Q, M), M >= n, of near items for the queries (Q, D), -1 for none.

        The order is free, and an id may occur twice. Raises DataError for NaN and infinity.
        """


class SearchStructure(Protocol):
    """The search structure of a plugin over items. The effort trades time for recall."""

    min_effort: int  # first effort of a probe
    max_effort: int  # last effort of a probe

    def candidates(self, queries: Array, n: int, effort: int) -> Ints:
        """Return ids (Q, M), M >= n, of near items for the queries (Q, D), -1 for none.

        Queries have norm 1. `effort` refers to 50 items; a longer list may need more. The ids of a
        query must depend only on the query, n and the effort. The order is free, and an id may
        occur twice.
        """

    def save(self, path: Path) -> None:
        """Write the structure to one file."""


class Plugin(Protocol):
    """A kind of index. The module of the plugin may import its library."""

    name: str  # name of the entry point
    order: int | None  # `auto` tries the lowest order first; None: only if requested by name

    def failure(self) -> str | None:
        """Return why the plugin is unusable on this machine, in a few words, or None."""

    def version(self) -> str:
        """Return the version of the file format. A file of another version is never loaded."""

    def build(self, items: Array, *, seed: int) -> SearchStructure:
        """Return the structure over finite items (N, D) whose largest norm is 1.

        The result must be a function of items and seed.
        """

    def load(self, path: Path, dim: int, count: int) -> SearchStructure:
        """Load or map a file that `save` wrote. The caller has checked the bytes."""


def nearest_items(index: Index, queries: Array, n: int) -> Neighbours:
    """Return n items for each query (Q, D), best first, with the exact products.

    Ties are in the order of ids. Errors as `search_top_n`.
    """
    excluded = Ragged.of([[]] * len(queries))
    active = np.ones((len(queries), 1), np.bool_)
    ids = unite_lists(index.candidates(queries, n), excluded, len(index.items))
    ranked = rescore_candidates(queries[:, None], active, index.items, ids, n=n)  # recall-R13
    return Neighbours(ranked.items, ranked.scores)
