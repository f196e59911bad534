"""The exit code of the pytest form: a selection of tests gives no verdict, and no false failure."""

from types import SimpleNamespace

import pytest

from mindref.conformance import plugin
from mindref.conformance.plugin import KEY, PLANNED, RESULT, RunSummary, is_selection
from mindref.conformance.report import json_report
from mindref.conformance.runner.suite_run import SuiteRun
from tests.assertions import nonempty
from tests.conformance.small import FORWARD, GRADIENT, NAMES, PROPERTY, QUICK, SMALL, result

pytestmark = pytest.mark.usefixtures("small_suite")

PLAN = 2 * len(NAMES)


def config_of(args=("tests",), **options):
    run = SuiteRun(f"{SMALL}:right", settings=QUICK)
    return SimpleNamespace(
        args=list(args), stash={KEY: run}, getoption=lambda name, default=None: options.get(name)
    )


def ended(config, *results, planned=PLAN, deselected=()):
    """Return the exit code, and the lines of the summary, of a session with these results."""
    summary = RunSummary(config)
    summary.pytest_deselected([SimpleNamespace(fixturenames=list(names)) for names in deselected])
    for made in results:
        row = json_report.json_text(json_report.result_json(made))
        report = SimpleNamespace(user_properties=[(RESULT, row), (PLANNED, str(planned))])
        summary.pytest_runtest_logreport(report)
    session, lines = SimpleNamespace(exitstatus=pytest.ExitCode.OK), []
    summary.pytest_sessionfinish(session, session.exitstatus)
    terminal = SimpleNamespace(section=lambda title: None, line=lines.append)
    summary.pytest_terminal_summary(terminal)
    return session.exitstatus, lines


CHOSEN = (result(FORWARD), result(GRADIENT))


@pytest.mark.rules("conformance-R25")
@pytest.mark.parametrize(
    "options",
    [{"keyword": "reference"}, {"markexpr": "mindref"}, {"deselect": ["a"]}, {"lf": True}],
    ids=lambda options: next(iter(options)),
)
def test_a_selection_that_passes_is_no_failure_and_no_verdict(options):
    code, lines = ended(config_of(**options), *CHOSEN)
    assert code == pytest.ExitCode.OK
    assert lines[-1].endswith("has no verdict: not all planned checks ran")
    assert any(line.startswith(f"Incomplete: {PLAN - 2} planned checks") for line in lines)


@pytest.mark.rules("conformance-R25")
def test_a_node_id_is_a_selection():
    path = "mindref/conformance/test_backend.py"
    assert is_selection(config_of([f"{path}::test_check[softmax/x[float64]]"]))
    assert not is_selection(config_of([path]))
    assert ended(config_of([f"{path}::test_check"]), *CHOSEN)[0] == pytest.ExitCode.OK


@pytest.mark.rules("conformance-R25")
def test_tests_that_a_plugin_deselects_are_a_selection():
    assert ended(config_of(), *CHOSEN, deselected=[["check"]])[0] == pytest.ExitCode.OK
    other = ended(config_of(), *CHOSEN, deselected=[["tmp_path"]])
    assert other[0] == pytest.ExitCode.TESTS_FAILED


@pytest.mark.rules("conformance-R25", "conformance-R1")
def test_missing_results_without_a_selection_are_a_failure():
    code, lines = ended(config_of(), *CHOSEN)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert lines[-1].endswith("does not conform")
    assert any(f"{PLAN - 2} planned checks did not run" in line for line in lines)


@pytest.mark.rules("conformance-R25")
def test_a_complete_run_has_a_verdict_with_any_option():
    results = [
        result(name, precision=precision)
        for name in (PROPERTY, *NAMES[1:])
        for precision in ("float64", "float32")
    ]
    code, lines = ended(config_of(keyword="softmax"), *results)
    assert (code, lines[-1]) == (pytest.ExitCode.OK, f"{SMALL}:right conforms")


@pytest.mark.rules("conformance-R25")
def test_a_blocked_result_of_a_selection_is_a_failure():
    blocked = result(GRADIENT, "blocked", blocked_by="softmax-R1")
    code, _ = ended(config_of(keyword="softmax"), result(FORWARD), blocked)
    assert code == pytest.ExitCode.TESTS_FAILED


def test_a_stop_by_the_first_failure_names_the_option():
    failed = result(GRADIENT, "failed", message="m")
    lines = ended(config_of(maxfail=1), result(FORWARD), failed)[1]
    assert any("because of -x or --maxfail" in line for line in lines)
    assert lines[-1].endswith("does not conform")


def test_the_options_are_those_of_pytest(pytestconfig):
    cached = ("lf", "stepwise")  # absent with `-p no:cacheprovider`
    for name in nonempty(set(plugin.SELECTIONS) - set(cached)):
        assert name in vars(pytestconfig.option), name
