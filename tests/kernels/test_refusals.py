"""What the reference refuses is refused, too, before a compiled function sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from mindref.backend import OPERATORS
from mindref.conformance.draws.operators import CALLS
from mindref.conformance.judging.engine import draws
from mindref.conformance.judging.reference import plainly
from mindref.errors import ShapeError
from mindref.kernels.backend import NumbaBackend
from tests.kernels.cases import agree, compiled, of_users, questions
from tests.models.worlds import World, world

Damage = Callable[[World], World]


def params(**changes: Callable[[Any], Any]) -> Damage:
    """Return how parameters are changed."""
    return lambda w: w._replace(params=changed(w.params, changes))


def batch(**changes: Callable[[Any], Any]) -> Damage:
    """Return how a batch is changed."""
    return lambda w: w._replace(batch=changed(w.batch, changes))


def histories(**changes: Callable[[Any], Any]) -> Damage:
    """Return how histories are changed."""
    return batch(histories=lambda h: changed(h, changes))


def changed(x: Any, changes: dict[str, Callable[[Any], Any]]) -> Any:
    return x._replace(**{name: change(getattr(x, name)) for name, change in changes.items()})


def shorter(x: Any) -> Any:
    return x[:-1]


def narrower(x: Any) -> Any:
    return x[..., :-1]


def single(x: Any) -> Any:
    return x.astype("float32")


def beyond(x: Any) -> Any:
    return np.full_like(x, 10**6)


def layer(**changes: Callable[[Any], Any]) -> Damage:
    return params(layers=lambda layers: (changed(layers[0], changes), *layers[1:]))


SERVED: dict[str, Damage] = {  # also when no loss is asked for
    "logits of fewer users": histories(init_logits=shorter),
    "logits of fewer interests": histories(init_logits=narrower),
    "logits of another type": histories(init_logits=single),
    "a mask of numbers": histories(mask=lambda x: x.astype("int64")),
    "a mask of fewer places": histories(mask=narrower),
    "fewer profiles": histories(profile=shorter),
    "a profile that is none": histories(profile=beyond),
    "a profile from the end": histories(profile=lambda x: x - 9),
    "S that is not square": params(bilinear=narrower),
    "S of another type": params(bilinear=single),
    "a bias that is too short": layer(bias=shorter),
    "a weight that is too narrow": layer(weight=narrower),
    "a weight that is too short": layer(weight=shorter),
    "a layer of another type": layer(weight=single, bias=single),
    "weights of another type": lambda w: w._replace(
        catalogue=w.catalogue._replace(weights=single(w.catalogue.weights))
    ),
    "a row that the table lacks": params(items=lambda x: x[:5]),
}
LEARNED: dict[str, Damage] = {
    "fewer targets": batch(target=shorter),
    "an item that is none": batch(target=beyond),
    "fewer logs of targets": batch(target_log_expected=shorter),
    "fewer logs of negatives": batch(negative_log_expected=shorter),
    "an infinite log": batch(target_log_expected=lambda x: x / 0.0),
    "a log that is no number": batch(negative_log_expected=lambda x: x * np.nan),
    "no users": lambda w: of_users(w, 0),
}
CASES = [(name, damage, which) for name, damage in SERVED.items() for which in (0, 1)]
CASES += [(name, damage, 0) for name, damage in LEARNED.items()]


@pytest.mark.rules(
    "routing-R6", "embedding-R4", "relu_layer-R5", "relu_layer-R6", "numerics-R1", "numerics-R3",
    "sampled_softmax-R14", "sampled_softmax-R15", "sampled_softmax-R17", "model-R18",
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize(
    ("damage", "which"), [c[1:] for c in CASES], ids=[f"{c[0]}, {c[2]}" for c in CASES]
)
def test_it_is_refused(damage: Damage, which: int) -> None:
    w = world(np.random.default_rng(2), (4, 6, 3, 5))
    call = questions(damage(w))[which]
    with pytest.raises((ShapeError, ValueError, IndexError)):  # NumPy's own, now and then
        plainly(call)
    with pytest.raises(ShapeError, match=r"^\w+: "):
        compiled().answer(call)
    for threads in (1, 3):  # what is found in a task may be found by any of them
        used, good = compiled(threads), questions(w)[which]
        used.answer(good)
        before = used.answer(good)  # what fitted is not looked at again, what differs is
        with pytest.raises(ShapeError, match=r"^\w+: "):
            used.answer(call)
        after = used.answer(good)
        assert all(np.array_equal(x, after[name]) for name, x in before.items())


@pytest.mark.rules("softmax-R7", "squash-R9")
def test_an_axis_that_is_none_is_refused() -> None:
    ops, x = NumbaBackend().ops, np.ones((2, 3))
    for axis in (1.0, True, None):
        with pytest.raises(ShapeError, match=f"an axis from -2 to 1, got {axis}"):
            ops.softmax.forward(x, x > 0, axis=axis)
    with pytest.raises(ShapeError, match="at least one axis, got a number"):
        ops.squash.forward(np.array(3.0), kind="unit")


IDS = {  # which of them, and what is asked: interests have no target and no negatives
    "items": (lambda change: histories(items=change), (0, 1, 2)),
    "target": (lambda change: batch(target=change), (0, 2)),
    "negatives": (lambda change: batch(negatives=change), (0, 2)),
}


@pytest.mark.rules("embedding-R7", "model-R18")
@pytest.mark.parametrize("dtype", ["float64", "float32", "bool"])
@pytest.mark.parametrize("name", IDS)
def test_ids_that_are_no_integers_are_refused(name: str, dtype: str) -> None:
    """Copied into a table of integers, 2.7 would be item 2 and true item 1."""
    w = world(np.random.default_rng(2), (4, 6, 3, 5))
    damage, asked = IDS[name]
    damaged = damage(lambda x: (x % 2).astype(dtype))(w)
    for which in asked:
        call = questions(damaged)[which]
        if which == 2:
            call = call._replace(arrays={**call.arrays, "batches": (damaged.batch,)})
        with pytest.raises(ShapeError, match=rf"expected integers, got {dtype}$"):
            compiled().answer(call)


@pytest.mark.rules("model-R18", "embedding-R4")
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint64"])
@pytest.mark.parametrize("name", IDS)
def test_ids_that_no_item_has_are_refused_in_the_words_of_the_reference(
    name: str, dtype: str
) -> None:
    w = world(np.random.default_rng(2), (4, 6, 3, 5), np.ones((4, 6), bool))
    damage, asked = IDS[name]
    damaged = damage(lambda x: np.where(np.arange(x.size).reshape(x.shape) == 2, 77, x % 6))(w)
    damaged = damage(lambda x: x.astype(dtype))(damaged)
    for which in set(asked) - {2}:  # in a training nobody else has words
        call = questions(damaged)[which]
        with pytest.raises(ShapeError) as its:
            plainly(call)
        with pytest.raises(ShapeError, match="indices from 0 to 5, got 77") as own:
            compiled().answer(call)
        assert str(own.value) == str(its.value)


@pytest.mark.rules("embedding-R7")
def test_rows_of_a_catalogue_that_are_no_integers_are_refused() -> None:
    w = world(np.random.default_rng(2), (4, 6, 3, 5))
    damaged = w._replace(catalogue=w.catalogue._replace(rows=w.catalogue.rows.astype("float64")))
    for which in (0, 1):
        call = questions(damaged)[which]
        for answer in (plainly, compiled().answer):
            with pytest.raises(ShapeError, match="embedding: rows: expected integers, got float64"):
                answer(call)


@pytest.mark.rules("routing-R6")
def test_a_matrix_of_each_pair_is_refused_in_the_words_of_the_operator() -> None:
    """It is in range for the reference; the compiled code has one matrix for all."""
    w = world(np.random.default_rng(2), (4, 6, 3, 5))
    call = questions(params(bilinear=lambda x: np.tile(x, (6, 3, 1, 1)))(w))
    history, mask = np.ones((4, 6, 5)), w.batch.histories.mask
    given = (history, mask, np.ones((6, 3, 5, 5)), np.ones((4, 6, 3)), np.ones((4, 3), bool))
    words = "routing: bilinear: expected one matrix"
    with pytest.raises(ShapeError, match=words) as its:
        NumbaBackend().ops.routing.forward(*given, iterations=1, gradient="last")
    for which in (0, 1):
        with pytest.raises(ShapeError) as own:
            compiled().answer(call[which])
        assert str(own.value) == str(its.value)


def wrong_shapes(d_out: Any) -> Iterator[Any]:
    """Yield gradients of another shape: an axis more or fewer, or an axis longer or shorter."""
    yield d_out[..., None]
    yield d_out[None]
    for axis in range(d_out.ndim):
        yield np.repeat(d_out.sum(axis, keepdims=True), d_out.shape[axis] + 1, axis)
        yield d_out.sum(axis)
        if d_out.shape[axis] > 0:
            yield np.take(d_out, range(d_out.shape[axis] - 1), axis)


@pytest.mark.rules("notation-R1", "notation-R2")
@pytest.mark.parametrize("stem", OPERATORS)
@pytest.mark.slow(every=7)
def test_a_gradient_of_another_shape_is_refused(stem: str) -> None:
    module = getattr(NumbaBackend().ops, stem)
    asked = 0
    for call in draws(CALLS[stem], 8, 0):
        if call.cotangent is None:
            continue
        _, saved = module.forward(*call.arrays.values(), **call.numbers)
        module.backward(call.cotangent, saved)
        for d_out in wrong_shapes(call.cotangent):
            asked += 1
            with pytest.raises(ShapeError, match=rf"^{stem}: d_out"):
                module.backward(d_out, saved)
    assert asked >= 4


def test_no_users_have_interests_of_no_users() -> None:
    w = of_users(world(np.random.default_rng(2), (3, 6, 3, 5)), 0)
    assert agree(questions(w)[1])["interests"].shape == (0, 3, 5)
