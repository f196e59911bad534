"""Invalid inputs raise the error of the reference, before a compiled function reads them."""

import numpy as np
import pytest

from mindref.backend import OPERATORS
from mindref.conformance.draws.operators import CALLS
from mindref.conformance.runner.drawn_calls import cached_calls
from mindref.conformance.runner.reference import reference_answer
from mindref.errors import ShapeError
from mindref.kernels.backend import NumbaBackend
from tests.assertions import raises_exactly
from tests.kernels.cases import (
    agree_with_reference,
    first_users,
    model_calls,
    numba_implementation,
    small_world,
)
from tests.models.worlds import world


def change_field(field):
    """Return a maker of functions that change arrays of a field of a world."""

    def changer(**changes):
        return lambda w: w._replace(**{field: change_fields(getattr(w, field), changes)})

    return changer


change_params, change_batch, change_catalogue = map(change_field, ("params", "batch", "catalogue"))


def change_histories(**changes):
    """Return a function that changes arrays of the histories of a world."""
    return change_batch(histories=lambda h: change_fields(h, changes))


def change_fields(x, changes):
    return x._replace(**{name: change(getattr(x, name)) for name, change in changes.items()})


def remove_last(x):
    return x[:-1]


def remove_last_column(x):
    return x[..., :-1]


def as_float64(x):
    return x.astype("float64")


def out_of_range(x):
    return np.full_like(x, 10**6)


def change_first_layer(**changes):
    return change_params(layers=lambda layers: (change_fields(layers[0], changes), *layers[1:]))


FORWARD_DAMAGE = {  # also invalid for interests, without a loss
    "logits of fewer users": change_histories(init_logits=remove_last),
    "logits of fewer interests": change_histories(init_logits=remove_last_column),
    "logits of another dtype": change_histories(init_logits=as_float64),
    "a mask of numbers": change_histories(mask=lambda x: x.astype("int64")),
    "a narrower mask": change_histories(mask=remove_last_column),
    "fewer profiles": change_histories(profile=remove_last),
    "a profile row out of range": change_histories(profile=out_of_range),
    "a negative profile row": change_histories(profile=lambda x: x - 9),
    "S that is not square": change_params(bilinear=remove_last_column),
    "S of another dtype": change_params(bilinear=as_float64),
    "a bias that is too short": change_first_layer(bias=remove_last),
    "a weight that is too narrow": change_first_layer(weight=remove_last_column),
    "a weight that is too short": change_first_layer(weight=remove_last),
    "a layer of another dtype": change_first_layer(weight=as_float64, bias=as_float64),
    "weights of another dtype": change_catalogue(weights=as_float64),
    "rows that are not integers": change_catalogue(rows=as_float64),
    "a row outside the table": change_params(items=lambda x: x[:5]),
}
LOSS_DAMAGE = {
    "fewer targets": change_batch(target=remove_last),
    "an item out of range": change_batch(target=out_of_range),
    "fewer logs of targets": change_batch(target_log_expected=remove_last),
    "fewer logs of negatives": change_batch(negative_log_expected=remove_last),
    "an infinite log": change_batch(target_log_expected=lambda x: x / 0.0),
    "a log that is NaN": change_batch(negative_log_expected=lambda x: x * np.nan),
    "no users": lambda w: first_users(w, 0),
}
CASES = [(name, damage, which) for name, damage in FORWARD_DAMAGE.items() for which in (0, 1)]
CASES += [(name, damage, 0) for name, damage in LOSS_DAMAGE.items()]


