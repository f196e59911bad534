"""What must run, by the file that ships with the suite."""

from __future__ import annotations

from mindref.conformance.judging import manifest
from mindref.conformance.judging.check import all_checks
from tests import pages


def test_the_shipped_manifest_is_the_one_that_its_command_makes() -> None:
    assert manifest.shipped() == manifest.made(pages.SPECS)


def test_every_check_is_planned() -> None:
    assert set(manifest.shipped()["checks"]) == {check.name for check in all_checks()}
