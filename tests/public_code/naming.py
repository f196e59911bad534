"""The diagnosis of each public bug: the mutants that the conformance report names.

A bug counts as named if a failure names an equivalent mutant and no other failure names another
mutant. The equivalent mutants were selected by comparing the code of both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.diagnosed import add_diagnoses
from mindref.conformance.runner.plan import PROFILES, RunSettings
from mindref.conformance.runner.result import CheckResult
from mindref.conformance.runner.suite_run import SuiteRun
from tests.public_code.base import BuggyOperator

PRECISION = Precision.of("float64")
PROFILE = "smoke"
EFFORT = ExampleBudget(PROFILES[PROFILE].examples, seed=0, shrink=False)

NAMING = "your result equals the reference with this mistake"
MISTAKE = re.compile(r"\[([\w-]+), [a-z_]+-R\d+")


class BugDiagnosis(NamedTuple):
    bug: type[BuggyOperator]
    check: str  # first check that names the bug, else names a mutant, else fails
    mutants: tuple[str, ...]  # several if their results are equal for the calls of the check
    other_mutants: tuple[str, ...]  # other mutants that other failures name

    @property
    def right(self) -> bool:
        """Return whether an equivalent mutant is named and no other mutant."""
        return bool(set(self.mutants) & set(self.bug.mutants)) and not self.other_mutants


def named_mutants(diagnosis: str) -> tuple[str, ...]:
    """Return the mutants that a diagnosis names; empty if there is only a nearest mutant."""
    return tuple(MISTAKE.findall(diagnosis)) if diagnosis.startswith(NAMING) else ()


def failures(bug: type[BuggyOperator]) -> list[CheckResult]:
    suite_run = SuiteRun(
        f"tests.public_code.bugs:{bug.__name__}", (bug.stem,), RunSettings(PROFILE)
    )
    return [r for r in suite_run.all_of(PRECISION).values() if r.status == "failed"]


def diagnose_bug(bug: type[BuggyOperator]) -> BugDiagnosis:
    results = [(r.check, named_mutants(r.diagnosis)) for r in failures(bug)]
    right = [(check, names) for check, names in results if set(names) & set(bug.mutants)]
    with_mutants = [(check, names) for check, names in results if names]
    check, mutants = (right or with_mutants or results)[0]
    wrong = {name for other, names in with_mutants if (other, names) not in right for name in names}
    return BugDiagnosis(bug, check, mutants, tuple(sorted(wrong - set(mutants))))


def rerun_check(bug: type[BuggyOperator], name: str) -> tuple[str, ...]:
    check = next(c for c in all_checks() if c.name == name)
    subject = BackendImplementation(bug())
    result = run_check(check, subject, PRECISION, EFFORT)
    assert result.status in ("failed", "blocked"), f"{bug.__name__} passes {name}"
    diagnosed = add_diagnoses(subject, [result._replace(status="failed")])
    return named_mutants(diagnosed[0].diagnosis)
