"""A process that has the libraries of the tests and nothing of ours; forks of it run tests.

A planted mistake wants a fresh interpreter, and a third of a run would be imports. A line of JSON
on standard input asks for a run: folder, options and out, the file for what is printed; `longest`,
if it is there, is how many seconds it may take. A line with the exit code answers: 124 for a run
that took too long, which then has said where it stood. Run by tests/test_mutants.py as
`python -P -B tests/forkserver.py`.
"""

import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from typing import Any

import hypothesis
import numba
import numpy
import pytest
import scipy.sparse

PRELOADED = (hypothesis, numba, numpy, pytest, scipy.sparse)
LONGEST = 300  # seconds of a run
TOO_LONG = 124  # as `timeout` has it
WHERE = signal.SIGUSR1  # asks a run where it stands


def main() -> None:
    """Answer line after line, until there are no more."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            run(asked)
        print(ended(child, asked.get("longest", LONGEST)), flush=True)


def run(asked: dict[str, Any]) -> None:
    """Run tests in a folder as `python -m pytest` there would, and end."""
    code = 70  # as good as any that no pytest has
    try:
        out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(out, stream)
        faulthandler.register(WHERE, file=out)
        os.chdir(asked["folder"])
        sys.path.insert(0, asked["folder"])
        code = int(pytest.main(asked["options"]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(child: int, longest: float) -> int:
    """Wait for a run; return its exit code. One that takes too long says where it stands."""
    code = awaited(child, longest)
    if code is None:
        os.kill(child, WHERE)
        code = awaited(child, 1)  # while it writes
    if code is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        code = TOO_LONG
    return code


def awaited(child: int, seconds: float) -> int | None:
    """Return the exit code of a run that ends in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


if __name__ == "__main__":
    main()
