"""Checks that need no child process: versions, variables, processor."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import mindref
from mindref.bench.machine import processor_name
from mindref.errors import FOREIGN_ERRORS, ConfigError, MindrefError
from mindref.process.cgroups import cgroup_cores
from mindref.process.memory import check_memory
from mindref.process.requirements import INSTALL_MINDREF, install_libraries, read_requirements
from mindref.process.threads import BLAS_THREAD_VARIABLES, check_thread_variables, usable_cores

BUG = "this is a bug in mindref doctor: please report it"
CORE = ("numpy", "scipy", "numba", "llvmlite", "packaging")
"""Packages that are named first: llvmlite is needed by numba, packaging by this check."""

MINDREF_VARIABLES = (
    "MINDREF_THREADS", "MINDREF_NUMBA_CACHE", "MINDREF_TRACEBACK", "MINDREF_KEY",
    "MINDREF_SITE", "MINDREF_DATA",  # read by the tests
)  # fmt: skip
PYTHON_VARIABLES = ("PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONIOENCODING", "PYTHONUTF8")
OTHER_VARIABLES = (*BLAS_THREAD_VARIABLES, *PYTHON_VARIABLES)


class Finding(NamedTuple):
    """The result of one check of `mindref doctor`: a state, a summary, and an action if needed."""

    name: str
    state: str  # ok; note: missing or slow, but not needed; problem: mindref cannot work
    summary: str
    todo: str = ""  # empty if nothing needs to be done
    facts: Mapping[str, object] = {}  # JSON values

    @classmethod
    def of(
        cls,
        summary: str,
        todo: str = "",
        facts: Mapping[str, object] | None = None,
        *,
        problem: bool = False,
    ) -> Finding:
        """Return a finding without a name: ok without `todo`, else a problem or a note."""
        state = "problem" if problem else "note" if todo else "ok"
        return cls("", state, summary, todo, facts or {})


def capture_finding(name: str, check: Callable[[], Finding]) -> Finding:
    """Return the finding of a check; a note if the check itself fails."""
    try:
        return check()._replace(name=name)
    except FOREIGN_ERRORS as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(name, "note", f"the check failed ({cause})", BUG)


def check_mindref() -> Finding:
    """Return version and location of mindref."""
    folder, version = Path(mindref.__file__).resolve().parent, installed_version("mindref")
    summary, todo = f"{mindref.__version__} in {folder}", ""
    if version is None:
        summary += ", not installed"
    elif version != mindref.__version__:
        summary += f", but the installed metadata is of version {version}"
    if version != mindref.__version__:
        todo = f"{INSTALL_MINDREF}; backends and indexes are found by its metadata"
    facts = {"version": mindref.__version__, "place": str(folder)}
    return Finding.of(summary, todo, facts, problem=version is None)


def check_python() -> Finding:
    """Return the interpreter and the system."""
    name, version = platform.python_implementation(), platform.python_version()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    facts = {"version": version, "executable": sys.executable, "system": system}
    bad = name != "CPython" or sys.version_info < (3, 11)
    todo = "use CPython 3.11 or newer" if bad else ""
    summary = f"{name} {version} ({sys.executable}) on {system}"
    return Finding.of(summary, todo, facts, problem=bad)


def check_packages() -> Finding:
    """Return the versions of the required packages."""
    required = {x.name: x for x in read_requirements()}
    versions = {name: installed_version(name) for name in dict.fromkeys((*CORE, *required))}
    needed = [x for x in CORE if x not in required and versions[x] is None]
    for name, x in required.items():
        if not x.specifier.contains(versions[name] or "0", prereleases=True):
            needed.append(f"{name}{x.specifier}")
    summary = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    todo = install_libraries(*needed, upgrade=True) if needed else ""
    return Finding.of(summary, todo, versions, problem=bool(needed))


def check_variables() -> Finding:
    """Return the environment variables that affect mindref."""
    ours = ("MINDREF_", "NUMBA_")
    names = sorted(x for x in os.environ if x in OTHER_VARIABLES or x.startswith(ours))
    values = {name: os.environ[name] for name in names}
    unknown = [x for x in names if x.startswith("MINDREF_") and x not in MINDREF_VARIABLES]
    summary, todo = ", ".join(f"{name}={x}" for name, x in values.items()) or "none", ""
    try:
        check_thread_variables()
    except ConfigError as error:
        return Finding.of(summary, str(error), values, problem=True)
    if unknown:
        todo = f"mindref does not read {', '.join(unknown)}, only {', '.join(MINDREF_VARIABLES)}"
    elif values.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        todo = "unset NUMBA_DISABLE_JIT: without compilation everything is about 100 times slower"
    return Finding.of(summary, todo, values)


def installed_version(name: str) -> str | None:
    """Return the version of an installed package, None if it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name) or "unknown"  # None: metadata without a version
    return None


def check_processor() -> Finding:
    """Return the processor, the usable cores, and the CPU limit of control groups."""
    cores, usable, granted = os.cpu_count() or 1, usable_cores(), cgroup_cores()
    facts = {"model": processor_name(), "cores": cores, "usable": usable, "granted": granted}
    summary = f"{processor_name()}, {usable} of {cores} cores usable"
    summary += f", limited to {granted:g} by a cgroup" if granted is not None else ""
    return Finding.of(summary, "", facts)


def check_memory_limit() -> Finding:
    """Return whether the limit of the address space lets the libraries start."""
    try:
        check_memory()
    except MindrefError as error:  # faults-R13
        return Finding.of("no command can start", str(error), problem=True)
    return Finding.of("the address space is large enough")


LOCAL_CHECKS: dict[str, Callable[[], Finding]] = {
    "mindref": check_mindref,
    "python": check_python,
    "packages": check_packages,
    "variables": check_variables,
    "processor": check_processor,
    "memory": check_memory_limit,
}
