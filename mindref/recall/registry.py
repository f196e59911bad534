"""The kinds of index: `exact`, and the plugins, each of which needs a library.

Spec: specs/recall.md, recall-R28, R29.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Any

from mindref.errors import BackendError, ConfigError, say
from mindref.process.requirements import install_extra
from mindref.recall.index import Plugin, plugin_errors

BUILT_IN = ("auto", "exact")
"""Kinds that are no plugins: the choice by measurement, and exact search."""

PLUGINS = {
    "annoy": "mindref.recall.annoy:Annoy",
    "faiss-ivf": "mindref.recall.faiss:Ivf",
}
"""Kind -> class. The extra that installs the library has the first part of the name."""


def index_kinds() -> list[str]:
    """Return the names of all kinds, without importing any plugin."""
    return [*BUILT_IN, *PLUGINS]  # recall-R28


def check_kind(kind: str, location: str = "index: kind") -> None:
    """Raise ConfigError for an unknown kind."""
    if kind not in index_kinds():
        raise ConfigError(say(location, " or ".join(index_kinds()), repr(kind)))


def install_command(kind: str) -> str:
    """Return the command that installs the library of a plugin."""
    return install_extra(kind.partition("-")[0])


def import_plugin(kind: str) -> Any:
    """Return the class of a plugin; its module imports the library."""
    module, _, name = PLUGINS[kind].partition(":")
    return getattr(import_module(module), name)


def load_plugin(kind: str) -> Plugin:
    """Return a plugin. Raises ConfigError for an unknown kind, BackendError without its library."""
    if kind not in PLUGINS:
        raise ConfigError(say("index: kind", " or ".join(PLUGINS), repr(kind)))
    with plugin_errors(kind, "importing it", install_command(kind)):
        plugin: Plugin = import_plugin(kind)()
        return plugin


def describe_plugin(kind: str) -> dict[str, Any]:
    """Return version and order of a plugin, or the reason why it is unusable."""
    try:
        plugin = load_plugin(kind)
        reason, version = failure_reason(plugin), plugin_version(plugin)
        hint = getattr(plugin, "hint", "")
    except BackendError as error:
        reason, hint = str(error), install_command(kind)
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
    for kind in PLUGINS:
        try:
            plugins.append(load_plugin(kind))
        except BackendError as error:  # recall-R29: the other plugins still work
            cause, line = error.__cause__, str(error)
            if isinstance(cause, ModuleNotFoundError):
                line = f"{cause.name} is not installed ({install_command(kind)})"
            broken.append(line)
    return sorted(plugins, key=lambda plugin: (plugin.order, plugin.name)), broken
