"""The two gradients of routing, "all" and "last", for r = 2, as a data flow.

The layout is fixed. Which path carries a gradient, and its size, comes from a trace of the default
user of `mindref study`: a path carries a gradient if the backward pass computes a derivative that
is not zero.
"""

from __future__ import annotations

import numpy as np

from mindref.shapes import Array
from mindref.study.tracing import trace_pair
from tests.pictures.builtin_user import builtin_pair
from tests.pictures.svg import Drawing, Point

NODES: dict[str, tuple[Point, str, str]] = {
    "b1": ((70, 80), "b^{(1)}", "(B, L, K)"),
    "w1": ((205, 80), "w^{(1)}", "(B, L, K)"),
    "z1": ((340, 80), "z^{(1)}", "(B, K, D)"),
    "u1": ((475, 80), "u^{(1)}", "(B, K, D)"),
    "a1": ((610, 80), "⟨S e, u^{(1)}⟩", "(B, L, K)"),
    "es": ((205, 166), "e, S", "(B, L, D), (D, D)"),
    "votes": ((340, 166), "S e", "(B, L, D)"),
    "b2": ((610, 252), "b^{(2)}", "(B, L, K)"),
    "w2": ((475, 252), "w^{(2)}", "(B, L, K)"),
    "z2": ((340, 252), "z^{(2)}", "(B, K, D)"),
    "u2": ((205, 252), "u^{(2)}", "(B, K, D)"),
    "loss": ((70, 252), "loss", "()"),
}
"""Name -> centre, symbol and shape."""

EDGES: dict[tuple[str, str], tuple[str, str]] = {
    ("b1", "w1"): ("d_b[1]", "softmax"),
    ("w1", "z1"): ("d_w[1]", "sum"),
    ("z1", "u1"): ("d_z[1]", "squash"),
    ("u1", "a1"): ("d_u[1]", ""),
    ("a1", "b2"): ("d_b[2]", "add"),
    ("b1", "b2"): ("d_b[1]", ""),
    ("b2", "w2"): ("d_b[2]", "softmax"),
    ("w2", "z2"): ("d_w[2]", "sum"),
    ("z2", "u2"): ("d_z[2]", "squash"),
    ("u2", "loss"): ("d_u[2]", ""),
    ("es", "votes"): ("d_Se", ""),
    ("votes", "z1"): ("from_z[1]", ""),
    ("votes", "a1"): ("from_a[1]", ""),
    ("votes", "z2"): ("from_z[2]", ""),
}
"""Edge -> derivative that passes this edge in the trace, and the operation."""

HALF = (51.0, 22.0)  # half the size of a box
PANEL = 288  # height of one flow


def draw() -> Drawing:
    """Return the picture."""
    out = Drawing(
        2 * PANEL + 116,
        'Gradient paths of routing with gradient="all" and gradient="last", r = 2',
        "Two data flows of routing with two iterations. With all, every path carries a gradient:"
        " the votes receive three terms, from the sums of both iterations and from the agreement."
        " With last, only the path from the votes through the sum of iteration 2 to the capsules"
        " carries a gradient.",
    )
    out.heading("Which paths of routing carry a gradient (r = 2)")
    for index, gradient in enumerate(("all", "last")):
        draw_flow(out, gradient, 44 + index * (PANEL + 8))
    draw_legend(out, out.height - 22)
    return out


def traced_derivatives(gradient: str) -> dict[str, Array]:
    """Return the tensors of a trace with two iterations."""
    pair = builtin_pair(iterations=2, routing_gradient=gradient)
    return dict(trace_pair(pair, phases=("forward", "backward")).values)


def carries_gradient(derivatives: dict[str, Array], edge: tuple[str, str]) -> bool:
    """Return whether the derivative of an edge exists and is not zero."""
    tensor = EDGES[edge][0]
    return tensor in derivatives and bool(np.any(derivatives[tensor]))


