"""Options of the commands that return lists: recall, similar and serve."""

from __future__ import annotations

import click

from mindref.cli.settings import FILE

index_option = click.option(
    "--index",
    metavar="KIND",
    default="auto",
    show_default=True,
    help="Search index: auto, exact, or a kind that `mindref indexes` lists. auto uses exact"
    " search on small catalogues and the fastest accurate kind, by measurement, on large ones.",
)
only_option = click.option(
    "--only", type=FILE, metavar="FILE", help="Recommend only the items of FILE."
)
exclude_option = click.option(
    "--exclude", type=FILE, metavar="FILE", help="Never recommend the items of FILE."
)
