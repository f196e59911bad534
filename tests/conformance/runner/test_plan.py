"""All checks of a backend: claims, fallback, attribution, complete reports."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mindref.ops
from mindref.backend import FAMILIES, NumpyBackend
from mindref.conformance.bounds import Precision
from mindref.conformance.draws.model_draws import loss_calls
from mindref.conformance.mutants.loader import build_mutant
from mindref.conformance.runner import plan
from mindref.conformance.runner.attribution import (
    attribute_to_mistakes,
    block_explained,
    foundations,
)
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check_runner import UNCLAIMED_SETTINGS
from mindref.conformance.runner.composed_backend import ComposedBackend
from mindref.conformance.runner.plan import unclaimed_features
from tests.conformance import small
from tests.conformance.runner.implementations import (
    Squash,
    property_check,
    right,
    run_checks,
    unregistered_check,
)

DOUBLE = (("float64", "float64"),)


def result(check, *rules, status="failed", **fields):
    return small.result(check, status, rules=rules, **fields)


@pytest.mark.rules("conformance-R2")
@pytest.mark.parametrize(
    ("claims", "reason"), [({"operators": ()}, "operator squash"), ({"levels": ()}, "level ops")]
)
def test_an_unclaimed_feature_is_not_passed_but_remarked(claims, reason, monkeypatch):
    backend = Squash(right, dtypes=DOUBLE, **claims)
    results = run_checks(monkeypatch, backend, unregistered_check())
    assert [(r.status, r.reason) for r in results] == [("not_claimed", reason)]
    checks = (unregistered_check(),)
    remarks = list(unclaimed_features(BackendImplementation(backend), checks, results))
    assert remarks == [f"{reason} works but is not claimed"]


@pytest.mark.rules("conformance-R2")
def test_an_unclaimed_option_does_not_run(monkeypatch):
    option = unregistered_check(rules=("squash-R6",))
    (result,) = run_checks(monkeypatch, Squash(right, dtypes=DOUBLE), option)
    assert (result.status, result.reason) == ("not_claimed", "option squash-R6")
    claiming = Squash(right, dtypes=DOUBLE, options=("squash-R6",))
    (result,) = run_checks(monkeypatch, claiming, option)
    assert result.status == "passed"


def family_check(**settings):
    """Return a check of the gradients of mind_plus."""
    calls = loss_calls(model="mind_plus", pool=(2, 3, 4, 5), **settings)
    return unregistered_check(rules=("mind_plus-R18",))._replace(draws=calls, stem="loss")


class Fused(ComposedBackend):
    """The reference under another class, which computes one routing gradient of mind_plus."""

    def __init__(self, families=FAMILIES):
        *parts, _ = build_mutant()
        super().__init__(*parts, levels=("ops", "model"))
        self.claimed = families

    def capabilities(self):
        return super().capabilities()._replace(dtypes=DOUBLE, families=self.claimed)

    def computes_family(self, config):
        return config.routing_gradient == "last"


@pytest.mark.rules("conformance-R2", "backend-R21")
def test_an_unclaimed_family_does_not_run(monkeypatch):
    (result,) = run_checks(monkeypatch, Fused(families=("mind",)), family_check())
    assert (result.status, result.reason) == ("not_claimed", "family mind_plus")
    (result,) = run_checks(monkeypatch, Fused(), family_check())
    assert (result.status, result.examples) == ("passed", plan.PROFILES["smoke"].examples)


@pytest.mark.rules("backend-R20")
def test_settings_that_a_backend_leaves_to_the_operators_do_not_run(monkeypatch):
    check = family_check(routing_gradient="all")
    for one in (check, check._replace(agreement=False)):
        (result,) = run_checks(monkeypatch, Fused(), one)
        assert (result.status, result.reason) == ("not_claimed", UNCLAIMED_SETTINGS)
    mixed = family_check()._replace(draws=check.draws | family_check().draws)
    (result,) = run_checks(monkeypatch, Fused(), mixed)
    assert result.status == "passed"
    assert 0 < result.examples < plan.PROFILES["smoke"].examples


def reference_squash(x, kind):
    return mindref.ops.squash.forward(x, kind=kind)[0]


def reference_in_a_thread(x, kind):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(reference_squash, x, kind).result()


@pytest.mark.rules("conformance-R8")
@pytest.mark.parametrize("forward", [reference_squash, reference_in_a_thread])
def test_a_backend_that_falls_back_to_the_reference_fails(forward, monkeypatch):
    backend = Squash(forward, dtypes=DOUBLE)
    results = run_checks(monkeypatch, backend, unregistered_check(), property_check())
    assert [r.status for r in results] == ["failed", "passed"]
    assert "falls back" in results[0].message


@pytest.mark.rules("conformance-R8")
def test_a_backend_named_like_the_reference_is_not_the_reference(monkeypatch):
    class Fake(NumpyBackend):
        pass

    results = run_checks(monkeypatch, Fake(), unregistered_check())
    assert [r.status for r in results] == ["failed"] * 2


@pytest.mark.rules("conformance-R8")
def test_the_reference_is_not_compared_with_itself(monkeypatch):
    results = run_checks(monkeypatch, NumpyBackend(), unregistered_check(), property_check())
    assert [r.status for r in results] == ["self_comparison", "passed"] * 2


@pytest.mark.rules("conformance-R9")
def test_a_failure_is_blocked_by_a_failure_that_explains_it_and_stays_failed_otherwise():
    softmax = result("softmax/weights_match_the_reference", "softmax-R1")
    above = result("routing/any", "routing-R1")
    loose = result("squash/x", "squash-R1", status="blocked", blocked_by="agreement", message="m")
    writes = loose._replace(blocked_by="numerics-R7", message="writes")
    inputs = result("numerics/inputs", "numerics-R7")
    for results, expected in (
        ([softmax, above], [("failed", ""), ("blocked", "softmax-R1")]),
        ([loose, above], [("failed", ""), ("failed", "")]),
        ([writes, inputs], [("blocked", "numerics-R7"), ("failed", "")]),
        ([writes], [("failed", "")]),
    ):
        assert causes(block_explained(results)) == expected
    assert block_explained([writes])[0].message == "numerics-R7: writes"


def causes(results):
    return [(r.status, r.blocked_by) for r in results]


def test_foundations_precede_the_pages_built_on_them():
    assert foundations("model")[:3] == ["embedding", "softmax", "squash"]
    assert foundations("softmax") == []


@pytest.mark.rules("conformance-R12")
def test_a_narrow_dtype_runs_agreement_checks_only(monkeypatch):
    def narrow(x, kind):
        return right(x.astype(np.float32)).astype(x.dtype)

    claims = {"dtypes": (("float16", "float32"), ("float32", "float32"))}
    backend = Squash(narrow, **claims)
    results = run_checks(monkeypatch, backend, unregistered_check(), property_check())
    assert [(r.precision, r.check, r.status) for r in results] == [
        ("float32", "squash/made", "passed"),
        ("float32", "squash/property", "passed"),
        ("float16/float32", "squash/made", "passed"),
    ], [r.message for r in results]


@pytest.mark.rules("conformance-R1")
def test_a_report_conforms_if_it_is_complete_and_has_no_failure_and_no_problem():
    passed = small.result()
    assert small.report(passed).conforms
    for results, changes in (
        ([passed], {"planned": 2}),
        ([passed, passed._replace(status="lost")], {}),
        ([passed, small.result(small.GRADIENT, "failed")], {}),
        ([passed, small.result(small.GRADIENT, "blocked")], {}),
        ([passed], {"problems": ("stale expectation",)}),
        ([small.result(status="not_claimed")], {}),
    ):
        assert not small.report(*results, **changes).conforms


@pytest.mark.rules("conformance-R9")
def test_a_wrong_signature_is_one_failure_per_operator():
    def raised(check, rule):
        return result(check, rule, message="raised TypeError: forward() takes 1 argument")

    check = "notation/gradient_has_the_shape_of_its_argument"
    first = raised("softmax/slice_does_not_depend_on_the_batch", "softmax-R6")
    shape, other = (raised(f"{check}[{s}]", "notation-R4") for s in ("softmax", "squash"))
    results = block_explained([first, shape, other])
    assert causes(results) == [("failed", ""), ("blocked", "softmax-R6"), ("failed", "")]


@pytest.mark.rules("conformance-R9")
def test_a_blocked_failure_is_blocked_by_the_cause_of_its_cause():
    diagnosis = "your result equals the reference with this mistake: late [mask-late, softmax-R2]"
    results = [
        result("softmax/a", "softmax-R2", diagnosis=diagnosis),
        result("softmax/b", "softmax-R1", diagnosis=diagnosis),
        result("softmax/c", "softmax-R5", status="blocked", blocked_by="softmax-R1"),
        result("softmax/d", "softmax-R6", status="blocked", blocked_by="numerics-R7"),
    ]
    assert causes(attribute_to_mistakes(results)) == [
        ("failed", ""),
        ("blocked", "softmax-R2"),
        ("blocked", "softmax-R2"),
        ("blocked", "numerics-R7"),
    ]


@pytest.mark.rules("conformance-R4")
@pytest.mark.parametrize(
    ("seed", "dtype", "status"),
    [(0, "float64", "passed"), (0, "bfloat16", "failed"), (1, "float64", "failed")],
)
def test_a_check_that_accepts_trivial_answers_fails(seed, dtype, status, monkeypatch):
    """For the default seed, test_checks.py shows that no check does."""
    monkeypatch.setattr(plan, "cached_accepted", lambda *arguments: ["zeros"])
    backend = BackendImplementation(Squash(right, dtypes=((dtype, dtype),)))
    check = unregistered_check()._replace(agreement=False)
    settings = plan.RunSettings("smoke", seed)
    outcome = plan.run_planned_check(check, backend, Precision.of(dtype), settings)
    assert (outcome.status, "accepts zeros" in outcome.message) == (status, status == "failed")