def draw_flow(out: Drawing, gradient: str, top: float) -> None:
    """Draw the data flow for one value of the option."""
    derivatives = traced_derivatives(gradient)
    out.rect((8, top), (684, PANEL), "soft", radius=8)
    out.text((20, top + 172), f'"{gradient}"', "ink bold flat", size=20)
    live = {edge for edge in EDGES if carries_gradient(derivatives, edge)}
    for edge in EDGES:
        path = [(x, y + top) for x, y in edge_path(*edge)]
        css = ("line s1", "f1") if edge in live else ("axis dash", "dim")
        out.arrow(path, *css, width=4 if edge in live else 1.5)
    reached = {node for edge in live for node in edge}
    for name, (centre, symbol, shape) in NODES.items():
        draw_node(out, (centre[0], centre[1] + top), symbol, shape, name in reached)
    for edge, (tensor, operation) in EDGES.items():
        label_edge(out, edge, operation, top)
        if edge in live and edge[0] == "votes":
            norm = float(np.linalg.norm(derivatives[tensor]))
            label_term(out, edge, f"{norm:.2f}", top)


def edge_path(start: str, end: str) -> list[Point]:
    """Return the corners of an edge between the borders of two boxes."""
    (x0, y0), (x1, y1) = NODES[start][0], NODES[end][0]
    if (start, end) == ("b1", "b2"):
        return [(x0, y0 - HALF[1]), (x0, 24), (684, 24), (684, y1), (x1 + HALF[0], y1)]
    if (start, end) == ("votes", "a1"):
        return [(x0 + HALF[0], y0), (x1 - 30, y0), (x1 - 30, y1 + HALF[1])]
    if y0 == y1:
        side = HALF[0] if x1 > x0 else -HALF[0]
        return [(x0 + side, y0), (x1 - side, y1)]
    side = HALF[1] if y1 > y0 else -HALF[1]
    return [(x0, y0 + side), (x1, y1 - side)]


def draw_node(out: Drawing, centre: Point, symbol: str, shape: str, reached: bool) -> None:
    """Draw a box with a symbol and a shape; dashed if no gradient reaches the box."""
    x, y = centre
    css = "hollow line s1" if reached else "hollow axis dash"
    out.rect((x - HALF[0], y - HALF[1]), (2 * HALF[0], 2 * HALF[1]), css, radius=6)
    out.text((x, y - 3), symbol, "ink bold flat", anchor="middle")
    out.text((x, y + 15), shape, "dim flat", size=12, anchor="middle")


def label_edge(out: Drawing, edge: tuple[str, str], operation: str, top: float) -> None:
    """Write the operation of an edge above the edge."""
    path = edge_path(*edge)
    (x0, y0), (x1, y1) = path[0], path[-1]
    x, y = (x0 + x1) / 2, (y0 + y1) / 2 + top
    if y0 == y1:
        out.text((x, y - 29), operation, "dim flat", size=13, anchor="middle")
    else:
        out.text((x + 9, y + 4), operation, "dim flat", size=13)


def label_term(out: Drawing, edge: tuple[str, str], norm: str, top: float) -> None:
    """Write the norm of a term of the gradient with respect to the votes."""
    x, y = edge_path(*edge)[0]
    shift = {"z1": (10, -14), "z2": (10, 22), "a1": (40, -8)}[edge[1]]
    out.text((x + shift[0], y + top + shift[1]), norm, "ink bold flat")


def draw_legend(out: Drawing, bottom: float) -> None:
    """Explain the two kinds of arrows and the numbers."""
    out.arrow([(14, bottom - 21), (64, bottom - 21)], "line s1", "f1", width=4)
    out.text((72, bottom - 16), "gradient (flows against the arrow)")
    out.arrow([(330, bottom - 21), (380, bottom - 21)], "axis dash", "dim")
    out.text((388, bottom - 16), "no gradient: constant coupling weights")
    words = "Numbers: norms of the terms of d_(S e), for the default user of mindref study."
    out.text((14, bottom + 8), words, "dim", size=14)
