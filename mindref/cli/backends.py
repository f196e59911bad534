"""mindref backends: who can compute, and why any cannot."""

from __future__ import annotations

import json

import click

from mindref.cli.settings import json_option


@click.command("backends")
@json_option
def command(as_json: bool) -> None:
    """List the installed backends: what they claim, or why they cannot be used."""
    from mindref.backend import available, load
    from mindref.errors import STRANGE, BackendError

    rows = []
    for name in sorted(available()):
        try:
            claims = load(name).capabilities()._asdict()
            rows.append({"name": name, "usable": True, **claims})
        except BackendError as error:
            rows.append({"name": name, "usable": False, "reason": str(error)})
        except STRANGE as error:  # a stranger's code may raise anything
            reason = f"{type(error).__name__}: {error}"
            rows.append({"name": name, "usable": False, "reason": reason})
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        what = ", ".join(row["levels"]) if row["usable"] else f"not usable: {row['reason']}"
        click.echo(f"{row['name']:<12} {what}")
