import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.data.batches import pad_examples, pad_histories
from mindref.data.log import Ragged
from mindref.errors import ConfigError, ShapeError
from tests.data.logs import rows

SEQUENCES = Ragged.of([[5, 0, 7, 5, 2], [], [3, 4]])


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.mark.rules("data-R39")
def test_the_target_is_the_item_at_the_position():
    batch = pad_examples(SEQUENCES, ints(0, 2, 0), ints(4, 1, 0), 3)
    assert batch.target.tolist() == [2, 4, 5]
    assert batch.mask.sum(axis=1).tolist() == [3, 1, 0]


@pytest.mark.rules("data-R45")
def test_a_long_history_keeps_its_most_recent_items():
    batch = pad_examples(SEQUENCES, ints(0), ints(4), 2)
    assert batch.history.tolist() == [[7, 5]]


@pytest.mark.rules("data-R46")
def test_a_history_is_oldest_first_and_padded_at_the_end():
    batch = pad_examples(SEQUENCES, ints(0, 2), ints(3, 1), 4)
    assert batch.history[0, :3].tolist() == [5, 0, 7]
    assert batch.mask.tolist() == [[True, True, True, False], [True, False, False, False]]


@pytest.mark.rules("data-R47")
def test_padding_is_id_0_and_item_0_is_not_masked():
    batch = pad_examples(SEQUENCES, ints(0), ints(2), 4)
    assert batch.history.tolist() == [[5, 0, 0, 0]]
    assert batch.mask.tolist() == [[True, True, False, False]]


@pytest.mark.rules("data-R48")
def test_the_width_is_the_requested_length():
    assert pad_examples(SEQUENCES, ints(2), ints(1), 7).history.shape == (1, 7)
    assert pad_histories(Ragged.of([[1]]), 7)[0].shape == (1, 7)
    assert pad_histories(Ragged.of([]), 7)[0].shape == (0, 7)


@pytest.mark.rules("data-R49")
def test_an_earlier_occurrence_of_the_target_stays_in_the_history():
    batch = pad_examples(SEQUENCES, ints(0), ints(3), 3)
    assert batch.target.tolist() == [5]
    assert batch.history.tolist() == [[5, 0, 7]]
    assert batch.mask.all()


@pytest.mark.rules("data-R50")
def test_histories_keep_the_last_item_and_may_be_empty():
    history, mask = pad_histories(SEQUENCES, 3)
    assert history[mask].tolist() == [7, 5, 2, 3, 4]
    assert mask.sum(axis=1).tolist() == [3, 0, 2]


@pytest.mark.rules("data-R45", "data-R46", "data-R50")
@given(rows(), st.integers(1, 9))
def test_histories_agree_with_a_loop(drawn, length):
    history, mask = pad_histories(Ragged.of(drawn), length)
    assert history.dtype == np.int64
    for r, row in enumerate(drawn):
        kept = row[-length:]
        assert history[r].tolist() == kept + [0] * (length - len(kept))
        assert mask[r].tolist() == [True] * len(kept) + [False] * (length - len(kept))


@given(rows(), st.integers(1, 9), st.data())
def test_examples_agree_with_histories(drawn, length, data):
    places = [(r, p) for r, row in enumerate(drawn) for p in range(len(row))]
    assume(places)
    chosen = data.draw(st.lists(st.sampled_from(places), max_size=6))
    row, position = (
        (ints(*column) for column in zip(*chosen, strict=True)) if chosen else (ints(),) * 2
    )
    batch = pad_examples(Ragged.of(drawn), row, position, length)
    history, mask = pad_histories(Ragged.of([drawn[r][:p] for r, p in chosen]), length)
    assert batch.history.tolist() == history.tolist()
    assert batch.mask.tolist() == mask.tolist()
    assert batch.target.tolist() == [drawn[r][p] for r, p in chosen]


def test_a_position_outside_its_row_and_an_empty_window_are_refused():
    for row, position in ((0, 5), (0, -1), (1, 0)):
        with pytest.raises(ShapeError, match="inside its row"):
            pad_examples(SEQUENCES, ints(row), ints(position), 3)
    with pytest.raises(ConfigError, match="history length"):
        pad_histories(SEQUENCES, 0)
