"""mindref conform: run the conformance suite on a backend."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from mindref.cli import settings, signals
from mindref.cli.progress import is_terminal, progress_bar
from mindref.cli.settings import flag_option, output_option
from mindref.cli.streams import print_stderr, print_stdout
from mindref.errors import BackendError

if TYPE_CHECKING:
    from mindref.conformance.runner.result import CheckResult, ConformanceReport
    from mindref.conformance.runner.suite_run import SuiteRun

PROFILES = ("smoke", "standard", "deep")
LINE_SECONDS = 5.0  # shortest time between two lines of progress

OnResult = Callable[["CheckResult"], None]


@dataclass(frozen=True)
class ConformOptions:
    """The options of `mindref conform`."""

    words: Annotated[tuple[str, ...], click.argument(
        "words", nargs=-1, metavar="[PAGE|RULE|CHECK]..."
    )]  # fmt: skip
    name: Annotated[str, click.option(
        "--backend", "name", required=True, metavar="NAME|MODULE:OBJECT",
        help="Backend to test: an installed name, or module:object, also from the current folder.",
    )]  # fmt: skip
    device: Annotated[str, settings.device_option]
    profile: Annotated[str, click.option(
        "--profile", type=click.Choice(PROFILES), default="standard", show_default=True,
        help="Number of random examples per check.",
    )]  # fmt: skip
    seed: Annotated[int, click.option(
        "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, metavar="N",
        help="Seed of all random examples [0 to 2^63 - 1].",
    )]  # fmt: skip
    expectations: Annotated[Path | None, click.option(
        "--expectations", type=settings.FILE, help="TOML file of known gaps and wider tolerances."
    )]  # fmt: skip
    scripts: Annotated[Path, click.option(
        "--scripts", type=settings.FOLDER, default="conform-failures",
        show_default=True, help="Folder for scripts that reproduce the failures.",
    )]  # fmt: skip
    older: Annotated[Path | None, click.option(
        "--diff", "older", type=settings.FILE, help="Show the changes since this JSON report."
    )]  # fmt: skip
    output: Annotated[Path | None, output_option(
        "--output", "Also write the JSON report to this file."
    )]  # fmt: skip
    markdown: Annotated[Path | None, output_option("--markdown", "Write the report as Markdown.")]
    junit: Annotated[Path | None, output_option("--junit", "Write the report as JUnit XML.")]
    badge: Annotated[Path | None, output_option("--badge", "Write the text for a badge.")]
    fail_fast: Annotated[bool, flag_option(
        "--fail-fast", "Stop after the first check that failed, and report only the results so far."
    )]  # fmt: skip
    processes: Annotated[int | None, click.option(
        "--processes", type=click.IntRange(1, 64), metavar="N",
        help="Number of processes that run the checks, from 1 to 64. Results do not depend on it."
        " [default: number of cores, at most 4; with a GPU 1]",
    )]  # fmt: skip
    as_json: Annotated[bool, settings.json_option]

    def files(self) -> dict[str, Path | None]:
        """Return the files of the report by option, in the order in which they are written."""
        return {name: getattr(self, name) for name in ("output", "markdown", "junit", "badge")}


@click.command("conform", short_help="Run the conformance suite on a backend.")
@settings.add_options(ConformOptions)
def conform_command(options: ConformOptions) -> int:
    """Test a backend against the rules of the specification.

    Without arguments all rules are tested that the backend claims. Arguments select pages, rules or
    checks. Each failure is reported with the rule, the numbers, the likely mistake, and a script
    that reproduces it without this suite.

    The environment variable MINDREF_SITE, the address or the folder of the documentation site,
    completes the addresses of rules.

    Exit code 0: the backend conforms; 1: it does not; 2: it was not tested; 130: stopped by Ctrl-C.
    Then the report has the results so far.
    """
    settings.set_threads(None, options.name)
    from mindref.conformance import requirements

    requirements.require_extra()
    check_files(options)
    from mindref.conformance.report import diff, rule_address
    from mindref.conformance.runner.plan import RunSettings
    from mindref.conformance.runner.processes import default_processes
    from mindref.conformance.runner.suite_run import SuiteRun

    rule_address.site_root()  # an invalid MINDREF_SITE is an error before the checks run
    older = diff.read_earlier_report(options.older) if options.older is not None else None
    suite_run = SuiteRun(
        options.name,
        options.words,
        RunSettings(options.profile, options.seed),
        options.expectations,
        options.scripts,
        options.device,
        options.processes or default_processes(options.device),
    )
    try:
        with conformance_progress(suite_run) as on_result:
            report = suite_run.report(on_result, fail_fast=options.fail_fast)
    except (KeyboardInterrupt, BackendError) as error:  # conformance-R24
        if suite_run.unattributed:
            report = suite_run.stopped_report(reason_of_stop(error))
            write_report(report, options, older)
        raise
    write_report(report, options, older)
    return 0 if report.conforms else 1


def reason_of_stop(error: KeyboardInterrupt | BackendError) -> str:
    """Return the name of the signal, or words about the error."""
    from mindref.conformance.runner.processes import ProcessEnded

    if isinstance(error, KeyboardInterrupt):
        return signals.signal_name(error)
    ended = isinstance(error, ProcessEnded)
    return "the end of a process that ran checks" if ended else "an error of the backend"


def write_report(
    report: ConformanceReport, options: ConformOptions, older: dict[str, Any] | None
) -> None:
    """Write the files atomically, and print the report, also if a file cannot be written.

    older: earlier report to compare with.
    """
    from rich.console import Console

    from mindref.conformance.report import diff, json_report, junit, markdown, summary, terminal
    from mindref.run.atomic import write_text

    content, changed = json_report.suite_report_json(report), []
    if older is not None:
        changes = diff.report_changes(older, content)
        content["changes"] = [change._asdict() for change in changes]
        changed = list(diff.change_lines(changes, older, content))
    texts: dict[str, Callable[[], str]] = {
        "output": lambda: json_report.json_text(content),
        "markdown": lambda: markdown.markdown_text(report),
        "junit": lambda: junit.junit_text(report),
        "badge": lambda: summary.badge_text(report) + "\n",
    }
    try:
        for name, path in options.files().items():
            if path is not None:
                write_text(path, texts[name]())
    finally:  # print the report even if it cannot be written, for example to a full disk
        if options.as_json:
            print_stdout(json_report.json_text(content), end="")
        else:
            console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
            terminal.print_suite_report(report, console)
            for line in changed:
                terminal.print_wrapped(console, line)


def check_files(options: ConformOptions) -> None:
    """Raise ConfigError for a file that cannot be written. Called before the checks run.

    The report of --diff may be replaced by the new report, because it is read before.
    """
    inputs = {"the file of --expectations": options.expectations}
    settings.check_writable("--scripts", options.scripts)
    for name, path in options.files().items():
        settings.check_output_file(f"--{name}", path, inputs)


@contextmanager
def conformance_progress(suite_run: SuiteRun) -> Iterator[OnResult]:
    """Yield a function that shows the progress after each result: a bar on a terminal, or lines."""
    if not is_terminal():
        yield conformance_lines(suite_run)
        return
    total, finished = len(suite_run.keys()), 0
    with progress_bar(transient=True) as bar:
        bar.start("testing", total)

        def on_result(result: CheckResult) -> None:
            nonlocal finished
            finished += 1
            bar.update(result.check, finished, f"{finished}/{total}")

        yield on_result


def conformance_lines(suite_run: SuiteRun) -> OnResult:
    """Return a function that prints a line such as "routing: 41 of 148 checks, 12 s".

    At most one line is printed in LINE_SECONDS. A check counts once for each precision.
    """
    planned = Counter(check.page for check, _ in suite_run.planned())
    finished: Counter[str] = Counter()
    began = last = time.monotonic()

    def on_result(result: CheckResult) -> None:
        nonlocal last
        finished[result.page] += 1
        now = time.monotonic()
        if now - last < LINE_SECONDS:
            return
        last = now
        page = result.page
        line = f"{page}: {finished[page]} of {planned[page]} checks"
        if len(planned) > 1:
            line += f"; all pages: {finished.total()} of {planned.total()}"
        print_stderr(f"{line}, {now - began:.0f} s")

    return on_result
