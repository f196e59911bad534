"""Run the checks of a suite run in several processes.

Spec: specs/conformance.md, conformance-R23. Each process loads the backend, and runs the checks of
one task after another. Processes are spawned, not forked: a backend may have threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Protocol, TypeAlias

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.check import ConformanceCheck
from mindref.conformance.runner.result import CheckResult
from mindref.errors import BackendError, say
from mindref.process.threads import usable_cores

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

Key: TypeAlias = tuple[str, str]
"""Name of a check, and name of a precision."""

Items: TypeAlias = Sequence[Key] | Sequence[CheckResult]
"""The checks to run, or the failed results to shrink."""


class CheckRunner(Protocol):
    """A suite run, as a process uses it."""

    def run_by_name(self, check: str, precision: str) -> CheckResult:
        """Return the result of a check in a precision."""

    def shrink(self, result: CheckResult) -> CheckResult:
        """Return a failed result with the smallest failing call that is found."""


def default_processes(device: str) -> int:
    """Return the default number of processes; 1 with a GPU, whose memory they would share."""
    return min(usable_cores(), MAX_PROCESSES) if device == "cpu" else 1


class ProcessEnded(BackendError):
    """A process that runs checks ended, for example by a segmentation fault."""


class CheckPool:
    """Processes with one CheckRunner each. A task runs checks, or shrinks failures."""

    def __init__(self, executors: Sequence[ProcessPoolExecutor], notes: Path) -> None:
        """Store the arguments.

        executors: one for each process; notes: a folder with the name of each process's running
        check, in a file with the number of the process.
        """
        self.executors, self.notes = executors, notes

    def run_checks(
        self, planned: Iterable[tuple[ConformanceCheck, Precision]], *, in_order: bool = False
    ) -> Iterator[CheckResult]:
        """Yield the results of the pairs (check, precision) as they arrive.

        in_order: the first pairs start first; otherwise, slow ones do.
        """
        tasks = page_tasks(planned, in_order=in_order)
        for _, results in self.finished_tasks(tasks, in_order=in_order):
            yield from results

    def shrink(self, failed: Iterable[CheckResult]) -> list[CheckResult]:
        """Return the failed results with smaller calls, in order."""
        tasks = [[result] for result in failed]
        results = dict(self.finished_tasks(tasks, in_order=True))
        return [result for index in range(len(tasks)) for result in results[index]]

    def finished_tasks(
        self, tasks: Sequence[Items], *, in_order: bool
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
                running[self.submit(process, items)] = process, index

        for process in range(len(self.executors)):
            start(process)
        while running:
            task = next(as_completed(running))
            process, index = running.pop(task)
            results = self.task_results(process, task)
            start(process)
            yield index, results

    def submit(self, process: int, items: Items) -> Future[list[CheckResult]]:
        """Start a task in a process."""
        try:
            return self.executors[process].submit(run_task, items)
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
def open_pool(load: Callable[[], CheckRunner], processes: int) -> Iterator[CheckPool]:
    """Start processes that call `load`. At the end, terminate all of them."""
    before = multiprocessing.active_children()
    threads = max(1, usable_cores() // processes)
    with TemporaryDirectory(prefix="mindref-conform-", ignore_cleanup_errors=True) as notes:
        executors = [
            ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=start_worker,
                initargs=(load, threads, os.path.join(notes, str(process))),
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
    planned: Iterable[tuple[ConformanceCheck, Precision]], *, in_order: bool = False
) -> list[list[Key]]:
    """Return tasks: the names of checks and precisions, for at most CHUNK checks of one page.

    Checks of a page and level share drawn calls and expected answers. A check is in one task with
    all of its precisions. Slow checks are first, unless `in_order`.
    """
    precisions: dict[ConformanceCheck, list[str]] = {}
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
    """The state of a worker process: its runner, loaded by the first task."""

    load: ClassVar[Callable[[], CheckRunner] | None] = None
    note: ClassVar[Path] = Path()
    runner: ClassVar[CheckRunner | None] = None


def start_worker(load: Callable[[], CheckRunner], threads: int, note: str) -> None:
    """Prepare a worker process. The main process receives Ctrl-C and ends the workers.

    note: the file with the name of the running check.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["MINDREF_THREADS"] = str(threads)
    CheckProcess.load = load
    CheckProcess.note = Path(note)
    write_note(START)


def write_note(text: str) -> None:
    """Write the name of the running check for the parent process; ignore a full disk."""
    with suppress(OSError):
        CheckProcess.note.write_text(text, encoding="utf-8")


def run_task(items: Items) -> list[CheckResult]:
    """Return the result of each item; load the backend if necessary."""
    if CheckProcess.runner is None:
        assert CheckProcess.load is not None, "the process has started"
        CheckProcess.runner = CheckProcess.load()
    results = []
    for item in items:
        if isinstance(item, CheckResult):
            write_note(item.check)
            results.append(CheckProcess.runner.shrink(item))
        else:
            check, precision = item
            write_note(check)
            results.append(CheckProcess.runner.run_by_name(check, precision))
    write_note("")
    return results
