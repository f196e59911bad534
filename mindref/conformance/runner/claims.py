"""Validate the capabilities that a backend claims, before any check runs.

Spec: specs/backend.md. If the capabilities are malformed, the run ends with one message. If a
claimed function is missing, the report lists a problem, and the checks of this function fail.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from mindref.backend import (
    CONCURRENCY,
    CONTRACT_FAMILY,
    FAMILIES,
    OPERATORS,
    OPTIONS,
    Capabilities,
)
from mindref.conformance.bounds import Precision
from mindref.errors import FOREIGN_ERRORS, BackendError, ConfigError, say
from mindref.process.requirements import install_libraries

LEVELS = {
    "ops": (),
    "model": ("loss_and_gradients", "interests"),
    "train": ("init", "step", "parameters", "moments"),
    "serve": ("scores",),
}
"""Keys: levels of the backend contract. Values: methods that the level needs. Training uses the
highest of the first three; "serve" is independent of them."""

GRADIENTS = ("derived", "automatic")


def claims_of(backend: Any, name: str) -> Capabilities:
    """Return `backend.capabilities()`.

    Raises BackendError if this method raises or does not return Capabilities. Also raises it for an
    unknown operator, level, gradient, dtype, option, family or kind of concurrency, for one that is
    listed twice, for numerics-R16 without squash-R6, and if the families lack mind.
    """
    location = f"backend {name}: capabilities()"
    try:
        claims = backend.capabilities()
    except FOREIGN_ERRORS as error:  # a backend may raise any exception
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(location, "mindref.backend.Capabilities", got)) from error
    if not isinstance(claims, Capabilities):
        todo = "return mindref.backend.Capabilities(operators, ...)"
        raise BackendError(say(location, "Capabilities", f"a {type(claims).__name__}", todo))
    check_words(location, "operators", claims.operators, OPERATORS)
    check_words(location, "levels", claims.levels, tuple(LEVELS))
    check_words(location, "options", claims.options, OPTIONS)
    if "numerics-R16" in claims.options and "squash-R6" not in claims.options:
        got = "numerics-R16 alone"
        raise BackendError(say(f"{location}: options", "squash-R6 beside numerics-R16", got))
    check_words(location, "families", claims.families, FAMILIES)  # backend-R21
    check_words(location, "concurrency", claims.concurrency, CONCURRENCY)
    if CONTRACT_FAMILY not in claims.families:  # backend-R21
        got, todo = repr(claims.families), f"add {CONTRACT_FAMILY}"
        raise BackendError(say(f"{location}: families", CONTRACT_FAMILY, got, todo))
    if claims.gradients not in GRADIENTS:
        got = repr(claims.gradients)
        raise BackendError(say(f"{location}: gradients", " or ".join(GRADIENTS), got))
    check_dtypes(location, claims.dtypes)
    return claims


def check_words(location: str, claim: str, claimed: Any, words: Sequence[str]) -> None:
    """Raise BackendError unless `claimed` is a tuple or list of distinct strings from `words`."""
    expected = f"a tuple of {', '.join(words)}"
    if not isinstance(claimed, tuple | list) or not all(isinstance(w, str) for w in claimed):
        raise BackendError(say(f"{location}: {claim}", expected, repr(claimed)))
    unknown = [word for word in claimed if word not in words]
    if unknown:
        raise BackendError(say(f"{location}: {claim}", expected, ", ".join(map(repr, unknown))))
    if len(set(claimed)) != len(claimed):
        raise BackendError(say(f"{location}: {claim}", "each word once", repr(claimed)))


def check_dtypes(location: str, claimed: Any) -> None:
    """Raise BackendError unless `claimed` has distinct tuples of one to three known dtypes."""
    location = f"{location}: dtypes"
    expected = '(dtype of inputs, dtype of accumulation), such as ("float32", "float32")'
    if not isinstance(claimed, tuple | list) or not claimed:
        raise BackendError(say(location, f"at least one {expected}", repr(claimed)))
    seen = set()
    for entry in claimed:
        if not isinstance(entry, tuple | list) or not all(isinstance(word, str) for word in entry):
            raise BackendError(say(location, expected, repr(entry)))
        try:
            seen.add(Precision.of(entry))
        except ConfigError as error:
            raise BackendError(f"{location}: {error}") from error
        check_dtype_available(location, entry[0])
    if len(seen) != len(claimed):
        raise BackendError(say(location, "each precision once", repr(claimed)))


def check_dtype_available(location: str, name: str) -> None:
    """Raise BackendError if `name` is bfloat16 and the package ml_dtypes is not installed."""
    if name == "bfloat16" and importlib.util.find_spec("ml_dtypes") is None:
        raise BackendError(say(location, "a dtype of NumPy", name, install_libraries("ml_dtypes")))
    if name == "bfloat16":
        importlib.import_module("ml_dtypes")


def missing_members(backend: Any, claims: Capabilities) -> Iterator[str]:
    """Yield a message for each operator or method that is claimed but missing (backend-R13)."""
    try:
        ops = backend.ops
    except FOREIGN_ERRORS as error:  # a backend may raise any exception
        yield f"ops cannot be read: {type(error).__name__}: {error}"
        return
    methods = ("forward", "backward") if claims.gradients == "derived" else ("forward",)
    for stem in claims.operators:
        member = getattr(ops, stem, None)
        if member is None:
            yield f"operator {stem} is claimed, but ops has no {stem}"
            continue
        for method in methods:
            if not callable(getattr(member, method, None)):
                yield f"operator {stem} is claimed, but ops.{stem} has no {method}"
    yield from missing_methods(backend, claims)


def missing_methods(backend: Any, claims: Capabilities) -> Iterator[str]:
    """Yield a message for each method that `claims` requires and `backend` does not have."""
    automatic = claims.gradients == "automatic" and claims.operators
    if automatic and not has_method(backend, "differentiate"):
        yield "automatic gradients are claimed, but the backend has no method differentiate"
    if set(claims.devices) - {"cpu"} and not has_method(backend, "on"):  # backend-R16
        yield "several devices are claimed, but the backend has no method on"
    for level in claims.levels:
        for method in LEVELS[level]:
            if not has_method(backend, method):
                yield f"level {level} is claimed, but the backend has no method {method}"


def has_method(backend: Any, method: str) -> bool:
    """Return whether `backend` has this method, without calling the getter of a property."""
    member = inspect.getattr_static(backend, method, None)
    return member is not None or callable(getattr(backend, method, None))
