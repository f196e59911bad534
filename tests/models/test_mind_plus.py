"""MIND plus: it is MIND where nothing is added; its losses, its parts, its initial values."""

import dataclasses
import math

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import STANDARD_ERRORS, same_math
from mindref.data.log import Ragged
from mindref.errors import ConfigError
from mindref.models import mind, mind_plus, parameters
from mindref.models.mind_plus import ages
from mindref.models.parameters import Sizes, catalogue_of_ids, flatten
from mindref.ops import pooled_softmax
from mindref.training.batch_loader import BatchLoader, Task
from tests import spec_pages
from tests.assertions import assert_close, assert_equal_arrays, raises_exactly
from tests.models.worlds import OPTIONS, World, loss_of, plus_config, plus_world


@pytest.mark.rules("mind_plus-R21")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("routing_gradient", ["last", "all"])
@pytest.mark.parametrize("power", [0.5, np.inf])
def test_where_nothing_is_added_it_is_mind_bit_for_bit(options, routing_gradient, power):
    w = plus_world(0, routing_gradient=routing_gradient, power=power, **options)
    config = Config.of("mind", {**dataclasses.asdict(w.config), "model": "mind"})
    p = w.params
    params = parameters.Params(p.items, p.profile, p.bilinear, p.layers)
    of_mind = World(params, w.shared, w.catalogue, config, w.sizes)
    assert w.loss()[0] == of_mind.loss()[0]
    expected = parameters.flatten_gradients(of_mind.gradients())
    gradients = parameters.flatten_gradients(w.gradients())
    assert gradients.pop("positions").shape == (17, 0)
    assert list(gradients) == list(expected)
    for name, x in gradients.items():
        for part, want in zip(parts(x), parts(expected[name]), strict=True):
            np.testing.assert_array_equal(part, want, err_msg=name)
    np.testing.assert_array_equal(w.interests()[0], of_mind.interests()[0])


def parts(gradient):
    """Return the arrays of a gradient: rows and values of a table's."""
    return list(gradient) if isinstance(gradient, tuple) else [gradient]


@pytest.mark.rules("mind_plus-R17")
@pytest.mark.parametrize("sharpness", [0.0, 0.5, 1.0, np.inf])
def test_the_pooled_loss_is_that_of_the_score_of_serving(sharpness):
    numbers = {"sharpness": sharpness, "temperature": 0.7}
    w = plus_world(0, attention="pooled", recency="interests", contexts=1, **numbers)
    out, active, _ = w.interests()
    ids = (w.shared.target, w.shared.negatives)
    vectors = [mind.item_vectors(w.params, x, w.catalogue)[0] for x in ids]
    logs = (w.shared.target_log_expected, w.shared.negative_log_expected)
    assert loss_of(w) == pooled_softmax.forward(out, active, *vectors, *ids, *logs, **numbers)[0]
    assert loss_of(w, power=2.0) == loss_of(w, score="sum") == loss_of(w)


@pytest.mark.rules("mind_plus-R17")
@pytest.mark.parametrize("power", [0.5, 2.0, np.inf])
def test_attention_mean_is_that_of_power_zero_and_ignores_sharpness(power):
    w = plus_world(0, recency="interests", power=power, attention="mean")
    assert loss_of(w) == loss_of(w, attention="label", power=0.0)
    assert loss_of(w) != loss_of(w, attention="label")
    assert loss_of(w) == loss_of(w, sharpness=5.0)


SAME = same_math(np.float64)


@pytest.mark.rules("mind_plus-R4")
@pytest.mark.parametrize("votes", ["matrix", "items"])
def test_weights_that_differ_separate_interests_even_with_zero_logits(votes):
    for recency in ("none", "shared", "interests"):
        w = plus_world(0, recency=recency, votes=votes, contexts=1)
        out, active, _ = w.with_histories(init_logits=0 * w.histories.init_logits).interests()
        several = active.sum(axis=1) > 1
        assert several.any()
        alike = np.allclose(out[several, 0], out[several, 1], rtol=SAME)
        assert alike == (recency != "interests"), recency


