"""What is made of the answers of trials: mindref.doctor.trials."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mindref.doctor.check import Check, note, ok, problem
from mindref.doctor.child import Nurse, Told

ANEW = "pip install --force-reinstall --no-cache-dir {}"
BUILT_IN = ("numpy", "numba")
"""Backends without which nothing works: one is the reference, the other ranks."""

Look = Callable[[], Check]


def numpy(nurse: Nurse) -> Check:
    """Return which BLAS NumPy has, with how many threads."""
    facts, reason = nurse.ask("numpy")
    if reason:
        todo = f"{ANEW.format('numpy')}; one that is built for this processor"
        return problem("numpy", f"not usable: {reason}", todo)
    said = {name: n for name, n in facts["threads"].items() if n is not None}
    threads = ", ".join(f"{name}={n}" for name, n in said.items()) or "as many as it likes"
    found = f"{facts['blas']}, threads: {threads} (commands set their own); uses "
    return ok("numpy", found + (", ".join(facts["simd"][-6:]) or "no extensions"), **facts)


def package(nurse: Nurse, name: str, module: str) -> Check:
    """Return whether a library can be imported."""
    reason = nurse.ask("import", module).reason
    if reason:
        return problem(name, f"not usable: {reason}", ANEW.format(name))
    return ok(name, "can be imported")


def numba(nurse: Nurse) -> Check:
    """Return whether functions can be compiled, and for which processor."""
    facts, reason = nurse.ask("numba")
    if reason:
        return problem("numba", f"not usable: {reason}", ANEW.format("numba llvmlite"))
    layers = [name for name, said in facts["layers"].items() if said == "there"]
    does = "compiles for" if facts["compiles"] else "compiles nothing, would for"
    found = f"{does} {facts['for']} with {', '.join(facts['features']) or 'no extensions'}"
    return ok("numba", f"{found}; threading layers, unused: {', '.join(layers) or 'none'}", **facts)


def kernels(nurse: Nurse) -> Check:
    """Return whether our kernels compute what the reference does, and whether they are kept."""
    facts, reason = nurse.ask("kernels")
    if reason:
        todo = "mend what it names; if nothing is named, please report it"
        return problem("kernels", f"not usable: {reason}", todo)
    found = f"as the reference, {facts['threads']} thread(s) from Python; "
    if facts["cache"] != "none":
        words = {"used": "loaded from", "filled": "compiled and kept in"}[facts["cache"]]
        return ok("kernels", f"{found}{words} {facts['folder']}", **facts)
    todo = "every process compiles for some seconds: unset MINDREF_NUMBA_CACHE, or set "
    todo += "NUMBA_CACHE_DIR to a folder that can be written"
    where = f"not kept in {facts['folder']}" if facts["folder"] else "kept nowhere"
    return note("kernels", found + where, todo, **facts)


def registered(nurse: Nurse) -> tuple[Check, dict[str, Look]]:
    """Return what is registered, and what looks at each of it."""
    facts, reason = nurse.ask("registered")
    if reason:
        todo = "mend the problems above; if there is none, please report it"
        return problem("registered", f"cannot be listed: {reason}", todo), {}
    looks: dict[str, Look] = {
        f"{kind} {name}": partial(ways[kind], nurse, name)
        for kind, names in facts.items()
        for name in names
    }
    lacks = [name for name in BUILT_IN if name not in facts["backend"]]
    words = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in facts.items())
    if lacks:
        todo = ANEW.format("mindref")
        found = f"{words}; the built-in {', '.join(lacks)} lacks its entry point"
        return problem("registered", found, todo, **facts), looks
    return ok("registered", words, **facts), looks


def backend(nurse: Nurse, name: str) -> Check:
    """Return what a backend can, or why it is not usable."""
    facts, reason = nurse.ask("backend", name)
    title = f"backend {name}"
    if not reason:
        levels = ", ".join(facts["levels"])
        return ok(title, f"{levels}; computes on {facts['device']}", **facts)
    if name in BUILT_IN:
        return problem(title, f"not usable: {reason}", ANEW.format("mindref"))
    todo = f"take another --backend, or see what mindref conform --backend {name} says"
    return note(title, f"not usable: {reason}", todo)


def index(nurse: Nurse, name: str) -> Check:
    """Return the version of a kind of index that has tested itself, or why it is not usable."""
    facts, reason = nurse.ask("index", name)
    title = f"index {name}"
    if not reason:
        when = "only when asked for" if facts["order"] is None else "tried by auto"
        return ok(title, f"{facts['version'] or 'built in'}, {when}", **facts)
    return note(title, f"not usable: {reason}", advice(name))


def advice(kind: str) -> str:
    """Return what to do about a kind of index."""
    stand_in = "exact search stands in"
    if kind == "annoy":
        return f"{stand_in}; CXX=g++ {ANEW.format('annoy')} builds it anew"
    if kind.startswith("faiss"):
        return f"{stand_in}; pip install 'mindref[faiss]'"
    return f"{stand_in}; mend or remove the package that registers it"


def export(nurse: Nurse, name: str) -> Check:
    """Return whether a kind of file can be exported."""
    told: Told = nurse.ask("export", name)
    title = f"export {name}"
    if told.reason:
        return note(
            title, f"not usable: {told.reason}", f"only mindref export --to {name} needs it"
        )
    versions = ", ".join(f"{name} {version}" for name, version in told.facts["versions"].items())
    return ok(title, f"with {versions}", **told.facts)


ways: dict[str, Callable[[Nurse, str], Check]] = {
    "backend": backend,
    "index": index,
    "export": export,
}
"""What is registered -> what looks at one of it."""
