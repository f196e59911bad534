"""Each rule of specs/embedding.md, and its worked example."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.strategies import distinct_sizes, generators, normal, read_only
from mindref.errors import ShapeError
from mindref.ops import embedding
from tests import spec_pages
from tests.assertions import assert_close, assert_example, raises_exactly


@st.composite
def cases(draw):
    """Draw a table, rows with repeats, and weights of which some are zero."""
    count, vectors, pooled, width = draw(distinct_sizes(4))
    rng = draw(generators())
    rows = rng.integers(0, count, (vectors, pooled))
    weights = rng.random((vectors, pooled)) * (rng.random((vectors, pooled)) < 0.8)
    return normal(rng, count, width), read_only(rows), read_only(weights)


@pytest.mark.rules("embedding-R2")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(rng=generators())
def test_one_row_of_weight_one_is_copied_exactly(dtype, rng):
    table, rows = normal(rng, 5, 3, dtype=dtype), rng.integers(0, 5, (7, 1))
    out, _ = embedding.forward(table, rows, np.ones((7, 1), dtype))
    assert out.tobytes() == table[rows[:, 0]].tobytes()


@pytest.mark.rules("embedding-R3")
@given(cases(), generators())
def test_the_gradient_adds_up_all_uses_of_a_row(case, rng):
    table, rows, weights = case
    _, saved = embedding.forward(table, rows, weights)
    d_out = rng.standard_normal((len(rows), table.shape[1]))
    expected = np.zeros(table.shape)
    for m, f in np.ndindex(rows.shape):
        expected[rows[m, f]] += weights[m, f] * d_out[m]
    found = embedding.backward(d_out, saved).dense(len(table))
    assert_close(found, expected)


@pytest.mark.rules("embedding-R4")
@pytest.mark.parametrize("row", [-1, 3, 2**40])
def test_a_row_outside_the_table_raises(row):
    message = f"embedding: rows: expected indices from 0 to 2, got {row}"
    with raises_exactly(ShapeError, message):
        embedding.forward(np.zeros((3, 2)), np.array([[0], [row]]), np.ones((2, 1)))


@pytest.mark.rules("embedding-R7")
def test_rows_that_are_not_integers_raise():
    message = "embedding: rows: expected integers, got float64"
    with raises_exactly(ShapeError, message):
        embedding.forward(np.zeros((3, 2)), np.zeros((2, 1)), np.ones((2, 1)))


@pytest.mark.rules("embedding-R1", "embedding-R3", "embedding-R5")
def test_the_worked_example_matches_the_page():
    (example,) = spec_pages.examples("embedding")
    table, weights, d_out = (np.array(example[n], float) for n in ("table", "weights", "d_out"))
    out, saved = embedding.forward(table, np.array(example["rows"]), weights)
    d_table = embedding.backward(d_out, saved)
    assert_example({"out": out}, example)
    assert d_table.rows.tolist() == example["d_table"]["rows"]
    assert_example({"values": d_table.values}, example["d_table"])
