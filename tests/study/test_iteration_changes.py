"""The texts of later iterations are computed from the numbers of both iterations."""

import math
import re

import numpy as np
import pytest

from mindref.study.iteration_changes import Numbers, describe_change
from mindref.study.models.study_model import open_built_in_model
from mindref.study.traced_user import trace_user
from mindref.study.tracing import trace_pair
from tests.assertions import nonempty
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
                gaps = {(i, k): abs(after - before)[i, k] for i in rows for k in active(trace)}
                i, k = max(gaps, key=gaps.get)
                assert text == (
                    "No film changed its largest interest. The largest change: the weight of"
                    f" {trace.labels['behaviour'][i]} for interest {k + 1},"
                    f" {before[i, k]:.2f} to {after[i, k]:.2f}."
                )
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


def norm(vector):
    return math.sqrt(sum(x * x for x in np.ravel(vector)))


def numbers_of(text):
    return [float(x.replace("−", "-")) for x in re.findall(r"−?\d+\.\d+", text)]


def active(trace):
    return [k for k, on in enumerate(trace.values["active"]) if on]


def changes(trace, kind, iterations=(2, 3)):
    """Yield the iteration, the text and the interest that the text names."""
    for t in iterations:
        text = change_of(trace, f"routing[{t}].{kind}")
        name = re.search(r"interest (\d)", text)
        yield t, text, name and int(name[1]) - 1


def test_the_sum_that_turned_most_is_named_with_cosine_and_lengths(traces):
    for trace in nonempty(traces):
        for t, text, k in changes(trace, "sums"):
            old, new = trace.values[f"z[{t - 1}]"], trace.values[f"z[{t}]"]
            cosines = {j: old[j] @ new[j] / norm(old[j]) / norm(new[j]) for j in active(trace)}
            assert k == min(cosines, key=cosines.get)
            wanted = [cosines[k], norm(old[k]), norm(new[k])]
            assert numbers_of(text) == pytest.approx(wanted, abs=0.0051)
            assert f"in iterations {t - 1} and {t} is" in text


def test_the_capsule_whose_length_changed_most_is_named(traces):
    named = 0
    for trace in traces:
        for t, text, k in changes(trace, "capsules"):
            old, new = ([norm(u) for u in trace.values[f"u[{i}]"]] for i in (t - 1, t))
            assert k == max(active(trace), key=lambda j: abs(new[j] - old[j]))
            if text.startswith("No capsule"):
                assert numbers_of(text) == pytest.approx([0.001, new[k]], abs=0.00051)
                continue
            named += 1
            assert numbers_of(text) == pytest.approx([old[k], new[k]], abs=0.00051)
    assert named > 5


@pytest.mark.parametrize("kind", ["agreement", "update"])
def test_the_agreement_and_the_logit_that_changed_most_are_named(traces, kind):
    pattern = r"The (?:agreement|logit) of (.+) (?:with|for) interest \d "
    for trace in nonempty(traces):
        rows = np.flatnonzero(trace.values["mask"])
        votes, labels = trace.values["Se"], trace.labels["behaviour"]
        for t, text, k in changes(trace, kind, (2,)):  # the last iteration has no update
            agreements = [votes @ trace.values[f"u[{i}]"].T for i in range(1, t + 1)]
            first = trace.values["b[1]"]
            if kind == "agreement":
                before, after = agreements[-2:]
            else:
                before, after = first, first + sum(agreements)
                assert f"after {t} agreements were added" in text
            title = re.match(pattern, text)[1]
            sizes = {(i, j): abs(after - before)[i, j] for i in rows for j in active(trace)}
            row, column = max(sizes, key=sizes.get)
            assert (title, k) == (labels[row], column)
            wanted = [before[row, k], after[row, k]]
            assert numbers_of(text) == pytest.approx(wanted, abs=0.0051)


@pytest.mark.parametrize(("kind", "name"), [("d_sums", "z"), ("d_weights", "b"), ("d_update", "u")])
def test_the_norms_of_gradients_are_those_of_both_iterations(traces, kind, name):
    for trace in nonempty(traces):
        for t, text, _ in changes(trace, kind, (1, 2)):
            here, later = (norm(trace.values[f"d_{name}[{i}]"]) for i in (t, t + 1))
            pattern = r"has the norm (\S+); in iteration (\d) it is (\S+)\.$"
            quoted, number, quoted_later = re.search(pattern, text).groups()
            assert int(number) == t + 1
            assert as_number(quoted) == pytest.approx(here, rel=0.06)
            assert as_number(quoted_later) == pytest.approx(later, rel=0.06)


def as_number(text):
    return float(text.replace("−", "-"))


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
@pytest.mark.slow(every=5, start=1)
def test_every_setting_has_texts_without_nan(changes):
    trace = trace_pair(make_random_pair(3, **changes))
    assert all("nan" not in step.change for step in trace.steps)
