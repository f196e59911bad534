"""mindref backends: list the installed backends."""

from __future__ import annotations

import click

from mindref.cli.settings import json_option
from mindref.cli.streams import print_json, print_stdout


@click.command("backends", short_help="List the installed backends.")
@json_option
def backends_command(as_json: bool) -> None:
    """List the installed backends with the levels that they support, or why they are unusable.

    Level ops: operators. Level model: loss, gradients and interests. Level train: training steps.
    """
    from mindref.backend import describe_backend, list_backends

    rows = [describe_backend(name) for name in sorted(list_backends())]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        status = ", ".join(row["levels"]) if row["usable"] else f"not usable: {row['reason']}"
        print_stdout(f"{row['name']:<12} {status}")
