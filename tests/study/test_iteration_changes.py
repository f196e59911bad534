"""The texts of later iterations are computed from the numbers of both iterations."""

import re

import numpy as np
import pytest

from mindref.study.iteration_changes import Numbers, describe_change
from mindref.study.models.study_model import open_built_in_model
from mindref.study.traced_user import trace_user
from mindref.study.tracing import trace_pair
from tests.study.pairs import VARIED, make_random_pair


@pytest.fixture(scope="module")
def traces():
    model = open_built_in_model()
    return [trace_user(model, str(x)).trace for x in ("most-separated", *model.user_ids[:19])]


def change_of(trace, step_id):
    return next(step.change for step in trace.steps if step.id == step_id)


def test_the_first_iteration_has_no_change_and_later_ones_have_their_own(traces):
    for trace in traces:
        for step in trace.steps:
            routing = re.match(r"routing\[(\d)\]", step.id)
            first = 3 if step.phase == "backward" else 1
            assert bool(step.change) == bool(routing and step.number != first), step.id
        texts = [step.change for step in trace.steps if step.change]
        assert len(set(texts)) == len(texts)


def test_a_film_that_moved_is_named_with_its_weights(traces):
    moves = 0
    for trace in traces:
        for t in (2, 3):
            before, after = trace.values[f"w[{t - 1}]"], trace.values[f"w[{t}]"]
            rows = np.flatnonzero(trace.values["mask"])
            moved = [i for i in rows if before[i].argmax() != after[i].argmax()]
            text = change_of(trace, f"routing[{t}].weights")
            if not moved:
                assert text.startswith("No film changed its largest interest.")
                continue
            moves += 1
            title, old, new, low, high = re.match(
                r"(.+) moved from interest (\d) to interest (\d): its weight there changed"
                r" from (\S+) to (\d\.\d+)\.", text).groups()  # fmt: skip
            numbers = [
                i for i in moved if trace.labels["behaviour"][i] == title
                and (before[i].argmax(), after[i].argmax()) == (int(old) - 1, int(new) - 1)
            ]  # fmt: skip
            assert any(
                (f"{before[i][int(new) - 1]:.2f}", f"{after[i][int(new) - 1]:.2f}") == (low, high)
                for i in numbers
            )
            others = re.search(r"(\d+) more films? changed", text)
            assert (int(others[1]) if others else 0) == len(moved) - 1
    assert moves > 5


def test_lengths_and_cosines_are_those_of_the_vectors(traces):
    trace = traces[0]
    text = change_of(trace, "routing[2].sums")
    k = int(re.search(r"interest (\d)", text)[1]) - 1
    a, b = trace.values["z[1]"][k], trace.values["z[2]"][k]
    wanted = [a @ b / np.linalg.norm(a) / np.linalg.norm(b), np.linalg.norm(a), np.linalg.norm(b)]
    assert [float(x) for x in re.findall(r"-?\d+\.\d+", text)] == pytest.approx(wanted, abs=0.005)


WITHOUT_MOVE = {
    "mask": np.array([True, True]), "active": np.array([True, True]),
    "w[1]": np.array([[0.6, 0.4], [0.48, 0.52]]), "w[2]": np.array([[0.7, 0.3], [0.29, 0.71]]),
}  # fmt: skip
LABELS = {"behaviour": ["A", "B"], "interest": ["interest 1", "interest 2"]}


def test_without_a_move_the_largest_change_is_named():
    text = describe_change("routing.weights", Numbers(WITHOUT_MOVE, LABELS, 2))
    assert text.endswith("The largest change: the weight of B for interest 1, 0.48 to 0.29.")
    same = {**WITHOUT_MOVE, "w[2]": WITHOUT_MOVE["w[1]"]}
    assert (
        describe_change("routing.weights", Numbers(same, LABELS, 2))
        == "No coupling weight changed."
    )


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
def test_every_setting_has_texts_without_nan(changes):
    trace = trace_pair(make_random_pair(3, **changes))
    assert all("nan" not in step.change for step in trace.steps)
