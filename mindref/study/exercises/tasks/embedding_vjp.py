"""embedding-vjp: rows used once, in two vectors, twice in one; row 0; unused rows."""

from __future__ import annotations

import numpy as np

from mindref.ops import embedding
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, LossFunction


class EmbeddingVjpTask(ExerciseTask):
    """The cases of embedding-vjp."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        three_vectors = self.make_inputs(rng, [[3, 1], [7, 4], [2, 6]], 8, 4)
        two_vectors = self.make_inputs(rng, [[3], [1]], 4, 3)
        row_2 = self.make_inputs(rng, [[2], [1], [2], [2]], 4, 3)
        shelf_5 = self.make_inputs(rng, [[1, 5], [2, 5], [3, 5]], 6, 2)
        row_4 = self.make_inputs(rng, [[4, 4, 1], [2, 3, 1]], 5, 3)
        row_0 = self.make_inputs(rng, [[0, 2], [1, 0]], 3, 4)
        return {
            "every row once": {"M=3 F=2 D=4 V=8": three_vectors, "M=2 F=1 D=3 V=4": two_vectors},
            "repeats": {"row 2 in three vectors": row_2, "shelf 5 of three items": shelf_5},
            "twice in a vector": {"row 4 twice in vector 0": row_4},
            "row 0": {"row 0 in two vectors": row_0},
        }

    def make_inputs(
        self, rng: np.random.Generator, row_lists: list[list[int]], count: int, width: int
    ) -> Inputs:
        """Return vectors of these rows, and the gradient of each vector."""
        rows = np.array(row_lists)
        return {
            "rows": rows,
            "weights": rng.uniform(0.2, 1.5, size=rows.shape),
            "d_out": rng.normal(size=(len(rows), width)),
            "count": count,
            "table": rng.normal(size=(count, width)),
        }

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the result of `embedding.backward` as a dense table."""
        _, saved = embedding.forward(inputs["table"], inputs["rows"], inputs["weights"])
        return embedding.backward(inputs["d_out"], saved).dense(inputs["count"])

    def make_loss(self, inputs: Inputs) -> LossFunction:
        """Return <d_out, vectors>."""
        rows, weights = inputs["rows"], inputs["weights"]

        def loss(perturbed: Inputs) -> float:
            vectors = embedding.forward(perturbed["table"], rows, weights)[0]
            return float(np.sum(inputs["d_out"] * vectors))

        return loss

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the contribution of each use of the row."""
        row, d = index
        weights, d_out = inputs["weights"], inputs["d_out"]
        contributions = [
            (f"vector {m}, position {f}: w g", float(weights[m, f] * d_out[m, d]))
            for m, f in np.argwhere(inputs["rows"] == row)
        ]
        return EntryTerms("sum", tuple(contributions) or (("never used", 0.0),))


TASK = EmbeddingVjpTask()
