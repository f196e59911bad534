"""The judge inside pytest: `pytest --pyargs mindref.conformance --mindref-backend NAME`.

This module is loaded in every run of pytest where mindref is installed, so it imports nothing heavy
and does nothing unless a backend is named. The tests are in `test_backend.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from mindref.conformance.judging.judgement import Judgement
    from mindref.conformance.judging.result import Report

RESULT, PLANNED = "mindref", "mindref_planned"
"""Properties of a test's report, which also travel from the workers of pytest-xdist."""

KEY = pytest.StashKey[Any]()
"""Where a session keeps its judgement."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the judge, all with the name of the project."""
    group = parser.getgroup("mindref", "mindref: judge a backend by the specification")
    add = group.addoption
    add("--mindref-backend", metavar="NAME", help="an installed backend, or module:object")
    add(
        "--mindref-device",
        choices=("cpu", "cuda", "auto"),
        default="cpu",
        help="where the backend computes; auto: on a GPU where there is one [cpu]",
    )
    add(
        "--mindref-profile",
        choices=("smoke", "standard", "deep"),
        default="standard",
        help="how many examples each check is given [standard]",
    )
    add("--mindref-seed", type=int, default=0, metavar="N", help="of all that is drawn [0]")
    add("--mindref-expectations", type=Path, metavar="FILE", help="known gaps, as TOML")
    add("--mindref-words", default="", metavar="WORD,...", help="pages, rules or checks [all]")
    add(
        "--mindref-scripts",
        type=Path,
        default=Path("conform-failures"),
        metavar="DIR",
        help="for a script that reproduces each failure [conform-failures]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; keep books where a backend is judged."""
    config.addinivalue_line("markers", "mindref(*rules): a check of mindref that cites these rules")
    collecting = config.getoption("collectonly")
    if config.getoption("--mindref-backend") and not collecting and not is_worker(config):
        config.pluginmanager.register(Books(config), "mindref-books")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse in one line, before anything is collected, what cannot be judged as it is asked."""
    if not session.config.getoption("--mindref-backend") or is_worker(session.config):
        return
    from mindref.errors import MindrefError

    try:
        judgement_of(session.config)
    except MindrefError as error:
        raise pytest.UsageError(str(error)) from None


def judgement_of(config: pytest.Config) -> Judgement:
    """Return the judgement of this session, made when first asked for. Raises MindrefError."""
    if KEY not in config.stash:
        config.stash[KEY] = made(config)
    judgement: Judgement = config.stash[KEY]
    return judgement


def made(config: pytest.Config) -> Judgement:
    """Return the judgement that the options ask for. Raises MindrefError."""
    from mindref.conformance import extra
    from mindref.errors import ConfigError, say

    option = config.getoption
    name, scripts = option("--mindref-backend"), option("--mindref-scripts")
    if not name:
        todo = "add --mindref-backend NAME or --mindref-backend module:object"
        raise ConfigError(say("--mindref-backend", "the backend to judge", "none", todo))
    extra.check()
    above = next(place for place in (scripts, *scripts.absolute().parents) if place.exists())
    if not above.is_dir():
        raise ConfigError(say("--mindref-scripts", "a folder", scripts, f"look at {above}"))
    from mindref.conformance.judging.judgement import Judgement
    from mindref.conformance.judging.plan import Settings

    settings = Settings(option("--mindref-profile"), option("--mindref-seed"))
    lines = option("--mindref-expectations")
    device = option("--mindref-device")
    return Judgement(name, words_of(config), settings, lines, scripts, device)


def is_worker(config: pytest.Config) -> bool:
    """Return whether this is a worker of pytest-xdist, whose reports go to another process."""
    return hasattr(config, "workerinput")


class Books:
    """What came of every check: the run fails if some are missing, whatever the tests say."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.planned = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter the result that a test left."""
        found = dict(report.user_properties)
        if RESULT in found:
            row = json.loads(str(found[RESULT]))
            self.rows[row["check"], row["precision"]] = row
            self.planned = int(str(found[PLANNED]))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a run whose books are not in order."""
        if self.rows and exitstatus == pytest.ExitCode.OK and not self.report().conforms:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the sums, as `mindref conform` does."""
        if not self.rows:
            return
        from mindref.conformance.report import badge, outline

        report = self.report()
        terminalreporter.section("mindref conform")
        for line in [*outline.title(report), *problem_lines(report)]:
            terminalreporter.line(line)
        terminalreporter.line(outline.balance(report))
        terminalreporter.line(badge.text(report))
        terminalreporter.line(f"{report.backend} {outline.verdict(report)}")

    def report(self) -> Report:
        """Return what the tests that ran add up to."""
        from mindref.conformance.judging import expectations, judgement
        from mindref.conformance.judging.result import Report
        from mindref.conformance.report.as_json import result_of

        option = self.config.getoption
        name, words = str(option("--mindref-backend")), words_of(self.config)
        results = tuple(result_of(row) for row in self.rows.values())
        lines = expectations.read(option("--mindref-expectations"))
        partial = bool(words) or len(results) < self.planned
        return Report(
            name,
            judgement.version(name),
            option("--mindref-seed"),
            option("--mindref-profile"),
            {},
            results,
            self.planned,
            tuple(expectations.remarks(lines)),
            tuple(expectations.problems(lines, results, partial=partial)),
            words,
            tuple(dict.fromkeys(r.precision for r in results)),
            judgement_of(self.config).device,
        )


def problem_lines(report: Report) -> list[str]:
    """Return remarks and problems; that a part did not run is one, too."""
    from mindref.conformance.report import outline

    missing = report.planned - len(report.results)
    lines = [f"remark: {line}" for line in report.remarks]
    lines += [f"problem: {line}" for line in outline.problems(report)]
    if missing:
        lines.append(f"problem: {missing} planned checks did not run; choose by --mindref-words")
    return lines


def words_of(config: pytest.Config) -> tuple[str, ...]:
    """Return the pages, rules or checks that were asked for."""
    return tuple(word for word in config.getoption("--mindref-words").split(",") if word)
