import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mindref.data.batches import pad_examples, pad_histories
from mindref.data.log import Ragged
from mindref.errors import ConfigError, ShapeError
from tests.data.logs import rows

SEQUENCES = Ragged.of([[5, 0, 7, 5, 2], [], [3, 4]])


def ints(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.rules("data-R45", "data-R46", "data-R47", "data-R48", "data-R50")
@given(rows(min_users=0), st.integers(1, 9))
def test_histories_agree_with_a_loop(drawn, length):
    history, mask = pad_histories(Ragged.of(drawn), length)
    assert (history.dtype, history.shape) == (np.int64, (len(drawn), length))
    for r, row in enumerate(drawn):
        kept = row[-length:]
        assert history[r].tolist() == kept + [0] * (length - len(kept))
        assert mask[r].tolist() == [True] * len(kept) + [False] * (length - len(kept))


@pytest.mark.rules("data-R39", "data-R45", "data-R46", "data-R48", "data-R49")
@given(rows(), st.integers(1, 9), st.data())
def test_examples_agree_with_histories(drawn, length, data):
    places = [(r, p) for r, row in enumerate(drawn) for p in range(len(row))]
    assume(places)
    chosen = data.draw(st.lists(st.sampled_from(places), max_size=6))
    row, position = np.array(chosen, np.int64).reshape(-1, 2).T
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
