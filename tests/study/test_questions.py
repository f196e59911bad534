"""Each question has one right answer, recomputed here with plain loops from the trace."""

import math
import re

import numpy as np
import pytest

from mindref.study.models.study_model import open_built_in_model
from mindref.study.questions import QUESTIONS, RAISED, TURNS
from mindref.study.traced_user import trace_user
from mindref.study.tracing import trace_pair
from tests.assertions import nonempty
from tests.study.pairs import VARIED, make_random_pair

USERS = 20


@pytest.fixture(scope="module")
def traces():
    model = open_built_in_model()
    rules = ["median", "most-separated", "least-separated", *model.user_ids[: USERS - 3]]
    return [trace_user(model, str(rule)).trace for rule in rules]


def softmax(numbers):
    """Return the softmax of a list, by the definition."""
    total = sum(math.exp(x) for x in numbers)
    return [math.exp(x) / total for x in numbers]


def films(trace):
    return [i for i, real in enumerate(trace.values["mask"]) if real]


def active(trace):
    return [k for k, on in enumerate(trace.values["active"]) if on]


def named(trace, axis, text):
    """Return the position of the longest label of an axis that a text contains."""
    labels = {label: k for k, label in enumerate(trace.labels[axis])}
    return labels[max((label for label in labels if label in text), key=len)]


def count(trace, question):
    n, most = len(films(trace)), len(trace.values["active"])
    logarithm = math.log(n) / math.log(2)
    wanted = f"log2 {n} = {logarithm:.2f}, rounded down {math.floor(logarithm)}; K = {most}."
    assert question.because == wanted
    assert f"{n} films, and K is {most}" in question.text
    return str(max(1, min(len(trace.values["active"]), math.floor(math.log2(n)))))


def raised_logit(trace, question):
    row, k = named(trace, "behaviour", question.text), named(trace, "interest", question.text)
    logits = {j: trace.values["b[1]"][row][j] for j in active(trace)}
    before = dict(zip(logits, softmax(logits.values()), strict=True))
    logits[k] += 1
    after = dict(zip(logits, softmax(logits.values()), strict=True))
    others = [j for j in logits if j != k]
    factors = {round(after[j] / before[j], 9) for j in others}
    amounts = {round(after[j] - before[j], 4) for j in others}
    assert all(after[j] < before[j] for j in others)
    assert len(factors) == 1 < len(amounts)
    quoted = [float(x) for x in re.findall(r"\d\.\d{3}", question.because)]
    wanted = [before[k], after[k], *(x[j] for j in others for x in (before, after)), *factors]
    assert quoted == pytest.approx(wanted, abs=0.0006)
    return RAISED[2]


def direction(trace, question):
    z, u = trace.values["z[1]"], trace.values["u[1]"]
    wanted = [x for k in active(trace) for x in (math.hypot(*z[k]), math.hypot(*u[k]), 1.0)]
    quoted = [float(x) for x in re.findall(r"(?:= |cosine )(\d+\.\d+)", question.because)]
    assert quoted == pytest.approx(wanted, abs=0.006)
    names = re.findall(r"nterest (\d)", question.because)
    assert names == [str(k + 1) for k in active(trace)]
    for k in active(trace):
        ratio = u[k] / z[k]
        assert np.ptp(ratio) < 1e-9 * ratio[0], "u is a positive multiple of z"
        assert ratio[0] > 0
    return TURNS[1]


def moving_film(trace, question):
    answers = []
    for title in question.choices[:-1]:
        row = trace.labels["behaviour"].index(title)
        first, second = ([trace.values[f"w[{t}]"][row][k] for k in active(trace)] for t in (1, 2))
        if first.index(max(first)) != second.index(max(second)):
            answers.append(title)
    assert len(answers) <= 1
    check_logits_of_a_film(trace, question, answers[0] if answers else None)
    return answers[0] if answers else "none of these films"


