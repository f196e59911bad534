"""Recency of a behaviour: the number of later behaviours of the same user.

Spec: specs/youtube_dnn.md and specs/mind_plus.md, which look up weights by recency.
"""

from __future__ import annotations

from mindref.shapes import Bools, Ints


def recency(mask: Bools) -> Ints:
    """Return for each behaviour the number of later ones of its user: 0 for the last (M,)."""
    since = mask[:, ::-1].cumsum(axis=1)[:, ::-1] - 1  # youtube_dnn-R3: padding is not counted
    return since[mask]