@pytest.mark.rules("mind_plus-R2")
def test_the_weights_start_as_lines_of_equal_ratios():
    config = plus_config(recency="interests", interests=4, contexts=1, window=6)
    expected = [[-age * 0.03 * 3**column for column in range(5)] for age in range(6)]
    assert_close(ages.start(config), expected)
    assert ages.start(dataclasses.replace(config, dtype="float32")).dtype == np.float32


@pytest.mark.rules("mind_plus-R2")
def test_one_column_is_the_slowest_line_and_no_column_is_none():
    shared = ages.start(plus_config(recency="shared", window=4))
    assert_close(shared[:, 0], [0, -0.03, -0.06, -0.09], atol=0)
    assert ages.start(plus_config(window=4)).shape == (4, 0)


@pytest.mark.rules("mind_plus-R13")
@pytest.mark.parametrize("unused", [{"contexts": 1}, {"user_features": ["age"]}])
def test_an_input_that_no_head_reads_raises(unused):
    wanted = "layers or residual, which use contexts and user features"
    with raises_exactly(ConfigError, f"head: expected {wanted}, got none"):
        plus_config(head="none", **unused)
    for head in ("layers", "residual"):
        plus_config(head=head, **unused)


@pytest.mark.rules("mind_plus-R20")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [0, 2])
def test_tables_and_matrix_start_as_those_of_mind(count, dtype):
    config = plus_config(dtype=dtype, hidden=[30], width=8, contexts=count)
    sizes = Sizes(20, 25, 7, 2)
    found = flatten(mind_plus.init(np.random.default_rng(3), config, sizes))
    of_mind = parameters.init(np.random.default_rng(3), config, sizes)
    alike = set(flatten(of_mind)) if count == 0 else {"items", "profile", "bilinear"}
    for name in alike:
        assert found[name].tobytes() == flatten(of_mind)[name].tobytes(), name
    assert found["layers.0.weight"].shape == (8 + 2 * 8 + count * 8, 30)
    weight = found["layers.0.weight"]
    spread = weight.std() * np.sqrt(weight.shape[0] / 2)
    error = STANDARD_ERRORS / math.sqrt(2 * weight.size)
    assert spread == pytest.approx(1, abs=error)
    assert {x.dtype for x in found.values()} == {np.dtype(dtype)}


@pytest.mark.rules("mind_plus-R8", "mind_plus-R11", "mind_plus-R20")
def test_what_is_left_out_does_not_change_how_the_rest_starts():
    sizes = Sizes(20, 25, 0, 0)
    whole = flatten(mind_plus.init(np.random.default_rng(3), plus_config(), sizes))
    for changes, gone in (({"votes": "items"}, "bilinear"), ({"head": "none"}, "layers.0.weight")):
        some = flatten(mind_plus.init(np.random.default_rng(3), plus_config(**changes), sizes))
        assert gone not in some or some[gone].size == 0
        for name, x in some.items():
            if x.size:
                assert x.tobytes() == whole[name].tobytes(), name


@pytest.mark.rules("mind_plus-R22")
@pytest.mark.parametrize("preset", ["best", "sparse"])
def test_a_preset_is_the_column_of_the_page_and_nothing_else(preset):
    table = spec_pages.text("mind_plus").split("| setting | `best` | `sparse` | default |")[1]
    rows = [line.split("|")[1:5] for line in table.split("\n\n")[0].splitlines()[2:]]
    plain, found = (Config.of(name).to_dict() for name in ("mind", preset))
    column = {"best": 1, "sparse": 2}[preset]
    changed = {}
    for row in rows:
        name, *cells = (cell.strip() for cell in row)
        assert cell_of(plain[name]) == cells[2], name
        assert cell_of(found[name]) == cells[column - 1], name
        changed[name] = found[name]
    assert {n: x for n, x in found.items() if x != plain[n]}.items() <= changed.items()


