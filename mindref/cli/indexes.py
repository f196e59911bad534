"""mindref indexes: what recall can search with, and why any cannot."""

from __future__ import annotations

import json
from typing import Any

import click

from mindref.cli.settings import json_option
from mindref.process.memory import check_memory


@click.command("indexes", short_help="What recall can search with, and why any cannot.")
@json_option
def command(as_json: bool) -> None:
    """List the installed kinds of index for `mindref recall --index`.

    With the version of each, and when `auto` tries it; or why it cannot be used.
    """
    from mindref.recall import registry

    check_memory()  # what is imported to look at it may end the process itself

    rows = [{"name": "exact", "usable": True, "version": None, "order": 0}]
    rows += [registry.described(kind) for kind in sorted(registry.available())]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for found in rows:
        click.echo(f"{found['name']:<12} {words(found)}")


def words(found: dict[str, Any]) -> str:
    """Return a row for people."""
    if not found["usable"]:
        return f"not usable: {found['reason']}"
    when = "only when asked for" if found["order"] is None else "tried by auto"
    return f"{found['version'] or 'built in'}, {when}"
