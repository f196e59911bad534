"""How recent a behaviour is: how many of its user come after it.

Spec: specs/youtube_dnn.md and specs/mind_plus.md, whose weights by recency are looked up by it.
"""

from __future__ import annotations

from mindref.shapes import Bools, Ints


def recency(mask: Bools) -> Ints:
    """Return for each behaviour how many of its user come after it: 0 for the last one (M,)."""
    since = mask[:, ::-1].cumsum(axis=1)[:, ::-1] - 1  # youtube_dnn-R3: places that pad count none
    return since[mask]
