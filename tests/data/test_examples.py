import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.data import splits
from mindref.data.batches import pad_examples
from mindref.data.examples import TrainingExamples, count_items
from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError
from tests import spec_pages
from tests.data.logs import ITEMS, agrees, log_of, rows, rows_of

ROWS = [[3], [0, 1, 2, 1], [], [5, 4], [2, 2, 0, 6, 1, 0, 2]]  # 0, 3, 0, 1, 6 cuts
CUTS = {(r, p) for r, row in enumerate(ROWS) for p in range(1, len(row))}


def drawn(cuts, size, seed=0):
    row, position = cuts.draw(np.random.default_rng(seed), size)
    assert row.dtype == position.dtype == np.int64
    return list(zip(row.tolist(), position.tolist(), strict=True))


@pytest.mark.rules("data-R39", "data-R40", "data-R41")
@pytest.mark.parametrize("by", ["interaction", "user"])
def test_every_cut_is_equally_likely_or_every_user_and_then_every_cut(by):
    cuts = TrainingExamples(Ragged.of(ROWS), by=by)
    numbers = [sorted(CUTS).index(cut) for cut in drawn(cuts, 20_000)]
    by_user = [1 / 3 / (len(ROWS[r]) - 1) for r, _ in sorted(CUTS)]
    chance = np.full(len(CUTS), 1 / len(CUTS)) if by == "interaction" else np.array(by_user)
    assert len(cuts) == len(CUTS)
    assert agrees(np.bincount(numbers, minlength=len(CUTS)), chance)


@pytest.mark.rules("data-R42")
@pytest.mark.parametrize("by", ["interaction", "user"])
def test_draws_are_reproducible_and_advance_the_generator(by):
    cuts = TrainingExamples(Ragged.of(ROWS), by=by)
    assert drawn(cuts, 50) == drawn(cuts, 50)
    assert drawn(cuts, 50) != drawn(cuts, 50, seed=1)
    rng = np.random.default_rng(0)
    first, second = (cuts.draw(rng, 50)[1].tolist() for _ in range(2))
    assert first != second


@pytest.mark.rules("data-R43")
@given(rows(), st.sampled_from(["interaction", "user"]))
def test_target_probabilities_are_exact(sequences, by):
    able = [row for row in sequences if len(row) > 1]
    assume(able)
    total = sum(len(row) - 1 for row in able)
    expected = np.zeros(ITEMS)
    for row in able:
        for item in row[1:]:
            expected[item] += 1 / total if by == "interaction" else 1 / len(able) / (len(row) - 1)
    got = TrainingExamples(Ragged.of(sequences), by=by).target_probability(ITEMS)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(got.sum(), 1)


@pytest.mark.parametrize(
    ("rows", "settings", "error", "message"),
    [
        ([[1], []], {}, DataError, "a target with a history"),
        ([], {}, DataError, "history"),
        (ROWS, {"by": "item"}, ConfigError, "interaction or user"),
    ],
)
def test_invalid_arguments_are_refused(rows, settings, error, message):
    with pytest.raises(error, match=message):
        TrainingExamples(Ragged.of(rows), **settings)


@pytest.mark.rules("data-R26", "data-R27", "data-R39", "data-R43", "data-R44", "data-R46")
def test_the_example_of_the_page_for_splits_and_examples():
    page = next(e for e in spec_pages.examples("data") if e["name"] == "samples")
    split = splits.split_leave_last_out(log_of(page["interactions"]))
    assert rows_of(split.train) == page["train"]
    for name in ("validation", "test"):
        cases = getattr(split, name)
        assert rows_of(cases.histories) == page[name]["histories"]
        assert rows_of(cases.targets) == page[name]["targets"]
    row, position = np.array([page["row"]]), np.array([page["position"]])
    batch = pad_examples(split.train, row, position, page["window"])
    got = batch.history[0].tolist(), batch.mask[0].tolist(), int(batch.target[0])
    assert got == (page["history"], page["mask"], page["target"])
    assert count_items(split.train, 4).tolist() == page["counts"]
    assert (
        TrainingExamples(split.train).target_probability(4).tolist() == page["target_probability"]
    )
