"""Tables for people: what stands in them is text, and nothing that a terminal obeys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mindref.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segments
    from rich.table import Table


def show_table(table: Table, width: int = 110) -> None:
    """Print a table through click, whose handling of a closed pipe is ours and not rich's.

    width: letters of a line where no terminal says how many it has.
    """
    from rich.console import Console

    terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(width=None if terminal else width, markup=False)
    with console.capture() as drawn:
        console.print(shown(table, console), end="")
    click.echo(drawn.get(), nl=False)


def shown(table: Table, console: Console) -> Segments:
    """Return what is drawn of a table, control characters escaped (security-R12).

    rich takes away a few of them and leaves the others; what it draws around them are styles.
    """
    from rich.segment import Segment, Segments

    drawn = console.render(table)
    return Segments(Segment(printable(x.text, keep="\n"), x.style) for x in drawn)
