"""Run the checks of a suite run in several processes.

Spec: specs/conformance.md, conformance-R23. Each process loads the backend, and runs the checks of
one page and level after another. Processes are spawned, not forked: a backend may have threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mindref.errors import BackendError, say
from mindref.process.threads import usable_cores

if TYPE_CHECKING:
    from mindref.conformance.runner.result import CheckResult
    from mindref.conformance.runner.suite_run import SuiteRun

MAX_PROCESSES = 4
"""The default number of processes is the number of cores, at most this one."""

MIN_RESULTS = 100
"""A run has at most one process for each MIN_RESULTS planned results: a start takes seconds."""

SLOWEST_FIRST = ("train", "model", "serve", "ops")
"""Levels in the order in which their checks start, so that no slow task starts last."""

Items = Sequence[tuple[Any, ...]]


def default_processes(device: str) -> int:
    """Return the default number of processes; 1 with a GPU, whose memory they would share."""
    return min(usable_cores(), MAX_PROCESSES) if device == "cpu" else 1


class CheckPool:
    """Processes with one SuiteRun each. A task calls a method of the SuiteRun."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self.executor = executor

    def submit(self, method: str, items: Items) -> Future[list[CheckResult]]:
        """Call `method` of SuiteRun once for each item; an item has the arguments."""
        return self.executor.submit(call_method, method, items)

    def run_checks(self, planned: Iterable[tuple[Any, Any]]) -> Iterator[CheckResult]:
        """Yield the results of the pairs (check, precision) as they arrive."""
        tasks = [self.submit("run_by_name", items) for items in page_tasks(planned)]
        for task in as_completed(tasks):
            yield from task_results(task)

    def map(self, method: str, items: Items) -> list[CheckResult]:
        """Return the result of `method` for each item, in order."""
        tasks = [self.submit(method, [item]) for item in items]
        return [result for task in tasks for result in task_results(task)]


def task_results(task: Future[list[CheckResult]]) -> list[CheckResult]:
    """Return the results of `task`. Raises BackendError if the process of the task ended."""
    try:
        return task.result()
    except BrokenProcessPool as error:
        todo = "run with --processes 1 to see the check that ends the process"
        message = say("conform", "processes that run all checks", "one that ended", todo)
        raise BackendError(message) from error


@contextmanager
def open_pool(arguments: tuple[Any, ...], processes: int) -> Iterator[CheckPool]:
    """Start processes with a SuiteRun of these arguments. At the end, terminate all of them."""
    executor = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start_worker,
        initargs=(arguments, max(1, usable_cores() // processes)),
    )
    before = multiprocessing.active_children()
    try:
        yield CheckPool(executor)
    finally:
        workers = [x for x in multiprocessing.active_children() if x not in before]
        executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()


def page_tasks(planned: Iterable[tuple[Any, Any]]) -> list[list[tuple[str, str]]]:
    """Return tasks: the names of checks and precisions, for the checks of one page and level.

    These checks share drawn calls and expected answers. Slow levels are first, then large pages.
    """
    tasks: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for check, precision in planned:
        tasks.setdefault((check.level, check.page), []).append((check.name, str(precision)))
    order = sorted(tasks, key=lambda key: (SLOWEST_FIRST.index(key[0]), -len(tasks[key])))
    return [tasks[key] for key in order]


class CheckProcess:
    """The state of a worker process: its SuiteRun, loaded by the first task."""

    arguments: tuple[Any, ...] = ()
    suite_run: SuiteRun | None = None


def start_worker(arguments: tuple[Any, ...], threads: int) -> None:
    """Prepare a worker process. The main process receives Ctrl-C and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["MINDREF_THREADS"] = str(threads)
    CheckProcess.arguments = arguments


def call_method(method: str, items: Items) -> list[CheckResult]:
    """Return the result of a method of SuiteRun for each item; load the backend if necessary."""
    from mindref.conformance.runner.suite_run import SuiteRun

    if CheckProcess.suite_run is None:
        CheckProcess.suite_run = SuiteRun(*CheckProcess.arguments)
    function = getattr(CheckProcess.suite_run, method)
    return [function(*item) for item in items]
