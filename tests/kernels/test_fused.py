"""Levels 2 and 3, fused: loss, gradients, interests and steps are those of the reference."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from mindref.kernels import LINE
from mindref.kernels.fused import adam
from mindref.kernels.fused.forward import ITEMS
from mindref.kernels.fused.layers import USERS, block_length
from mindref.kernels.fused.stack import climb
from mindref.kernels.fused.there_and_back import there_and_back
from mindref.kernels.fused.workspace import slices
from mindref.kernels.rounds import MOST, TILE
from mindref.models.parameters import Catalogue, Layer, catalogue_of_ids, flatten
from tests.kernels.cases import against, agree, compiled, crowd, odd, questions
from tests.models.worlds import OPTIONS, World, world

BLOCKS = USERS + 2  # users of two blocks, two of them in the second
HOW = [
    {"routing_gradient": gradient, "power": power}
    for gradient, power in product(("last", "all"), (float("inf"), 2.0, 0.5))
]
SHAPES = [  # users, length, interests, width
    (3, 0, 3, 4),
    (1, 1, 1, 1),
    (3, 4, 1, 1),
    (4, 9, 4, 3),
    (5, 17, 5, 3),  # no multiple of four
    (BLOCKS, 30, 9, 8),
    (2 * USERS + 1, 6, 2, 2),
    (TILE + 4, 2 * MOST // TILE, 4, 3),  # a tile that has its users, one that has its behaviours
    (2, MOST + 1, 3, 2),  # more than a tile in one user
]


def hold(w: World, where: str) -> None:
    subject = compiled()
    for call in questions(w):
        agree(call, subject, where)


def test_there_are_several_blocks_of_all() -> None:
    """What stands at a border of blocks is met by the tests that say so."""
    assert len(list(slices(BLOCKS, USERS))) == 2
    assert max(users for users, *_ in SHAPES) > 2 * USERS
    w = crowd()
    assert len(list(slices(len(w.batch.target), USERS))) == 3
    used = w.batch.histories.items[w.batch.histories.mask]
    assert len(np.unique(used)) > ITEMS


@pytest.mark.rules(
    "model-R1", "model-R4", "model-R5", "model-R6", "model-R9", "model-R11", "model-R12",
    "model-R13", "model-R14", "routing-R12",
)  # fmt: skip
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.slow(every=10)
def test_each_option_with_each_gradient_and_power(options: dict[str, Any]) -> None:
    for how in HOW:
        w = world(np.random.default_rng(3), (BLOCKS, 17, 5, 6), **{**how, **options})
        hold(w, str(how))


@pytest.mark.rules("model-R3", "model-R8", "model-R9", "model-R10", "model-R17")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape(shape: tuple[int, ...]) -> None:
    for gradient in ("last", "all"):
        w = world(np.random.default_rng(1), shape, routing_gradient=gradient, hidden=[6, 5])
        hold(w, gradient)


@pytest.mark.rules("sampled_softmax-R3", "sampled_softmax-R4", "sampled_softmax-R10")
@pytest.mark.parametrize("ids", [[], [2], [2, 2, 2], "target", [*range(6)] * 3], ids=str)
def test_negatives_that_are_none_or_repeated_or_hits(ids: Any) -> None:
    w = world(np.random.default_rng(2), (4, 6, 3, 5))
    hold(against(w, [int(w.batch.target[0])] if ids == "target" else ids), str(ids))


@pytest.mark.rules("sampled_softmax-R4", "sampled_softmax-R11")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_negatives_that_were_drawn_twice_count_twice(dtype: str) -> None:
    """With the log of its item, as in training, and once with another."""
    w = world(np.random.default_rng(2), (4, 6, 3, 5), dtype=dtype)
    w = against(w, [2, 0, 2, 5, 2, 0, 2])
    logs = np.array([-1, 0.5, -1, 2, 0.25, 0.5, -1], dtype)
    hold(w._replace(batch=w.batch._replace(negative_log_expected=logs)), dtype)


@pytest.mark.rules("model-R10", "routing-R3")
def test_many_users_are_in_larger_blocks() -> None:
    small: dict[str, Any] = {"items": 50, "negatives": 7, "length": 3, "width": 3, "interests": 2}
    for gradient in ("last", "all"):
        w = crowd(8 * USERS + 2, **small, routing_gradient=gradient)
        blocks = list(slices(len(w.batch.target), block_length(len(w.batch.target))))
        assert [block.stop - block.start for block in blocks] == [2 * USERS] * 4 + [2]
        hold(w, gradient)


@pytest.mark.rules("embedding-R1", "embedding-R3", "embedding-R7")
@pytest.mark.parametrize("dtype", ["int32", "uint8", "uint64"])
@pytest.mark.slow
def test_ids_are_of_any_type_of_integers(dtype: str) -> None:
    """One after the other, and all of them: two types need not have one in common."""
    w = world(np.random.default_rng(2), (4, 6, 3, 5))
    histories, batch, catalogue = w.batch.histories, w.batch, w.catalogue
    items = np.where(histories.mask, histories.items, 0).astype(dtype)
    seen, target = histories._replace(items=items), batch.target.astype(dtype)
    own = histories._replace(profile=histories.profile.astype(dtype))
    negatives, rows = batch.negatives.astype(dtype), catalogue.rows.astype(dtype)
    every = batch._replace(histories=own._replace(items=items), target=target, negatives=negatives)
    for changed in (
        w._replace(batch=batch._replace(histories=seen)),
        w._replace(batch=batch._replace(histories=own)),
        w._replace(batch=batch._replace(target=target)),
        w._replace(batch=batch._replace(negatives=negatives)),
        w._replace(catalogue=catalogue._replace(rows=rows)),
        w._replace(batch=every, catalogue=catalogue._replace(rows=rows)),
    ):
        hold(changed, dtype)


@pytest.mark.rules("model-R5")
@pytest.mark.parametrize("way", ["columns", "apart", "unaligned"])
@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("gradient", ["last", "all"])
def test_matrices_may_lie_in_memory_as_they_like(way: str, where: int, gradient: str) -> None:
    """One alone: the layers' arrays go to compiled code together, where all have one type."""
    axes, options = (BLOCKS, 6, 3, 4), {"dtype": "float32", "routing_gradient": gradient}
    w = world(np.random.default_rng(0), axes, **options)
    matrices = [w.params.bilinear, *(layer.weight for layer in w.params.layers)]
    matrices[where] = odd(matrices[where], way)
    bilinear, *weights = matrices
    layers = tuple(Layer(x, of.bias) for x, of in zip(weights, w.params.layers, strict=True))
    hold(w._replace(params=w.params._replace(bilinear=bilinear, layers=layers)), "odd in memory")


