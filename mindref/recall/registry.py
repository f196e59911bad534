"""Which kinds of index there are: `exact`, and the plugins among the entry points.

Spec: specs/recall.md, recall-R28, R29. The built-in `annoy`, `faiss-flat` and `faiss-ivf` are
registered in `mindref.indexes` like a stranger's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any

from mindref.errors import STRANGE, BackendError, ConfigError, MindrefError, say
from mindref.recall.index import Plugin

GROUP = "mindref.indexes"
OURS = ("auto", "exact")
"""Kinds that no plugin can be: the choice by measurement, and the search through all items."""

MEMBERS = ("name", "order", "options", "failure", "version", "build", "load")
TODO = "install what it needs, or choose another kind of index"
HINTS = {"faiss-flat": "pip install 'mindref[faiss]'", "faiss-ivf": "pip install 'mindref[faiss]'"}


def available() -> dict[str, metadata.EntryPoint]:
    """Return name -> entry point of every installed plugin, none of them imported."""
    found = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    return {name: entry for name, entry in found.items() if name not in OURS}  # recall-R28


def kinds() -> list[str]:
    """Return every kind that can be asked for, importing none."""
    return [*OURS, *sorted(available())]


def check_kind(kind: str, where: str = "index: kind") -> None:
    """Raise ConfigError for a kind that nobody has installed."""
    if kind not in kinds():
        raise ConfigError(say(where, " or ".join(kinds()), repr(kind)))


def load(kind: str) -> Plugin:
    """Return the plugin of a kind.

    Raises ConfigError for an unknown one, BackendError for one that cannot be imported or that
    lacks part of the contract.
    """
    found = available()
    if kind not in found:
        raise ConfigError(say("index: kind", " or ".join(sorted(found)), repr(kind)))
    with answering(kind, "importing it", HINTS.get(kind, TODO)):
        made = found[kind].load()
        plugin: Any = made() if isinstance(made, type) else made
        lacks = [name for name in MEMBERS if not hasattr(plugin, name)]
    if lacks:
        raise BackendError(say(f"index {kind}", "the whole contract", f"no {', '.join(lacks)}"))
    if plugin.name != kind:
        raise BackendError(say(f"index {kind}: name", repr(kind), repr(plugin.name)))
    if plugin.order is not None and not isinstance(plugin.order, int):
        raise BackendError(say(f"index {kind}: order", "an integer or None", repr(plugin.order)))
    checked: Plugin = plugin
    return checked


def described(kind: str) -> dict[str, Any]:
    """Return version and order of an installed plugin, or why it cannot be used."""
    try:
        plugin = load(kind)
        reason, version = reason_of(plugin), version_of(plugin)
    except BackendError as error:
        return {"name": kind, "usable": False, "reason": str(error)}
    if reason:
        return {"name": kind, "usable": False, "reason": reason}
    return {"name": kind, "usable": True, "version": version, "order": plugin.order}


@contextmanager
def answering(kind: str, when: str, todo: str = TODO) -> Iterator[None]:
    """Turn whatever a stranger's code raises into a BackendError that says when (recall-R29)."""
    try:
        yield
    except (MindrefError, MemoryError):
        raise
    except STRANGE as error:
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(f"index {kind}", f"an answer when {when}", got, todo)) from error


def reason_of(plugin: Plugin) -> str | None:
    """Return why a plugin cannot be trusted here, or None. Raises BackendError."""
    with answering(plugin.name, "testing itself"):
        reason = plugin.failure()
        return str(reason) if reason else None


def version_of(plugin: Plugin) -> str:
    """Return what a file of a plugin depends on. Raises BackendError."""
    with answering(plugin.name, "telling its version"):
        return str(plugin.version())


def versions_for_auto(taken: str) -> dict[str, str]:
    """Return name -> version of what `auto` looks at here until it takes a kind, in its order.

    What cannot be imported is left out. Nothing tests itself, which may be slow.
    """
    found: dict[str, str] = {}
    for plugin in candidates_for_auto()[0]:
        with suppress(BackendError):
            found[plugin.name] = version_of(plugin)
        if plugin.name == taken:
            break
    return found


def candidates_for_auto() -> tuple[list[Plugin], list[str]]:
    """Return the plugins that `auto` tries, in their order, and a line for each that cannot be."""
    plugins, broken = [], []
    for kind in sorted(available()):
        try:
            plugins.append(load(kind))
        except BackendError as error:  # recall-R29: it disturbs nobody
            cause, line = error.__cause__, str(error)
            if isinstance(cause, ModuleNotFoundError) and kind in HINTS:
                line = f"{cause.name} is not installed ({HINTS[kind]})"
            broken.append(line)
    tried = [plugin for plugin in plugins if plugin.order is not None]
    return sorted(tried, key=lambda plugin: (plugin.order, plugin.name)), [*dict.fromkeys(broken)]
