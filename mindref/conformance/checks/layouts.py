"""Checks of the layout of arrays in memory, and of the types of integers.

Spec: specs/numerics.md, numerics-R14 and R15. Matrix products may add in another order if an array
has another layout, so results may differ by rounding.
"""

from __future__ import annotations

import numpy as np

from mindref.conformance.checks.embedding import embedding_calls
from mindref.conformance.checks.relu_layer import relu_layer_calls
from mindref.conformance.checks.scoring import scoring_calls
from mindref.conformance.draws.model_draws import loss_calls, serving_calls
from mindref.conformance.draws.operators import CALLS, for_each_operator
from mindref.conformance.draws.training_draws import draw_trainings
from mindref.conformance.runner.call import AnyArray, Call, is_float_array, map_arrays
from mindref.conformance.runner.check import add_check
from mindref.conformance.runner.context import CallAnswer, CheckContext
from mindref.conformance.runner.layouts import LAYOUTS

REPEATED = "repeated"

RECTIFIED = {**CALLS, "relu_layer": relu_layer_calls(relu=(True,))}
"""Operator -> calls. Without ReLU, the gradient of a layer does not depend on the order of rows."""

INTEGERS = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
"""Types of ids and rows, apart from int64, which the drawn calls have."""

INTEGERS_OF_MODELS = ("uint8", "int32")
"""Types of ids and rows in calls of level "model"."""

WITH_INTEGERS = ("embedding", "sampled_softmax")


@for_each_operator("numerics-R14", gradient=True)
def memory_layout_has_no_influence(context: CheckContext, call: Call) -> None:
    """Fortran order, negative and other strides, and offsets in memory must change no result."""
    assert_same_in_all_layouts(context, call)


@for_each_operator("numerics-R14", draws=RECTIFIED, gradient=True)
def repeated_rows_of_the_cotangent_have_no_influence(context: CheckContext, call: Call) -> None:
    """A cotangent with stride 0, as the gradient of a sum has, must give the same gradients."""
    rows = np.asarray(call.cotangent)
    if rows.ndim and len(rows):
        call = call.change(cotangent=np.broadcast_to(rows[:1], rows.shape).copy())
    context.assert_same(context.run(call, layout=REPEATED), context.run(call))


@for_each_operator("numerics-R14", gradient=True)
def repeated_rows_of_an_input_have_no_influence(context: CheckContext, call: Call) -> None:
    """An input with stride 0 must give the results of a copy with equal rows in C order."""
    for name, x in call.arrays.items():
        if is_float_array(x) and len(x):
            first = np.where(np.isfinite(x[:1]), x[:1], 0)  # padding may be NaN or infinite
            repeated = call.change(**{name: np.broadcast_to(first, x.shape).copy()})
            context.assert_same(context.run(repeated, layout=REPEATED), context.run(repeated))


@add_check("numerics-R14", stem="loss", draws=loss_calls(), gradient=True)
def memory_layout_changes_no_loss(context: CheckContext, call: Call) -> None:
    """The layout of parameters, batch and catalogue in memory must change no loss or gradient."""
    assert_same_in_all_layouts(context, call)


@add_check("numerics-R14", stem="interests", draws=serving_calls())
def memory_layout_changes_no_interest(context: CheckContext, call: Call) -> None:
    """The layout of parameters, histories and catalogue in memory must change no interest."""
    assert_same_in_all_layouts(context, call)


@add_check("numerics-R14", stem="scores", draws=scoring_calls())
def memory_layout_changes_no_score(context: CheckContext, call: Call) -> None:
    """The layout of interests, mask and items in memory must change no score."""
    assert_same_in_all_layouts(context, call)


@add_check("numerics-R14", stem="training", draws=draw_trainings(steps=1), fraction=0.4)
def memory_layout_changes_no_training(context: CheckContext, call: Call) -> None:
    """The layout of parameters, batches and catalogue in memory must change no step."""
    assert_same_in_all_layouts(context, call)


def assert_same_in_all_layouts(context: CheckContext, call: Call) -> None:
    """Compare the answers of `call` in each layout with its answer in C order."""
    in_c_order = context.run(call)
    for layout in LAYOUTS[:-1]:
        context.assert_same(context.run(call, layout=layout), in_c_order)