@pytest.mark.slow
def test_what_is_large_is_compiled_once_wherever_arrays_lie_and_whoever_may_write() -> None:
    w = world(np.random.default_rng(0), (BLOCKS, 6, 3, 4), dtype="float32")
    hold(w, "as it is")
    before = len(there_and_back.signatures), len(climb.signatures)  # type: ignore[attr-defined]
    params, batch = w.params, w.batch
    layers = tuple(Layer(x, odd(bias, "apart")) for x, bias in params.layers)
    logs = odd(batch.target_log_expected, "apart")
    ids = {"target": batch.target.astype(np.int32), "negatives": batch.negatives.astype(np.int32)}
    batch = batch._replace(target_log_expected=logs, **ids)
    narrow = world(np.random.default_rng(0), (BLOCKS, 6, 3, 4), dtype="float32", profile_width=1)
    columns = narrow.batch.histories
    columns = columns._replace(profile=np.asfortranarray(columns.profile))
    changed = [
        w._replace(params=params._replace(layers=layers)),
        w._replace(params=params._replace(profile=np.asfortranarray(params.profile))),
        narrow._replace(batch=narrow.batch._replace(histories=columns)),
        w._replace(batch=batch),
    ]
    for other in changed:
        hold(other, "odd in memory")
    for x in [*flatten(params).values(), batch.target_log_expected]:
        x.flags.writeable = False
    hold(w._replace(batch=batch), "read alone")
    assert before == (len(there_and_back.signatures), len(climb.signatures))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_there_may_be_no_layers() -> None:
    """The presets have one at least, who makes parameters need not."""
    for gradient in ("last", "all"):
        w = world(np.random.default_rng(0), (BLOCKS, 6, 3, 4), routing_gradient=gradient)
        histories = w.batch.histories._replace(profile=w.batch.histories.profile[:, :0])
        batch, params = w.batch._replace(histories=histories), w.params._replace(layers=())
        hold(w._replace(batch=batch, params=params), gradient)


def test_buffers_and_state_begin_with_a_line_of_memory() -> None:
    subject, w = compiled(), crowd(dtype="float32")
    state = subject.backend.init(w.params, w.config)
    state, _ = subject.backend.step(state, w.batch, w.catalogue, w.config, 0.1)
    tables = [flatten(state.params), state.moments.first, state.moments.second]
    arrays = [*subject.backend.work().buffers.values(), *(x for t in tables for x in t.values())]
    assert len(arrays) > 50
    assert not any(x.ctypes.data % LINE for x in arrays)


@pytest.mark.rules("model-R17")
def test_nobody_has_behaviours() -> None:
    for axis, gradient in product(("interests", "behaviours"), ("last", "all")):
        how = {"routing_axis": axis, "routing_gradient": gradient}
        hold(world(np.random.default_rng(2), (4, 6, 3, 5), np.zeros((4, 6), bool), **how), axis)


