"""The conformance suite in pytest: `pytest --pyargs mindref.conformance --mindref-backend NAME`.

pytest loads this module wherever mindref is installed. So without `--mindref-backend`, it only adds
options and a marker, and imports nothing slow. The tests are in `test_backend.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from mindref.conformance.runner.result import ConformanceReport
    from mindref.conformance.runner.suite_run import SuiteRun

RESULT, PLANNED = "mindref", "mindref_planned"
"""Keys in `user_properties` of a test report, which pytest-xdist sends to the main process."""

KEY = pytest.StashKey[Any]()
"""Key of the SuiteRun in `config.stash`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options of the suite, which begin with `--mindref-`."""
    group = parser.getgroup("mindref", "mindref: test a backend against the specification")
    add = group.addoption
    add("--mindref-backend", metavar="NAME", help="name of an installed backend, or module:object")
    add(
        "--mindref-device",
        choices=("cpu", "cuda", "auto"),
        default="cpu",
        help="device of the computation; auto: a GPU if there is one [cpu]",
    )
    add(
        "--mindref-profile",
        choices=("smoke", "standard", "deep"),
        default="standard",
        help="number of examples of each check [standard]",
    )
    add("--mindref-seed", type=int, default=0, metavar="N", help="seed of all draws [0]")
    add(
        "--mindref-expectations",
        type=Path,
        metavar="FILE",
        help="TOML file of known gaps and widened tolerances",
    )
    add(
        "--mindref-words",
        default="",
        metavar="WORD,...",
        help="run only these pages, rules or checks [all]",
    )
    add(
        "--mindref-scripts",
        type=Path,
        default=Path("conform-failures"),
        metavar="DIR",
        help="folder of the scripts that reproduce failures [conform-failures]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker `mindref`. If `--mindref-backend` is set, also register a RunSummary."""
    config.addinivalue_line("markers", "mindref(*rules): a check of mindref that cites these rules")
    collecting = config.getoption("collectonly")
    if config.getoption("--mindref-backend") and not collecting and not is_worker(config):
        config.pluginmanager.register(RunSummary(config), "mindref-run-summary")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Raise UsageError for an invalid option, before pytest collects tests."""
    if not session.config.getoption("--mindref-backend") or is_worker(session.config):
        return
    from mindref.errors import MindrefError

    try:
        session_run(session.config)
    except MindrefError as error:
        raise pytest.UsageError(str(error)) from None


def session_run(config: pytest.Config) -> SuiteRun:
    """Return the SuiteRun of this session. Raises MindrefError for an invalid option."""
    if KEY not in config.stash:
        config.stash[KEY] = build_run(config)
    suite_run: SuiteRun = config.stash[KEY]
    return suite_run


def build_run(config: pytest.Config) -> SuiteRun:
    """Return a new SuiteRun from the options. Raises MindrefError for an invalid option."""
    from mindref.conformance import requirements
    from mindref.conformance.report import rule_address
    from mindref.errors import ConfigError, say

    option = config.getoption
    name, scripts = option("--mindref-backend"), option("--mindref-scripts")
    if not name:
        todo = "add --mindref-backend NAME or --mindref-backend module:object"
        raise ConfigError(say("--mindref-backend", "the backend to test", "none", todo))
    requirements.require_extra()
    rule_address.site_root()  # an invalid MINDREF_SITE is an error before the checks run
    above = next(path for path in (scripts, *scripts.absolute().parents) if path.exists())
    if not above.is_dir():
        raise ConfigError(say("--mindref-scripts", "a folder", scripts, f"{above} is not a folder"))
    from mindref.conformance.runner.plan import RunSettings
    from mindref.conformance.runner.suite_run import SuiteRun

    settings = RunSettings(option("--mindref-profile"), option("--mindref-seed"))
    lines = option("--mindref-expectations")
    device = option("--mindref-device")
    return SuiteRun(name, selected_words(config), settings, lines, scripts, device)


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


SELECTIONS = ("keyword", "markexpr", "deselect", "lf", "stepwise")
"""Options of pytest that run only some of the tests: -k, -m, --deselect, --lf, --sw."""


def is_selection(config: pytest.Config) -> bool:
    """Return whether the command line selects tests: by an option, or by a node id (A.py::B).

    The main process of pytest-xdist receives no hook `pytest_deselected`.
    """
    options = (config.getoption(name, None) for name in SELECTIONS)
    return any(options) or any("::" in str(argument) for argument in config.args)


def fixtures_of(item: pytest.Item) -> list[str]:
    """Return the names of the fixtures of a test; [] if it is no function."""
    return list(getattr(item, "fixturenames", ()))


class RunSummary:
    """Collects the results of all checks. Fails the session if the backend does not conform."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.planned = 0
        self.deselected = is_selection(config)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Store that an option or a plugin deselected checks."""
        self.deselected = self.deselected or any("check" in fixtures_of(item) for item in items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the result of a check, if `report` has one."""
        properties = dict(report.user_properties)
        if RESULT in properties:
            row = json.loads(str(properties[RESULT]))
            self.rows[row["check"], row["precision"]] = row
            self.planned = int(str(properties[PLANNED]))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail the session if the backend does not conform.

        If the user selected tests and all of them passed, the session passes without a verdict.
        """
        if not self.rows or exitstatus != pytest.ExitCode.OK:
            return
        report = self.report()
        if not report.conforms and not report.no_verdict:  # conformance-R25
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the summary of all checks."""
        if not self.rows:
            return
        from mindref.conformance.report import summary

        report = self.report()
        terminalreporter.section("mindref conform")
        for line in [*summary.title_lines(report), *problem_lines(report)]:
            terminalreporter.line(line)
        terminalreporter.line(summary.count_line(report))
        terminalreporter.line(summary.badge_text(report))
        for line in summary.next_steps(report):
            terminalreporter.line(line)
        terminalreporter.line(f"{report.backend} {summary.verdict_text(report)}")

    def report(self) -> ConformanceReport:
        """Return the report of the checks that ran."""
        from mindref.conformance.report.json_report import result_from_json
        from mindref.conformance.runner import expectations

        run = session_run(self.config)
        results = tuple(result_from_json(row) for row in self.rows.values())
        partial = bool(run.words) or len(results) < self.planned
        reason = "the selection of tests" if self.deselected else ""
        if self.config.getoption("maxfail"):
            reason = "-x or --maxfail"
        return run.report_of(
            results,
            self.planned,
            expectations.tolerance_remarks(run.expected),
            expectations.stale_lines(run.expected, results, partial=partial),
            reason if len(results) < self.planned else "",
        )


def problem_lines(report: ConformanceReport) -> list[str]:
    """Return the remarks, the problems, and a line if planned checks did not run."""
    from mindref.conformance.report import summary

    missing = report.planned - len(report.results)
    lines = [f"remark: {line}" for line in report.remarks]
    lines += [f"problem: {line}" for line in summary.report_problems(report)]
    if missing and not report.stopped:
        todo = "select checks with --mindref-words"
        lines.append(f"problem: {missing} planned checks did not run; {todo}")
    return lines


def selected_words(config: pytest.Config) -> tuple[str, ...]:
    """Return the pages, rules or checks in the option `--mindref-words`."""
    return tuple(word for word in config.getoption("--mindref-words").split(",") if word)
