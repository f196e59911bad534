"""The progress of `mindref conform` on standard error: a bar on a terminal, otherwise lines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mindref.cli.streams import print_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from mindref.conformance.runner.result import CheckResult
    from mindref.conformance.runner.suite_run import SuiteRun

SECONDS = 5.0
"""The shortest time between two lines."""

OnResult = Callable[["CheckResult"], None]


@contextmanager
def conformance_progress(suite_run: SuiteRun) -> Iterator[OnResult]:
    """Yield a function that prints the progress on standard error after each result."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with conformance_bar(suite_run, console) as on_result:
            yield on_result
    else:
        yield conformance_lines(suite_run)


@contextmanager
def conformance_bar(suite_run: SuiteRun, console: Console) -> Iterator[OnResult]:
    """Show a progress bar with the name of the last check."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("testing", total=len(suite_run.keys()))

        def on_result(result: CheckResult) -> None:
            bar.update(task, advance=1, description=result.check)

        yield on_result


def conformance_lines(suite_run: SuiteRun) -> OnResult:
    """Return a function that prints a line such as "routing: 41 of 148 checks, 12 s".

    At most one line is printed in SECONDS. A check counts once for each precision.
    """
    planned = Counter(check.page for check, _ in suite_run.planned())
    finished: Counter[str] = Counter()
    began = last = time.monotonic()

    def on_result(result: CheckResult) -> None:
        nonlocal last
        finished[result.page] += 1
        now = time.monotonic()
        if now - last < SECONDS:
            return
        last = now
        page = result.page
        line = f"{page}: {finished[page]} of {planned[page]} checks"
        if len(planned) > 1:
            line += f"; all pages: {finished.total()} of {planned.total()}"
        print_stderr(f"{line}, {now - began:.0f} s")

    return on_result
