"""Run functions in forks of this process, as many at once as there are cores."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

LONGEST = 300
"""Seconds after which a fork prints the stack of each thread and ends."""


class Job(NamedTuple):
    """A function that runs in a fork."""

    name: str
    run: Callable[[], str]


class Ended(NamedTuple):
    """A job whose fork ended."""

    job: Job
    result: str | None  # what the function returned; None if it raised, crashed or took too long
    output: str  # what the fork printed, with the reason if there is no result
    seconds: float  # CPU seconds


def run_in_forks(jobs: Sequence[Job], longest: float = LONGEST) -> Iterator[Ended]:
    """Run each job in a fork with an empty folder for temporary files; yield the ends."""
    waiting, running = list(reversed(jobs)), dict[int, tuple[Job, Path]]()
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                job, folder = waiting.pop(), Path(tempfile.mkdtemp())
                running[start_fork(job, folder, longest)] = job, folder
            pid, status, usage = os.wait3(0)
            yield ended_job(*running[pid], status, usage.ru_utime + usage.ru_stime)
            end_fork(pid, running.pop(pid)[1])
    finally:
        for pid, (_, folder) in running.items():
            end_fork(pid, folder)


def start_fork(job: Job, folder: Path, longest: float) -> int:
    """Run a job in a fork, with its output and result in files of `folder`. Return the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    return pid or run_and_exit(job, folder, longest)


def run_and_exit(job: Job, folder: Path, longest: float) -> NoReturn:
    """Run a job in this process, which is a fork of its own group, and end the process."""
    code = 1
    try:
        os.setpgid(0, 0)  # with the processes that tests start
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(output, stream)
        faulthandler.dump_traceback_later(longest, exit=True, file=output)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        result = job.run()
        (folder / "result").write_text(result, encoding="utf-8")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended_job(job: Job, folder: Path, status: int, seconds: float) -> Ended:
    """Return the result of a job, or why there is none."""
    output = (folder / "output").read_text(encoding="utf-8", errors="replace")
    if (folder / "result").exists():
        return Ended(job, (folder / "result").read_text(encoding="utf-8"), output, seconds)
    code = os.waitstatus_to_exitcode(status)
    reason = "took too long" if "Timeout (" in output else f"ended with exit code {code}"
    return Ended(job, None, f"{reason}\n{output}", seconds)


def end_fork(pid: int, folder: Path) -> None:
    """End the processes of a fork, and remove its files."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