@for_each_operator("numerics-R15", stems=WITH_INTEGERS, gradient=True)
def integer_type_has_no_influence(context: CheckContext, call: Call) -> None:
    """Ids and rows of any integer type of the rule must give the same bytes."""
    first = context.run(call)
    for name in INTEGERS:
        context.assert_equal(context.run(with_integers(call, name)), first)


@add_check("numerics-R15", stem="loss", draws=loss_calls(), gradient=True, fraction=0.4)
def integer_type_changes_no_loss(context: CheckContext, call: Call) -> None:
    """Histories, ids, profiles and catalogue of another integer type must give the same bytes."""
    first = context.run(call)
    for name in INTEGERS_OF_MODELS:
        context.assert_equal(context.run(with_integers(call, name)), first, *parts_of(first))


@add_check("numerics-R15", stem="interests", draws=serving_calls(), fraction=0.4)
def integer_type_changes_no_interest(context: CheckContext, call: Call) -> None:
    """Histories, profiles and catalogue of another integer type must give the same bytes."""
    first = context.run(call)
    for name in INTEGERS_OF_MODELS:
        context.assert_equal(context.run(with_integers(call, name)), first)


@add_check(
    "numerics-R15",
    stem="embedding",
    draws=embedding_calls(kinds=("mixed",), sizes=(127, 521, 5, 3)),
    gradient=True,
    fraction=0.4,
)
def products_with_narrow_rows_do_not_wrap(context: CheckContext, call: Call) -> None:
    """If row times D exceeds the largest number of the integer type, results must not change."""
    first = context.run(call)
    for name in INTEGERS:
        context.assert_equal(context.run(with_integers(call, name)), first)


@for_each_operator("numerics-R15", stems=("sampled_softmax",), gradient=True)
def integer_types_are_compared_as_numbers(context: CheckContext, call: Call) -> None:
    """If the integer arrays of a call have different types, ids must be compared as numbers."""
    first = context.run(call)
    target, negatives = call.arrays["target_ids"], call.arrays["negative_ids"]
    for of_target, of_negatives in (("uint8", "int64"), ("int64", "int8"), ("uint32", "int16")):
        mixed = {
            "target_ids": target.astype(of_target),
            "negative_ids": negatives.astype(of_negatives),
        }
        context.assert_equal(context.run(call.change(**mixed)), first)
    without_hits = context.run(call.change(negative_ids=negatives + 1000))
    for narrow in (np.uint8, np.uint16, np.uint32):
        beyond = 1 + np.iinfo(narrow).max  # zero in the narrow type
        wide = {"target_ids": target.astype(narrow), "negative_ids": negatives + beyond}
        context.assert_equal(context.run(call.change(**wide)), without_hits)
        wide = {"target_ids": target + beyond, "negative_ids": negatives.astype(narrow)}
        context.assert_equal(context.run(call.change(**wide)), without_hits)


@for_each_operator("numerics-R15", stems=("sampled_softmax",), gradient=True)
def large_ids_are_compared_as_integers(context: CheckContext, call: Call) -> None:
    """Ids that differ by 2^8, 2^24, 2^32 or 2^53 must be different ids; large ids must be exact."""
    first = context.run(call)
    target, negatives = call.arrays["target_ids"], call.arrays["negative_ids"]
    without_hits = context.run(call.change(negative_ids=negatives + 1000))
    for power in (8, 24, 32, 53):
        large = {"target_ids": target + 2**power, "negative_ids": negatives + 2**power}
        context.assert_equal(context.run(call.change(**large)), first)
        apart = context.run(call.change(negative_ids=negatives + 2**power))
        context.assert_equal(apart, without_hits)


def parts_of(answer: CallAnswer) -> tuple[str, ...]:
    """Return the names of the arrays of an answer, without the rows of a sparse gradient."""
    return tuple(name for name in answer if name != "rows")


def with_integers(call: Call, dtype: str) -> Call:
    """Return `call` with all integer arrays converted to `dtype`."""

    def convert(x: AnyArray) -> AnyArray:
        return x.astype(dtype) if x.dtype.kind == "i" else x

    return call._replace(arrays=map_arrays(convert, call.arrays))
