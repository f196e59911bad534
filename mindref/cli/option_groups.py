"""A command whose help lists its options in groups, the options that people need first on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

FIRST = "First options"


class GroupedCommand(click.Command):
    """A click command with option groups.

    first: parameters of the group `FIRST`, in their order in the help. groups: title of each other
    group -> its first parameter; the group ends where the next begins.
    """

    def __init__(
        self, *args: Any, first: tuple[str, ...], groups: Mapping[str, str], **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.first, self.groups = first, groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one section for each group."""
        titles = {parameter: title for title, parameter in self.groups.items()}
        sections: dict[str, list[tuple[str, str]]] = {FIRST: [], **{x: [] for x in self.groups}}
        first: dict[str, tuple[str, str]] = {}
        section = FIRST
        for parameter in self.get_params(ctx):
            name, record = str(parameter.name), parameter.get_help_record(ctx)
            section = titles.get(name, section)
            if record is not None and name in self.first:
                first[name] = record
            elif record is not None:
                sections[section].append(record)
        sections[FIRST] = [first[name] for name in self.first]
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
