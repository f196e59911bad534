"""What a backend claims, before anything is asked of it: is it well formed, and is it there?

Spec: specs/backend.md. A claim that cannot be understood ends the judgement with one message; a
claim without anything behind it is a problem of the report, and its checks fail as well.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from mindref.backend import OPERATORS, OPTIONS, Capabilities
from mindref.conformance.bounds import Precision
from mindref.errors import STRANGE, BackendError, ConfigError, say

LEVELS = {
    "ops": (),
    "model": ("loss_and_gradients", "interests"),
    "train": ("init", "step", "parameters", "moments"),
}
"""Level -> the methods that it takes, each level after those that it is built of."""

GRADIENTS = ("derived", "automatic")


def claims_of(backend: Any, name: str) -> Capabilities:
    """Return what a backend claims.

    Raises BackendError if it cannot be asked, if the answer is no Capabilities, and for operators,
    levels, gradients, types or options that this specification does not know.
    """
    where = f"backend {name}: capabilities()"
    try:
        claims = backend.capabilities()
    except STRANGE as error:  # a stranger's code may raise anything
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(where, "mindref.backend.Capabilities", got)) from error
    if not isinstance(claims, Capabilities):
        todo = "return mindref.backend.Capabilities(operators, ...)"
        raise BackendError(say(where, "Capabilities", f"a {type(claims).__name__}", todo))
    known(where, "operators", claims.operators, OPERATORS)
    known(where, "levels", claims.levels, tuple(LEVELS))
    known(where, "options", claims.options, OPTIONS)
    if claims.gradients not in GRADIENTS:
        got = repr(claims.gradients)
        raise BackendError(say(f"{where}: gradients", " or ".join(GRADIENTS), got))
    types(where, claims.dtypes)
    return claims


def known(where: str, what: str, claimed: Any, words: Sequence[str]) -> None:
    """Raise BackendError unless what is claimed is a tuple of these words, each at most once."""
    expected = f"a tuple of {', '.join(words)}"
    if not isinstance(claimed, tuple | list) or not all(isinstance(w, str) for w in claimed):
        raise BackendError(say(f"{where}: {what}", expected, repr(claimed)))
    strange = [word for word in claimed if word not in words]
    if strange:
        raise BackendError(say(f"{where}: {what}", expected, ", ".join(map(repr, strange))))
    if len(set(claimed)) != len(claimed):
        raise BackendError(say(f"{where}: {what}", "each word once", repr(claimed)))


def types(where: str, claimed: Any) -> None:
    """Raise BackendError unless the types are pairs or triples of known names, each once."""
    where = f"{where}: dtypes"
    expected = '(type of inputs, type of accumulation), as ("float32", "float32")'
    if not isinstance(claimed, tuple | list) or not claimed:
        raise BackendError(say(where, f"at least one {expected}", repr(claimed)))
    seen = set()
    for entry in claimed:
        if not isinstance(entry, tuple | list) or not all(isinstance(word, str) for word in entry):
            raise BackendError(say(where, expected, repr(entry)))
        try:
            seen.add(Precision.of(entry))
        except ConfigError as error:
            raise BackendError(f"{where}: {error}") from error
        exists(where, entry[0])
    if len(seen) != len(claimed):
        raise BackendError(say(where, "each precision once", repr(claimed)))


def exists(where: str, name: str) -> None:
    """Raise BackendError for a type that NumPy lacks here: bfloat16 comes with ml_dtypes."""
    if name == "bfloat16" and importlib.util.find_spec("ml_dtypes") is None:
        raise BackendError(say(where, "a type of NumPy", name, "pip install ml_dtypes"))
    if name == "bfloat16":
        importlib.import_module("ml_dtypes")


def unhonoured(backend: Any, claims: Capabilities) -> Iterator[str]:
    """Yield each claim with nothing behind it (backend-R13)."""
    try:
        ops = backend.ops
    except STRANGE as error:  # a stranger's code may raise anything
        yield f"ops cannot be read: {type(error).__name__}: {error}"
        return
    wanted = ("forward", "backward") if claims.gradients == "derived" else ("forward",)
    for stem in claims.operators:
        member = getattr(ops, stem, None)
        if member is None:
            yield f"operator {stem} is claimed, but ops has no {stem}"
            continue
        for method in wanted:
            if not callable(getattr(member, method, None)):
                yield f"operator {stem} is claimed, but ops.{stem} has no {method}"
    yield from missing_methods(backend, claims)


def missing_methods(backend: Any, claims: Capabilities) -> Iterator[str]:
    """Yield each method that a level or automatic gradients take and that is not there."""
    if claims.gradients == "automatic" and claims.operators and not has(backend, "differentiate"):
        yield "gradients are claimed to be automatic, but there is no differentiate"
    if set(claims.devices) - {"cpu"} and not has(backend, "on"):  # backend-R16
        yield "several devices are claimed, but there is no on"
    for level in claims.levels:
        for method in LEVELS[level]:
            if not has(backend, method):
                yield f"level {level} is claimed, but there is no {method}"


def has(backend: Any, method: str) -> bool:
    """Return whether there is such a method, without calling a property of that name."""
    found = inspect.getattr_static(backend, method, None)
    return found is not None or callable(getattr(backend, method, None))
