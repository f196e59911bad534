"""A suite of four checks, backends for it, and judgements made by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mindref.backend import Capabilities
from mindref.conformance.judging import books, check, judgement, manifest
from mindref.conformance.judging.plan import Settings
from mindref.conformance.judging.result import Report, Result

SMALL = "tests.conformance.small"
SPECS = Path(__file__).parents[2] / "specs"
LAW = "softmax/what_stands_in_a_masked_place_does_not_matter"
FORWARD = "softmax/weights_are_those_of_the_reference"
GRADIENT = "softmax/the_gradient_is_that_of_the_reference"
REFUSAL = "softmax/an_axis_that_the_logits_lack_is_refused"
NAMES = (LAW, FORWARD, GRADIENT, REFUSAL)
QUICK = Settings("smoke")


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the small suite in the place of the whole one, without the catalogue of mistakes."""
    importlib.import_module("mindref.conformance.softmax")
    checks = tuple(check.CHECKS[name] for name in NAMES)
    for module in (check, books, manifest):
        monkeypatch.setattr(module, "all_checks", lambda: checks)
    monkeypatch.setattr(books, "agreements", lambda: {FORWARD, GRADIENT})
    monkeypatch.setattr(books, "operators", lambda: dict.fromkeys(NAMES, "softmax"))
    made = manifest.made(SPECS)
    monkeypatch.setattr(manifest, "shipped", lambda: made)
    monkeypatch.setattr(judgement, "diagnosed", lambda subject, result: result)


def forward(logits: Any, mask: Any, *, axis: int = -1) -> Any:
    mask = np.broadcast_to(mask, logits.shape)
    top = np.max(logits, axis=axis, keepdims=True, initial=-np.inf, where=mask)
    shift = np.where(np.isfinite(top), top, 0)
    weights = np.exp(logits - shift, where=mask, out=np.zeros_like(logits))
    total = weights.sum(axis, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    return weights.astype(logits.dtype), (weights.astype(logits.dtype), axis)


def backward(d_out: Any, saved: Any) -> Any:
    weights, axis = saved
    return weights * (d_out - (weights * d_out).sum(axis, keepdims=True))


def doubled(d_out: Any, saved: Any) -> Any:
    weights, axis = saved
    return weights * (d_out - 2 * (weights * d_out).sum(axis, keepdims=True))


def unmasked(logits: Any, mask: Any, *, axis: int = -1) -> Any:
    return forward(logits, np.ones_like(mask), axis=axis)


def loose(logits: Any, mask: Any, *, axis: int = -1) -> Any:
    weights, saved = forward(logits, mask, axis=axis)
    off = 1 + 6 * np.finfo(logits.dtype).eps
    return (weights * off).astype(logits.dtype), saved


class Right:
    """Softmax alone, not by the reference's code."""

    name = "right"
    to_numpy = from_numpy = staticmethod(lambda x: x)

    def __init__(self, forward: Any = forward, backward: Any = backward, **claims: Any) -> None:
        self.ops = SimpleNamespace(softmax=SimpleNamespace(forward=forward, backward=backward))
        self.claims = claims

    def capabilities(self) -> Any:
        return Capabilities(**{"operators": ("softmax",), **self.claims})


class WrongType(Right):
    def capabilities(self) -> Any:
        return {"operators": ["softmax"]}


right = Right()
wrong_gradient = Right(backward=doubled)
wrong_forward = Right(unmasked)
rounding = Right(loose)
signature = Right(lambda x: x)
overclaiming = Right(operators=("softmax", "squash"), levels=("ops", "train"))
unclaiming = Right(operators=())


def result(check: str = FORWARD, status: str = "passed", **changes: Any) -> Result:
    """Return a result that nothing had to run for."""
    rule = {LAW: "softmax-R2", GRADIENT: "softmax-R5", REFUSAL: "softmax-R7"}.get(
        check, "softmax-R1"
    )
    made = Result(check, (rule,), "ops", check == GRADIENT, "float64", status, "What is asked.")
    return made._replace(**changes)


def report(*results: Result, **changes: Any) -> Report:
    """Return the report of these results, in order unless changes say otherwise."""
    claims = dict(Capabilities(("softmax",))._asdict())
    precisions = tuple(dict.fromkeys(r.precision for r in results))
    made = Report(
        "mine:Mine", "mine 1.0", 0, "smoke", claims, results, len(results), (), (), (), precisions
    )
    return made._replace(**changes)
