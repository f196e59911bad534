"""MIND plus: it is MIND where nothing is added; its losses, its parts, its initial values."""

import dataclasses
import math

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import STANDARD_ERRORS
from mindref.data.log import Ragged
from mindref.errors import ConfigError
from mindref.models import mind_plus, parameters
from mindref.models.mind_plus import ages
from mindref.models.parameters import Sizes, catalogue_of_ids, flatten
from mindref.training.batch_loader import BatchLoader, Task
from tests import spec_pages
from tests.assertions import assert_close, assert_equal_arrays, raises_exactly
from tests.models.worlds import OPTIONS, World, plus_config, plus_world


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
    gradients = w.dense(w.gradients())
    assert gradients.pop("positions").shape == (17, 0)
    np.testing.assert_equal(gradients, of_mind.dense(of_mind.gradients()))
    np.testing.assert_array_equal(w.interests()[0], of_mind.interests()[0])


@pytest.mark.rules("mind_plus-R2")
def test_the_weights_start_as_lines_of_equal_ratios():
    config = plus_config(recency="interests", interests=4, contexts=1, window=6)
    expected = [[-age * 0.03 * 3**column for column in range(5)] for age in range(6)]
    assert_close(ages.start(config), expected)
    assert ages.start(dataclasses.replace(config, dtype="float32")).dtype == np.float32
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


@pytest.mark.rules("mind_plus-R23")
@pytest.mark.parametrize(("head", "hidden"), [("residual", [5]), ("residual", []), ("layers", [5])])
def test_matrices_at_the_identity_are_no_map_and_all_else_starts_as_before(head, hidden):
    sizes = Sizes(20, 25, 0, 0)
    drawn, found = (
        flatten(mind_plus.init(np.random.default_rng(3), config, sizes))
        for config in (
            plus_config(head=head, hidden=hidden, initial_matrices=start)
            for start in ("random", "identity")
        )
    )
    changed = {"bilinear": np.eye(len(drawn["bilinear"]))}
    if head == "residual":
        name = f"layers.{len(hidden)}.weight"
        changed[name] = np.zeros_like(drawn[name])
    for name, x in (drawn | changed).items():
        np.testing.assert_array_equal(found[name], x, name)


@pytest.mark.rules("mind_plus-R8", "mind_plus-R11", "mind_plus-R20")
@pytest.mark.parametrize(
    ("changes", "removed"), [({"votes": "items"}, "bilinear"), ({"head": "none"}, "layers")]
)
def test_an_unused_parameter_is_empty_and_the_others_start_as_before(changes, removed):
    whole, found = (
        flatten(mind_plus.init(np.random.default_rng(3), config, Sizes(20, 25, 0, 0)))
        for config in (plus_config(), plus_config(**changes))
    )
    stored = {name: x for name, x in found.items() if x.size}
    assert not any(name.startswith(removed) for name in stored)
    for name, x in stored.items():
        assert x.tobytes() == whole[name].tobytes(), name


@pytest.mark.rules("mind_plus-R22")
def test_the_preset_is_the_table_of_the_page_and_nothing_else():
    table = spec_pages.text("mind_plus").split("| setting | `recommended` | default |")[1]
    rows = [line.split("|") for line in table.split("\n\n")[0].splitlines()[2:]]
    cells = {row[1].strip(): (row[2].strip(), row[3].strip()) for row in rows}
    default, found = (Config.of(name).to_dict() for name in ("mind", "recommended"))
    assert {name for name, x in found.items() if x != default[name]} <= set(cells)
    for name, texts in cells.items():
        for value, text in zip((found[name], default[name]), texts, strict=True):
            if isinstance(value, tuple | list):
                assert text == (",".join(map(str, value)) or "none"), name
            elif isinstance(value, bool | str):
                assert text == str(value).lower(), name
            else:
                assert text == f"{value:g}", name


ITEMS = 9
SEQUENCES = Ragged.of([[0, 1, 2, 3], [4, 5, 6, 0, 1, 7, 8, 8, 2], [2, 2, 2]])
RATES = [0.1, 0.5, 0.9]


def drawn_batch(dropout, step=0, **changes):
    """Return a batch from three sequences."""
    settings = {"batch": 64, "negatives": 8, "window": 7, "width": 24, **changes}
    config = plus_config(dropout=dropout, **settings)
    catalogue = catalogue_of_ids(ITEMS, config.dtype)
    task = Task(SEQUENCES, np.zeros((3, 0), np.int64), catalogue, Sizes(ITEMS, ITEMS, 0, 0))
    return BatchLoader(task, config).batch(step)


@pytest.mark.rules("mind_plus-R14")
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_independent_entries_are_dropped_and_the_expectation_is_unchanged(rate, dtype):
    keep = drawn_batch(rate, dtype=dtype).keep
    assert keep.shape == (64, 7, 24)
    assert keep.dtype == np.dtype(dtype)
    rounded = round(rate * 2**16) / 2**16
    assert set(np.unique(keep)) == {0, np.dtype(dtype).type(1 / (1 - rounded))}
    spread = STANDARD_ERRORS * math.sqrt(rate * (1 - rate) / keep.size)
    assert np.mean(keep == 0) == pytest.approx(rate, abs=spread)
    error = spread / (1 - rate)
    assert keep.mean() == pytest.approx(1, abs=error)
    for axis in range(3):  # users, behaviours, entries
        first = np.moveaxis(keep, axis, 0)
        correlation = np.corrcoef(first[1:].ravel(), first[:-1].ravel())[0, 1]
        assert abs(correlation) < STANDARD_ERRORS / math.sqrt(first[1:].size)


@pytest.mark.rules("mind_plus-R14", "mind_plus-R16")
def test_factors_of_one_are_no_dropout():
    assert drawn_batch(0.0).keep is None
    w = plus_world(0, recency="interests", contexts=1)
    assert w.batch.keep is None
    for factor in (1.0, 2.0):
        scaled = w._replace(batch=w.batch._replace(keep=np.full((4, 17, 5), factor)))
        assert (scaled.loss()[0] == w.loss()[0]) == (factor == 1)


@pytest.mark.rules("mind_plus-R15")
def test_the_same_seed_and_step_drop_the_same_entries():
    keep, again = (drawn_batch(0.5, 3).keep.tobytes() for _ in range(2))
    assert again == keep
    assert drawn_batch(0.5, 4).keep.tobytes() != keep
    assert drawn_batch(0.5, 3, seed=1).keep.tobytes() != keep


@pytest.mark.rules("mind_plus-R15")
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("logits", ["keyed", "fixed"])
def test_dropout_changes_no_other_array_of_the_batch(rate, logits):
    dropped, whole = (drawn_batch(x, 2, logits=logits).shared for x in (rate, 0.0))
    assert_equal_arrays([*dropped.histories, *dropped[1:]], [*whole.histories, *whole[1:]])
