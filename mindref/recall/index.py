"""What an index answers, and what it must offer."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from mindref.shapes import Array, Ints


class Found(NamedTuple):
    """The answers to Q queries, best first; -1 and -inf where there are fewer than n items."""

    ids: Ints  # (Q, n) dense item ids
    scores: Array  # (Q, n) exact inner products, never rising along a row


class Index(Protocol):
    """Something that finds the items (N, D) with large inner products."""

    items: Array
    warning: str | None  # one line for the user, or None
    recall: float | None  # share of the true neighbours that it finds, where measured

    @property
    def kind(self) -> str:
        """Return exact or annoy."""

    def search(self, queries: Array, n: int) -> Found:
        """Return n items for each query (Q, D), best first, with their exact products."""