@pytest.mark.rules(
    "routing-R6", "embedding-R4", "relu_layer-R5", "relu_layer-R6", "numerics-R1", "numerics-R3",
    "sampled_softmax-R14", "sampled_softmax-R15", "sampled_softmax-R17", "model-R18",
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize(
    ("damage", "which"), [c[1:] for c in CASES], ids=[f"{c[0]}, {c[2]}" for c in CASES]
)
def test_invalid_inputs_raise(damage, which):
    w = small_world()
    call = model_calls(damage(w))[which]
    with pytest.raises((ShapeError, ValueError, IndexError)):  # sometimes an error of NumPy
        reference_answer(call)
    with pytest.raises(ShapeError, match=r"^\w+: "):
        numba_implementation().answer(call)
    for threads in (1, 3):  # any thread may find the error
        used, good = numba_implementation(threads), model_calls(w)[which]
        used.answer(good)
        before = used.answer(good)  # equal shapes are not checked again, others are
        with pytest.raises(ShapeError, match=r"^\w+: "):
            used.answer(call)
        after = used.answer(good)
        assert all(np.array_equal(x, after[name]) for name, x in before.items())


IDS = {  # how to change the ids, and the calls that read them
    "items": (lambda change: change_histories(items=change), (0, 1, 2)),
    "target": (lambda change: change_batch(target=change), (0, 2)),
    "negatives": (lambda change: change_batch(negatives=change), (0, 2)),
}


@pytest.mark.rules("embedding-R7", "model-R18")
@pytest.mark.parametrize("dtype", ["float64", "float32", "bool"])
@pytest.mark.parametrize("name", IDS)
def test_ids_that_are_not_integers_raise(name, dtype):
    """A conversion to integers would make item 2 of 2.7, and item 1 of true."""
    damage, calls = IDS[name]
    damaged = damage(lambda x: (x % 2).astype(dtype))(small_world())
    for which in calls:
        call = model_calls(damaged)[which]
        if which == 2:
            call = call._replace(arrays={**call.arrays, "batches": (damaged.batch,)})
        with pytest.raises(ShapeError, match=rf"expected integers, got {dtype}$"):
            numba_implementation().answer(call)


@pytest.mark.rules("model-R18", "embedding-R4")
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint64"])
@pytest.mark.parametrize("name", IDS)
def test_ids_out_of_range_raise_the_error_of_the_reference(name, dtype):
    w = small_world(np.ones((4, 6), bool))
    damage, calls = IDS[name]
    damaged = damage(lambda x: np.where(np.arange(x.size).reshape(x.shape) == 2, 77, x % 6))(w)
    damaged = damage(lambda x: x.astype(dtype))(damaged)
    for which in set(calls) - {2}:  # the reference has no message for a training
        call = model_calls(damaged)[which]
        with pytest.raises(ShapeError) as reference_error:
            reference_answer(call)
        with pytest.raises(ShapeError, match="indices from 0 to 5, got 77") as kernel_error:
            numba_implementation().answer(call)
        assert str(kernel_error.value) == str(reference_error.value)


@pytest.mark.rules("routing-R6")
def test_a_matrix_for_each_pair_raises_the_error_of_the_operator():
    """The reference accepts it; the compiled code has one matrix for all pairs."""
    w = small_world()
    call = model_calls(change_params(bilinear=lambda x: np.tile(x, (6, 3, 1, 1)))(w))
    history, mask = np.ones((4, 6, 5)), w.histories.mask
    arguments = (history, mask, np.ones((6, 3, 5, 5)), np.ones((4, 6, 3)), np.ones((4, 3), bool))
    message = "routing: bilinear: expected one matrix"
    with pytest.raises(ShapeError, match=message) as reference_error:
        NumbaBackend().ops.routing.forward(*arguments, iterations=1, gradient="last")
    for which in (0, 1):
        with raises_exactly(ShapeError, str(reference_error.value)):
            numba_implementation().answer(call[which])


def wrong_shapes(d_out):
    """Yield gradients of another shape: an axis more or fewer, or an axis that is longer."""
    yield from (d_out[..., None], d_out[None])
    for axis in range(d_out.ndim):
        yield np.repeat(d_out.sum(axis, keepdims=True), d_out.shape[axis] + 1, axis)
        yield d_out.sum(axis)


@pytest.mark.rules("notation-R1", "notation-R2")
@pytest.mark.parametrize("stem", OPERATORS)
@pytest.mark.slow(every=7)
def test_a_gradient_of_another_shape_raises(stem):
    module = getattr(NumbaBackend().ops, stem)
    shapes = 0
    for call in cached_calls(CALLS[stem], 8, 0):
        if call.cotangent is None:
            continue
        _, saved = module.forward(*call.arrays.values(), **call.numbers)
        module.backward(call.cotangent, saved)
        for d_out in wrong_shapes(call.cotangent):
            shapes += 1
            with pytest.raises(ShapeError, match=rf"^{stem}: d_out"):
                module.backward(d_out, saved)
    assert shapes >= 4


def test_no_users_give_interests_of_shape_zero():
    w = first_users(world(np.random.default_rng(2), (3, 6, 3, 5), dtype="float32"), 0)
    assert agree_with_reference(model_calls(w)[1])["interests"].shape == (0, 3, 5)
