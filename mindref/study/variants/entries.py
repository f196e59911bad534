"""The table of variants: name, public sources, setup and measures."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from mindref.conformance.mutants import loader
from mindref.errors import ConfigError, say
from mindref.study.suggest import suggest_names


class PublicSource(NamedTuple):
    """A public implementation at a commit."""

    repository: str
    commit: str
    date: str  # of the commit: year-month-day, or year-month
    note: str = ""


class Setup(NamedTuple):
    """The setup of both sides; empty if none is needed."""

    config: Mapping[str, Any] = {}
    pads: int = 0  # padded positions after the behaviours
    window: int = 0  # behaviours that routing receives, the last ones; 0 for all
    other_user_first: bool = False  # whether another user is served first
    opposed_target: bool = False  # whether the target is an item with a very negative score

    @property
    def changes_reference(self) -> bool:
        """Return whether the setup changes the results of the reference."""
        return bool(self.config or self.pads or self.window or self.opposed_target)


class VariantEntry(NamedTuple):
    """One deviation of public implementations."""

    name: str
    title: str
    mutant: loader.Mutant  # in the catalogue of the conformance suite
    step: str  # kind of step of the trace
    seen: tuple[PublicSource, ...]
    setup: Setup
    measures: tuple[str, ...]  # names of measures
    gradient: bool  # whether a public implementation has this backward pass
    violations: tuple[str, ...]  # "kind of step: kind of invariant"
    effect: str  # for any user; replaces the text of the mutant, which has numbers of one user
    no_violation: str  # empty if an invariant fails


@cache
def variant_table() -> dict[str, VariantEntry]:
    """Return name -> entry, in the order of the steps."""
    file = resources.files("mindref.study.variants").joinpath("catalogue.toml")
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    mutants = {variant.name: variant for variant in loader.suite_mutants()}
    projects = content["project"]
    return {
        name: read_entry(name, row, mutants, projects) for name, row in content["variant"].items()
    }


def read_entry(
    name: str, row: dict[str, Any], mutants: dict[str, Any], projects: dict[str, Any]
) -> VariantEntry:
    """Return the entry of a row."""
    parts = [text.partition(": ") for text in row["seen"]]
    seen = tuple(PublicSource(**projects[project], note=note) for project, _, note in parts)
    return VariantEntry(
        name,
        row["title"],
        mutants[row["mutant"]],
        row["step"],
        seen,
        read_setup(row),
        tuple(row["measures"]),
        row.get("gradient", False),
        tuple(row.get("violations", ())),
        row.get("effect", mutants[row["mutant"]].does),
        row.get("no_violation", ""),
    )


def read_setup(row: Mapping[str, Any]) -> Setup:
    """Return the setup of a row: those of its keys that are fields of a setup."""
    return Setup(**{name: row[name] for name in Setup._fields if name in row})


def variant_names() -> tuple[str, ...]:
    """Return the names of all variants."""
    return tuple(variant_table())


def find_variant(name: str) -> VariantEntry:
    """Return a variant by name. Raises ConfigError with suggestions for an unknown name."""
    if name not in variant_table():
        todo = suggest_names(name, variant_names())
        raise ConfigError(say("variant", "a name of the list of variants", name, todo))
    return variant_table()[name]
