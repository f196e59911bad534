"""Runs commands in forks of one process, in which a call of the system fails.

The process is started with the library `failing_calls` before all others, if there is a compiler.
It reads requests from standard input, a JSON value a line, and writes an answer for each.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

MEMORY, SECONDS = 1 << 34, 300  # of a command; beyond them it ends
MODES = {"error": 0, "full": 1, "kill": 2}


def main() -> None:
    """Answer requests: {"folder", "words", "at", "mode"} -> {"code", "out", "err", "calls"}."""
    import pytest

    from mindref.recommender import export
    from tests.cli.test_export import register_exporter
    from tests.numpy_exporter import Writer

    register_exporter(pytest.MonkeyPatch(), Writer(), *export.KINDS)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for line in sys.stdin:
        answers.write(json.dumps(answer(**json.loads(line))) + "\n")
        answers.flush()


def answer(folder: str, words: list[str], at: int, mode: str) -> dict[str, object]:
    """Return exit code, output and counted calls of a command."""
    with tempfile.TemporaryDirectory() as scratch:
        names = {name: Path(scratch, name) for name in ("out", "err", "calls")}
        child = os.fork()
        if child == 0:
            run_command(folder, words, at, MODES[mode], names)
        _, status = os.waitpid(child, 0)
        texts = {name: path.read_text("utf-8", "replace") for name, path in names.items()}
    return {"code": os.waitstatus_to_exitcode(status), **texts}


def run_command(folder: str, words: list[str], at: int, mode: int, names: dict[str, Path]) -> None:
    """Run a command in this fork, and end it."""
    from mindref.cli import main as command

    code, calls = 99, ctypes.CDLL(None)
    try:
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err"), (100, "calls")):
            os.dup2(os.open(names[name], os.O_WRONLY | os.O_CREAT), number)
        if hasattr(calls, "fail_configure"):
            calls.fail_configure(os.fsencode(os.path.realpath(folder)), at, mode, 100)
        command(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 98
    finally:
        if hasattr(calls, "fail_configure"):
            calls.fail_configure(b"", 0, 0, -1)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
