"""The printer of tables, on rich. Control characters in the cells are escaped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from mindref.errors import printable

if TYPE_CHECKING:
    from rich.table import Table


def print_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    left: int = 1,
    no_wrap: bool = False,
    width: int = 110,
) -> None:
    """Print a table; the first `left` columns are aligned left, and not wrapped if `no_wrap`."""
    from rich.table import Table

    table = Table(title=title)
    for column, name in enumerate(heads):
        is_left = column < left
        table.add_column(name, justify="left" if is_left else "right", no_wrap=no_wrap and is_left)
    for row in rows:
        table.add_row(*row)
    show_table(table, width)


def show_table(table: Table, width: int = 110) -> None:
    """Print a table through click, so that a closed pipe is handled as for other output.

    width: characters of a line if standard output is not a terminal.
    """
    from rich.console import Console
    from rich.segment import Segment, Segments

    terminal = sys.stdout is not None and sys.stdout.isatty()
    # without markup and emoji: `:X:` may be a part of the name of a backend
    console = Console(width=None if terminal else width, markup=False, emoji=False)
    # security-R12: rich removes only some control characters; its own escape sequences are styles
    segments = [Segment(printable(x.text, keep="\n"), x.style) for x in console.render(table)]
    with console.capture() as drawn:
        console.print(Segments(segments), end="")
    click.echo(drawn.get(), nl=False)
