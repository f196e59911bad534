"""embedding-vjp: rows that are used once, in several vectors or twice in one."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mindref.ops import embedding
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, inner_product


def make_embedding_cases(rng: Generator) -> Cases:
    """Return rows that are used once, in two vectors, or twice in one; row 0; unused rows."""

    def draw(row_lists: list[list[int]], count: int, width: int) -> Inputs:
        rows = np.array(row_lists)
        return {
            "rows": rows,
            "weights": rng.uniform(0.2, 1.5, size=rows.shape),
            "d_out": rng.normal(size=(len(rows), width)),
            "count": count,
            "table": rng.normal(size=(count, width)),
        }

    return {
        "every row once": {
            "M=3 F=2 D=4 V=8": draw([[3, 1], [7, 4], [2, 6]], 8, 4),
            "M=2 F=1 D=3 V=4": draw([[3], [1]], 4, 3),
        },
        "repeats": {
            "row 2 in three vectors": draw([[2], [1], [2], [2]], 4, 3),
            "shelf 5 of three items": draw([[1, 5], [2, 5], [3, 5]], 6, 2),
        },
        "twice in a vector": {"row 4 twice in vector 0": draw([[4, 4, 1], [2, 3, 1]], 5, 3)},
        "row 0": {"row 0 in two vectors": draw([[0, 2], [1, 0]], 3, 4)},
    }


def compute_table_gradient(inputs: Inputs) -> Array:
    """Return the result of `embedding.backward` as a dense table."""
    _, saved = embedding.forward(inputs["table"], inputs["rows"], inputs["weights"])
    return embedding.backward(inputs["d_out"], saved).dense(inputs["count"])


def compute_embedding_loss(inputs: Inputs, perturbed: Inputs) -> float:
    """Return <d_out, vectors>."""
    vectors, _ = embedding.forward(perturbed["table"], inputs["rows"], inputs["weights"])
    return inner_product(inputs["d_out"], vectors)


def explain_table_gradient(inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
    """Return the contribution of each use of the row."""
    row, d = index
    weights, d_out = inputs["weights"], inputs["d_out"]
    contributions = [
        (f"vector {m}, position {f}: w g", float(weights[m, f] * d_out[m, d]))
        for m, f in np.argwhere(inputs["rows"] == row)
    ]
    return EntryTerms("sum", tuple(contributions) or (("never used", 0.0),))


TASKS = {
    "embedding-vjp": ExerciseTask(
        make_embedding_cases, compute_table_gradient, explain_table_gradient, compute_embedding_loss
    ),
}
