"""The kinds of index: `exact`, and the plugins of the entry points `mindref.indexes`.

Spec: specs/recall.md, recall-R28, R29. The plugins of mindref are registered in the same way as
the plugins of other packages.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import metadata
from typing import Any

from mindref.errors import BackendError, ConfigError, say
from mindref.process.requirements import install_extra
from mindref.recall.index import TODO, Plugin, plugin_errors

GROUP = "mindref.indexes"
BUILT_IN = ("auto", "exact")
"""Kinds that are no plugins: the choice by measurement, and exact search."""

MEMBERS = ("name", "order", "failure", "version", "build", "load")


def installed_plugins() -> dict[str, metadata.EntryPoint]:
    """Return name -> entry point of every installed plugin, without importing any."""
    entries = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    return {name: entry for name, entry in entries.items() if name not in BUILT_IN}  # recall-R28


def index_kinds() -> list[str]:
    """Return the names of all kinds, without importing any plugin."""
    return [*BUILT_IN, *sorted(installed_plugins())]


def check_kind(kind: str, location: str = "index: kind") -> None:
    """Raise ConfigError for a kind that is not installed."""
    if kind not in BUILT_IN and kind not in index_kinds():  # the plugins take milliseconds
        raise ConfigError(say(location, " or ".join(index_kinds()), repr(kind)))


def install_command(kind: str) -> str | None:
    """Return the command that installs the library of a kind, or None.

    It installs the extra of the plugin's package whose name begins the kind: `faiss` for
    `faiss-ivf`. For an unknown kind, the extras of mindref are searched. mindref is not published:
    of its extras, the command installs the libraries.
    """
    entry = installed_plugins().get(kind)
    package = entry.dist if entry and entry.dist else metadata.distribution("mindref")
    for extra in package.metadata.get_all("Provides-Extra") or ():
        if kind == extra or kind.startswith(f"{extra}-"):
            return install_extra(extra, package.name)
    return None


def load_plugin(kind: str) -> Plugin:
    """Return the plugin of a kind.

    Raises ConfigError for an unknown kind, BackendError for a plugin that cannot be imported or
    that lacks part of the interface.
    """
    entries = installed_plugins()
    if kind not in entries:
        raise ConfigError(say("index: kind", " or ".join(sorted(entries)), repr(kind)))
    with plugin_errors(kind, "importing it", install_command(kind) or TODO):
        loaded = entries[kind].load()
        plugin: Any = loaded() if isinstance(loaded, type) else loaded
        missing = [name for name in MEMBERS if not hasattr(plugin, name)]
    if missing:
        raise BackendError(say(f"index {kind}", "the whole contract", f"no {', '.join(missing)}"))
    if plugin.name != kind:
        raise BackendError(say(f"index {kind}: name", repr(kind), repr(plugin.name)))
    if plugin.order is not None and not isinstance(plugin.order, int):
        raise BackendError(say(f"index {kind}: order", "an integer or None", repr(plugin.order)))
    checked: Plugin = plugin
    return checked


def describe_plugin(kind: str) -> dict[str, Any]:
    """Return version and order of an installed plugin, or the reason why it is unusable."""
    try:
        plugin = load_plugin(kind)
        reason, version = failure_reason(plugin), plugin_version(plugin)
        hint = getattr(plugin, "hint", "")
    except BackendError as error:
        reason, hint = str(error), install_command(kind) or ""
    if reason:
        return {"name": kind, "usable": False, "reason": reason, "hint": hint}
    return {"name": kind, "usable": True, "version": version, "order": plugin.order}


def failure_reason(plugin: Plugin) -> str | None:
    """Return why a plugin is unusable here, or None. Raises BackendError."""
    with plugin_errors(plugin.name, "testing itself"):
        reason = plugin.failure()
        return str(reason) if reason else None


def plugin_version(plugin: Plugin) -> str:
    """Return the version of a plugin. Raises BackendError."""
    with plugin_errors(plugin.name, "returning its version"):
        return str(plugin.version())


def auto_versions(chosen_kind: str) -> dict[str, str]:
    """Return name -> version of the plugins that `auto` tries up to `chosen_kind`, in order.

    Plugins that cannot be imported are left out. No self-test runs, which may be slow.
    """
    versions: dict[str, str] = {}
    for plugin in auto_plugins()[0]:
        with suppress(BackendError):
            versions[plugin.name] = plugin_version(plugin)
        if plugin.name == chosen_kind:
            break
    return versions


def auto_plugins() -> tuple[list[Plugin], list[str]]:
    """Return the plugins that `auto` tries, in order, and a line for each that cannot be loaded."""
    plugins, broken = [], []
    for kind in sorted(installed_plugins()):
        try:
            plugins.append(load_plugin(kind))
        except BackendError as error:  # recall-R29: the other plugins still work
            cause, line, command = error.__cause__, str(error), install_command(kind)
            if isinstance(cause, ModuleNotFoundError) and command:
                line = f"{cause.name} is not installed ({command})"
            broken.append(line)
    tried = [plugin for plugin in plugins if plugin.order is not None]
    return sorted(tried, key=lambda plugin: (plugin.order, plugin.name)), [*dict.fromkeys(broken)]
