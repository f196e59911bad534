"""The checks that run in child processes, because they may crash or hang: the list `PROBES`."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from mindref.doctor.checks import Finding
from mindref.errors import FOREIGN_ERRORS, MindrefError
from mindref.process.requirements import REINSTALL_MINDREF, reinstall_libraries

PLUGINS = ("backend", "index")  # probes of registered names
BUILT_IN = ("numpy", "numba")
"""Backends that mindref needs: the reference, and the default for training and search."""


def probe_numpy() -> Finding:
    """Multiply matrices in both dtypes; return the BLAS."""
    import numpy as np

    x = np.arange(4096).reshape(64, 64) % 17  # every product and sum is exact
    for dtype in (np.float32, np.float64):  # the product of integers does not use BLAS
        if not np.array_equal(x.astype(dtype) @ x.astype(dtype), x @ x):
            raise ArithmeticError(f"a matrix product in {dtype.__name__} is wrong")
    config: Any = np.show_config(mode="dicts")  # type: ignore[call-overload,unused-ignore]
    build = config.get("Build Dependencies", {}).get("blas", {})
    blas = f"{build.get('name', '?')} {build.get('version', '?')}"
    return Finding.of(blas, "", {"blas": blas})


def probe_numba() -> Finding:
    """Compile and call a function; return the target processor."""
    import llvmlite.binding as llvm  # type: ignore[import-untyped]
    import numba
    import numpy as np

    @numba.njit(nogil=True, fastmath={"contract", "reassoc"})
    def dot(x: Any, y: Any) -> float:
        total = 0.0
        for i in range(len(x)):
            total += x[i] * y[i]
        return total

    x = np.arange(100.0)
    if dot(x, x) != 328350.0:
        raise ArithmeticError("a compiled function returns a wrong sum")
    settings: Any = numba.config
    cpu = settings.CPU_NAME or llvm.get_host_cpu_name()  # type: ignore[no-untyped-call,unused-ignore]
    compiles = not settings.DISABLE_JIT
    action = "compiles for" if compiles else "compilation is disabled; would compile for"
    return Finding.of(f"{action} {cpu}", "", {"compiles": compiles, "for": cpu})


def probe_kernels() -> Finding:
    """Compare a kernel and a matrix product with the reference; return threads and cache state."""
    import numpy as np

    from mindref import ops
    from mindref.process.threads import pool_threads

    for library in ("scipy.sparse", "safetensors.numpy"):  # of fitted models and of run files
        importlib.import_module(library)
    names = "_jit", "matmul", "squash"
    _jit, matmul, squash = (importlib.import_module(f"mindref.kernels.{name}") for name in names)
    x = np.linspace(-3, 3, 48).reshape(6, 8)
    out, expected = squash.forward(x)[0], ops.squash.forward(x)[0]
    if not np.allclose(out, expected, rtol=1e-12, atol=0):
        raise ArithmeticError("a kernel disagrees with the reference")
    matmul.matmul_into(x, x.T, product := np.empty((6, 6)))
    if not np.allclose(product, x @ x.T, rtol=1e-12, atol=0):
        raise ArithmeticError("a matrix product of SciPy's BLAS disagrees with NumPy's")
    folder, threads = _jit.cache_folder(), pool_threads()
    facts = {"threads": threads, "folder": folder}
    summary = f"same results as the reference, {threads} thread(s); "
    stats = getattr(squash.squash_rows, "stats", None)  # None with NUMBA_DISABLE_JIT
    if folder and stats is not None and stats.cache_path and os.listdir(stats.cache_path):
        return Finding.of(f"{summary}cached in {folder}", "", facts)
    todo = "every process compiles for some seconds: unset MINDREF_NUMBA_CACHE, or set"
    todo += " NUMBA_CACHE_DIR to a writable folder"
    return Finding.of(f"{summary}not cached{f' in {folder}' * bool(folder)}", todo, facts)


def probe_registered() -> Finding:
    """Return the names of backends and index kinds, without importing them."""
    from mindref import backend
    from mindref.recall import registry

    backends, indexes = sorted(backend.list_backends()), list(registry.PLUGINS)
    facts = {"backend": backends, "index": indexes}
    summary = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in facts.items())
    missing = [name for name in BUILT_IN if name not in facts["backend"]]
    if not missing:
        return Finding.of(summary, "", facts)
    summary = f"no entry point of the built-in {', '.join(missing)}; {summary}"
    return Finding.of(summary, REINSTALL_MINDREF, facts, problem=True)


def probe_backend(name: str) -> Finding:
    """Load a backend with its framework and compare an operator; return levels and device."""
    import numpy as np

    from mindref import ops
    from mindref.backend import describe_backend, device_name, load_backend

    row = describe_backend(name)
    if not row["usable"]:
        raise MindrefError(row["reason"])
    backend = load_backend(name, "auto")
    operators = backend.ops  # imports the framework
    if "squash" in row["operators"]:
        x = np.linspace(-3, 3, 48, dtype=np.float32).reshape(6, 8)
        out, expected = operators.squash.forward(x, kind="squash")[0], ops.squash.forward(x)[0]
        if not np.allclose(out, expected, rtol=1e-4, atol=1e-6):
            raise ArithmeticError("its squash differs from the specification")
    levels, device = list(row["levels"]), device_name(backend, "auto")
    facts = {"levels": levels, "device": device}
    return Finding.of(f"{', '.join(levels)}; computes on {device}", "", facts)


def probe_index(kind: str) -> Finding:
    """Load a kind of index, which tests itself; return its version."""
    from mindref.recall import registry

    row = registry.describe_plugin(kind)
    if not row["usable"]:
        reason = " ".join(row["reason"].split())
        return Finding.of(f"not usable: {reason}", f"exact search is used instead; {row['hint']}")
    return Finding.of(row["version"], "", {"version": row["version"], "order": row["order"]})


PROBES: dict[str, tuple[Callable[..., Finding], str]] = {
    "numpy": (probe_numpy, f"{reinstall_libraries('numpy')}, built for this processor"),
    "numba": (probe_numba, reinstall_libraries("numba", "llvmlite")),
    "kernels": (probe_kernels, "correct what the message names, or else please report it"),
    "registered": (probe_registered, "correct the problems above, or else please report it"),
    "backend": (probe_backend, "choose another --backend, or run mindref conform --backend {}"),
    "index": (probe_index, "exact search is used instead; reinstall the package of the index {}"),
}
"""Name -> probe, and what to do if it fails; {} is replaced by the argument."""


def failed_probe(probe: str, argument: str, reason: str) -> Finding:
    """Return the finding of a probe that failed: a problem, or a note for a plugin."""
    todo = PROBES[probe][1].format(argument)
    if probe == "backend" and argument in BUILT_IN:
        todo = REINSTALL_MINDREF
    needed = probe not in PLUGINS or argument in BUILT_IN
    return Finding.of(f"not usable: {reason}", todo, problem=needed)


def main(probe: str, argument: str) -> None:
    """Run a probe and print its finding in one line; other output goes to standard error."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        finding = PROBES[probe][0](*([argument] if argument else []))
    except FOREIGN_ERRORS as error:
        text = str(error) if isinstance(error, MindrefError) else f"{type(error).__name__}: {error}"
        finding = failed_probe(probe, argument, " ".join(text.split()))
    print(json.dumps(finding._asdict()), file=stream, flush=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a framework may crash at a normal exit
