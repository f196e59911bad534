"""What an index answers, and what a plugin of the entry points `mindref.indexes` must offer.

Spec: specs/recall.md, recall-R28 to recall-R33. A plugin names candidates; the scores, the order
and the merging of lists are made here, the same for every kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from mindref.data.log import Ragged
from mindref.evaluation import top_n
from mindref.shapes import Array, Ints

PER = 50  # items of a list for which an effort is stated, and which a probe asks for


class Found(NamedTuple):
    """The answers to Q queries, best first; -1 and -inf where there are fewer than n items."""

    ids: Ints  # (Q, n) dense item ids
    scores: Array  # (Q, n) exact inner products, never rising along a row


class Index(Protocol):
    """Something that finds the items (N, D) with large inner products."""

    items: Array
    warning: str | None  # one line for the user, or None
    recall: float | None  # share of the true neighbours that it finds, where measured
    why: str | None  # what `auto` went by when it took it, or None

    @property
    def kind(self) -> str:
        """Return `exact` or the name of a plugin."""

    def candidates(self, queries: Array, n: int) -> Ints:
        """Return ids (Q, M) for each query (Q, D): n or more near ones, in any order, -1 for none.

        An id may come twice. Raises DataError for numbers that are none.
        """


class Structure(Protocol):
    """What a plugin has built over items: it knows which are near, and costs as it is told to."""

    least: int  # effort at which a probe begins
    most: int  # effort at which it ends

    def candidates(self, queries: Array, n: int, effort: int) -> Ints:
        """Return ids (Q, M) for each query (Q, D): n or more near ones, in any order, -1 for none.

        Queries have length one. `effort` is meant for 50 items: a longer list may need more. The
        ids of a query depend on nothing but it, n and the effort; an id may come twice.
        """

    def save(self, path: Path) -> None:
        """Write it to one file."""


class Plugin(Protocol):
    """A kind of index. Its module imports its library when it is imported, and not before."""

    name: str  # that of its entry point
    order: int | None  # when `auto` tries it, the lowest first; None: only when it is asked for
    options: Mapping[str, int]  # numbers that `build` takes, with their defaults, from 1

    def failure(self) -> str | None:
        """Return why it cannot be trusted on this machine, in a few words, or None."""

    def version(self) -> str:
        """Return what an index file depends on; another version's file is never loaded."""

    def build(self, items: Array, *, seed: int, n_jobs: int, **options: int) -> Structure:
        """Return the structure over items (N, D), finite, of which the longest has length one.

        The same for the same items, seed and options when n_jobs is 1.
        """

    def load(self, path: Path, dim: int, count: int) -> Structure:
        """Map a file that `save` wrote, whose bytes have been checked. Raises anything."""


def nearest(index: Index, queries: Array, n: int) -> Found:
    """Return n items for each query (Q, D), best first, with their exact products.

    Ties are in the order of ids. Raises as ranking.top_n does.
    """
    none = Ragged.of([[]] * len(queries))
    one = np.ones((len(queries), 1), np.bool_)
    ids = top_n.unite(index.candidates(queries, n), none, len(index.items))
    ranked = top_n.rerank(queries[:, None], one, index.items, ids, n=n)  # recall-R13
    return Found(ranked.items, ranked.scores)
