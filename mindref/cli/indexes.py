"""mindref indexes: list the kinds of search index for `mindref recall`."""

from __future__ import annotations

import click

from mindref.cli.settings import json_option
from mindref.cli.streams import print_json, print_stdout
from mindref.process.memory import check_memory
from mindref.process.threads import check_thread_variables


@click.command("indexes", short_help="List the kinds of search index.")
@json_option
def indexes_command(as_json: bool) -> None:
    """List the kinds of index for `mindref recall --index`.

    Each line has the version of the library and whether `auto` tries this kind. If a kind cannot
    be used, the line has the reason.
    """
    from mindref.recall import registry

    check_thread_variables()
    check_memory()  # importing a library without enough memory may end the process

    rows = [{"name": "exact", "usable": True, "version": None, "order": 0}]
    rows += [registry.describe_plugin(kind) for kind in registry.PLUGINS]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        if row["usable"]:
            when = "only on request" if row["order"] is None else "tried by auto"
            text = f"{row['version'] or 'built in'}, {when}"
        else:
            text = f"not usable: {row['reason']}"
        print_stdout(f"{row['name']:<12} {text}")
