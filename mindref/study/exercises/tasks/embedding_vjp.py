"""embedding-vjp: rows used once, in two vectors, twice in one; row 0; rows that nobody uses."""

from __future__ import annotations

import numpy as np

from mindref.ops import embedding
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Loss, Terms


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    return [
        Group(
            "every row once",
            "weights and places, where nothing repeats",
            (
                Case("M=3 F=2 D=4 V=8", case(rng, [[3, 1], [7, 4], [2, 6]], 8, 4)),
                Case("M=2 F=1 D=3 V=4", case(rng, [[3], [1]], 4, 3)),
            ),
        ),
        Group(
            "repeats",
            "a row in several vectors",
            (
                Case("row 2 in three vectors", case(rng, [[2], [1], [2], [2]], 4, 3)),
                Case("shelf 5 of three items", case(rng, [[1, 5], [2, 5], [3, 5]], 6, 2)),
            ),
        ),
        Group(
            "twice in a vector",
            "a row that one vector names twice",
            (Case("row 4 twice in vector 0", case(rng, [[4, 4, 1], [2, 3, 1]], 5, 3)),),
        ),
        Group(
            "row 0",
            "a row that some take for padding",
            (Case("row 0 in two vectors", case(rng, [[0, 2], [1, 0]], 3, 4)),),
        ),
    ]


def case(rng: np.random.Generator, rows: list[list[int]], count: int, width: int) -> Inputs:
    """Return vectors of these rows, and a gradient of each."""
    ids = np.array(rows)
    return {
        "rows": ids,
        "weights": rng.uniform(0.2, 1.5, size=ids.shape),
        "d_out": rng.normal(size=(len(ids), width)),
        "count": count,
        "table": rng.normal(size=(count, width)),
    }


def reference(given: Inputs) -> Array:
    """Return what `embedding.backward` gives, as a whole table."""
    _, saved = embedding.forward(given["table"], given["rows"], given["weights"])
    return embedding.backward(given["d_out"], saved).dense(given["count"])


def loss(given: Inputs) -> Loss:
    """Return <d_out, vectors>."""
    rows, weights = given["rows"], given["weights"]

    def value(moved: Inputs) -> float:
        return float(np.sum(given["d_out"] * embedding.forward(moved["table"], rows, weights)[0]))

    return value


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return what each use of the row sends."""
    row, d = index
    uses = np.argwhere(given["rows"] == row)
    sent = [
        (f"vector {m}, place {f}: w g", float(given["weights"][m, f] * given["d_out"][m, d]))
        for m, f in uses
    ]
    return Terms("sum", tuple(sent) or (("never used", 0.0),))
