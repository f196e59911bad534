"""Child processes for probes that may crash, hang or print.

A child process and its children are killed after a time limit. The output of third-party code is
discarded; the answer of a probe is one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from typing import Any, NamedTuple

from mindref.process.child import child_command


class ProbeResult(NamedTuple):
    """The result of a probe, or the reason why it failed."""

    reason: str = ""  # "" if it succeeded
    summary: str = ""
    facts: dict[str, Any] = {}  # noqa: RUF012  # never modified
    todo: str = ""


class ProbeRunner:
    """Runs probes in child processes, and kills the running ones when it is closed."""

    def __init__(self, limit: float) -> None:
        self.limit = limit  # seconds
        self.running: set[subprocess.Popen[str]] = set()
        self.closed = False

    def run(self, probe: str, *arguments: str) -> ProbeResult:
        """Return the result of a probe. A crash, an exit or a timeout is a reason."""
        if self.closed:
            return ProbeResult("the runner is closed")
        try:
            child = subprocess.Popen(
                child_command("mindref.doctor.probes", probe, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # so that its children can be killed with it
            )
        except OSError as error:
            return ProbeResult(f"no process could be started ({error})")
        self.running.add(child)
        try:
            out, err = child.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            return ProbeResult(f"no answer within {self.limit:g} seconds")
        finally:
            kill_session(child)
            self.running.discard(child)
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=5)
            for stream in (child.stdout, child.stderr):
                with suppress(OSError, AttributeError):
                    stream.close()  # type: ignore[union-attr]  # a stray process may hold it open
        return parse_answer(out, err, child.returncode)

    def close(self) -> None:
        """Kill all running children."""
        self.closed = True
        for child in list(self.running):
            kill_session(child)


def parse_answer(out: str, err: str, code: int) -> ProbeResult:
    """Return the result that an ended child printed, or how it ended."""
    for line in reversed(out.splitlines()):
        with suppress(ValueError, TypeError):
            return ProbeResult(**json.loads(line))
    last_line = (err.strip().splitlines() or ["no message"])[-1]
    return ProbeResult(f"{describe_exit(code)}: {last_line}")


def describe_exit(code: int) -> str:
    """Return how a process ended, as text."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def kill_session(child: subprocess.Popen[str]) -> None:
    """Kill a child and the processes of its session."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
