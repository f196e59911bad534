"""What the diagnosis makes of each public bug: which mistake of the catalogue it names.

A bug is named if the report of its backend names a mistake of the catalogue that is the same one,
and no failure in it names another. Which ones are the same was decided by reading both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.suite_run import SuiteRun, add_diagnosis
from mindref.conformance.runner.plan import PROFILES, RunSettings
from mindref.conformance.runner.result import CheckResult
from mindref.conformance.runner.implementation import BackendImplementation
from tests.public_code.base import Wrong

PRECISION = Precision.of("float64")
PROFILE = "smoke"
EFFORT = ExampleBudget(PROFILES[PROFILE].examples, seed=0, shrink=False)

NAMING = "your result equals the reference with this mistake"
MISTAKE = re.compile(r"\[([\w-]+), [a-z_]+-R\d+")

SAME = {
    "PositionsCompete": ("routing-padding-zeroed-after-the-softmax",),
    "LogitsStored": ("routing-logits-kept-between-calls",),
    "BatchSharesUpdate": ("routing-update-summed-over-the-batch",),
    "AddedToWeights": ("routing-agreement-added-to-the-weights",),
    "LogitsReplaced": ("routing-logits-replaced",),
    "BiasedVotes": ("routing-vote-with-a-bias",),
    "NoMatrix": ("routing-without-a-matrix",),
    "UnitBetweenRounds": ("routing-length-one-between-rounds",),
    "ThreeRounds": ("routing-always-three-rounds",),
    "GradientOfThirdRound": (
        "routing-rounds-after-the-third-repeat-it",
        "routing-last-only-from-three-rounds-on",
    ),
    "ZeroLogits": ("routing-starts-from-zero",),
    "InactiveCompete": ("routing-inactive-zeroed-after-each-softmax",),
    "EpsilonSquash": ("squash-epsilon-under-the-root",),
    "PowerBeforeArgmax": ("power-before-argmax",),
    "RawPower": ("power-loses-the-sign",),
    "PowerMultiplied": ("power-multiplies",),
    "AlwaysHard": (),
    "InactiveAttended": ("inactive-interests-are-read", "softmax-masked-after-the-sum"),
    "SizeOneAxis": ("attention-over-an-axis-of-one",),
    "NoCorrection": ("no-log-q",),
    "HitsKept": ("hits-kept",),
    "TemperatureUnused": ("temperature-unused",),
    "UserAloneNormalised": ("only-users-normalised",),
}
"""Bug -> the mutants of the catalogue that make the same mistake."""


class Naming(NamedTuple):
    """One bug before the diagnosis."""

    bug: type[Wrong]
    check: str  # that names it; else the first that names anything, or fails
    named: tuple[str, ...]  # mutants; more than one if they do not differ on its calls
    strangers: tuple[str, ...]  # what other failures name that is another mistake

    @property
    def right(self) -> bool:
        """Return whether the right mistake is named, and no other by another failure."""
        return bool(set(self.named) & set(same(self.bug))) and not self.strangers


def same(bug: type[Wrong]) -> tuple[str, ...]:
    """Return the mutants that are the same mistake as a bug."""
    return SAME[bug.__name__]


def mistakes(diagnosis: str) -> tuple[str, ...]:
    """Return the mutants that a diagnosis names, none for the nearest of no match."""
    return tuple(MISTAKE.findall(diagnosis)) if diagnosis.startswith(NAMING) else ()


def command(bug: type[Wrong]) -> str:
    """Return the command whose report is looked at."""
    where = f"tests.public_code.bugs:{bug.__name__}"
    return f"mindref conform --backend {where} --profile {PROFILE} {bug.stem}"


def failures(bug: type[Wrong]) -> list[CheckResult]:
    """Return the failures of that report in float64, in its order."""
    judgement = SuiteRun(f"tests.public_code.bugs:{bug.__name__}", (bug.stem,), RunSettings(PROFILE))
    return [r for r in judgement.all_of(PRECISION).values() if r.status == "failed"]


def naming(bug: type[Wrong]) -> Naming:
    """Return what the report of a bug names."""
    found = [(r.check, mistakes(r.diagnosis)) for r in failures(bug)]
    right = [(check, names) for check, names in found if set(names) & set(same(bug))]
    naming = [(check, names) for check, names in found if names]
    check, named = (right or naming or found)[0]
    wrong = {name for other, names in naming if (other, names) not in right for name in names}
    return Naming(bug, check, named, tuple(sorted(wrong - set(named))))


def again(bug: type[Wrong], name: str) -> tuple[str, ...]:
    """Return what one check names of a bug, without the rest of the report."""
    check = next(c for c in all_checks() if c.name == name)
    subject = BackendImplementation(bug())
    result = run_check(check, subject, PRECISION, EFFORT)
    assert result.status in ("failed", "blocked"), f"{bug.__name__} passes {name}"
    return mistakes(add_diagnosis(subject, result._replace(status="failed")).diagnosis)
