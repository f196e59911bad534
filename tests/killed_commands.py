"""A process that has everything imported and forks commands, so that a kill interrupts their work.

As a program it reads one line of JSON (folder, words) for each command. It forks a child that runs
the command in the folder, prints the process id of the child, and then prints its exit code.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

from tests import fake_exporter
from tests.runs import environment, options


class CommandServer:
    """The process that forks commands; `run` waits for a command or kills it after some seconds."""

    def __init__(self, folder: Path) -> None:
        plugin = fake_exporter.offer(folder / "plugin")
        here = os.pathsep.join([str(plugin), environment()["PYTHONPATH"]])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.killed_commands"],
            cwd=Path(__file__).parent.parent,
            env={**environment(), "PYTHONPATH": here, "MINDREF_THREADS": "1"},
            stdin=PIPE,
            stdout=PIPE,
            text=True,
        )

    def run(self, folder: Path, *words: object, after: float | None = None) -> tuple[int, str]:
        """Return the exit code, -9 for one that was killed, and the output."""
        out = folder / "output.txt"
        self.send([str(folder), [str(word) for word in words]])
        child = self.receive()
        if after is not None:
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
            self.send("killed")
        else:
            self.send("wait")
        code = self.receive()
        output = out.read_text(encoding="utf-8") if out.exists() else ""
        out.unlink(missing_ok=True)
        return code, output

    def send(self, value: Any) -> None:
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def receive(self) -> int:
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def warm(main: Callable[[list[str]], Any]) -> None:
    """Compile, or load what was compiled, once for all children; no thread is left by that."""
    with tempfile.TemporaryDirectory() as name:
        run, output = f"{name}/run", io.StringIO()
        small = options(steps=1, evaluate_every=1, backend="numpy")
        with redirect_stdout(output), redirect_stderr(output), suppress(SystemExit):
            main(["train", "--out", run, "--quiet", *small])
        with redirect_stdout(output), redirect_stderr(output), suppress(SystemExit):
            main(["recall", run, "--all-users", "--index", "annoy", "--output", f"{name}/lists"])
    assert threading.active_count() == 1


def serve() -> None:
    """Fork and wait until standard input ends; a child that is waited for keeps its number."""
    from mindref.cli import (
        main,
        progress,  # noqa: F401  # all of it
    )
    from mindref.kernels import backend  # noqa: F401
    from mindref.recall import annoy, faiss  # noqa: F401
    from mindref.recommender import (
        export_check,  # noqa: F401
    )

    warm(main)
    for line in iter(sys.stdin.readline, ""):
        folder, words = json.loads(line)
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            output = os.open("output.txt", os.O_WRONLY | os.O_CREAT)
            for descriptor, other in (
                (0, os.open(os.devnull, os.O_RDONLY)),
                (1, output),
                (2, output),
            ):
                os.dup2(other, descriptor)
            sys.argv = ["mindref", *words]
            main(words)
        print(child, flush=True)
        sys.stdin.readline()  # it is waited for after the kill, so that its number is its own
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
