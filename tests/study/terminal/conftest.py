"""The built-in user, traced once; hostile titles put in the place of the real ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from mindref.study.run import Given, trace_of
from mindref.study.terminal import session
from mindref.study.trace import Trace
from mindref.study.world import choose, open_world, pair


class Studied(NamedTuple):
    """One user's training pair, and its trace."""

    trace: Trace
    given: Given


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
"""Nothing, control signs, wide and joined signs, marks, numbers, commas, brackets, and twins."""


def studied() -> Studied:
    """Return the built-in user as the command shows it."""
    world = open_world()
    chosen = choose(world)
    batch = pair(world, chosen.user).batch
    given = Given(world.model.params, batch, world.model.catalogue, world.model.config)
    facts = {"model": world.name, "user": world.user_ids[chosen.user], "chosen": chosen.rule}
    facts["target"] = world.titles[int(batch.target[0])]
    return Studied(trace_of(given, facts=facts, titles=world.titles), given)


@pytest.fixture(scope="session")
def film_club() -> Studied:
    return studied()


@pytest.fixture(scope="session")
def hostile(film_club: Studied) -> Studied:
    """The same with titles that nobody should have given."""
    trace, given = film_club
    labels = dict(trace.labels)
    for axis in ("behaviour", "negative", "item", "target", "row"):
        if axis in labels:
            count = len(labels[axis])
            labels[axis] = [HOSTILE[i % len(HOSTILE)] for i in range(count)]
    return Studied(Trace(trace.about | {"target": HOSTILE[2]}, labels, trace.steps), given)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Said = Callable[..., str]


@pytest.fixture
def said(film_club: Studied) -> Said:
    """Return a function that gives commands to the built-in user and returns what is written."""

    def call(*commands: str, columns: int = 80, on: Any = None, **options: Any) -> str:
        trace, given = on or film_club
        out = options.pop("stdout", None) or io.StringIO()
        session(trace, given, commands=commands, stdout=out, columns=columns, **options)
        return str(out.getvalue())

    return call


def screens(text: str) -> Sequence[str]:
    """Return the parts of a session: what followed each command."""
    return text.split("\n\n")
