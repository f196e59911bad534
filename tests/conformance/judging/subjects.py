"""Backends made for tests: squash alone, right or wrong in a chosen way."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from mindref.backend import Capabilities
from mindref.conformance.judging import judgement
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import Check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.plan import Settings
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend
from mindref.conformance.strategies import generators, normal, sizes

Forward = Callable[..., Any]


def right(x: Any, *, kind: str = "squash") -> Any:
    """Return the squash of ordinary capsules, in a formula of its own."""
    square = np.sum(x * x, axis=-1, keepdims=True)
    return x * np.sqrt(square) / (1 + square)


class Squash:
    """A backend of one operator, forward only in what it is asked here."""

    def __init__(self, forward: Forward, name: str = "mine", **claims: Any) -> None:
        self.name, self.claims = name, claims
        self.ops = SimpleNamespace(
            squash=SimpleNamespace(forward=lambda x, **n: (forward(x, **n), None))
        )

    def capabilities(self) -> Capabilities:
        return Capabilities(**{"operators": ("squash",), "options": (), **self.claims})

    def to_numpy(self, x: Any) -> Any:
        return x

    def from_numpy(self, x: Any) -> Any:
        return x


def subject(forward: Forward = right, name: str = "mine", **claims: Any) -> OfBackend:
    return OfBackend(Squash(forward, name, **claims))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    shape, rng = draw(sizes(2)), draw(generators())
    return Call("squash", {"x": normal(rng, *shape)}, {"kind": "squash"})


def agrees(judge: Judge, call: Call) -> None:
    """Forward agrees with the reference."""
    judge.agree(call)


def turns(judge: Judge, call: Call) -> None:
    """The opposite capsule has the opposite result."""
    opposite = judge.ask(call.change(x=-call.arrays["x"]))
    judge.same(judge.ask(call), opposite, through={"out": np.negative})


def made(
    run: Callable[[Judge, Call], None] = agrees,
    *,
    agreement: bool = True,
    rules: tuple[str, ...] = ("squash-R1",),
    name: str = "squash/made",
) -> Check:
    """Return a check that is not entered among the shipped ones."""
    return Check(name, rules, run, calls(), False, agreement, "squash", 1.0)


def law(**more: Any) -> Check:
    return made(turns, agreement=False, **{"name": "squash/law", **more})


def judged(monkeypatch: pytest.MonkeyPatch, backend: Any, *checks: Check) -> list[Result]:
    """Return the results of a backend by these checks alone, in each precision that it claims."""
    monkeypatch.setattr(judgement, "load_here", lambda name: backend)
    monkeypatch.setattr(judgement, "known", lambda words: checks)
    monkeypatch.setattr(judgement, "diagnosed", lambda subject, result: result)
    found = judgement.Judgement("made:Backend", settings=Settings("smoke"))
    return [r for precision in found.precisions for r in found.all_of(precision).values()]