def cell_of(value):
    """Return a setting as a cell of the table."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if number else str(value).lower()


ITEMS = 9
SEQUENCES = Ragged.of([[0, 1, 2, 3], [4, 5, 6, 0, 1, 7, 8, 8, 2], [2, 2, 2]])
RATES = [0.1, 0.5, 0.9]


def fed(dropout, step=0, **changes):
    """Return a batch from three sequences."""
    settings = {"batch": 64, "negatives": 8, "window": 7, "width": 24, **changes}
    config = plus_config(dropout=dropout, **settings)
    catalogue = catalogue_of_ids(ITEMS, config.dtype)
    task = Task(SEQUENCES, np.zeros((3, 0), np.int64), catalogue, Sizes(ITEMS, ITEMS, 0, 0))
    found = BatchLoader(task, config).batch(step)
    return found


def kept(dropout, step=0, **changes):
    """Return its factors."""
    found = fed(dropout, step, **changes).keep
    assert found is not None
    return found


@pytest.mark.rules("mind_plus-R14")
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_entries_are_dropped_by_chance_and_the_others_count_for_them(rate, dtype):
    keep = kept(rate, dtype=dtype)
    assert keep.shape == (64, 7, 24)
    assert keep.dtype == np.dtype(dtype)
    rounded = round(rate * 2**16) / 2**16
    assert set(np.unique(keep)) == {0, np.dtype(dtype).type(1 / (1 - rounded))}
    spread = STANDARD_ERRORS * math.sqrt(rate * (1 - rate) / keep.size)
    assert np.mean(keep == 0) == pytest.approx(rate, abs=spread)
    error = spread / (1 - rate)
    assert keep.mean() == pytest.approx(1, abs=error), "expectation unchanged"


@pytest.mark.rules("mind_plus-R14")
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_entries_are_independent(axis):
    """Not whole behaviours, not the same entries of all behaviours, not those of all users."""
    ahead = np.moveaxis(kept(0.5), axis, 0)
    one, other = ahead[1:].ravel(), ahead[:-1].ravel()
    assert abs(np.corrcoef(one, other)[0, 1]) < STANDARD_ERRORS / math.sqrt(one.size)


@pytest.mark.rules("mind_plus-R14")
def test_only_what_routing_and_contexts_are_given_is_dropped():
    """A batch without any entry left is one of users whose behaviours are zero vectors."""
    w = plus_world(0, recency="interests", contexts=2, attention="pooled")
    keep = np.zeros((4, 17, 5))
    empty = w._replace(batch=w.batch._replace(keep=keep))
    out, active, saved = empty.interests()
    assert active.sum(axis=1).tolist() == [4, 1, 2, 1], "they are behaviours still"
    assert_close(out[0], out[0, :1] + np.zeros((4, 1)), atol=0)
    rows = empty.gradients().items.dense(w.sizes.item_rows)
    ids = np.concatenate([w.shared.target, w.shared.negatives])
    counted = w.catalogue.rows[ids][w.catalogue.weights[ids] > 0]
    assert set(np.flatnonzero(rows.any(axis=1))) <= set(counted)
    assert rows.any(), "targets and negatives are whole"
    assert saved.keep is keep


@pytest.mark.rules("mind_plus-R14", "mind_plus-R16")
def test_factors_of_one_are_no_dropout():
    assert fed(0.0).keep is None
    w = plus_world(0, recency="interests", contexts=1)
    ones, twos = (
        w._replace(batch=w.batch._replace(keep=np.full((4, 17, 5), x))) for x in (1.0, 2.0)
    )
    assert w.batch.keep is None
    assert ones.loss()[0] == w.loss()[0]
    assert twos.loss()[0] != w.loss()[0]


@pytest.mark.rules("mind_plus-R15")
def test_the_same_seed_and_step_drop_the_same_entries():
    keep = kept(0.5, 3)
    assert kept(0.5, 3).tobytes() == keep.tobytes()
    assert kept(0.5, 4).tobytes() != keep.tobytes()
    assert kept(0.5, 3, seed=1).tobytes() != keep.tobytes()


@pytest.mark.rules("mind_plus-R15")
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("logits", ["keyed", "fixed"])
def test_dropout_changes_no_other_array_of_the_batch(rate, logits):
    dropped, whole = fed(rate, 2, logits=logits).shared, fed(0.0, 2, logits=logits).shared
    assert_equal_arrays([*dropped.histories, *dropped[1:]], [*whole.histories, *whole[1:]])
