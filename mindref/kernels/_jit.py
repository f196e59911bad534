"""The one decorator of all compiled functions.

Options and reasons:
- nogil: a pool of Python threads processes blocks of users. Numba's own threads are not used: they
  would compete with the threads of BLAS, and their sums depend on the number of threads.
- error_model "numpy": 1 / 0 is infinity, as in the reference, not an exception.
- fastmath, two flags of seven: contract (fused multiply-add) and reassoc (vectorised sums). Without
  nnan and ninf, NaN and infinity keep their meaning. np.isfinite is compiled to x - x == 0, which
  is always true under reassoc, so kernels write abs(x) < inf. Without arcp, x / y is not
  x * (1 / y), which overflows for the smallest y.
- inline, for functions with one caller or one statement: Numba copies them into the caller. This
  avoids a separate compilation. Inlined functions get the flags of the caller, so no `jit_ordered`
  function calls one.
- NUMBA_DISABLE_JIT=1, for tests and debuggers: Python runs the functions. NumPy would then print
  a warning for each division by zero, which compiled code does not (faults-R17).
- cache: a first run compiles for seconds; later runs load from the user's cache folder, or from
  NUMBA_CACHE_DIR. Numba's default is a folder within the package; it would stay behind when the
  package is removed, and hide the next installation. If no folder is writable, or with
  MINDREF_NUMBA_CACHE=0, each process compiles for itself. Numba checks only the file of the
  function itself. Here a cache entry is valid only while this file and all files that the
  function depends on are unchanged (`source_dependencies`).

Compilation is lazy: importing this module imports Numba and compiles nothing.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from mindref.kernels import listeners
from mindref.process.background import load_when_compiled
from mindref.process.threads import check_thread_variables
from mindref.process.user_folders import is_private_folder, user_cache_folder

check_thread_variables()  # before Numba raises another error

import numba  # noqa: E402
from numba.core import event  # noqa: E402
from numba.core.compiler_lock import global_compiler_lock  # noqa: E402

Function = TypeVar("Function", bound=Callable[..., Any])
Number = np.floating[Any]
"""A NumPy scalar with the dtype of the arrays of the same call."""

FASTMATH = {"contract", "reassoc"}
SETTINGS: Any = numba.config  # Numba has no type annotations
settings_lock = Lock()

if hasattr(os, "register_at_fork"):
    # faults-R19: a fork waits until no thread compiles; the child would wait for the lock forever
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


def jit(function: Function) -> Function:
    """Compile a function when it is first called with new types."""
    return compile_function(function, FASTMATH)


def jit_inline(function: Function) -> Function:
    """Compile a function as a part of its caller."""
    return compile_function(function, FASTMATH, inline="always")


def jit_ordered(function: Function) -> Function:
    """Compile a function without reassoc: its rounding errors must not be reordered."""
    return compile_function(function, {"contract"})


def compile_function(function: Function, fastmath: set[str], inline: str = "never") -> Function:
    """Compile a function with these flags, and cache the machine code if a folder is writable."""
    if SETTINGS.DISABLE_JIT:
        silent: Any = np.errstate(all="ignore")(function)  # faults-R17
        return silent
    compile_with: Any = partial(
        numba.njit, nogil=True, error_model="numpy", fastmath=fastmath, inline=inline
    )
    folder = cache_folder()
    if folder:
        try:
            with cache_in_folder(folder):
                cached = compile_with(cache=True)(function)
            cached._cache.save_overload = save_if_possible(cached._cache.save_overload)
            name = f"{function.__module__}.{function.__name__}"
            cached._cache.load_overload = load_when_compiled(name, cached._cache.load_overload)
            file = cached._cache._cache_file
            file._load_index = load_or_empty(file._load_index)
            dependencies = file_stamps(source_dependencies(function))
            file._source_stamp = (file._source_stamp, *dependencies)
            result: Function = cached
            return result
        except (RuntimeError, OSError, AttributeError):
            pass  # the folder is not writable after all, or a source file has no time stamp
    uncached: Function = compile_with()(function)
    return uncached


@contextmanager
def cache_in_folder(folder: str) -> Iterator[None]:
    """Set Numba's cache folder for functions that are decorated in the `with` block.

    The setting is global, and other packages read it. The lock keeps concurrent imports from
    restoring the wrong value.
    """
    with settings_lock:
        before = SETTINGS.CACHE_DIR
        SETTINGS.CACHE_DIR = folder
        try:
            yield
        finally:
            SETTINGS.CACHE_DIR = before


def cache_folder() -> str:
    """Return the folder of cached machine code, or "" if there is none.

    The index of the cache is a pickle, which may run code. So the folder must be the user's, and
    must not be writable for all others.
    """
    if os.environ.get("MINDREF_NUMBA_CACHE", "1") == "0":
        return ""
    folder = str(SETTINGS.CACHE_DIR or user_cache_folder() or "")
    if not folder:
        return ""
    with suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder if is_private_folder(Path(folder)) and os.access(folder, os.W_OK) else ""


dependencies_of_file: dict[str, set[str]] = {}
"""File with compiled functions -> the other files on which its cached code depends."""


def source_dependencies(function: Callable[..., Any]) -> set[str]:
    """Return the other files on which the compiled functions of a file depend.

    These are: the files of compiled functions that are called; the files of plain functions of this
    package, such as prefetch; the files of named tuples, because Numba does not cache the order of
    their fields; and extension modules, because Numba reads the integer width of BLAS when it
    compiles.
    """
    own_file, package = function.__code__.co_filename, os.path.dirname(__file__)
    files = {__file__, *files_of_named_tuples(function.__globals__, set())}
    for x in function.__globals__.values():
        if isinstance(getattr(x, "__loader__", None), ExtensionFileLoader):
            files.add(x.__file__)
        code = getattr(getattr(x, "py_func", x), "__code__", None)
        if code and (hasattr(x, "py_func") or code.co_filename.startswith(package)):
            files |= {code.co_filename} | dependencies_of_file.get(code.co_filename, set())
    dependencies_of_file[own_file] = files - {own_file}
    return dependencies_of_file[own_file]


def files_of_named_tuples(namespace: dict[str, Any], files: set[str]) -> set[str]:
    """Return the files of named tuples among the globals of a module, recursively."""
    for x in namespace.values():
        if isinstance(x, type) and hasattr(x, "_fields") and inspect.getfile(x) not in files:
            files.add(inspect.getfile(x))
            files_of_named_tuples(vars(sys.modules[x.__module__]), files)
    return files


def file_stamps(files: set[str]) -> list[tuple[str, float, int]]:
    """Return name, modification time and size of each file."""
    stats = [(file, os.stat(file)) for file in sorted(files)]
    return [(file, stat.st_mtime, stat.st_size) for file, stat in stats]


def load_or_empty(load: Callable[[], Any]) -> Callable[[], Any]:
    """Wrap Numba's index loader: an index that names unknown classes counts as empty.

    The index refers to argument types by class name. After an upgrade a class may not exist any
    more, and Numba reads the index before it compares the time stamps.
    """

    def attempt() -> Any:
        try:
            return load()
        except (AttributeError, ImportError):
            return {}

    return attempt


def save_if_possible(save: Callable[..., None]) -> Callable[..., None]:
    """Wrap Numba's save function: a full disk is not an error."""

    def attempt(signature: Any, machine_code: Any) -> None:
        with suppress(OSError):
            save(signature, machine_code)

    return attempt


class CompilationListener(event.Listener):
    """Calls the functions in `mindref.kernels.listeners` when Numba compiles a function."""

    def on_start(self, event: Any) -> None:
        """Call the listeners."""
        for listener in list(listeners):
            listener()

    def on_end(self, event: Any) -> None:
        """Do nothing."""


event.register("numba:compile", CompilationListener())  # type: ignore[no-untyped-call]
