"""The checks that must run, according to the shipped manifest."""

from mindref.conformance.runner import manifest
from mindref.conformance.runner.check import all_checks
from tests import spec_pages


def test_the_shipped_manifest_is_current():
    assert manifest.load_manifest() == manifest.build_manifest(spec_pages.SPECS)


def test_every_check_is_planned():
    assert set(manifest.load_manifest()["checks"]) == {check.name for check in all_checks()}
