"""The rules of specs/numerics.md that hold for every operator: types, NaN, bytes, inputs."""

import numpy as np
import pytest

from mindref.conformance.checks.layouts import INTEGERS
from mindref.conformance.strategies import read_only
from mindref.conformance.tolerances import same_math
from mindref.errors import ShapeError
from mindref.ops import FURTHER, OPS, item_attention, softmax, squash
from mindref.ops.embedding import RowGradient
from tests.assertions import raises_exactly

B, L, K, D, S = 3, 7, 4, 5, 6
MASK = np.arange(L) < np.array([[5], [0], [7]])
ACTIVE = np.arange(K) < np.array([[2], [1], [4]])
OPERATORS = {**OPS, **FURTHER, "item_attention": item_attention}
WORDS = {
    "softmax": {"axis": 1},
    "routing": {"iterations": 3, "gradient": "all"},
    "relu_layer": {"relu": True},
    "label_attention": {"power": 2.0},
    "pooled_softmax": {"sharpness": 1.0},
}
VARIANTS = [
    ("routing", {"iterations": 3, "gradient": "last"}),
    *(("label_attention", {"power": power}) for power in (0.0, 0.5, 5.0, np.inf)),
    *(("pooled_softmax", {"sharpness": sharpness}) for sharpness in (0.0, np.inf)),
]
CALLS = pytest.mark.parametrize(
    ("stem", "words"), [*((stem, WORDS.get(stem, {})) for stem in OPERATORS), *VARIANTS]
)
STEMS = pytest.mark.parametrize("stem", [*OPS, *FURTHER])
TYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def arguments(stem, dtype):
    """Return the arrays of one call, read-only; the same numbers in both types."""
    rng = np.random.default_rng(11)

    def x(*shape):
        return rng.standard_normal(shape).astype(np.float32).astype(dtype)

    def loss_items():
        return [x(B, D), x(S, D), np.arange(B), np.arange(S), x(B), x(S)]

    arrays = {
        "embedding": lambda: [x(6, D), rng.integers(0, 6, (9, 2)), x(9, 2)],
        "softmax": lambda: [x(B, K), ACTIVE],
        "squash": lambda: [x(B, K, D)],
        "routing": lambda: [x(B, L, D), MASK, x(D, D), x(B, L, K), ACTIVE],
        "relu_layer": lambda: [x(B, D), x(D, K), x(K)],
        "label_attention": lambda: [x(B, K, D), x(B, D), ACTIVE],
        "sampled_softmax": lambda: [x(B, D), *loss_items()],
        "pooled_softmax": lambda: [x(B, K, D), ACTIVE, *loss_items()],
        "item_attention": lambda: [x(B, L, D), x(B, S, D), MASK, x(4 * D, 3), x(3), x(3, 1), x(1)],
    }[stem]()
    return [read_only(array) for array in arrays]


def forward(stem, arrays, words=None):
    if stem == "item_attention":  # its layers are pairs
        arrays = [*arrays[:3], tuple(zip(arrays[3::2], arrays[4::2], strict=True))]
    return OPERATORS[stem].forward(*arrays, **(WORDS.get(stem, {}) if words is None else words))


def results(stem, arrays, words=None):
    """Return the output and every gradient of a call."""
    out, saved = forward(stem, arrays, words)
    d_out = np.random.default_rng(12).standard_normal(np.shape(out)).astype(out.dtype)
    first = as_bytes(flat_arrays(OPERATORS[stem].backward(d_out[()], saved)))
    gradients = OPERATORS[stem].backward(d_out[()], saved)
    assert as_bytes(flat_arrays(gradients)) == first, "numerics-R7: backward changes `saved`"
    if isinstance(gradients, RowGradient):
        gradients = gradients.dense(len(arrays[0]))
    return [out, *flat_arrays(gradients)]


def flat_arrays(x):
    return [y for part in x for y in flat_arrays(part)] if isinstance(x, tuple) else [x]


def as_bytes(arrays):
    return [np.asarray(x).tobytes() for x in arrays]


@CALLS
@pytest.mark.rules("numerics-R6")
def test_float32_agrees_with_float64(stem, words):
    both = (results(stem, arguments(stem, dtype), words) for dtype in ("float32", "float64"))
    for narrow, wide in zip(*both, strict=True):
        atol = same_math("float32") * np.max(np.abs(wide))
        np.testing.assert_allclose(narrow, wide, rtol=0, atol=atol)


