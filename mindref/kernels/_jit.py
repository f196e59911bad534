"""The one decorator of all compiled functions.

Options and why:
- nogil: blocks of users are computed by a pool of Python threads; Numba's own threads are not used,
  as they and those of BLAS would fight for the cores, and their sums depend on their number.
- error_model "numpy": 1 / 0 is infinity, as in the reference, not an exception.
- fastmath, two flags of seven: contract (fused multiply-add) and reassoc (sums over the width in
  lanes). Without nnan and ninf, NaN and infinity keep their meaning, but np.isfinite is x - x == 0
  and is folded to true all the same: kernels write abs(x) < inf. Without arcp, x / y is not
  x * (1 / y), which overflows for the smallest y.
- inline, for functions that one other calls, and for one of a single line: Numba writes them into
  their caller, instead of compiling and improving them by themselves first, and the whole once
  more. They get the flags of the caller, so none of `jit_in_order` calls one.
- cache: a first run compiles for seconds; later ones load from the user's cache folder, or from
  NUMBA_CACHE_DIR. Never beside the package, where Numba would put it: there it outlives the
  package when that is removed, and what is left of the folder hides the next install. Where no
  folder can be written, or with MINDREF_NUMBA_CACHE=0, each process compiles for itself. What is
  kept holds for as long as this file is as it was, and all that the function's own file has from
  others (`files_behind`): Numba looks at that one alone, and would not notice that what it calls
  does something else now.

Compilation is lazy: importing this costs Numba's import and no compilation.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ExtensionFileLoader
from threading import Lock
from typing import Any, TypeVar

import numba
from numba.core import event
from numba.misc.appdirs import AppDirs

from mindref.kernels import listeners

Function = TypeVar("Function", bound=Callable[..., Any])
Number = Any
"""A number of the type of the arrays beside it: NumPy's, of which `float` is the widest only."""

FASTMATH = {"contract", "reassoc"}
SETTINGS: Any = numba.config  # Numba states no types
changing = Lock()
FOLDERS: Any = AppDirs("mindref", appauthor=False)  # type: ignore[no-untyped-call]


def jit(function: Function) -> Function:
    """Compile a function when it is first called with new types."""
    return compiled(function, FASTMATH)


def jit_within(function: Function) -> Function:
    """Compile a function as a part of the one that calls it."""
    return compiled(function, FASTMATH, inline="always")


def jit_in_order(function: Function) -> Function:
    """Compile a function whose sums keep their order, as it carries rests along."""
    return compiled(function, {"contract"})


def compiled(function: Function, fastmath: set[str], **more: Any) -> Function:
    """Compile a function with these flags, and keep the result on disk if that is wanted."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath, **more}
    folder = cache_folder()
    if folder:
        try:
            with cached_in(folder):
                cached = numba.njit(cache=True, **options)(function)
            if hasattr(cached, "_cache"):  # NUMBA_DISABLE_JIT gives the function back
                cached._cache.save_overload = unless_full(cached._cache.save_overload)
                file = cached._cache._cache_file
                file._load_index = unless_unknown(file._load_index)
                file._source_stamp = (file._source_stamp, *stamps(files_behind(function)))
            kept: Function = cached
            return kept
        except (RuntimeError, OSError, AttributeError):
            pass  # nothing can be written there after all, or what is kept cannot be dated
    made: Function = numba.njit(**options)(function)
    return made


@contextmanager
def cached_in(folder: str) -> Iterator[None]:
    """Let Numba keep functions there that are decorated meanwhile.

    The setting is read by others, too, and threads that import ours at once would not put it back.
    """
    with changing:
        before = SETTINGS.CACHE_DIR
        SETTINGS.CACHE_DIR = folder
        try:
            yield
        finally:
            SETTINGS.CACHE_DIR = before


def cache_folder() -> str:
    """Return where compiled functions are kept, "" for nowhere."""
    if os.environ.get("MINDREF_NUMBA_CACHE", "1") == "0":
        return ""
    folder = SETTINGS.CACHE_DIR or FOLDERS.user_cache_dir
    with suppress(OSError):
        os.makedirs(folder, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else ""


behind: dict[str, set[str]] = {}
"""Of each file with compiled functions: the others that what is kept of them depends on."""


def files_behind(function: Callable[..., Any]) -> set[str]:
    """Return the files that what is compiled of a function's file depends on, its own apart.

    Those of compiled functions wherever they stand, and of plain ones beside this file: hints are.
    Those of tuples with names, which are kept as types without the order of their names. And those
    that are no Python: Numba looks whether it can call a BLAS, which has integers of some width,
    when it compiles, not when it loads.
    """
    own, near = function.__code__.co_filename, os.path.dirname(__file__)
    files = {__file__, *files_of_tuples(function.__globals__, set())}
    for x in function.__globals__.values():
        if isinstance(getattr(x, "__loader__", None), ExtensionFileLoader):
            files.add(x.__file__)
        code = getattr(getattr(x, "py_func", x), "__code__", None)
        if code and (hasattr(x, "py_func") or code.co_filename.startswith(near)):
            files |= {code.co_filename} | behind.get(code.co_filename, set())
    behind[own] = files - {own}
    return behind[own]


def files_of_tuples(known: dict[str, Any], found: set[str]) -> set[str]:
    """Return the files of tuples with names that a file knows, and of those that theirs know."""
    for x in known.values():
        if isinstance(x, type) and hasattr(x, "_fields") and inspect.getfile(x) not in found:
            found.add(inspect.getfile(x))
            files_of_tuples(vars(sys.modules[x.__module__]), found)
    return found


def stamps(files: set[str]) -> list[tuple[str, float, int]]:
    """Return what tells whether files are as they were."""
    looked = [(file, os.stat(file)) for file in sorted(files)]
    return [(file, found.st_mtime, found.st_size) for file, found in looked]


def unless_unknown(load: Callable[[], Any]) -> Callable[[], Any]:
    """Return what loads the list of what is kept, or an empty one if it has names that are gone.

    Types of arguments are kept under the names of their classes, which another version of this
    package may not have; Numba reads them before it sees that the file is another.
    """

    def attempt() -> Any:
        try:
            return load()
        except (AttributeError, ImportError):
            return {}

    return attempt


def unless_full(save: Callable[..., None]) -> Callable[..., None]:
    """Return what saves a compiled function if it can: a full disk is no reason to stop."""

    def attempt(*given: Any) -> None:
        with suppress(OSError):
            save(*given)

    return attempt


class Heard(event.Listener):
    """Tells whoever listens that something is being compiled."""

    def on_start(self, event: Any) -> None:
        """Tell it."""
        for listener in list(listeners):
            listener()

    def on_end(self, event: Any) -> None:
        """Nothing more to say."""


event.register("numba:compile", Heard())  # type: ignore[no-untyped-call]
