"""What is tried in a process of its own. Each trial returns plain values, or raises why it cannot.

Whoever asks is mindref.doctor.child.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from mindref.errors import STRANGE, MindrefError
from mindref.process.threads import PRODUCTS

LAYERS = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}
"""Numba's own threads, which mindref leaves alone -> a module that is there if they are."""

SEEN = ("sse4.2", "avx2", "fma", "avx512f", "neon", "sve")
"""Features of a processor that make a difference here, by LLVM's names."""


def numpy() -> dict[str, Any]:
    """Multiply matrices; say which BLAS did, with how many threads, and what NumPy uses."""
    import numpy as np

    x = np.arange(4096.0).reshape(64, 64) % 17  # every product and sum is exact
    rows = x.astype(int).tolist()
    columns = list(zip(*rows, strict=True))
    expected = [[sum(a * b for a, b in zip(r, c, strict=True)) for c in columns] for r in rows]
    for kind in (np.float32, np.float64):
        if (x.astype(kind) @ x.astype(kind)).tolist() != expected:
            raise ArithmeticError(f"a product of matrices in {kind.__name__} is wrong")
    built: Any = np.show_config(mode="dicts")  # type: ignore[call-overload,unused-ignore]
    blas = built.get("Build Dependencies", {}).get("blas", {})
    simd = built.get("SIMD Extensions", {})
    return {
        "blas": f"{blas.get('name', '?')} {blas.get('version', '?')}",
        "configuration": str(blas.get("openblas configuration", "")),
        "simd": [*simd.get("baseline", []), *simd.get("found", [])],
        "threads": {name: os.environ.get(name) for name in PRODUCTS},
        "libraries": loaded("blas", "mkl", "blis", "gomp", "omp.so", "iomp", "tbb"),
    }


def loaded(*words: str) -> list[str]:
    """Return the names of the shared libraries of this process that have one of these words."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
            names = {line.split(maxsplit=5)[-1].strip().rpartition("/")[2] for line in lines}
    except OSError:
        return []
    return sorted(name for name in names if ".so" in name and any(word in name for word in words))


def imported(module: str) -> dict[str, Any]:
    """Import a module."""
    importlib.import_module(module)
    return {}


def numba() -> dict[str, Any]:
    """Compile a function and call it; say for which processor, and which threads Numba has."""
    import llvmlite.binding as llvm  # type: ignore[import-untyped]
    import numba
    import numpy as np

    @numba.njit(nogil=True, fastmath={"contract", "reassoc"})
    def product(x: Any, y: Any) -> float:
        total = 0.0
        for i in range(len(x)):
            total += x[i] * y[i]
        return total

    x = np.arange(100.0)
    if product(x, x) != 328350.0:
        raise ArithmeticError("a compiled function gives a wrong sum")
    layers = {}
    for name, module in LAYERS.items():
        try:
            importlib.import_module(f"numba.np.ufunc.{module}")
            layers[name] = "there"
        except STRANGE as error:
            layers[name] = " ".join(str(error).split())
    settings: Any = numba.config
    features = llvm.get_host_cpu_features()  # type: ignore[no-untyped-call,unused-ignore]
    return {
        "compiles": not settings.DISABLE_JIT,
        "for": settings.CPU_NAME or llvm.get_host_cpu_name(),  # type: ignore[no-untyped-call,unused-ignore]
        "features": [name for name in SEEN if features.get(name)],
        "layers": layers,
    }


def kernels() -> dict[str, Any]:
    """Call a kernel of ours beside the reference; say whether it came from the cache."""
    import numpy as np

    from mindref import ops

    room = "mindref.kernels."
    names = "_jit", "squash", "product", "fused.workspace"
    _jit, squash, product, workspace = (importlib.import_module(room + name) for name in names)
    x = np.linspace(-3, 3, 48).reshape(6, 8)
    out, expected = squash.forward(x)[0], ops.squash.forward(x)[0]
    if not np.allclose(out, expected, rtol=1e-12, atol=0):
        raise ArithmeticError("a kernel disagrees with the reference")
    product.product(x, x.T, found := np.empty((6, 6)))
    if not np.allclose(found, x @ x.T, rtol=1e-12, atol=0):
        raise ArithmeticError("a product of SciPy's BLAS disagrees with one of NumPy's")
    folder, made = _jit.cache_folder(), squash.shorten
    facts: dict[str, Any] = {
        "threads": workspace.threads_wanted(),
        "folder": folder,
        "cache": "none",
    }
    stats = getattr(made, "stats", None)  # none with NUMBA_DISABLE_JIT
    if folder and stats is not None and stats.cache_path:
        kept = [name for name in os.listdir(stats.cache_path) if name.startswith("squash.shorten")]
        facts["cache"] = "used" if sum(stats.cache_hits.values()) else "filled" if kept else "none"
        facts["bytes"] = size_of(folder)
    return facts


def size_of(folder: str) -> int:
    """Return the bytes of all files of a folder."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # another process has just replaced it
                continue
    return found


def registered() -> dict[str, Any]:
    """Return the names of all that is registered, none of it imported."""
    from mindref import backend
    from mindref.recall import registry
    from mindref.recommender import export

    return {
        "backend": sorted(backend.available()),
        "index": sorted(registry.available()),
        "export": sorted(export.KINDS),
    }


def backend(name: str) -> dict[str, Any]:
    """Load a backend, its framework with it, and ask it for an operator that it claims."""
    import numpy as np

    from mindref import ops
    from mindref.backend import described, device_name, load

    row = described(name)
    if not row["usable"]:
        raise MindrefError(row["reason"])
    made = load(name, "auto")
    operators = made.ops  # a framework comes with them
    if "squash" in row["operators"]:
        x = np.linspace(-3, 3, 48, dtype=np.float32).reshape(6, 8)
        out, expected = operators.squash.forward(x, kind="squash")[0], ops.squash.forward(x)[0]
        if not np.allclose(out, expected, rtol=1e-4, atol=1e-6):
            raise ArithmeticError("its squash is not that of the specification")
    return {"levels": list(row["levels"]), "device": device_name(made, "auto")}


def index(kind: str) -> dict[str, Any]:
    """Load a kind of index; it tests itself."""
    from mindref.recall.registry import described

    row = described(kind)
    if not row["usable"]:
        raise MindrefError(row["reason"])
    return {"version": row["version"], "order": row["order"]}


def export(kind: str) -> dict[str, Any]:
    """Load what writes a kind of file."""
    from mindref.recommender.export import writer_of

    return {"versions": writer_of(kind)[1]}


TRIALS: dict[str, Callable[..., dict[str, Any]]] = {
    "numpy": numpy,
    "import": imported,
    "numba": numba,
    "kernels": kernels,
    "registered": registered,
    "backend": backend,
    "index": index,
    "export": export,
}


def main(trial: str, *given: str) -> None:
    """Make a trial, and say what came of it in one line; all other print goes to standard error."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        said = {"facts": TRIALS[trial](*given), "reason": ""}
    except STRANGE as error:
        what = str(error) if isinstance(error, MindrefError) else f"{type(error).__name__}: {error}"
        said = {"facts": {}, "reason": " ".join(what.split())}
    print(json.dumps(said), file=answer, flush=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a framework that ends badly has answered all the same