@CALLS
@TYPES
@pytest.mark.rules("numerics-R2", "numerics-R7", "numerics-R8", "routing-R19")
def test_a_call_keeps_its_dtype_and_inputs_and_repeats_its_bytes(stem, words, dtype):
    arrays = arguments(stem, dtype)
    before, first = as_bytes(arrays), results(stem, arrays, words)
    assert {x.dtype.name for x in first} == {dtype}
    assert as_bytes(results(stem, arrays, words)) == as_bytes(first)
    assert as_bytes(arrays) == before


@pytest.mark.parametrize("stem", ["embedding", "sampled_softmax", "pooled_softmax"])
@pytest.mark.parametrize("integers", INTEGERS)
@pytest.mark.rules("numerics-R15")
def test_the_type_of_integers_changes_no_byte(stem, integers):
    arrays = arguments(stem, "float32")
    narrow = [x.astype(integers) if x.dtype.kind == "i" else x for x in arrays]
    assert as_bytes(results(stem, narrow)) == as_bytes(results(stem, arrays))


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("label_attention", {"power": 1.6}),
        ("sampled_softmax", {"temperature": 0.3}),
        ("pooled_softmax", {"temperature": 0.3, "sharpness": 1.6}),
    ],
)
@pytest.mark.rules("numerics-R2")
def test_a_number_of_numpy_changes_no_byte(stem, words):
    arrays = arguments(stem, "float32")
    numbers = {name: np.float64(number) for name, number in words.items()}
    changed = results(stem, arrays, numbers)
    assert {x.dtype.name for x in changed} == {"float32"}
    assert as_bytes(changed) == as_bytes(results(stem, arrays, words))


@pytest.mark.rules("numerics-R5", "numerics-R13")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("stem", "words"), [("squash", {}), ("squash", {"kind": "unit"}), ("softmax", {"axis": 1})]
)
def test_a_bad_element_makes_only_that_vector_nan(stem, words, bad):
    """A logit of minus infinity is the only exception: it has weight zero."""
    x, mask = np.ones((2, 3)), np.array([[True, True, False]])
    x[0, 1] = bad
    out, _ = forward(stem, [x, mask] if stem == "softmax" else [x], words)
    is_weight_zero = stem == "softmax" and bad == -np.inf
    assert np.isnan(out[0][mask[0]]).all() != is_weight_zero
    assert np.isfinite(out[1]).all()


@STEMS
@TYPES
@pytest.mark.rules("numerics-R10")
def test_finite_inputs_cause_no_warning_while_products_are_finite(stem, dtype):
    info = np.finfo(dtype)
    bound = float(info.max) ** 0.5 / 100  # two of them times the width stay below the largest
    scales = [0.0, float(info.smallest_subnormal), float(info.tiny), float(info.tiny) ** 0.5]
    for scale in [*scales, 1.0, 1e3, bound]:
        arrays = [
            (scale * x.astype(float)).astype(dtype) if x.dtype.kind == "f" else x
            for x in arguments(stem, dtype)
        ]
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            found = results(stem, arrays)
        assert all(np.isfinite(x).all() for x in found), f"{scale} times"


@pytest.mark.rules("numerics-R10")
@TYPES
def test_squash_and_softmax_accept_every_finite_number(dtype):
    info = np.finfo(dtype)
    x = np.array([[info.max, -info.max], [info.tiny, 0], [info.smallest_subnormal, 1]], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for kind in squash.KINDS:
            out, saved = squash.forward(x, kind=kind)
            squash.backward(np.zeros_like(out), saved)
        softmax.forward(x, np.ones(x.shape, bool), axis=1)


ONE_DTYPE = "expected one dtype, float32 or float64, got "


@pytest.mark.rules("numerics-R1", "numerics-R3")
@pytest.mark.parametrize(
    ("stem", "argument", "dtype", "text"),
    [
        ("softmax", 1, "int64", "mask: expected a mask of dtype bool, got int64"),
        ("routing", 1, "int64", "mask: expected a mask of dtype bool, got int64"),
        ("routing", 4, "float32", "active: expected a mask of dtype bool, got float32"),
        ("squash", 0, "int64", f"{ONE_DTYPE}x int64"),
        ("softmax", 0, "int64", f"{ONE_DTYPE}logits int64"),
        ("embedding", 2, "float64", f"{ONE_DTYPE}table float32, weights float64"),
        (
            "routing", 2, "float64",
            f"{ONE_DTYPE}history float32, bilinear float64, init_logits float32",
        ),
    ],
)  # fmt: skip
def test_the_message_names_every_type(stem, argument, dtype, text):
    arrays = arguments(stem, "float32")
    arrays[argument] = arrays[argument].astype(dtype)
    with raises_exactly(ShapeError, f"{stem}: {text}"):
        forward(stem, arrays)
