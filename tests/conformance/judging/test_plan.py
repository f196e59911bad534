"""All checks of a backend: claims, whose code it was, what explains what, books."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import mindref.ops
from mindref.backend import NumpyBackend
from mindref.conformance.judging.books import attributed, explained, foundations
from mindref.conformance.judging.plan import surprises
from mindref.conformance.judging.result import Report, Result
from mindref.conformance.judging.subject import OfBackend
from tests.conformance.judging.subjects import Squash, judged, law, made, right

DOUBLE = (("float64", "float64"),)


def result(check: str, *rules: str, status: str = "failed", **more: Any) -> Result:
    return Result(check, rules, "ops", False, "float64", status, "", **more)


def test_there_is_one_result_for_each_check_in_each_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = judged(monkeypatch, Squash(right), made(), law())
    assert [(r.precision, r.status) for r in found] == [
        ("float64", "passed"),
        ("float64", "passed"),
        ("float32", "passed"),
        ("float32", "passed"),
    ]


@pytest.mark.rules("conformance-R2")
@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"operators": ()}, "operator squash"),
        ({"levels": ()}, "level ops"),
    ],
)
def test_what_is_not_claimed_is_not_passed_and_a_remark_says_that_it_works(
    claims: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Squash(right, dtypes=DOUBLE, **claims)
    found = judged(monkeypatch, mine, made())
    assert [(r.status, r.reason) for r in found] == [("not_claimed", reason)]
    said = list(surprises(OfBackend(mine), (made(),), found))
    assert said == [f"{reason} works, though it is not claimed"]


@pytest.mark.rules("conformance-R2")
def test_an_option_that_is_not_claimed_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    option = made(rules=("squash-R6",))
    found = judged(monkeypatch, Squash(right, dtypes=DOUBLE), option)
    assert (found[0].status, found[0].reason) == ("not_claimed", "option squash-R6")
    claiming = Squash(right, dtypes=DOUBLE, options=("squash-R6",))
    found = judged(monkeypatch, claiming, option)
    assert found[0].status == "passed"


@pytest.mark.rules("conformance-R8")
def test_a_backend_that_falls_back_to_the_reference_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def borrowed(x: Any, kind: str) -> Any:
        return mindref.ops.squash.forward(x, kind=kind)[0]

    found = judged(monkeypatch, Squash(borrowed, dtypes=DOUBLE), made(), law())
    assert [r.status for r in found] == ["failed", "passed"]
    assert "falls back" in found[0].message


@pytest.mark.rules("conformance-R8")
def test_the_reference_in_another_thread_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(x: Any, kind: str) -> Any:
        found: list[Any] = []
        thread = threading.Thread(
            target=lambda: found.append(mindref.ops.squash.forward(x, kind=kind)[0])
        )
        thread.start()
        thread.join()
        return found[0]

    found = judged(monkeypatch, Squash(elsewhere, dtypes=DOUBLE), made())
    assert [r.status for r in found] == ["failed"]
    assert "falls back" in found[0].message


@pytest.mark.rules("conformance-R8")
def test_who_only_bears_the_name_of_the_reference_is_not_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fake(NumpyBackend):
        pass

    found = judged(monkeypatch, Fake(), made())
    assert [r.status for r in found] == ["failed"] * 2


@pytest.mark.rules("conformance-R8")
def test_the_reference_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, NumpyBackend(), made(), law())
    assert [r.status for r in found] == ["itself", "passed"] * 2


@pytest.mark.rules("conformance-R9")
def test_a_failure_above_a_broken_operator_is_blocked_by_its_rule() -> None:
    softmax = "softmax/weights_are_those_of_the_reference"
    found = explained([result(softmax, "softmax-R1"), result("routing/any", "routing-R1")])
    assert [(r.status, r.blocked_by) for r in found] == [("failed", ""), ("blocked", "softmax-R1")]


@pytest.mark.rules("conformance-R9")
def test_a_failure_that_nothing_explains_stays_one() -> None:
    loose = result("squash/x", "squash-R1", status="blocked", blocked_by="agreement", message="m")
    found = explained([loose, result("routing/any", "routing-R1")])
    assert [r.status for r in found] == ["failed", "failed"]


@pytest.mark.rules("conformance-R9")
def test_a_rule_of_all_operators_blocks_only_if_it_failed_itself() -> None:
    beside = result(
        "squash/x", "squash-R1", status="blocked", blocked_by="numerics-R7", message="writes"
    )
    own = result("numerics/inputs", "numerics-R7")
    assert explained([beside, own])[0].status == "blocked"
    alone = explained([beside])[0]
    assert (alone.status, alone.message) == ("failed", "numerics-R7: writes")


def test_foundations_come_before_what_stands_on_them() -> None:
    assert foundations("model")[:3] == ["embedding", "softmax", "squash"]
    assert foundations("softmax") == []


@pytest.mark.rules("conformance-R12")
def test_a_narrow_type_is_judged_by_agreement_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(x: Any, kind: str) -> Any:
        return right(x.astype(np.float32)).astype(x.dtype)

    claims = {"dtypes": (("float16", "float32"), ("float32", "float32"))}
    found = judged(monkeypatch, Squash(narrow, **claims), made(), law())
    assert [(r.precision, r.check, r.status) for r in found] == [
        ("float32", "squash/made", "passed"),
        ("float32", "squash/law", "passed"),
        ("float16/float32", "squash/made", "passed"),
    ], [r.message for r in found]


def report(results: tuple[Result, ...], planned: int, problems: tuple[str, ...] = ()) -> Report:
    return Report("mine", "", 0, "smoke", {}, results, planned, (), problems)


@pytest.mark.rules("conformance-R1")
def test_books_that_do_not_balance_do_not_conform() -> None:
    passed = result("squash/made", "squash-R1", status="passed")
    assert report((passed,), 1).conforms
    assert not report((passed,), 2).conforms
    assert not report((passed, passed._replace(status="lost")), 2).conforms


@pytest.mark.rules("conformance-R1")
@pytest.mark.parametrize("status", ["failed", "blocked"])
def test_a_failure_does_not_conform(status: str) -> None:
    both = (result("squash/a", "squash-R1", status="passed"), result("b", "squash-R1"))
    assert not report((both[0], both[1]._replace(status=status)), 2).conforms
    assert not report((both[0],), 1, ("stale expectation",)).conforms


def test_nothing_passed_is_no_conformance() -> None:
    assert not report((result("squash/a", "squash-R1", status="not_claimed"),), 1).conforms


@pytest.mark.rules("conformance-R9")
def test_one_signature_shows_as_one_failure_over_all_pages_of_an_operator() -> None:
    def raised(check: str, rule: str) -> Result:
        return result(check, rule, message="raised TypeError: forward() takes 1 argument")

    question = "notation/a_gradient_has_the_shape_of_what_it_belongs_to"
    law = raised("softmax/a_slice_is_the_same_alone", "softmax-R6")
    shape, other = (raised(f"{question}[{s}]", "notation-R4") for s in ("softmax", "squash"))
    found = explained([law, shape, other])
    assert [(r.status, r.blocked_by) for r in found] == [
        ("failed", ""),
        ("blocked", "softmax-R6"),
        ("failed", ""),
    ]


@pytest.mark.rules("conformance-R9")
def test_what_a_blocked_failure_blocks_is_blocked_by_its_cause() -> None:
    named = "your result equals the reference with this mistake: late [mask-late, softmax-R2]"
    some = [
        result("softmax/a", "softmax-R2", diagnosis=named),
        result("softmax/b", "softmax-R1", diagnosis=named),
        result("softmax/c", "softmax-R5", status="blocked", blocked_by="softmax-R1"),
        result("softmax/d", "softmax-R6", status="blocked", blocked_by="numerics-R7"),
    ]
    assert [(r.status, r.blocked_by) for r in attributed(some)] == [
        ("failed", ""),
        ("blocked", "softmax-R2"),
        ("blocked", "softmax-R2"),
        ("blocked", "numerics-R7"),
    ]
