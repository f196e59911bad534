"""mindref conform: run the conformance suite on a backend."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mindref.cli import settings, signals
from mindref.cli.conform_progress import conformance_progress
from mindref.cli.streams import print_stdout
from mindref.errors import BackendError

if TYPE_CHECKING:
    from mindref.conformance.runner.result import ConformanceReport

PROFILES = ("smoke", "standard", "deep")
FILES = ("output", "markdown", "junit", "badge")


@click.command("conform", short_help="Run the conformance suite on a backend.")
@click.argument("words", nargs=-1, metavar="[PAGE|RULE|CHECK]...")
@click.option(
    "--backend", "name", required=True, metavar="NAME|MODULE:OBJECT",
    help="Backend to test: an installed name, or module:object, also from the current folder.",
)  # fmt: skip
@settings.device_option
@click.option(
    "--profile", type=click.Choice(PROFILES), default="standard", show_default=True,
    help="Number of random examples per check.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, metavar="N",
    help="Seed of all random examples [0 to 2^63 - 1].",
)  # fmt: skip
@click.option(
    "--expectations", type=settings.FILE, help="TOML file of known gaps and wider tolerances."
)
@click.option(
    "--scripts", type=settings.FOLDER, default="conform-failures",
    show_default=True, help="Folder for scripts that reproduce the failures.",
)  # fmt: skip
@click.option(
    "--diff", "older", type=settings.FILE, help="Show the changes since this JSON report."
)
@click.option(
    "--output",
    type=settings.FILE,
    help="Also write the JSON report to this file." + settings.REPLACED,
)
@click.option(
    "--markdown", type=settings.FILE, help="Write the report as Markdown." + settings.REPLACED
)
@click.option(
    "--junit", type=settings.FILE, help="Write the report as JUnit XML." + settings.REPLACED
)
@click.option("--badge", type=settings.FILE, help="Write the text for a badge." + settings.REPLACED)
@click.option(
    "--fail-fast", is_flag=True,
    help="Stop after the first check that failed, and report only the results so far.",
)  # fmt: skip
@click.option(
    "--processes", type=click.IntRange(1, 64), metavar="N",
    help="Number of processes that run the checks, from 1 to 64. Results do not depend on it."
    " [default: number of cores, at most 4; with a GPU 1]",
)  # fmt: skip
@settings.json_option
def conform_command(
    words: tuple[str, ...],
    name: str,
    device: str,
    profile: str,
    seed: int,
    expectations: Path | None,
    scripts: Path,
    older: Path | None,
    fail_fast: bool,
    processes: int | None,
    as_json: bool,
    **files: Path | None,
) -> int:
    """Test a backend against the rules of the specification.

    Without arguments all rules are tested that the backend claims. Arguments select pages, rules or
    checks. Each failure is reported with the rule, the numbers, the likely mistake, and a script
    that reproduces it without this suite.

    The environment variable MINDREF_SITE, the address or the folder of the documentation site,
    completes the addresses of rules.

    Exit code 0: the backend conforms; 1: it does not; 2: it was not tested; 130: stopped by Ctrl-C.
    Then the report has the results so far.
    """
    settings.set_threads(None, name)
    from mindref.conformance import requirements

    requirements.require_extra()
    check_files(files, scripts, expectations)
    from mindref.conformance.report import diff, rule_address
    from mindref.conformance.runner.plan import RunSettings
    from mindref.conformance.runner.processes import default_processes
    from mindref.conformance.runner.stopped_run import stopped_report
    from mindref.conformance.runner.suite_run import SuiteRun

    rule_address.site_root()  # an invalid MINDREF_SITE is an error before the checks run
    old = diff.read_earlier_report(older) if older is not None else None
    settings_of_run = RunSettings(profile, seed)
    count = processes or default_processes(device)
    suite_run = SuiteRun(name, words, settings_of_run, expectations, scripts, device, count)
    write = ReportWriter(old, files, as_json)
    try:
        with conformance_progress(suite_run) as on_result:
            report = suite_run.report(on_result, fail_fast=fail_fast)
    except (KeyboardInterrupt, BackendError) as error:  # conformance-R24
        if suite_run.unattributed:
            write(stopped_report(suite_run, reason_of_stop(error)))
        raise
    write(report)
    return 0 if report.conforms else 1


def reason_of_stop(error: KeyboardInterrupt | BackendError) -> str:
    """Return the name of the signal, or words about the error."""
    from mindref.conformance.runner.processes import ProcessEnded

    if isinstance(error, KeyboardInterrupt):
        return signals.signal_name(error)
    ended = isinstance(error, ProcessEnded)
    return "the end of a process that ran checks" if ended else "an error of the backend"


class ReportWriter(NamedTuple):
    """Writes a report to standard output and to the requested files."""

    older: dict[str, Any] | None  # earlier report to compare with
    files: dict[str, Path | None]
    as_json: bool

    def __call__(self, report: ConformanceReport) -> None:
        """Write the files, and print the report, also if a file cannot be written."""
        from mindref.conformance.report import diff, json_report

        content = json_report.suite_report_json(report)
        changes = diff.report_changes(self.older, content) if self.older is not None else []
        if self.older is not None:
            content["changes"] = [change._asdict() for change in changes]
        try:
            save_reports(report, content, self.files)
        finally:  # print the report even if it cannot be written, for example to a full disk
            if self.as_json:
                print_stdout(json_report.json_text(content), end="")
            else:
                lines = diff.change_lines(changes, self.older, content) if self.older else []
                print_conformance(report, list(lines))


def check_files(files: dict[str, Path | None], scripts: Path, expectations: Path | None) -> None:
    """Raise ConfigError for a file that cannot be written. Called before the checks run.

    The report of --diff may be replaced by the new report, because it is read before.
    """
    inputs = {"the file of --expectations": expectations}
    settings.check_writable("--scripts", scripts)
    for name in FILES:
        settings.check_output_file(f"--{name}", files[name], inputs)


def save_reports(
    report: ConformanceReport, content: dict[str, Any], files: dict[str, Path | None]
) -> None:
    """Write the requested files atomically."""
    from mindref.conformance.report import json_report, junit, markdown, summary
    from mindref.run.atomic import write_text

    texts: dict[str, Callable[[], str]] = {
        "output": lambda: json_report.json_text(content),
        "markdown": lambda: markdown.markdown_text(report),
        "junit": lambda: junit.junit_text(report),
        "badge": lambda: summary.badge_text(report) + "\n",
    }
    for name in FILES:
        path = files[name]
        if path is not None:
            write_text(path, texts[name]())


def print_conformance(report: ConformanceReport, changed: list[str]) -> None:
    """Print the report and the changes since an older report."""
    from rich.console import Console

    from mindref.conformance.report import terminal

    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    terminal.print_suite_report(report, console)
    for line in changed:
        terminal.print_wrapped(console, line)
