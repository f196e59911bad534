"""Mutants that are not in the catalogue, and the diagnoses of checks that they fail."""

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.diagnosis import diagnose_failures
from mindref.conformance.mutants.loader import Edit, Mutant, suite_mutants
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check

NAMED = "your result equals the reference with"
SOFTMAX = "softmax/weights_match_the_reference"
SOFTMAX_GRADIENT = "softmax/softmax_gradient_matches_the_reference"
SQUASH = "squash/squash_matches_the_reference"
ATTENTION = "label_attention/power_one_matches_the_reference"
ONE_ITERATION = "routing/one_iteration_matches_the_reference"
TWO_ITERATIONS = "routing/two_iterations_match_the_reference"
MORE_ITERATIONS = "routing/four_and_five_iterations_match_the_reference"


def find_check(name):
    return next(check for check in all_checks() if check.name == name)


def mutant(*edits, rule="softmax-R1"):
    return Mutant("not-in-the-catalogue", rule, ("suite",), "not in the catalogue", "", "", edits)


def edit(file, anchor, text, position="new"):
    return Edit(f"ops/{file}.py", anchor, text, position)


def named(name):
    return next(m for m in suite_mutants() if m.name == name)


def diagnose(backend, *checks, dtype="float64"):
    """Return the diagnoses of the named checks, which must fail."""
    implementation = BackendImplementation(backend)
    budget = ExampleBudget(10, 0, shrink=False, any_failure=True)
    results = [
        run_check(find_check(name), implementation, Precision.of(dtype), budget) for name in checks
    ]
    assert all(result.status != "passed" for result in results)
    texts = diagnose_failures(implementation, results)
    return [texts[name] for name in checks]