@pytest.mark.rules("model-R2", "model-R10")
def test_items_without_features_and_users_without_a_profile() -> None:
    w = world(np.random.default_rng(2), (4, 6, 3, 5))
    hold(w._replace(catalogue=catalogue_of_ids(6, "float64")), "no features")
    first = Layer(w.params.layers[0].weight[:5], w.params.layers[0].bias)
    params = w.params._replace(profile=np.zeros((0, 2)), layers=(first, *w.params.layers[1:]))
    nobody = w.batch.histories._replace(profile=np.zeros((4, 0), np.int64))
    hold(w._replace(params=params, batch=w.batch._replace(histories=nobody)), "no profile")


@pytest.mark.rules("model-R10", "sampled_softmax-R11", "routing-R3", "routing-R11")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.slow(every=2)
def test_many_blocks_of_users_items_and_negatives(dtype: str) -> None:
    """In float32 with shorter items.

    Of the usual ones one user is near a parting of the rounds, where half a unit in the last place
    of the items moves the gradient `all` by 4e-5; of shorter ones no user's moves by 2e-6.
    """
    for gradient, normalise in product(("last", "all"), (False, True)):
        how = {"routing_gradient": gradient, "normalise": normalise}
        w = crowd(dtype=dtype, **how)
        if dtype == "float32":
            w = w._replace(params=w.params._replace(items=w.params.items * np.float32(0.75)))
        hold(w, f"{how}")


@pytest.mark.rules("numerics-R5")
def test_a_nan_stays_with_the_users_whom_it_concerns() -> None:
    w = world(np.random.default_rng(2), (6, 6, 3, 5))
    items = w.params.items.copy()
    items[w.catalogue.rows[w.batch.histories.items[0, 0], 0]] = np.nan
    loss, interests, _ = questions(w._replace(params=w.params._replace(items=items)))
    got = agree(interests)["interests"]
    touched = np.isnan(got).any(axis=(1, 2))
    assert touched.any()
    assert not touched.all()
    assert np.isnan(agree(loss)["loss"])


@pytest.mark.rules(
    "optimiser-R1", "optimiser-R2", "optimiser-R3", "optimiser-R4", "optimiser-R5", "optimiser-R13"
)
@pytest.mark.parametrize("features", [True, False])
def test_steps_are_those_of_adam_and_rows_not_named_stay(features: bool) -> None:
    """With an epsilon beside which no gradient vanishes; six items of ten rows, or of one each."""
    for dtype in ("float64", "float32"):
        w = world(np.random.default_rng(5), (4, 6, 3, 5), dtype=dtype, beta1=0.7, beta2=0.8)
        w = w if features else w._replace(catalogue=catalogue_of_ids(6, dtype))
        w = w._replace(params=w.params._replace(items=np.tile(w.params.items, (3, 1))))
        training = questions(w)[2]
        after = agree(training, where=dtype)
        rows = np.unique(w.catalogue.rows)
        rest = np.setdiff1d(np.arange(len(w.params.items)), rows)
        assert len(rest) >= 20
        assert after["items"][rest].tobytes() == w.params.items[rest].tobytes()
        moved = np.abs(after["items"] - w.params.items).max(axis=1) > 0
        assert moved.sum() >= 6


@pytest.mark.rules("embedding-R1", "optimiser-R1", "optimiser-R5")
@pytest.mark.parametrize("weight", [0.5, 0.0])
def test_a_row_of_its_own_may_have_another_weight_than_one(weight: float) -> None:
    w = world(np.random.default_rng(5), (4, 6, 3, 5), beta1=0.7, beta2=0.8)
    alone = catalogue_of_ids(6, "float64")
    weights = np.where(alone.rows == 2, weight, 1.0)
    agree(questions(w._replace(catalogue=alone._replace(weights=weights)))[2])


@pytest.mark.rules("optimiser-R1")
def test_large_parameters_are_moved_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam, "LARGE", 30)
    w = world(np.random.default_rng(5), (4, 6, 3, 5), hidden=[6, 5])
    sizes = [x.size for name, x in flatten(w.params).items() if "layers" in name]
    assert min(sizes) < 30 <= max(sizes)
    agree(questions(w)[2])


@pytest.mark.rules("embedding-R3", "optimiser-R1", "optimiser-R5")
@pytest.mark.parametrize("threads", [1, 3])
def test_items_that_share_a_row_move_it_once(threads: int) -> None:
    """Each row has the gradients of sixty items; a table of their own would move it sixty times."""
    w = crowd()
    rows = (np.arange(len(w.catalogue.rows)) % 50)[:, None]
    shared = w._replace(catalogue=Catalogue(rows, np.ones(rows.shape)))
    agree(questions(shared)[2], compiled(threads))
