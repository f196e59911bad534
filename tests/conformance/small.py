"""A suite of four checks, backends for it, and reports made by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mindref.backend import Capabilities
from mindref.conformance.runner import attribution, check, manifest, suite_run
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.result import CheckResult, ConformanceReport
from tests.conformance.correct import softmax

SMALL = "tests.conformance.small"
SPECS = Path(__file__).parents[2] / "specs"
PROPERTY = "softmax/masked_logits_have_no_influence"
FORWARD = "softmax/weights_match_the_reference"
GRADIENT = "softmax/softmax_gradient_matches_the_reference"
REFUSAL = "softmax/axis_out_of_range_raises"
NAMES = (PROPERTY, FORWARD, GRADIENT, REFUSAL)
QUICK = RunSettings("smoke")


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the small suite instead of the full one, without the mutant catalogue."""
    importlib.import_module("mindref.conformance.checks.softmax")
    checks = tuple(check.CHECKS[name] for name in NAMES)
    for module in (check, attribution, manifest):
        monkeypatch.setattr(module, "all_checks", lambda: checks)
    monkeypatch.setattr(attribution, "agreement_checks", lambda: {FORWARD, GRADIENT})
    monkeypatch.setattr(attribution, "check_operators", lambda: dict.fromkeys(NAMES, "softmax"))
    small_manifest = manifest.build_manifest(SPECS)
    monkeypatch.setattr(manifest, "load_manifest", lambda: small_manifest)
    monkeypatch.setattr(suite_run, "add_diagnoses", lambda implementation, results, seed: results)


def doubled(d_out: Any, saved: Any) -> Any:
    weights, _, axis = saved
    return weights * (d_out - 2 * (weights * d_out).sum(axis, keepdims=True))


def unmasked(logits: Any, mask: Any, *, axis: int) -> Any:
    return softmax.forward(logits, np.ones_like(mask), axis=axis)


def loose(logits: Any, mask: Any, *, axis: int) -> Any:
    weights, saved = softmax.forward(logits, mask, axis=axis)
    off = 1 + 6 * np.finfo(logits.dtype).eps
    return (weights * off).astype(logits.dtype), saved


class Right:
    """A backend of softmax that does not use the code of the reference."""

    name = "right"
    to_numpy = from_numpy = staticmethod(lambda x: x)

    def __init__(
        self, forward: Any = softmax.forward, backward: Any = softmax.backward, **claims: Any
    ) -> None:
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


def result(check: str = FORWARD, status: str = "passed", **changes: Any) -> CheckResult:
    rules = {PROPERTY: "softmax-R2", GRADIENT: "softmax-R5", REFUSAL: "softmax-R7"}
    cited, gradient = (rules.get(check, "softmax-R1"),), check == GRADIENT
    text = "What is asked."
    return CheckResult(check, cited, "ops", gradient, "float64", status, text)._replace(**changes)


def report(*results: CheckResult, **changes: Any) -> ConformanceReport:
    claims = dict(Capabilities(("softmax",))._asdict())
    precisions = tuple(dict.fromkeys(r.precision for r in results))
    complete = ConformanceReport(
        "mine:Mine", "mine 1.0", 0, "smoke", claims, results, len(results), (), (), (), precisions
    )
    return complete._replace(**changes)
