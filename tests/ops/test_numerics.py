"""The rules of specs/numerics.md that hold for every operator: types, NaN, bytes, inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.conformance.strategies import frozen
from mindref.conformance.tolerances import same_math
from mindref.errors import ShapeError
from mindref.ops import OPS, embedding, routing, softmax, squash
from mindref.ops.embedding import RowGradient

B, L, K, D, S = 3, 7, 4, 5, 6
MASK = np.arange(L) < np.array([[5], [0], [7]])
ACTIVE = np.arange(K) < np.array([[2], [1], [4]])
WORDS: dict[str, dict[str, Any]] = {
    "softmax": {"axis": 1},
    "routing": {"iterations": 3, "gradient": "all"},
    "relu_layer": {"relu": True},
    "label_attention": {"power": 2.0},
}
STEMS = pytest.mark.parametrize("stem", OPS)
TYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def arguments(stem: str, dtype: str) -> list[Any]:
    """Return the arrays of one call, read-only; the same numbers in both types."""
    rng = np.random.default_rng(11)

    def x(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32).astype(dtype)

    arrays = {
        "embedding": lambda: [x(6, D), rng.integers(0, 6, (9, 2)), x(9, 2)],
        "softmax": lambda: [x(B, K), ACTIVE],
        "squash": lambda: [x(B, K, D)],
        "routing": lambda: [x(B, L, D), MASK, x(D, D), x(B, L, K), ACTIVE],
        "relu_layer": lambda: [x(B, D), x(D, K), x(K)],
        "label_attention": lambda: [x(B, K, D), x(B, D), ACTIVE],
        "sampled_softmax": lambda: [
            *(x(B, D), x(B, D), x(S, D)),
            *(np.arange(B), np.arange(S), x(B), x(S)),
        ],
    }[stem]()
    return [frozen(array) for array in arrays]


def results(stem: str, arrays: list[Any]) -> list[Any]:
    """Return the output and every gradient of a call."""
    out, saved = OPS[stem].forward(*arrays, **WORDS.get(stem, {}))
    d_out = np.random.default_rng(12).standard_normal(np.shape(out)).astype(out.dtype)
    gradients = OPS[stem].backward(d_out[()], saved)
    if isinstance(gradients, RowGradient):
        gradients = gradients.dense(len(arrays[0]))
    return [out, *(gradients if isinstance(gradients, tuple) else [gradients])]


@STEMS
@pytest.mark.rules("numerics-R1")
def test_an_operator_refuses_other_types(stem: str) -> None:
    arrays = arguments(stem, "float32")
    first = arrays[0]
    for wrong in (first.astype("float16"), first.astype("int64")):
        with pytest.raises(ShapeError, match=f"{stem}: expected one type, float32 or float64"):
            OPS[stem].forward(wrong, *arrays[1:], **WORDS.get(stem, {}))


@STEMS
@TYPES
@pytest.mark.rules("numerics-R2")
def test_results_and_gradients_have_the_type_of_the_inputs(stem: str, dtype: str) -> None:
    assert {x.dtype.name for x in results(stem, arguments(stem, dtype))} == {dtype}


@STEMS
@pytest.mark.rules("numerics-R6")
def test_float32_agrees_with_float64(stem: str) -> None:
    pairs = zip(
        results(stem, arguments(stem, "float32")),
        results(stem, arguments(stem, "float64")),
        strict=True,
    )
    for narrow, wide in pairs:
        atol = same_math("float32") * np.max(np.abs(wide))
        np.testing.assert_allclose(narrow, wide, rtol=0, atol=atol)


@STEMS
@TYPES
@pytest.mark.rules("numerics-R7", "numerics-R8")
def test_inputs_are_left_alone_and_the_same_inputs_give_the_same_bytes(
    stem: str, dtype: str
) -> None:
    arrays = arguments(stem, dtype)
    before = [array.tobytes() for array in arrays]
    first = [np.asarray(x).tobytes() for x in results(stem, arrays)]
    assert [np.asarray(x).tobytes() for x in results(stem, arrays)] == first
    assert [array.tobytes() for array in arrays] == before


@pytest.mark.rules("numerics-R8")
def test_rows_that_share_a_place_are_always_added_in_the_same_order() -> None:
    rng = np.random.default_rng(5)
    rows, values = rng.integers(0, 3, 500), rng.standard_normal((500, 2)).astype(np.float32)
    first = embedding.sum_rows(rows, values).values.tobytes()
    assert all(embedding.sum_rows(rows, values).values.tobytes() == first for _ in range(3))


@pytest.mark.rules("numerics-R4")
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf])
def test_what_a_mask_leaves_out_may_be_anything(garbage: float) -> None:
    history, mask, bilinear, logits, active = arguments("routing", "float64")
    expected = results("routing", [history, mask, bilinear, logits, active])
    allowed = mask[..., None] & active[:, None]
    spoilt = [
        np.where(mask[..., None], history, garbage),
        mask,
        bilinear,
        np.where(allowed, logits, garbage),
        active,
    ]
    for found, wanted in zip(results("routing", spoilt), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.rules("numerics-R5")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["squash", "unit"])
def test_a_bad_component_makes_its_capsule_nan_and_no_other(kind: str, bad: float) -> None:
    x = np.ones((2, 3))
    x[0, 1] = bad
    out, _ = squash.forward(x, kind=kind)
    assert np.isnan(out).all(axis=1).tolist() == [True, False]
    assert np.isfinite(out[1]).all()


@pytest.mark.rules("numerics-R5")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_logit_makes_its_slice_nan_and_no_other(bad: float) -> None:
    logits = np.array([[bad, 1.0, 2.0], [0.0, 1.0, 2.0]])
    out, _ = softmax.forward(logits, np.array([[True, True, False]]), axis=1)
    assert np.isnan(out).tolist() == [[True, True, False], [False] * 3]


@pytest.mark.rules("numerics-R5")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_behaviour_makes_its_user_nan_and_no_other(bad: float) -> None:
    history, mask, bilinear, logits, active = arguments("routing", "float64")
    history = history.copy()
    history[2, 3, 1] = bad
    with np.errstate(invalid="ignore"):  # infinity less infinity, as it should be
        out, _ = routing.forward(
            history, mask, bilinear, logits, active, iterations=3, gradient="all"
        )
    assert np.isnan(out[2]).all()
    assert np.isfinite(out[:2]).all()


@pytest.mark.rules("numerics-R10")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_inputs_cause_no_warning(dtype: type) -> None:
    info = np.finfo(dtype)
    x = np.array([[info.max, -info.max], [info.tiny, 0], [info.smallest_subnormal, 1]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for kind in squash.KINDS:
            out, saved = squash.forward(x, kind=kind)
            squash.backward(np.zeros_like(out), saved)
        softmax.forward(x, np.ones(x.shape, bool), axis=1)


@pytest.mark.rules("numerics-R1", "numerics-R3")
@pytest.mark.parametrize(
    ("stem", "place", "dtype", "text"),
    [
        ("squash", 0, "int64", "expected one type, float32 or float64, got x int64"),
        ("softmax", 0, "int64", "expected one type, float32 or float64, got logits int64"),
        ("softmax", 1, "int64", "mask: expected a mask of type bool, got int64"),
        ("routing", 1, "int64", "mask: expected a mask of type bool, got int64"),
        ("routing", 4, "float32", "active: expected a mask of type bool, got float32"),
        (
            "routing",
            2,
            "float64",
            "expected one type, float32 or float64,"
            " got history float32, bilinear float64, init_logits float32",
        ),
        (
            "embedding",
            2,
            "float64",
            "expected one type, float32 or float64, got table float32, weights float64",
        ),
    ],
)
def test_the_message_names_every_type(stem: str, place: int, dtype: str, text: str) -> None:
    arrays = arguments(stem, "float32")
    arrays[place] = arrays[place].astype(dtype)
    with pytest.raises(ShapeError) as error:
        OPS[stem].forward(*arrays, **WORDS.get(stem, {}))
    assert str(error.value) == f"{stem}: {text}"
