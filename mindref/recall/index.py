"""Interfaces of an index and of a plugin (a kind of index that needs a library); its index.

Spec: specs/recall.md, recall-R13, R14, R28 to R33. A plugin returns candidates. Scores, order and
merging of lists are computed by mindref, in the same way for every kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from mindref.data.log import Ragged
from mindref.errors import FOREIGN_ERRORS, BackendError, MindrefError, say
from mindref.recall.checks import check_values
from mindref.recall.exact import rescore_candidates, unite_lists
from mindref.shapes import Array, Ints

BLOCK = 65_536  # rows that are converted to float64 at once
TODO = "install what it needs, or choose another kind of index"
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

    name: str  # of the kind
    order: int  # `auto` tries the lowest order first

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


@dataclass(eq=False)
class ApproximateIndex:
    """The search structure of a plugin, and the item vectors (N, D) for the exact scores."""

    kind: str  # name of the plugin
    structure: SearchStructure
    items: Array
    effort: int  # for a list of 50 items
    warning: str | None = None  # that recall is too low, or None
    recall: float | None = None  # fraction of the true top 50 that the probe found
    choice_reason: str | None = None  # what `auto` went by, or None

    def __post_init__(self) -> None:
        norms = np.linalg.norm(self.items, axis=1)
        self.longest = self.items[[norms.argmax()]]  # (1, D), for the check of products
        self.all_zero = not norms.any()

    def candidates(self, queries: Array, n: int) -> Ints:
        """Return the candidate ids (Q, M) of the plugin for the queries (Q, D).

        Raises DataError for NaN and infinity, BackendError for errors and invalid ids of a plugin.
        """
        check_values(self.kind, queries, self.longest)
        num_ids = min(n, len(self.items))
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        is_searched = np.zeros_like(lengths, np.bool_) if self.all_zero else lengths > 0
        if not is_searched.any():
            return np.tile(np.arange(num_ids), (len(queries), 1))
        unit = queries[is_searched] / lengths[is_searched, None]
        directions = unit.astype(queries.dtype)  # recall-R30
        with plugin_errors(self.kind, "searching"):
            plugin_ids = np.asarray(self.structure.candidates(directions, num_ids, self.effort))
        self.check_ids(plugin_ids, len(directions))
        ids = np.full((len(queries), max(num_ids, plugin_ids.shape[1])), -1)
        ids[is_searched, : plugin_ids.shape[1]] = plugin_ids
        ids[~is_searched, :num_ids] = np.arange(num_ids)  # recall-R14: lowest ids
        return ids

    def check_ids(self, ids: Ints, num_queries: int) -> None:
        """Raise BackendError unless these are item ids (num_queries, n) (recall-R31)."""
        location = f"index {self.kind}"
        if ids.ndim != 2 or len(ids) != num_queries or ids.dtype.kind != "i":
            expected = f"ids ({num_queries}, n), integers"
            raise BackendError(say(location, expected, f"{ids.dtype} {ids.shape}"))
        low, high = ids.min(initial=-1), ids.max(initial=-1)
        if low < -1 or high >= len(self.items):
            expected = f"ids from 0 to {len(self.items) - 1}, -1 for none"
            raise BackendError(say(location, expected, f"{low} to {high}"))


def scale_by_longest(items: Array) -> Array:
    """Return items (N, D) scaled so that the largest norm is 1, unless all items are zero.

    recall-R30: the order of products is unchanged, and no square overflows in any dtype.
    """
    blocks = (items[first : first + BLOCK] for first in range(0, len(items), BLOCK))
    lengths = (np.linalg.norm(rows.astype(np.float64), axis=1).max() for rows in blocks)
    length = float(max(lengths))
    scaled: Array = (items / (length if length > 0 else 1.0)).astype(items.dtype, copy=False)
    return scaled


@contextmanager
def plugin_errors(kind: str, action: str, todo: str = TODO) -> Iterator[None]:
    """Turn every error of a plugin into a BackendError with the action (recall-R29)."""
    try:
        yield
    except (MindrefError, MemoryError):
        raise
    except FOREIGN_ERRORS as error:
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(f"index {kind}", f"an answer when {action}", got, todo)) from error
