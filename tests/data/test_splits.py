import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data import splits
from mindref.data.log import Ragged
from mindref.data.protocols import EVALUATION_PROTOCOLS
from mindref.errors import ConfigError, DataError
from tests.assertions import nonempty
from tests.data.logs import log_of, rows, rows_of
from tests.data.reading import plain

ROWS = [[0, 1, 2, 3, 1], [2, 0, 3], [4, 5], [6]]


def rng(seed=0):
    return np.random.default_rng(seed)


def crowd(users, length=10):
    """Users with `length` distinct items each."""
    return log_of(np.arange(users * length).reshape(users, length).tolist())


def every_split(log):
    return [splits.make_split(name, log, rng()) for name in splits.PROTOCOLS]


def timed(users=6, length=20):
    """Interactions t and t + 1, t even, of user u have time 10 t + u: users are interleaved."""
    times = [10.0 * (t - t % 2) + u for u in range(users) for t in range(length)]
    items = np.arange(users * length).reshape(users, length) % 50
    return log_of(items.tolist(), times)


@pytest.mark.rules("data-R25")
def test_a_history_is_all_interactions_before_the_targets():
    log = timed()
    for split in nonempty(every_split(log)):
        for cases in (split.validation, split.test):
            for c, user in enumerate(cases.users):
                known = cases.histories.row(c).tolist()
                row = log.interactions.row(user).tolist()
                assert known == row[: len(known)], split.protocol
                assert row[len(known)] == cases.targets.row(c)[0], split.protocol


@pytest.mark.rules("data-R28")
def test_a_user_with_fewer_than_three_interactions_trains_on_all_of_them():
    split = splits.split_leave_last_out(log_of(ROWS))
    assert rows_of(split.train) == [[0, 1, 2], [2], [4, 5], [6]]
    assert split.train_users.tolist() == [0, 1, 2, 3]
    assert split.validation.users.tolist() == split.test.users.tolist() == [0, 1]


@pytest.mark.rules("data-R37", "data-R95", "data-R96")
def test_the_items_of_the_last_two_baskets_are_targets():
    rows = [[0, 1, 2, 3, 1, 1, 4, 1], [2, 0], [5, 6, 7], []]
    log = log_of(rows, [1, 1, 4, 4, 5, 8, 8, 8, 8, 9, 8, 9, 9])
    split = splits.split_last_basket(log)
    assert rows_of(split.train) == [[0, 1, 2, 3], *rows[1:]]
    assert split.train_users.tolist() == [0, 1, 2, 3]
    assert split.validation.users.tolist() == split.test.users.tolist() == [0]
    assert rows_of(split.validation.histories) == [[0, 1, 2, 3]]
    assert rows_of(split.validation.targets) == [[1]]
    assert rows_of(split.test.histories) == [[0, 1, 2, 3, 1]]
    assert rows_of(split.test.targets) == [[1, 4]]


@pytest.mark.rules("data-R95", "data-R96")
@given(rows(min_users=2))
def test_baskets_of_one_item_are_split_as_interactions(drawn):
    drawn = [*drawn, [0, 1, 2], [3, 3]]  # the last user has one basket and no case
    times = [float(t) for row in drawn for t in range(len(row))]
    split = splits.split_last_basket(log_of(drawn, [*times[:-1], times[-2]]))
    expected = splits.split_leave_last_out(log_of(drawn))
    assert plain(split)[:-1] == plain(expected)[:-1]


@pytest.mark.rules("data-R97")
@pytest.mark.parametrize("times", [None, [0, 1, 2, 2, 3]])  # users differ at 2
def test_a_log_without_baskets_is_refused(times):
    with pytest.raises(DataError, match=r"interactions of a user at one time.*leave_last_out$"):
        splits.split_last_basket(log_of([[0, 1, 2], [3, 4]], times))


@pytest.mark.rules("data-R29")
def test_users_with_one_interaction_train_in_the_paper_split():
    log = log_of(rows_of(crowd(100).interactions) + [[7]] * 30)
    split = splits.split_paper(log, rng())
    assert [len(c.users) for c in (split.validation, split.test)] == [5, 5]
    assert len(split.train_users) == 120
    assert set(range(100, 130)) <= set(split.train_users.tolist())
    other = splits.split_paper(log, rng(1))
    assert other.test.users.tolist() != split.test.users.tolist()


@pytest.mark.rules("data-R29", "data-R30", "data-R31")
@pytest.mark.parametrize("protocol", ["paper", "comirec"])
def test_the_draws_of_user_splits_are_those_of_the_page(protocol):
    log = log_of(rows_of(crowd(50).interactions) + [[7]] * 3)
    split, numbers = splits.make_split(protocol, log, rng(3)), rng(3)
    shuffled, size = numbers.permutation(50), {"paper": 2, "comirec": 5}[protocol]
    test, validation = (np.sort(x) for x in (shuffled[:size], shuffled[size : 2 * size]))
    assert split.test.users.tolist() == test.tolist()
    assert split.validation.users.tolist() == validation.tolist()
    for cases in (split.validation, split.test):
        if protocol == "paper":
            drawn = numbers.integers(1, log.interactions.lengths[cases.users])
            assert cases.histories.lengths.tolist() == drawn.tolist()


