"""A process of its own for whatever may crash, hang or print: the one that asks lives on.

The child and all that it starts have a limit of time, after which they are ended. What a stranger's
code prints goes nowhere; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from typing import Any, NamedTuple

from mindref.process.child import command


class Told(NamedTuple):
    """What a child has said: facts, or why there are none."""

    facts: dict[str, Any]
    reason: str = ""


class Nurse:
    """Starts children, and ends all that are left when nobody waits any more."""

    def __init__(self, limit: float) -> None:
        self.limit = limit  # seconds
        self.living: set[subprocess.Popen[str]] = set()
        self.closed = False

    def ask(self, trial: str, *words: str) -> Told:
        """Return what comes of a trial; a crash, an exit and silence are reasons."""
        if self.closed:
            return Told({}, "it was not asked any more")
        try:
            child = subprocess.Popen(
                command("mindref.doctor.trials", trial, *words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # so that what it starts is ended with it
            )
        except OSError as error:
            return Told({}, f"no process could be started ({error})")
        self.living.add(child)
        try:
            out, err = child.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            return Told({}, f"no answer within {self.limit:g} seconds")
        finally:
            bury(child)
            self.living.discard(child)
        return told(out, err, child.returncode)

    def close(self) -> None:
        """End all children that are left."""
        self.closed = True
        for child in list(self.living):
            end(child)


def told(out: str, err: str, code: int) -> Told:
    """Return what a child that has ended said."""
    for line in reversed(out.splitlines()):
        with suppress(ValueError, TypeError, KeyError):
            words = json.loads(line)
            return Told(dict(words["facts"]), str(words["reason"]))
    last = (err.strip().splitlines() or ["it said nothing"])[-1]
    return Told({}, f"{ending(code)}: {last}")


def ending(code: int) -> str:
    """Return how a process has ended, in words."""
    if code >= 0:
        return f"it left with exit code {code}"
    with suppress(ValueError):
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it was ended by signal {-code}"


def end(child: subprocess.Popen[str]) -> None:
    """End a child and what it has started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


def bury(child: subprocess.Popen[str]) -> None:
    """End what is left of a child; a process that has left its session may hold the pipes open."""
    end(child)
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=5)
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
