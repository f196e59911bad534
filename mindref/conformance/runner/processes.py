"""Run the checks of a suite run in several processes.

Spec: specs/conformance.md, conformance-R23. Each process loads the backend, and runs the checks of
one task after another. Processes are spawned, not forked: a backend may have threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
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

CHUNK, TRAINING_CHUNK = 12, 4
"""A task has the checks of one page and level, at most this many, so that progress is visible.
Checks of level "train" are the slowest."""

SLOWEST_FIRST = ("train", "model", "serve", "ops")
"""Levels in the order in which their checks start, so that no slow task starts last. Checks of
concurrency start before all others."""

START = "the start of a process"
"""The note of a process that has not begun a check."""

Items = Sequence[tuple[Any, ...]]


def default_processes(device: str) -> int:
    """Return the default number of processes; 1 with a GPU, whose memory they would share."""
    return min(usable_cores(), MAX_PROCESSES) if device == "cpu" else 1


class ProcessEnded(BackendError):
    """A process that runs checks ended, for example by a segmentation fault."""


class CheckPool:
    """Processes with one SuiteRun each. A task calls a method of the SuiteRun."""

    def __init__(self, executors: Sequence[ProcessPoolExecutor], notes: Path) -> None:
        """Store the arguments.

        executors: one for each process; notes: a folder with the name of each process's running
        check, in a file with the number of the process.
        """
        self.executors, self.notes = executors, notes

    def run_checks(
        self, planned: Iterable[tuple[Any, Any]], *, in_order: bool = False
    ) -> Iterator[CheckResult]:
        """Yield the results of the pairs (check, precision) as they arrive.

        in_order: the first pairs start first; otherwise, slow ones do.
        """
        tasks = page_tasks(planned, in_order=in_order)
        for _, results in self.finished_tasks("run_by_name", tasks, in_order=in_order):
            yield from results

    def map(self, method: str, items: Items) -> list[CheckResult]:
        """Return the result of `method` for each item, in order."""
        results = dict(self.finished_tasks(method, [[item] for item in items], in_order=True))
        return [result for index in range(len(items)) for result in results[index]]

    def finished_tasks(
        self, method: str, tasks: Sequence[Items], *, in_order: bool
    ) -> Iterator[tuple[int, list[CheckResult]]]:
        """Yield the index and the results of each task, in the order in which they end.

        Unless `in_order`, every second process takes tasks from the end: then processes run checks
        of different levels, and few kernels and calls are loaded or drawn in several processes.
        """
        waiting = deque(enumerate(tasks))
        running: dict[Future[list[CheckResult]], tuple[int, int]] = {}  # -> process, task

        def start(process: int) -> None:
            if waiting:
                from_end = process % 2 == 1 and not in_order
                index, items = waiting.pop() if from_end else waiting.popleft()
                running[self.submit(process, method, items)] = process, index

        for process in range(len(self.executors)):
            start(process)
        while running:
            task = next(as_completed(running))
            process, index = running.pop(task)
            results = self.task_results(process, task)
            start(process)
            yield index, results

    def submit(self, process: int, method: str, items: Items) -> Future[list[CheckResult]]:
        """Call `method` of SuiteRun once for each item; an item has the arguments."""
        try:
            return self.executors[process].submit(call_method, method, items)
        except BrokenProcessPool as error:
            raise self.process_ended(process) from error

    def task_results(self, process: int, task: Future[list[CheckResult]]) -> list[CheckResult]:
        """Return the results of `task`. Raises ProcessEnded if its process ended."""
        try:
            return task.result()
        except BrokenProcessPool as error:
            raise self.process_ended(process) from error

    def process_ended(self, process: int) -> ProcessEnded:
        """Return the error that names the check that ran when a process ended."""
        note = self.notes / str(process)
        running = note.read_text(encoding="utf-8") if note.exists() else START
        got = f"one that ended during {running or 'no check'}"
        todo = "run such a check alone, with its name as the argument"
        return ProcessEnded(say("conform", "processes that run all checks", got, todo))


@contextmanager
def open_pool(arguments: tuple[Any, ...], processes: int) -> Iterator[CheckPool]:
    """Start processes with a SuiteRun of these arguments. At the end, terminate all of them."""
    before = multiprocessing.active_children()
    threads = max(1, usable_cores() // processes)
    with TemporaryDirectory(prefix="mindref-conform-", ignore_cleanup_errors=True) as notes:
        executors = [
            ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=start_worker,
                initargs=(arguments, threads, os.path.join(notes, str(process))),
            )
            for process in range(processes)
        ]
        try:
            yield CheckPool(executors, Path(notes))
        finally:
            workers = [x for x in multiprocessing.active_children() if x not in before]
            for executor in executors:
                executor.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.terminate()
            for worker in workers:  # no note is written after the folder is removed
                worker.join(timeout=1)


def page_tasks(
    planned: Iterable[tuple[Any, Any]], *, in_order: bool = False
) -> list[list[tuple[str, str]]]:
    """Return tasks: the names of checks and precisions, for at most CHUNK checks of one page.

    Checks of a page and level share drawn calls and expected answers. A check is in one task with
    all of its precisions. Slow checks are first, unless `in_order`.
    """
    precisions: dict[Any, list[str]] = {}
    for check, precision in planned:
        precisions.setdefault(check, []).append(str(precision))
    order = list(precisions)
    if not in_order:
        order.sort(key=lambda check: (not check.concurrency, SLOWEST_FIRST.index(check.level)))
    tasks = []
    for _, group in groupby(order, key=lambda check: (check.level, check.page)):
        checks = list(group)
        size = min(CHUNK, TRAINING_CHUNK) if checks[0].level == "train" else CHUNK
        for start in range(0, len(checks), size):
            part = checks[start : start + size]
            tasks.append([(check.name, name) for check in part for name in precisions[check]])
    return tasks


class CheckProcess:
    """The state of a worker process: its SuiteRun, loaded by the first task."""

    arguments: tuple[Any, ...] = ()
    note = Path()
    suite_run: SuiteRun | None = None


def start_worker(arguments: tuple[Any, ...], threads: int, note: str) -> None:
    """Prepare a worker process. The main process receives Ctrl-C and ends the workers.

    note: the file with the name of the running check.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["MINDREF_THREADS"] = str(threads)
    CheckProcess.arguments = arguments
    CheckProcess.note = Path(note)
    write_note(START)


def write_note(text: str) -> None:
    """Write the name of the running check for the parent process; ignore a full disk."""
    with suppress(OSError):
        CheckProcess.note.write_text(text, encoding="utf-8")


def call_method(method: str, items: Items) -> list[CheckResult]:
    """Return the result of a method of SuiteRun for each item; load the backend if necessary."""
    from mindref.conformance.runner.suite_run import SuiteRun

    if CheckProcess.suite_run is None:
        CheckProcess.suite_run = SuiteRun(*CheckProcess.arguments)
    function = getattr(CheckProcess.suite_run, method)
    results = []
    for item in items:
        write_note(str(getattr(item[0], "check", item[0])))
        results.append(function(*item))
    write_note("")
    return results
