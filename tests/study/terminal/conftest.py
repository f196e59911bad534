"""The built-in user, traced once, and a copy with hostile titles."""

from __future__ import annotations

import io
from typing import NamedTuple

import pytest

from mindref.study.terminal import run_session
from mindref.study.trace import Trace
from mindref.study.traced_user import open_traced_user
from mindref.study.tracing import TrainingPair


class TracedUser(NamedTuple):
    trace: Trace
    inputs: TrainingPair


HOSTILE = (
    "",
    "   ",
    "red \x1b[31m and \x07",
    "two\nlines",
    "\u202eleft from right",
    "映画の題名はここにあってとても長いので切られるはずです",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 a family \U0001f1ec\U0001f1e7",
    "e\u0301te\u0301 " * 30,
    "4",
    "One, Two, Three",
    "[w[2]] = 3",
    "</script> ^ ^ ...",
    "x" * 300,
    "\u0301",
    "3.14159",
    "same",
    "same",
)
"""Empty titles, control characters, wide, joined and combining characters, numbers, duplicates."""


def trace_builtin_user():
    """Return the built-in user of `mindref study`."""
    subject = open_traced_user(None)
    return TracedUser(subject.trace, subject.pair)


@pytest.fixture(scope="session")
def film_club():
    return trace_builtin_user()


@pytest.fixture(scope="session")
def hostile(film_club):
    """The same user with hostile titles."""
    trace, inputs = film_club
    labels = dict(trace.labels)
    for axis in ("behaviour", "negative", "item", "target", "row"):
        if axis in labels:
            count = len(labels[axis])
            labels[axis] = [HOSTILE[i % len(HOSTILE)] for i in range(count)]
    return TracedUser(Trace(trace.metadata | {"target": HOSTILE[2]}, labels, trace.steps), inputs)


class Terminal(io.StringIO):
    """A stream with `isatty()` true."""

    def isatty(self):
        return True


@pytest.fixture
def run_commands(film_club):
    """Return a function that runs commands for the built-in user and returns the output."""

    def call(*commands, columns=80, user=None, **options):
        trace, inputs = user or film_club
        out = options.pop("stdout", None) or io.StringIO()
        stdin = io.StringIO("".join(f"{command}\n" for command in commands))
        run_session(trace, inputs, stdin=stdin, stdout=out, columns=columns, **options)
        return str(out.getvalue())

    return call
