"""Every rule of the checked pages is checked, or listed as unobservable with a reason."""

from __future__ import annotations

import importlib

import pytest

from mindref.conformance.mutants.loader import suite_mutants
from mindref.conformance.runner.check import CHECKS_PACKAGE, MODULES, all_checks
from mindref.ops import OPS
from tests import spec_pages

CHECKED_PAGES = (*OPS, "notation", "numerics", "model", "optimiser", "backend")


def rules() -> set[str]:
    return {rule for page in CHECKED_PAGES for rule in spec_pages.rules(page)}


def cited() -> set[str]:
    return {rule for check in all_checks() for rule in check.rules}


def unobserved() -> dict[str, str]:
    """Return rule -> why no check shows it, from all check modules."""
    found: dict[str, str] = {}
    for name in MODULES:
        module = importlib.import_module(f"{CHECKS_PACKAGE}.{name}")
        reasons = getattr(module, "NOT_OBSERVED", {})
        assert not set(reasons) & set(found), f"{name} repeats a rule of another module"
        found |= reasons
    return found


@pytest.mark.parametrize("page", CHECKED_PAGES)
def test_every_rule_is_checked_or_listed_as_unobservable(page: str) -> None:
    silent = set(spec_pages.rules(page)) - cited() - set(unobserved())
    assert not silent, f"no check, and no NOT_OBSERVED with a reason: {sorted(silent)}"


def test_no_rule_is_both_checked_and_unobservable() -> None:
    assert not cited() & set(unobserved())


def test_every_unobservable_rule_exists_and_has_a_reason() -> None:
    assert set(unobserved()) <= rules()
    assert all(len(reason.split()) > 3 for reason in unobserved().values())


def test_checks_cite_rules_of_a_page() -> None:
    assert cited() <= rules()


@pytest.mark.parametrize("page", CHECKED_PAGES)
def test_a_rule_that_is_checked_has_a_mutant(page: str) -> None:
    covered = {mutant.rule for mutant in suite_mutants()}
    bare = [rule for rule in spec_pages.rules(page) if rule in cited() and rule not in covered]
    assert not bare, f"a label alone proves nothing: {bare}"