def check_logits_of_a_film(trace, question, mover):
    """Check the film of the answer, two interests with their logits, and the largest weight."""
    title = re.match(r"Logits of (.+?): interest", question.because)[1]
    assert title in question.choices
    row = trace.labels["behaviour"].index(title)
    parts = re.findall(r"interest (\d): (\S+) \+ (\S+) = (−?\d+\.\d\d)", question.because)
    numbers = [[float(x.replace("−", "-")) for x in part] for part in parts]
    assert len(numbers) == 2
    values, real = trace.values, active(trace)
    for interest, b, a, updated in numbers:
        k = int(interest) - 1
        agreement = sum(x * y for x, y in zip(values["Se"][row], values["u[1]"][k], strict=True))
        wanted = (values["b[1]"][row, k], agreement, values["b[1]"][row, k] + agreement)
        assert (b, a, updated) == pytest.approx(wanted, abs=0.0051)
    before, after = (softmax([values[f"b[{t}]"][row][k] for k in real]) for t in (1, 2))
    old, rival = (int(x[0]) - 1 for x in numbers)
    assert old == real[before.index(max(before))], "the interest of iteration 1 is quoted first"
    if mover is None:
        margins = {}
        for i in films(trace):
            weights = sorted(softmax([values["b[1]"][i][k] for k in real]))
            margins[i] = weights[-1] - weights[-2]
        compared = [trace.labels["behaviour"].index(x) for x in question.choices[:-1]]
        assert row == min(compared, key=margins.get)
        assert rival == real[before.index(sorted(before)[-2])]
        assert question.because.endswith(f"interest {old + 1} is still the largest.")
        return
    assert title == mover
    assert rival == real[after.index(max(after))] != old
    largest = re.search(r"now (\d\.\d\d), for interest (\d)\.$", question.because)
    assert float(largest[1]) == pytest.approx(max(after), abs=0.0051)
    assert int(largest[2]) == rival + 1


def length(trace, question):
    k = named(trace, "interest", question.text)
    squared = sum(x * x for x in trace.values["z[2]"][k])
    assert squared == min(sum(x * x for x in trace.values["z[2]"][j]) for j in active(trace))
    n, capsule = math.sqrt(squared), squared / (1 + squared)
    pattern = r"n = \|z\| = (\S+): (\S+) / (\S+) = (\d\.\d+)\.$"
    quoted = [float(x) for x in re.search(pattern, question.because).groups()]
    assert quoted == pytest.approx([n, squared, 1 + squared, capsule], abs=0.0006)
    assert f"the length {n:.2f}." in question.text
    return f"{squared / (1 + squared):.2f}"


def other_axis(trace, question):
    row, last = named(trace, "behaviour", question.text), len(trace.values["active"])
    logits = trace.values["b[3]"]
    real = films(trace)
    terms = [softmax([logits[i][k] for i in real])[real.index(row)] for k in active(trace)]
    total, n, count = sum(terms), len(real), len(active(trace))
    assert last > 1
    sums, mean = re.match(r"The sum is (.+?)\. (.+)", question.because).groups()
    left, right = sums.split(" = ")
    for text, term in zip(left.split(" + "), terms, strict=True):
        if text == "about 0":
            assert term < total / 199
        else:
            assert numbers_of(text) == pytest.approx([term], rel=0.006)
    assert numbers_of(right) == pytest.approx([total], rel=0.006)
    assert re.search(rf"among {n} films, so the mean sum is {count} / {n} = ", mean)
    assert numbers_of(mean) == pytest.approx([count / n], rel=0.06)
    choice = min(question.choices, key=lambda text: abs(numbers_of(text)[0] - total))
    assert math.isclose(numbers_of(choice)[0], total, rel_tol=0.05)
    return choice


def serving_interest(trace, question):
    v, t = trace.values["v"], trace.values["t"]
    scores = {k: sum(a * b for a, b in zip(v[k], t, strict=True)) for k in active(trace)}
    best = max(scores, key=scores.get)
    quoted = re.findall(r"(−?\d+\.\d\d) for interest (\d)", question.because)
    ordered = sorted(scores, key=lambda k: -scores[k])
    assert [int(k) - 1 for _, k in quoted] == ordered
    numbers = [numbers_of(x)[0] for x, _ in quoted]
    assert numbers == pytest.approx([scores[k] for k in ordered], abs=0.0051)
    weights, labels = trace.values["w[3]"], trace.labels["behaviour"]
    for k, choice in zip(active(trace), question.choices, strict=True):
        first, second = sorted(films(trace), key=lambda i: -weights[i, k])[:2]
        titles = [f"{labels[i]} ({weights[i, k]:.2f})" for i in (first, second)]
        assert choice == f"interest {k + 1}: {' and '.join(titles)}"
    return next(x for x in question.choices if x.startswith(f"interest {best + 1}: "))


