"""Draw the settings by which mind_plus differs from MIND. Spec: specs/mind_plus.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

HEADS = ("layers", "residual", "none")
WINDOW = 17
"""Rows of the table of log weights: the length of the longest drawn history."""


@st.composite
def draw_additions(draw: st.DrawFn, /, **fixed: Any) -> dict[str, Any]:
    """Draw the settings that mind_plus adds; settings in `fixed` will replace drawn settings.

    The gradient of routing is "last", the only one that some fused steps compute.
    """
    heads = HEADS[:2] if fixed.get("contexts") else HEADS
    head = fixed.get("head") or draw(st.sampled_from(heads))
    return {
        "head": head,
        "contexts": 0 if head == "none" else draw(st.integers(0, 2)),
        "recency": draw(st.sampled_from(("interests", "shared", "none"))),
        "votes": draw(st.sampled_from(("matrix", "items"))),
        "dropout": draw(st.sampled_from((0.0, 0.3))),
        "routing_gradient": "last",
        "window": WINDOW,
    }


ADDITIONS: dict[str, Callable[..., st.SearchStrategy[dict[str, Any]]]] = {
    "mind_plus": draw_additions,
}
"""Model family -> strategy of the settings that the family adds to MIND."""
