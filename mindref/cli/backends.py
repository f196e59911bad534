"""mindref backends: who can compute, and why any cannot."""

from __future__ import annotations

import json

import click

from mindref.cli.settings import json_option


@click.command("backends")
@json_option
def command(as_json: bool) -> None:
    """List the installed backends: what they claim, or why they cannot be used."""
    from mindref.backend import available, described

    rows = [described(name) for name in sorted(available())]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        what = ", ".join(row["levels"]) if row["usable"] else f"not usable: {row['reason']}"
        click.echo(f"{row['name']:<12} {what}")
