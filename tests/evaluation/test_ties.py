"""Targets that tie in time with the behaviour before, and what a report says of them."""

import numpy as np
import pytest

from mindref.data.log import InteractionLog, Ragged
from mindref.data.splits import EvaluationCases
from mindref.evaluation.ties import metrics_by_tie, tied_targets
from mindref.recall.top_n import TopN

ROWS = [[0, 1, 2], [3, 1, 0], [2, 0], [1]]
TIMES = np.array([1.0, 2, 2, 5, 5, 9, 4, 4, 7])
CASES = EvaluationCases(
    np.array([0, 1, 2, 3]), Ragged.of([[0, 1], [3, 1], [2], []]), Ragged.of([[2], [0], [0], [1]])
)


def log(times):
    return InteractionLog(Ragged.of(ROWS), times, list("abcd"), list("wxyz"))


@pytest.mark.rules("metrics-R31")
def test_a_target_ties_with_the_behaviour_before_it_and_no_other():
    found = tied_targets(log(TIMES), CASES)
    assert found.tolist() == [True, False, True, False], "the last one has nothing before it"
    assert tied_targets(log(None), CASES) is None


@pytest.mark.rules("metrics-R31")
def test_both_kinds_of_case_are_reported_apart():
    ids = np.array([[2, 3], [1, 2], [1, 0], [3, 1]])
    ranked = TopN(ids, np.zeros(ids.shape), np.zeros(ids.shape, np.int64))
    tied = np.array([True, False, True, False])
    found = metrics_by_tie(ranked, CASES, tied, (1, 2))
    assert {name: row["cases"] for name, row in found.items()} == {"tied": 2, "untied": 2}
    assert [found["tied"][f"hit_rate@{n}"] for n in (1, 2)] == [0.5, 1.0]
    assert [found["untied"][f"hit_rate@{n}"] for n in (1, 2)] == [0.0, 0.5]


@pytest.mark.rules("metrics-R31")
def test_nothing_is_reported_without_times_or_with_one_kind_of_case():
    ids = np.zeros((4, 1), np.int64)
    ranked = TopN(ids, np.zeros(ids.shape), ids)
    assert metrics_by_tie(ranked, CASES, None, (1,)) == {}
    assert metrics_by_tie(ranked, CASES, np.ones(4, bool), (1,)) == {}
    assert metrics_by_tie(ranked, CASES, np.zeros(4, bool), (1,)) == {}
