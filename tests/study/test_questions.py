"""Questions whose answer is computed: it is one that can be seen to be right (T7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.study.steps import KINDS
from mindref.study.trace import Trace
from mindref.study.tracing import trace_pair
from tests.study.pairs import make_random_pair

ASKED = {kind.kind: kind.question for kind in KINDS if kind.question}


def one_of_two(**changes: Any) -> Trace:
    """Return the trace of a user with two of four interests, whose every score is negative."""
    user = make_random_pair(2, length=4, pads=2, **changes)
    layers = list(user.params.layers)
    layers[-1] = layers[-1]._replace(bias=layers[-1].bias - 1e3 * user.params.items[3])
    target = np.array([3])
    params = user.params._replace(layers=tuple(layers))
    return trace_pair(user._replace(params=params, batch=user.batch._replace(target=target)))


def test_t7_an_inactive_interest_is_never_the_answer() -> None:
    trace = one_of_two()
    assert trace.values["active"].tolist() == [True, True, False, False]
    assert (trace.values["s"][:2] < 0).all()
    for step in trace.steps:
        ask = ASKED.get(step.kind)
        if step.question and ask and ask.axis == "interest" and ask.how != "count":
            assert step.question.answer < 2, step.id


@pytest.mark.parametrize("length", [1, 2, 3])
def test_t7_one_interest_gives_no_question_about_interests(length: int) -> None:
    for step in trace_pair(make_random_pair(1, length=length)).steps:
        ask = ASKED.get(step.kind)
        if ask and ask.axis == "interest" and ask.how != "count":
            assert step.question is None, step.id
