"""Start a learner's code in a process of its own, bound what it may take, and hear it out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from mindref.study.exercises import child
from mindref.study.exercises.answers import Answer, Job

SECONDS = 7.0
"""By the clock, for code that sleeps; CPU_SECONDS of `child` ends a loop before that."""

PATIENCE = 60.0
"""By the clock, for code that computes on a machine that has little time for it."""

COMPUTES = 0.05
"""Seconds on the processor, of one by the clock, from which on code does more than wait."""

PRINTED = 1 << 20
"""Bytes that may be printed in all."""

SHOWN = 2000
"""Characters of them that the learner is shown."""

CHILD = "mindref.study.exercises.child"
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Heard(NamedTuple):
    """What came of a child: answers, or how it went wrong instead."""

    answers: list[list[Answer]] | None
    trouble: str  # a sentence for the learner; empty with answers
    printed: str  # the beginning of it


class Ear(threading.Thread):
    """Reads what a child prints, so that it never waits for us, and keeps the beginning."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.stream, self.kept, self.count = stream, b"", 0

    def run(self) -> None:
        """Read to the end."""
        with suppress(OSError, ValueError):  # closed under us: the child has been ended
            while data := os.read(self.stream.fileno(), 1 << 16):
                self.count += len(data)
                self.kept = (self.kept + data)[: 4 * SHOWN]


def hear(jobs: list[Job]) -> Heard:
    """Run jobs in a child and return what came of it, within SECONDS or a little more."""
    with tempfile.TemporaryDirectory(prefix="mindref-exercise-") as name:
        folder = Path(name)
        child.write_jobs(folder, jobs)
        code, printed, ear = watched(folder)
        answers = child.read_answers(folder, jobs) if code == 0 else None
    if ear.count > PRINTED:
        return Heard(None, f"your code printed more than {PRINTED >> 20} MB: take the print out",
                     printed)  # fmt: skip
    return Heard(answers, "" if answers is not None else trouble_of(code), printed)


def watched(folder: Path) -> tuple[int | None, str, Ear]:
    """Run a child to its end or to ours; return its exit code, None where its time was up."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", CHILD, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # so that whatever it starts can be ended with it
    )
    if process.stdout is None:
        raise OSError("no pipe to the child")
    ear = Ear(process.stdout)
    ear.start()
    try:
        code = waited(process, ear)
    finally:
        end(process)
        ear.join(timeout=0.5)  # a grandchild that got away may hold the pipe: it is not waited for
        process.stdout.close()
    return code, ear.kept.decode("utf-8", "replace")[:SHOWN], ear


def waited(process: subprocess.Popen[bytes], ear: Ear) -> int | None:
    """Return the exit code of a child, None if it has taken too long or printed too much."""
    until, used = time.monotonic() + SECONDS, -1.0  # the first look has nothing to compare with
    at_last = time.monotonic() + PATIENCE
    while ear.count <= PRINTED:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.05)
        now = time.monotonic()
        if now >= until:
            spent = on_processor(process.pid)
            if now >= at_last or spent - used < COMPUTES:
                return None
            until, used = now + 1, spent
    return None


def on_processor(pid: int) -> float:
    """Return the seconds that a process has computed, 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


def end(process: subprocess.Popen[bytes]) -> None:
    """End a child and all that it has started."""
    with suppress(OSError):  # it has gone by itself
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def trouble_of(code: int | None) -> str:
    """Say in a sentence why there is no answer."""
    if code is None or -code in (getattr(signal, "SIGKILL", 0), getattr(signal, "SIGXCPU", 0)):
        return "your code was stopped, it took far too long: is there a loop without an end?"
    if code < 0:
        return f"your code crashed Python itself (signal {-code})"
    return f"your code ended the program (exit code {code}) before it had answered"
