"""Run mutants with pytest: `python -m pytest -q --mutants`.

The tests are collected once. Each mutant has a fork of this process, in which its code replaces the
code of the package (replacement.py). A mutant of scope "tests" is killed by a test that cites its
rule and fails; an error in a fixture is no kill. A mutant of scope "suite" is killed by a check of
the conformance suite. At the end, the tests that killed a mutant run once without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from _pytest.capture import CaptureManager
from hypothesis import Phase, settings

from mindref.conformance.mutants.loader import Mutant
from tests import mutants
from tests.conformance import mutant_kills
from tests.mutants.forks import Ended, Job, run_in_forks
from tests.mutants.replacement import replace_code
from tests.mutants.selection import may_kill, select_mutants
from tests.test_mirror import cited_by_tests

REPOSITORY = Path(__file__).parent.parent.parent
GROUP = 20
"""Number of tests that run in one fork without a mutant."""


class MutantRun:
    """Runs the mutants that `--mutants` chooses, and reports each as a test."""

    def __init__(self, config: pytest.Config) -> None:
        if config.getoption("numprocesses", None):
            raise pytest.UsageError("--mutants uses all cores by itself: leave out -n")
        config.option.all = True  # slow tests run last
        find_only = {"phases": [Phase.explicit, Phase.generate], "report_multiple_bugs": False}
        settings.register_profile("mutants", settings.get_profile("default"), **find_only)
        settings.load_profile("mutants")
        chosen, base = config.getoption("--mutants"), config.getoption("--base")
        self.title, self.mutants = select_mutants(chosen, base)
        self.files = {file for mutant in self.mutants for file in citing_files(mutant)}

    def pytest_report_header(self) -> str:
        """Return how many mutants run."""
        return f"mutants: {len(self.mutants)} of {len(mutants.MUTANTS)}, {self.title}"

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Collect only the files with tests of the mutants."""
        is_needed = collection_path.is_dir() or file_of(collection_path) in self.files
        return None if is_needed else True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the mutants instead of the tests."""
        if session.testsfailed:
            return None  # a file could not be imported; pytest reports it
        session.testscollected = len(self.mutants)
        capture_of(session).stop_global_capturing()  # the forks capture what their tests print
        log, killers = session.config.hook.pytest_runtest_logreport, set()
        jobs = [Job(x.name, partial(killer_of, x, session.items)) for x in self.mutants]
        for ended in run_in_forks(jobs):
            killers.add(ended.result)
            log(report=report_of(ended, passed=bool(ended.result)))
        tests = [item for item in session.items if item.nodeid in killers]
        groups = [tests[start : start + GROUP] for start in range(0, len(tests), GROUP)]
        jobs = [Job("without a mutant", partial(first_failure, group)) for group in groups]
        for ended in run_in_forks(jobs):
            log(report=report_of(ended, passed=ended.result == ""))
        return True

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Pass if no mutant changed."""
        if not self.mutants:
            session.exitstatus = pytest.ExitCode.OK


def citing_files(mutant: Mutant) -> set[str]:
    """Return the files with the tests that may kill a mutant."""
    return {file for file in cited_by_tests()[mutant.rule] if may_kill(mutant, file)}


def citing_tests(mutant: Mutant, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that may kill a mutant: those of the edited file first, slow ones last."""
    folder, _, stem = mutant.edits[0].file.removesuffix(".py").rpartition("/")
    near, files = f"tests/{folder}/test_{stem}", citing_files(mutant)
    tests = [x for x in items if file_of(x.path) in files and mutant.rule in labels(x)]
    return sorted(
        tests,
        key=lambda x: (bool(x.get_closest_marker("slow")), not file_of(x.path).startswith(near)),
    )


def killer_of(mutant: Mutant, items: Sequence[pytest.Item]) -> str:
    """Return the name of the test or check that kills a mutant, or "" if it survives."""
    if "suite" in mutant.scope:
        precision = mutant_kills.PRECISIONS[mutants.MUTANTS.index(mutant) % 2]
        return mutant_kills.killer(mutant, precision)
    replace_code(mutant)
    return first_failure(citing_tests(mutant, items))


def first_failure(tests: Sequence[pytest.Item]) -> str:
    """Run tests until one fails, and return its name. An error in a fixture is no failure."""
    if not tests:
        return ""
    failures, plugins = Failures(), tests[0].config.pluginmanager
    capture_of(tests[0]).start_global_capturing()
    plugins.unregister(name="terminalreporter")
    plugins.register(failures)
    for test, following in zip(tests, [*tests[1:], None], strict=True):
        test.ihook.pytest_runtest_protocol(item=test, nextitem=following)
        if failures.name:
            return failures.name
    print(f"none of {len(tests)} tests failed")
    return ""


class Failures:
    """Prints the failures of the tests that run. `name` is the last test that failed."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the name of a failed test, not of a test whose fixture failed."""
        if report.failed:
            print(f"{report.when} of {report.nodeid}:\n{report.longreprtext}")
            self.name = report.nodeid if report.when == "call" else self.name


def capture_of(node: pytest.Session | pytest.Item) -> CaptureManager:
    """Return the part of pytest that captures output."""
    plugin = node.config.pluginmanager.getplugin("capturemanager")
    assert isinstance(plugin, CaptureManager)
    return plugin


def file_of(path: Path) -> str:
    """Return a path relative to the repository."""
    return path.relative_to(REPOSITORY).as_posix()


def labels(item: pytest.Item) -> set[str]:
    """Return the rules that a test cites."""
    return {label for mark in item.iter_markers("rules") for label in mark.args}


def report_of(ended: Ended, *, passed: bool) -> pytest.TestReport:
    """Return the report of a mutant; its duration is in CPU seconds."""
    name = f"mutants::{ended.job.name}"
    return pytest.TestReport(
        nodeid=name,
        location=("mutants", None, ended.job.name),
        keywords={},
        outcome="passed" if passed else "failed",
        longrepr=None if passed else ended.output[-6000:],
        when="call",
        duration=ended.seconds,
    )
