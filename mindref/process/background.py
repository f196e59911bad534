"""A second process that compiles functions which a training calls later.

Numba compiles a function when it is called, one function at a time. Within `compile_in_background`,
the function `request` gives a function to a second process, which writes the machine code to the
cache. The first call in this process waits for the second process, and loads the code. Without a
cache or a second core, and if the second process fails, the first call compiles.

Importing this module does not import Numba.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Timer
from typing import Any

import numpy as np

from mindref.process.child import child_command
from mindref.process.threads import cores_per_process

LIMIT = 120.0  # seconds for one function

current: list[BackgroundCompiler] = []
"""Compilers of the `compile_in_background` blocks, the innermost first; empty outside."""


@contextmanager
def compile_in_background(then: Callable[[], None]) -> Iterator[None]:
    """Let a second process compile the requested functions; end it after the block.

    then: called after the first request, for requests of functions that are called later.
    """
    if cores_per_process() < 2:
        yield
        return
    compiler = BackgroundCompiler(then)
    current.insert(0, compiler)
    try:
        yield
    finally:
        current.remove(compiler)
        compiler.close()


def request(function: Any, arguments: Callable[[], tuple[Any, ...]]) -> None:
    """Compile a function in the background for the types of `arguments()`, at the first request."""
    if current:
        current[0].request(function, arguments)


def load_when_compiled(name: str, load: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap Numba's load function: wait until the function `name` is compiled in the background."""

    def attempt(signature: Any, target: Any) -> Any:
        for compiler in current:
            compiler.wait(name)
        return load(signature, target)

    return attempt


class BackgroundCompiler:
    """The second process, started for the first function that is not in the cache."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.process: Any = None
        self.then = then
        self.requested: set[str] = set()
        self.pending: list[str] = []  # names of functions, in the order of their compilation

    def request(self, function: Any, arguments: Callable[[], tuple[Any, ...]]) -> None:
        """Send a function to the process, unless its machine code is in the cache."""
        cache = getattr(function, "_cache", None)
        file = getattr(cache, "_cache_file", None)  # None: no folder, or no compilation
        name = f"{function.__module__}.{function.__name__}"
        if cache is None or file is None or name in self.requested:
            return
        is_first = not self.requested
        self.requested.add(name)
        values = arguments()
        types = tuple(map(function.typeof_pyval, values))
        if cache._index_key(types, function.targetctx.codegen()) not in file._load_index():
            with suppress(OSError, ValueError):  # no process could be started, or it has ended
                self.send([function.__module__, function.__name__, describe(values)])
                self.pending.append(name)
        if is_first:
            self.then()

    def send(self, request: list[object]) -> None:
        """Send module, name and described arguments of a function to the process."""
        self.process = self.process or subprocess.Popen(
            child_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches only the parent
        )
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, name: str) -> None:
        """Wait until the process has compiled a function that is pending, or has ended.

        A process that takes longer than LIMIT seconds is killed.
        """
        while name in self.pending:
            timer = Timer(LIMIT, self.process.kill)
            timer.start()
            try:
                line = self.process.stdout.readline()
            except ValueError:  # another thread has closed the stream
                line = b""
            finally:
                timer.cancel()
            if line:
                self.pending.pop(0)
            else:
                self.pending.clear()

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            with suppress(OSError):
                self.process.communicate()


def describe(x: Any) -> Any:
    """Return a JSON value from which `example` makes a value of the same Numba type.

    x: an array, a scalar, or a tuple or named tuple of them. Arrays are contiguous.
    """
    if isinstance(x, np.ndarray):
        return {"dtype": x.dtype.str, "ndim": x.ndim, "writeable": x.flags.writeable}
    if isinstance(x, np.generic):
        return {"dtype": x.dtype.str}
    if isinstance(x, tuple):
        return {"class": [type(x).__module__, type(x).__name__], "values": list(map(describe, x))}
    return x


def example(description: Any) -> Any:
    """Return a value of the Numba type that `describe` has described."""
    if not isinstance(description, dict):
        return description
    if "class" in description:
        module, name = description["class"]
        values = map(example, description["values"])
        kind = getattr(import_module(module), name)
        return tuple(values) if kind is tuple else kind(*values)
    if "ndim" not in description:
        return np.dtype(description["dtype"]).type(0)
    array = np.zeros((1,) * description["ndim"], description["dtype"])
    array.flags.writeable = description["writeable"]
    return array


def main() -> None:
    """Compile the functions that the parent sends, until it closes the stream; write a line each.

    An error ends the process. The parent then compiles the function, and shows the error.
    """
    for line in sys.stdin.buffer:
        module, name, arguments = json.loads(line)
        function = getattr(import_module(module), name)
        function.compile(tuple(map(function.typeof_pyval, example(arguments))))
        sys.stdout.buffer.write(b"compiled\n")
        sys.stdout.buffer.flush()
