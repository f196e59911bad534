"""Every check passes the reference and fails trivial implementations. Every rule is checked.

A rule that no check can observe is listed with a reason.
"""

import importlib
import re

import pytest

from mindref import ops
from mindref.backend import OPTIONS
from mindref.conformance.bounds import Precision
from mindref.conformance.golden import golden
from mindref.conformance.mutants.loader import backend_of
from mindref.conformance.runner import manifest
from mindref.conformance.runner.call import OPTIONAL, BackendImplementation
from mindref.conformance.runner.check import CHECKS_PACKAGE, FAMILY_OF, MODULES, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, example_count, run_check
from mindref.conformance.runner.composed_backend import ComposedBackend
from mindref.conformance.runner.drawn_calls import draw_calls
from mindref.conformance.runner.plan import PROFILES, PROVEN_SEED
from mindref.conformance.runner.trivial_implementations import MORE_EXAMPLES, accepted_trivial
from mindref.models import mind
from mindref.ops import OPS
from mindref.training import optimiser
from tests import spec_pages

CHECKED_PAGES = (*OPS, "notation", "numerics", "model", "optimiser", "backend", *FAMILY_OF)
# With --all, all checks run, also those marked as slow. A check of level
# "train" draws whole trainings, which takes seconds.
SAMPLE = [x for x in all_checks() if x.level != "train"][::12]
SAMPLE += [x for x in all_checks() if x.level == "train"][::30]
EACH_RUN = pytest.mark.parametrize("check", SAMPLE, ids=lambda check: check.name)
EACH_GATE = pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=check.name, marks=() if check in SAMPLE else pytest.mark.slow)
        for check in all_checks()
    ],
)
SMOKE = PROFILES["smoke"]
PRECISIONS = pytest.mark.parametrize(
    "precision", [Precision.of("float64"), Precision.of("float32")], ids=str
)


@pytest.fixture(scope="module")
def reference():
    return BackendImplementation(backend_of(None))


@EACH_RUN
@PRECISIONS
def test_the_reference_passes(check, precision, reference):
    result = run_check(check, reference, precision, ExampleBudget(SMOKE.examples, 0, shrink=False))
    assert result.status == "passed", result.message
    assert result.grade == "A"
    assert result.examples > 0


@EACH_GATE
@PRECISIONS
@pytest.mark.rules("conformance-R4")
def test_no_trivial_implementation_passes(check, precision):
    """A run with this seed does not test it again (PROVEN_SEED in plan.py).

    Each profile tests MORE_EXAMPLES examples if a trivial answer passes its first ones.
    """
    assert accepted_trivial(check, precision, MORE_EXAMPLES, PROVEN_SEED) == []


GOLDEN = [check for check in all_checks() if check.name.startswith("golden/")]


@pytest.mark.parametrize("check", GOLDEN, ids=lambda check: check.name)
def test_the_profile_smoke_runs_each_stored_call(check):
    drawn = draw_calls(check, example_count(check, SMOKE.examples), PROVEN_SEED)
    stored = golden.load_cases(check.stem)
    assert {golden.case_name(call) for call in drawn} == set(stored)


@pytest.mark.parametrize("name", ["finite_differences", "length_zero_is_allowed"])
def test_a_check_that_is_not_among_the_slowest_runs_two_calls_in_the_profile_smoke(name):
    """The first call of many checks has an answer that is trivial."""
    checks = [check for check in all_checks() if name in check.name]
    assert checks
    assert min(example_count(check, SMOKE.examples) for check in checks) == 2
    assert {example_count(check, 1) for check in checks} == {1}


def test_a_check_cites_rules_and_states_its_requirement_in_one_sentence():
    assert all_checks()
    for check in all_checks():
        assert 0 < len(set(check.rules)) == len(check.rules), check.name
        text = (check.run.__doc__ or "").strip()
        assert text == check.text, check.name  # one line, which is what the report shows
        assert re.fullmatch(r"\S.*[^.]\.", text), check.name
        assert not re.search(r"[.!?] [A-Z]", text), check.name


def test_the_shipped_manifest_is_current():
    assert manifest.load_manifest() == manifest.build_manifest(spec_pages.SPECS)


@pytest.mark.rules("conformance-R27")
def test_on_each_page_properties_of_results_are_before_agreement():
    checks = [check for check in all_checks() if not check.name.startswith("golden/")]
    pages = list(dict.fromkeys(check.page for check in checks))
    assert [c.page for c in checks] == [c.page for p in pages for c in checks if c.page == p]
    for page in pages:
        kinds = [c.agreement for c in checks if c.page == page and not c.gradient]
        assert kinds == sorted(kinds), page
    names = [check.name for check in checks]
    counted = names.index("model/number_of_interests_follows_equation_9")
    assert counted < names.index("model/squash_setting_applies_to_every_iteration")


class LimitedModel(ComposedBackend):
    """A right backend without optional features of the operators in levels 2 and 3."""

    def capabilities(self):
        options = [rule for rule in OPTIONS if rule not in OPTIONAL.values()]
        return super().capabilities()._replace(options=tuple(options))

    def loss_and_gradients(self, params, batch, catalogue, config):
        reject_options(config)
        return super().loss_and_gradients(params, batch, catalogue, config)

    def interests(self, params, histories, catalogue, config):
        reject_options(config)
        return super().interests(params, histories, catalogue, config)


def reject_options(config):
    for setting, value in OPTIONAL:
        if getattr(config, setting) == value:
            raise ValueError(f"not implemented: {setting}={value}")


WITH_OPTIONS = (
    "model/squash_setting_applies_to_every_iteration",
    "model/interests_match_the_reference",
)
MODEL = [
    pytest.param(check, id=check.name, marks=() if check.name in WITH_OPTIONS else pytest.mark.slow)
    for check in all_checks()
    if check.level == "model" and not check.family
]


@pytest.mark.rules("conformance-R28")
@pytest.mark.parametrize("check", MODEL)
def test_level_2_runs_claimed_options_only(check):
    backend = BackendImplementation(LimitedModel(ops, mind, optimiser, name="limited"))
    result = run_check(check, backend, Precision.of("float64"), ExampleBudget(8, 0, shrink=False))
    assert result.status in ("passed", "not_claimed"), result.message


def rules():
    return {rule for page in CHECKED_PAGES for rule in spec_pages.rules(page)}


def cited():
    return {rule for check in all_checks() for rule in check.rules}


def unobservable():
    """Return rule -> why no check can test it, from all check modules."""
    reasons = {}
    for name in MODULES:
        module = importlib.import_module(f"{CHECKS_PACKAGE}.{name}")
        added = getattr(module, "NOT_OBSERVED", {})
        assert not set(added) & set(reasons), f"{name} repeats a rule of another module"
        reasons |= added
    return reasons


@pytest.mark.parametrize("page", CHECKED_PAGES)
def test_every_rule_is_checked_or_listed_as_unobservable(page):
    missing = set(spec_pages.rules(page)) - cited() - set(unobservable())
    assert not missing, f"no check, and no NOT_OBSERVED with a reason: {sorted(missing)}"


def test_cited_and_unobservable_rules_are_rules_of_a_page_and_disjoint():
    assert cited() | set(unobservable()) <= rules()
    assert not cited() & set(unobservable())
    assert all(len(reason.split()) > 3 for reason in unobservable().values())
