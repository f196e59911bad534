"""Processes that hold subjects: started once, asked in turns, ended in any case."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, cast

from mindref.process.child import command


class Failed(Exception):
    """A subject that could not do what it was told; the text is the reason."""


class Worker:
    """One process, in a session of its own: Ctrl-C is for us alone, who end it then."""

    def __init__(self, job: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        self.process = subprocess.Popen(
            command("mindref.bench.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, **environment},
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self.commands = cast(IO[str], self.process.stdin)
        self.answers = cast(IO[str], self.process.stdout)
        self.alive = True
        self.send(job)

    def send(self, line: Mapping[str, Any]) -> None:
        """Send a line; that nobody reads it shows when the answer is awaited."""
        with suppress(BrokenPipeError):
            self.commands.write(json.dumps(line) + "\n")
            self.commands.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for an answer. Raises Failed."""
        line = self.answers.readline()
        if not line.endswith("\n"):
            self.alive = False
            code = self.process.wait()
            raise Failed(f"its process ended with {code}: {self.last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def last_words(self) -> str:
        """Return the last line that the process wrote to standard error."""
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing said")

    def end(self) -> None:
        """Wait for the killed process and close what led to it."""
        self.process.wait()
        for stream in (self.commands, self.answers, self.errors):
            with suppress(BrokenPipeError):
                stream.close()


class Crew:
    """Workers by name, all of them killed when the block is left; nothing of them wants saving."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.reasons: dict[str, str] = {}  # name -> why it cannot be used

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers.values():
            worker.process.kill()
        for worker in self.workers.values():
            worker.end()

    def start(self, name: str, job: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """Start a worker; `greet` waits for its first word."""
        self.workers[name] = Worker(job, environment)

    def greet(self, name: str) -> dict[str, Any] | None:
        """Return what a worker says of itself, or None if it cannot be used: see `reasons`."""
        try:
            return self.workers[name].hear()
        except Failed as failed:
            self.workers[name].alive = False
            self.reasons[name] = str(failed)
            return None

    def ask(self, name: str, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises Failed."""
        self.workers[name].send(command)
        return self.workers[name].hear()

    def usable(self) -> list[str]:
        """Return the names of those that can be asked, in the order of their start."""
        return [name for name, worker in self.workers.items() if worker.alive]