def larger_gradient(trace, question):
    gradient = trace.values["d_Se"] @ trace.values["S"]
    titles = trace.labels["behaviour"]
    rows = [[i for i in films(trace) if titles[i] == title] for title in question.choices]
    largest = [max(places, key=lambda i: math.hypot(*gradient[i])) for places in rows]
    ordered = sorted(largest, key=lambda i: -math.hypot(*gradient[i]))
    wanted = []
    for i in ordered:
        through_z, through_a = gradient_terms(trace, i)
        np.testing.assert_allclose(through_z + through_a, gradient[i], rtol=1e-9, atol=1e-15)
        wanted += [math.hypot(*x) for x in (gradient[i], through_z, through_a)]
    quoted = numbers_of(question.because)
    assert quoted == pytest.approx(wanted, rel=0.06)
    assert quoted[0] > quoted[3]
    assert quoted[1] + quoted[2] > quoted[4] + quoted[5], "the parts order the films as the answer"
    assert question.because.index(titles[ordered[0]]) < question.because.index(titles[ordered[1]])
    return titles[ordered[0]]


def gradient_terms(trace, i):
    """Return the gradient of a film through the sums and through the agreements, term by term."""
    values, (through_z, through_a) = trace.values, np.zeros((2, trace.values["S"].shape[1]))
    for t in (1, 2, 3):
        for k in active(trace):
            through_z += values[f"w[{t}]"][i, k] * (values[f"d_z[{t}]"][k] @ values["S"])
            if t < 3:
                through_a += values[f"d_b[{t + 1}]"][i, k] * (values[f"u[{t}]"][k] @ values["S"])
    return through_z, through_a


def numbers_of(text):
    """Return the numbers with a decimal point of a text, with their signs."""
    texts = re.findall(r"−?\d+\.\d+(?:e−?\d+)?|−?\d+e−?\d+", text)
    return [float(x.replace("−", "-")) for x in texts]


ANSWERS = {
    "interests.count": count, "routing[1].weights": raised_logit,
    "routing[1].capsules": direction, "routing[2].weights": moving_film,
    "routing[2].capsules": length, "routing[3].weights": other_axis,
    "attention.scores": serving_interest, "routing.d_votes": larger_gradient,
}  # fmt: skip


@pytest.mark.parametrize("step", QUESTIONS)
def test_the_answer_is_recomputed_for_twenty_users(traces, step):
    asked = 0
    for trace in traces:
        (question,) = (x.question for x in trace.steps if x.id == step)
        if question is None:
            continue
        asked += 1
        assert question.choices[question.answer] == ANSWERS[step](trace, question)
        assert len(set(question.choices)) == len(question.choices) >= 2
        assert "{" not in question.text + question.because
    assert asked >= USERS * 0.6, "the question is asked of most users"


def test_the_place_of_an_answer_and_the_texts_differ_by_user(traces):
    places = {}
    for trace in traces:
        for step in (step for step in trace.steps if step.question):
            places.setdefault(step.id, set()).add(step.question.answer)
            texts = (step.question.because, *step.question.choices)
            assert not any(re.search(r"\d[eE][-+]?\d|(?<![\w])-\d", text) for text in texts), texts
            assert all("," not in choice for choice in step.question.choices)
    assert all(len(answers) > 1 for answers in places.values()), places


def test_a_question_is_asked_once_and_explains_its_answer(traces):
    for trace in nonempty(traces):
        questions = [step.question for step in trace.steps if step.question]
        assert len({x.text for x in questions}) == len(questions) >= 5
        assert all(re.search(r"\d\.\d", x.because) for x in questions)
        assert all(len(s.split()) <= 30 for x in questions for s in x.text.split(". "))


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
@pytest.mark.slow(every=5, start=3)
def test_settings_that_change_an_answer_are_answered_or_not_asked(changes):
    trace = trace_pair(make_random_pair(3, **changes))
    for step in trace.steps:
        if step.question:
            assert 0 <= step.question.answer < len(step.question.choices), step.id
    questions = {step.id: step.question for step in trace.steps}
    if changes.get("routing_axis") == "behaviours":
        raised = questions["routing[1].weights"]
        assert raised.choices[raised.answer] == RAISED[3], "each interest has its own softmax"
        other = questions["routing[3].weights"]
        assert other.choices[other.answer] == "1.0"
    if changes.get("squash"):
        assert questions["routing[2].capsules"] is None
        direction = questions["routing[1].capsules"]
        assert direction.choices[direction.answer] == TURNS[1]
    if changes.get("interest_count") == "fixed":
        assert questions["interests.count"] is None


@pytest.mark.parametrize("length", [1, 2, 3])
def test_one_interest_gives_no_question_about_interests(length):
    asked = {s.id for s in trace_pair(make_random_pair(1, length=length)).steps if s.question}
    assert asked <= {"interests.count", "routing[1].capsules", "routing[2].capsules",
                     "routing.d_votes"}  # fmt: skip
