"""Each rule of specs/embedding.md, and its worked example."""

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance.strategies import generators, normal
from mindref.errors import ShapeError
from mindref.ops import embedding
from tests import spec_pages
from tests.assertions import assert_example, raises_exactly


@pytest.mark.rules("embedding-R2")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(rng=generators())
def test_one_row_of_weight_one_is_copied_exactly(dtype, rng):
    table, rows = normal(rng, 5, 3, dtype=dtype), rng.integers(0, 5, (7, 1))
    out, _ = embedding.forward(table, rows, np.ones((7, 1), dtype))
    assert out.tobytes() == table[rows[:, 0]].tobytes()


@pytest.mark.rules("embedding-R4", "embedding-R7")
@pytest.mark.parametrize(
    ("rows", "text"),
    [
        *(([[0], [row]], f"expected indices from 0 to 2, got {row}") for row in (-1, 3, 2**40)),
        ([[0.0], [0.0]], "expected integers, got float64"),
    ],
)
def test_invalid_rows_raise(rows, text):
    with raises_exactly(ShapeError, f"embedding: rows: {text}"):
        embedding.forward(np.zeros((3, 2)), np.array(rows), np.ones((2, 1)))


@pytest.mark.rules("embedding-R1", "embedding-R3", "embedding-R5")
def test_the_worked_example_matches_the_page():
    (example,) = spec_pages.examples("embedding")
    table, weights, d_out = (np.array(example[n], float) for n in ("table", "weights", "d_out"))
    out, saved = embedding.forward(table, np.array(example["rows"]), weights)
    d_table = embedding.backward(d_out, saved)
    assert_example({"out": out}, example)
    assert d_table.rows.tolist() == example["d_table"]["rows"]
    assert_example({"values": d_table.values}, example["d_table"])
