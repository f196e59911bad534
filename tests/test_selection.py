"""The choice of tests by conftest.py: by rule, and by what a run lacks."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_mirror import REPOSITORY, cited_by_tests

# conftest.py of this folder's parent; other folders have modules of this name, too
(selection,) = [
    module
    for name, module in list(sys.modules.items())
    if name.endswith("conftest")
    and getattr(module, "__file__", None) == str(REPOSITORY / "conftest.py")
]


def imported_files(rule):
    """Return the test files that are imported with `--rule` and this rule."""
    config = SimpleNamespace(getoption={"--rule": rule}.get)
    files = (REPOSITORY / "tests").rglob("test_*.py")
    imported = [x for x in files if not selection.pytest_ignore_collect(x, config)]
    return {str(path.relative_to(REPOSITORY)) for path in imported}


@pytest.mark.parametrize("rule", ["routing-R3", "data-R86", "routing-R1", "faults-R1"])
def test_the_files_that_cite_a_rule_are_imported(rule):
    """`data-R86` is beside other text; `routing-R1` begins another label."""
    assert imported_files(rule) == cited_by_tests()[rule]


def test_without_a_rule_each_file_is_imported():
    assert len(imported_files(None)) > 200
    assert imported_files("routing-R999") == set()


def make_item(*marks, fixtures=(), options=(), parameters=()):
    """Return a test with these marks, fixtures and parameters in a run with these options."""
    return SimpleNamespace(
        callspec=SimpleNamespace(params=dict.fromkeys(parameters)),
        config=SimpleNamespace(getoption=lambda name: name in options),
        fixturenames=fixtures,
        get_closest_marker=lambda name: next((x for x in marks if x.name == name), None),
        iter_markers=lambda name: [x for x in marks if x.name == name],
    )


def test_a_test_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr(selection, "DATA", Path("/nowhere"))
    monkeypatch.setattr(selection, "REQUIRE_BROWSERS", False)
    monkeypatch.setattr(selection.shutil, "which", lambda name: None)
    mark = pytest.mark
    reasons = {
        "take minutes (--sweep)": make_item(mark.sweep.mark),
        "need the package absent": make_item(mark.needs("pytest", "absent").mark),
        "need real data sets in /nowhere (MINDREF_DATA)": make_item(fixtures=["real_data"]),
        "need firefox-esr (apt-get install firefox-esr)": make_item(fixtures=["firefox"]),
    }
    for reason, item in reasons.items():
        assert list(selection.reasons_to_leave_out(item)) == [reason]
    assert (
        list(selection.reasons_to_leave_out(make_item(mark.sweep.mark, options=["--sweep"]))) == []
    )


def test_a_missing_browser_is_an_error_where_browsers_are_required(monkeypatch):
    monkeypatch.setattr(selection, "REQUIRE_BROWSERS", True)
    monkeypatch.setattr(selection.shutil, "which", lambda name: None)
    assert list(selection.reasons_to_leave_out(make_item(fixtures=["browser"]))) == []


def test_a_parameter_with_the_name_of_a_fixture_leaves_no_test_out(monkeypatch):
    monkeypatch.setattr(selection, "BUILT_SITE", Path("/nowhere"))
    for parameters, left_out in (((), 1), (("site",), 0)):
        item = make_item(fixtures=["site"], parameters=parameters)
        assert len(list(selection.reasons_to_leave_out(item))) == left_out
