"""The table of variants: command-line name, where it was seen, and how it is shown."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from mindref.conformance.variants import loader
from mindref.errors import ConfigError, say
from mindref.study.close import closest


class Seen(NamedTuple):
    """A public implementation, read at a commit."""

    repository: str
    commit: str
    date: str  # of the commit: year-month-day, or year-month
    note: str = ""


class Scene(NamedTuple):
    """What is set up for both sides; empty where nothing is needed."""

    config: dict[str, Any]
    pads: int  # padded places after the behaviours
    before: bool  # whether another user is served before
    against: bool  # whether the target is an item that an interest speaks against

    @property
    def moves(self) -> bool:
        """Return whether the reference, too, is another one than without the scene."""
        return bool(self.config or self.pads or self.against)


class Entry(NamedTuple):
    """One deviation of public implementations."""

    name: str
    title: str
    mistake: loader.Variant  # the same in the judge's catalogue
    step: str  # kind of step of the trace
    seen: tuple[Seen, ...]
    scene: Scene
    measured: tuple[str, ...]  # names of measures
    gradient: bool  # whether its backward pass is one that somebody has, and is compared
    alarms: tuple[str, ...]  # "kind of step: kind of check": what rings, at the most
    silent: str  # why none rings, where none does


@cache
def table() -> dict[str, Entry]:
    """Return name -> entry, in the order of the steps."""
    file = resources.files("mindref.study.variants").joinpath("catalogue.toml")
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    mistakes = {variant.name: variant for variant in loader.catalogue()}
    projects = content["project"]
    return {r["name"]: read(r, mistakes, projects) for r in content["variant"]}


def read(row: dict[str, Any], mistakes: dict[str, Any], projects: dict[str, Any]) -> Entry:
    """Return an entry from its table."""
    parts = [text.partition(": ") for text in row["seen"]]
    seen = tuple(Seen(**projects[name], note=note) for name, _, note in parts)
    before, against = row.get("before", False), row.get("against", False)
    scene = Scene(row.get("config", {}), row.get("pads", 0), before, against)
    return Entry(
        row["name"],
        row["title"],
        mistakes[row["of"]],
        row["step"],
        seen,
        scene,
        tuple(row["measured"]),
        row.get("gradient", False),
        tuple(row.get("alarms", ())),
        row.get("silent", ""),
    )


def names() -> tuple[str, ...]:
    """Return the names of all variants."""
    return tuple(table())


def find(name: str) -> Entry:
    """Return a variant by its name; raise ConfigError with the nearest names if none has it."""
    if name not in table():
        raise ConfigError(say("variant", "one of the bench", name, closest(name, names())))
    return table()[name]


def of_step(kind: str) -> tuple[str, ...]:
    """Return the variants that deviate in a kind of step, such as "routing.weights"."""
    return tuple(name for name, entry in table().items() if entry.step == kind)


def built(name: str) -> loader.Built:
    """Return the library's modules with the variant's edit made; two calls share no state."""
    return loader.build(find(name).mistake)
