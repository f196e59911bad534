"""Every rule of the pages that are judged is checked, or it is said why it cannot be observed."""

from __future__ import annotations

import importlib

import pytest

from mindref.conformance.judging.check import MODULES, all_checks
from mindref.conformance.variants.loader import catalogue
from mindref.ops import OPS
from tests import pages

JUDGED = (*OPS, "notation", "numerics", "model", "optimiser", "backend")


def rules() -> set[str]:
    return {rule for page in JUDGED for rule in pages.rules(page)}


def cited() -> set[str]:
    return {rule for check in all_checks() for rule in check.rules}


def unobserved() -> dict[str, str]:
    """Return rule -> why no check shows it, from all check modules."""
    found: dict[str, str] = {}
    for name in MODULES:
        module = importlib.import_module(f"mindref.conformance.{name}")
        reasons = getattr(module, "NOT_OBSERVED", {})
        assert not set(reasons) & set(found), f"{name} repeats a rule of another module"
        found |= reasons
    return found


@pytest.mark.parametrize("page", JUDGED)
def test_a_rule_is_checked_or_said_to_be_out_of_sight(page: str) -> None:
    silent = set(pages.rules(page)) - cited() - set(unobserved())
    assert not silent, f"no check, and no NOT_OBSERVED with a reason: {sorted(silent)}"


def test_no_rule_is_both_checked_and_out_of_sight() -> None:
    assert not cited() & set(unobserved())


def test_what_is_out_of_sight_is_a_rule_and_has_a_reason() -> None:
    assert set(unobserved()) <= rules()
    assert all(len(reason.split()) > 3 for reason in unobserved().values())


def test_checks_cite_rules_that_stand_on_a_page() -> None:
    assert cited() <= rules()


@pytest.mark.parametrize("page", JUDGED)
def test_a_rule_that_is_checked_has_a_wrong_variant(page: str) -> None:
    covered = {variant.breaks for variant in catalogue()}
    bare = [rule for rule in pages.rules(page) if rule in cited() and rule not in covered]
    assert not bare, f"a label alone proves nothing: {bare}"