@pytest.mark.rules("data-R29", "data-R31", "data-R36")
@pytest.mark.parametrize(
    ("protocol", "users", "held_out"),
    [
        *(("paper", *x) for x in [(5, 1), (10, 1), (31, 1), (32, 2), (52, 2), (53, 3)]),
        *(("paper", *x) for x in [(94, 4), (95, 5), (115, 5), (116, 6), (2100, 100)]),
        *(
            ("comirec", *x)
            for x in [(4, 1), (14, 1), (15, 2), (24, 2), (25, 3), (45, 5), (65, 7), (100, 10)]
        ),
    ],
)
def test_user_splits_round_half_a_user_up(protocol, users, held_out):
    log = crowd(users, 2)
    split = splits.make_split(protocol, log, rng())
    assert len(split.test.users) == len(split.validation.users) == held_out
    parts = (split.train_users, split.validation.users, split.test.users)
    assert sorted(np.concatenate(parts).tolist()) == list(range(users))
    assert rows_of(split.train) == [log.interactions.row(u).tolist() for u in split.train_users]


@pytest.mark.rules("data-R30")
def test_the_target_of_the_paper_split_is_any_interaction_except_the_first():
    split = splits.split_paper(crowd(180 * 21, length=4), rng())
    positions = np.concatenate([c.histories.lengths for c in (split.validation, split.test)])
    counts = np.bincount(positions, minlength=4)
    assert counts[0] == 0
    # 360 draws over three positions: 120 each, standard deviation 9
    assert (np.abs(counts[1:] - 120) < 40).all(), counts
    assert (split.test.targets.lengths == 1).all()


@pytest.mark.rules("data-R32")
@pytest.mark.parametrize(("length", "known"), [(2, 1), (3, 2), (5, 4), (9, 7), (10, 8)])
def test_the_comirec_history_is_the_first_four_fifths(length, known):
    split = splits.split_comirec(crowd(10, length), rng())
    assert split.test.histories.lengths.tolist() == [known]
    assert split.test.targets.lengths.tolist() == [length - known]


@pytest.mark.rules("data-R33")
@pytest.mark.parametrize(
    ("events", "validation", "test"),
    [(25, 20, 23), (30, 24, 27), (34, 27, 31), (35, 28, 32), (45, 36, 41), (50, 40, 45)],
)
def test_the_time_split_rounds_half_an_interaction_up(events, validation, test):
    split = splits.split_global_time(log_of([list(range(events))], list(range(events))))
    assert rows_of(split.train) == [list(range(validation))]
    assert rows_of(split.test.histories) == [list(range(test))]


@pytest.mark.rules("data-R34")
def test_interactions_at_a_cut_time_are_in_the_later_window():
    first, second = list(range(10)), list(range(10, 20))
    log = log_of([first, second], [*[0] * 8, 5, 9, *[0] * 7, 5, 7, 9])
    split = splits.split_global_time(log)  # the validation begins with the second event at 5
    assert rows_of(split.train) == [first[:8], second[:7]]
    assert rows_of(split.validation.targets) == [first[8:9], second[7:9]]
    assert rows_of(split.test.targets) == [first[9:], second[9:]]


@pytest.mark.rules("data-R35")
def test_a_window_evaluates_users_with_interactions_before_and_in_it():
    quiet, new, whole = [0, 1], [2, 3], list(range(4, 20))
    log = log_of([quiet, new, whole], [0, 1, 25, 25, *range(14), 20, 25])
    split = splits.split_global_time(log)
    assert split.train_users.tolist() == [0, 2]
    assert split.validation.users.tolist() == [2]
    assert split.test.users.tolist() == [2]


@pytest.mark.rules("data-R37")
@given(rows())
def test_targets_are_distinct_and_in_order_of_appearance(drawn):
    got = rows_of(splits.first_occurrences(Ragged.of(drawn)))
    assert got == [list(dict.fromkeys(row)) for row in drawn]
    split = splits.split_comirec(log_of([[0] * 12 + [3, 2, 3]] * 10), rng())
    assert rows_of(split.test.targets) == [[3, 2]]


@pytest.mark.rules("data-R38")
@pytest.mark.parametrize("protocol", EVALUATION_PROTOCOLS)
@pytest.mark.parametrize("short", [[[0], [1], [2]], [[]], []])
def test_a_log_without_a_case_is_refused(protocol, short):
    log = log_of(short, [0.0] * sum(len(row) for row in short))
    with pytest.raises(DataError, match="at least"):
        splits.make_split(protocol, log, rng())


@pytest.mark.rules("data-R83")
@pytest.mark.parametrize("short", [ROWS, [[0], [1]]])
def test_without_a_split_all_interactions_train_and_there_is_no_case(short):
    split = splits.make_split("none", log_of(short), rng())
    assert rows_of(split.train) == short
    assert split.train_users.tolist() == list(range(len(short)))
    for cases in (split.validation, split.test):
        assert (len(cases.users), rows_of(cases.histories), rows_of(cases.targets)) == (0, [], [])
    assert split.protocol == "none"


def test_invalid_arguments_are_refused():
    with pytest.raises(DataError, match="leave_last_out"):
        splits.split_global_time(log_of(ROWS))  # which has no times
    with pytest.raises(ConfigError, match="leave_last_out or paper"):
        splits.make_split("random", log_of(ROWS), rng())


@given(rows(min_users=3, min_length=3), st.integers(0, 9))
def test_a_split_is_reproducible_and_does_not_change_the_log(drawn, seed):
    log = log_of(drawn)
    before = log.interactions.values.tobytes(), log.interactions.offsets.tobytes()
    for protocol in ("leave_last_out", "paper", "comirec"):
        first, second = (splits.make_split(protocol, log, rng(seed)) for _ in range(2))
        assert plain(first) == plain(second)
    assert before == (log.interactions.values.tobytes(), log.interactions.offsets.tobytes())
