"""Run a learner's code in a worker process with limits on time, memory and output."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from mindref.process.child import child_command
from mindref.study.exercises import worker
from mindref.study.exercises.worker import CaseAnswer, Job

SECONDS = 7.0
"""Wall time for code that sleeps; CPU_SECONDS of `worker` ends an endless loop earlier."""

PATIENCE = 60.0
"""Wall time for code that computes on a busy machine."""

COMPUTES = 0.05
"""CPU seconds per wall second from which on code counts as computing."""

PRINTED = 1 << 20
"""Largest number of bytes that the code may print."""

SHOWN = 2000
"""Characters of the output that the report shows."""

WORKER = "mindref.study.exercises.worker"
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def run_sandboxed(jobs: list[Job]) -> tuple[list[list[CaseAnswer]] | None, str, str]:
    """Run jobs in a worker, for SECONDS or a little more.

    Return the answers, None after a failure; the failure as a sentence for the learner, empty with
    answers; the beginning of the output.
    """
    with tempfile.TemporaryDirectory(prefix="mindref-exercise-") as name:
        folder = Path(name)
        worker.store_rows(folder, "jobs", jobs)
        code, printed, count = run_worker(folder)
        answers = worker.read_answers(folder, jobs) if code == 0 else None
    if count > PRINTED:
        text = f"your code printed more than {PRINTED >> 20} MB: remove the print"
        return None, text, printed
    failure = "" if answers is not None else describe_worker_failure(code)
    return answers, failure, printed


def run_worker(folder: Path) -> tuple[int | None, str, int]:
    """Run a worker until it ends or must be killed.

    Return its exit code, None if it is killed; the beginning of its output; the size of the output.
    """
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            child_command(WORKER, str(folder)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # its child processes are killed with it
        )
        try:
            code = wait_for_worker(process, output)
        finally:
            kill_worker(process)
        count = os.fstat(output.fileno()).st_size
        output.seek(0)
        return code, output.read(4 * SHOWN).decode("utf-8", "replace")[:SHOWN], count


def wait_for_worker(process: subprocess.Popen[bytes], output: IO[bytes]) -> int | None:
    """Return the exit code of a worker, None if it takes too long or prints too much."""
    deadline, used = time.monotonic() + SECONDS, -1.0  # the first look has no earlier CPU time
    last_deadline = time.monotonic() + PATIENCE
    while os.fstat(output.fileno()).st_size <= PRINTED:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.05)
        now = time.monotonic()
        if now >= deadline:
            cpu_seconds = read_cpu_seconds(process.pid)
            if now >= last_deadline or cpu_seconds - used < COMPUTES:
                return None
            deadline, used = now + 1, cpu_seconds
    return None


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process in seconds, 0 if the system does not report it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


def kill_worker(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and all processes that it started."""
    with suppress(OSError):  # it has ended already
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def describe_worker_failure(code: int | None) -> str:
    """Return the reason of a missing answer as a sentence."""
    if code is None or -code in (getattr(signal, "SIGKILL", 0), getattr(signal, "SIGXCPU", 0)):
        return "your code was stopped because it took too long (an endless loop?)"
    if code < 0:
        return f"your code crashed Python itself (signal {-code})"
    return f"your code ended the program (exit code {code}) before it returned an answer"
