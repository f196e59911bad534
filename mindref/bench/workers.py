"""Worker processes that hold contenders: started once, used in turn, always ended."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any, cast

from mindref.process.child import child_command


class WorkerFailed(Exception):
    """A contender failed; the text is the reason."""


class Worker:
    """A worker process in a new session, so that Ctrl-C reaches only this process."""

    def __init__(self, job: Mapping[str, object], environment: Mapping[str, str]) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self.process = subprocess.Popen(
            child_command("mindref.bench.worker"),
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

    def send(self, line: Mapping[str, object]) -> None:
        """Send a line. A closed pipe is detected when the answer is read."""
        with suppress(BrokenPipeError):
            self.commands.write(json.dumps(line) + "\n")
            self.commands.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for an answer. Raises WorkerFailed."""
        line = self.answers.readline()
        if not line.endswith("\n"):
            self.alive = False
            code = self.process.wait()
            self.errors.seek(0)
            texts = map(str.strip, self.errors.read().decode("utf-8", "replace").split("\n"))
            last = next(filter(None, reversed(list(texts))), "no message")
            raise WorkerFailed(f"its process ended with {code}: {last}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def close(self) -> None:
        """Wait for the killed process and close its streams."""
        self.process.wait()
        for stream in (self.commands, self.answers, self.errors):
            with suppress(BrokenPipeError):
                stream.close()


class WorkerPool:
    """Workers by name. All are killed at the end of the block."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.reasons: dict[str, str] = {}  # name -> why the worker is not usable

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.process.kill()
        for worker in self.workers.values():
            worker.close()

    def start(self, name: str, job: Mapping[str, object], environment: Mapping[str, str]) -> None:
        """Start a worker. `wait_until_ready` receives its first answer."""
        self.workers[name] = Worker(job, environment)

    def wait_until_ready(self, name: str) -> dict[str, Any] | None:
        """Return the facts of a worker; None if it is not usable, with the reason in `reasons`."""
        try:
            return self.workers[name].receive()
        except WorkerFailed as error:
            self.workers[name].alive = False
            self.reasons[name] = str(error)
            return None

    def request(self, name: str, **command: object) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises WorkerFailed."""
        self.workers[name].send(command)
        return self.workers[name].receive()

    def usable(self) -> list[str]:
        """Return the names of the running workers, in the order of their start."""
        return [name for name, worker in self.workers.items() if worker.alive]
