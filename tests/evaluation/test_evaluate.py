"""The report, its targets that tie in time, and the file of predictions."""

import numpy as np
import pytest

from mindref.data.log import InteractionLog, Ragged
from mindref.data.splits import EvaluationCases
from mindref.errors import ConfigError, DataError, RunError, ShapeError
from mindref.evaluation.evaluate import (
    evaluate_top_n,
    metrics_by_tie,
    tied_targets,
    write_predictions,
)
from mindref.recall.top_n import TopN
from tests import spec_pages

PAGE = next(example for example in spec_pages.examples("metrics") if example["name"] == "lists")


def ranked_of(items):
    ids = np.array(items, np.int64)
    return TopN(ids, -np.sort(-np.ones(ids.shape)), np.zeros_like(ids))


def judge(at=(1, 2)):
    cases = EvaluationCases(np.arange(3), Ragged.of(PAGE["histories"]), Ragged.of(PAGE["targets"]))
    rng = np.random.default_rng(0)
    return evaluate_top_n(
        ranked_of(PAGE["items"]), cases, PAGE["n_items"], list_lengths=at, rng=rng
    )


@pytest.mark.rules("metrics-R1", "metrics-R9", "metrics-R20", "metrics-R21")
def test_the_worked_example_is_evaluated():
    report = judge()
    assert (report.cases, report.without_target) == (PAGE["cases"], PAGE["without_target"])
    assert report.seen_targets == PAGE["seen_targets"]
    assert sorted(report.metrics) == sorted(PAGE["values"])
    for name, value in PAGE["values"].items():
        np.testing.assert_allclose(report.metrics[name]["value"], value, err_msg=name)
    assert report.metrics["coverage@2"] == {"value": 0.4, "low": 0.4, "high": 0.4}
    rows = report.by_history_length.items()
    assert {bucket: row["hit_rate@2"] for bucket, row in rows} == PAGE["by_history_length"]


@pytest.mark.rules("metrics-R20")
def test_the_number_of_interests_is_constant_within_a_bucket():
    lengths = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 1000]
    histories = Ragged.of([[0] * length for length in lengths])
    cases = EvaluationCases(np.arange(14), histories, Ragged.of([[1]] * 14))
    settings = {"list_lengths": (1,), "rng": np.random.default_rng(0), "resamples": 5}
    report = evaluate_top_n(ranked_of([[1]] * 14), cases, 2, **settings)
    counts = {bucket: row["cases"] for bucket, row in report.by_history_length.items()}
    pairs = dict.fromkeys(["2-3", "4-7", "8-15", "16-31", "32-63", "64+"], 2)
    assert counts == {"0": 1, "1": 1, **pairs}


@pytest.mark.rules("metrics-R1", "metrics-R26")
def test_invalid_cases_and_list_lengths_are_errors():
    settings = {"list_lengths": (1,), "rng": np.random.default_rng(0)}
    cases = EvaluationCases(np.arange(1), Ragged.of([[1]]), Ragged.of([[]]))
    with pytest.raises(DataError, match="a case with a target"):
        evaluate_top_n(ranked_of([[1]]), cases, 3, **settings)
    cases = cases._replace(targets=Ragged.of([[1]]))
    with pytest.raises(ShapeError, match=r"one list, history and target row per case"):
        evaluate_top_n(ranked_of([[1], [2]]), cases, 3, **settings)
    with pytest.raises(ConfigError, match="metrics: list_lengths"):
        judge(at=(1, 5))


@pytest.mark.rules("metrics-R25")
def test_a_list_with_an_item_twice_raises():
    cases = EvaluationCases(np.arange(2), Ragged.of([[1], [1]]), Ragged.of([[4], [5]]))
    settings = {"list_lengths": (1,), "rng": np.random.default_rng(0)}
    evaluate_top_n(ranked_of([[4, 2, -1, -1], [5, 4, 2, 0]]), cases, 6, **settings)
    with pytest.raises(DataError, match="got item 5 twice in the list of case 1"):
        evaluate_top_n(ranked_of([[4, 2, -1, -1], [5, 4, 5, 0]]), cases, 6, **settings)


@pytest.mark.rules("metrics-R22", "metrics-R23", "metrics-R32", "metrics-R33")
def test_predictions_are_written_without_padding(tmp_path):
    ranked = TopN(
        np.array([[2, 0], [1, -1]]),
        np.array([[0.1, -2.5], [1e-9, -np.inf]], np.float32),
        np.array([[0, 3], [1, -1]]),
    )
    write_predictions(tmp_path / "p.tsv", ranked, ["u\t1\x1f\x9f", "é\ud800"], ["a", "b\\\n", "c"])
    assert (tmp_path / "p.tsv").read_text("utf-8").split("\n") == [
        "user\trank\titem\tscore\tinterest",
        "u\\t1\\u001f\\u009f\t1\tc\t0.1\t0",
        "u\\t1\\u001f\\u009f\t2\ta\t-2.5\t3",
        "é\\ud800\t1\tb\\\\\\n\t1e-09\t1",
        "",
    ]
    with pytest.raises(RunError, match="a place that can be written"):
        write_predictions(tmp_path / "none" / "p.tsv", ranked_of([[0]]), ["u"], ["a"])


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


@pytest.mark.rules("metrics-R31", "metrics-R34")
def test_both_kinds_of_case_are_reported_apart():
    ids = np.array([[2, 3], [1, 2], [1, 0], [3, 1]])
    ranked = TopN(ids, np.zeros(ids.shape), np.zeros(ids.shape, np.int64))
    groups = metrics_by_tie(ranked, CASES, np.array([True, False, True, False]), (1, 2))
    assert {name: row["cases"] for name, row in groups.items()} == {"tied": 2, "untied": 2}
    assert [groups["tied"][f"hit_rate@{n}"] for n in (1, 2)] == [0.5, 1.0]
    assert [groups["untied"][f"hit_rate@{n}"] for n in (1, 2)] == [0.0, 0.5]
    without = CASES._replace(targets=Ragged.of([[2], [0], [0], []]))
    groups = metrics_by_tie(ranked, without, np.array([True, False, True, False]), (1,))
    assert groups["untied"]["cases"] == 1
    for tied in (None, np.ones(4, bool), np.zeros(4, bool)):
        assert metrics_by_tie(ranked, CASES, tied, (1,)) == {}, "no times, or one kind of case"
