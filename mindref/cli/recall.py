"""mindref recall: the best items for a user, a history, or everybody."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import click

from mindref.cli.settings import (
    backend_of,
    backend_option,
    json_option,
    set_threads,
    threads_option,
)
from mindref.errors import ConfigError, say

FORMATS = ("table", "tsv", "jsonl")


@click.command("recall", short_help="The best items for a user, a history, or everybody.")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--user", metavar="ID", help="A user of the log of the run.")
@click.option("--history", metavar="ITEM,...", help="Item ids as a row of CSV, oldest first.")
@click.option("--all-users", is_flag=True, help="Every user of the log of the run.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Where the log lies now, if it has moved."
)
@click.option(
    "--top", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N",
    help="Items per user [1 to 100000].",
)  # fmt: skip
@click.option(
    "--index",
    "kind",
    metavar="KIND",
    default="auto",
    show_default=True,
    help="exact, annoy, faiss-flat, faiss-ivf, or another that `mindref indexes` lists; auto takes"
    " the best on large catalogues, by measurement.",
)
@click.option(
    "--exclude-seen/--include-seen",
    default=True,
    show_default=True,
    help="Leave out what the user has had, or not.",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="[default: table; tsv for --all-users]"
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead."
)
@backend_option
@threads_option
@json_option
def command(
    run: Path,
    user: str | None,
    history: str | None,
    all_users: bool,
    data: Path | None,
    top: int,
    kind: str,
    exclude_seen: bool,
    form: str | None,
    output: Path | None,
    backend: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print the TOP items of RUN for one user or history, with titles and the interest of each.

    No user needs to be known: --history answers for behaviours that were never seen in training.
    """
    set_threads(threads, backend or backend_of(run))
    if sum([user is not None, history is not None, all_users]) != 1:
        expected = "one of --user, --history, --all-users"
        raise ConfigError(say("recall", expected, "none or several"))
    items = ids_of("--history", history) if history is not None else None
    from mindref.cli import lists

    lists.check_file("--output", output)
    from mindref.recommender.bulk import recall

    answers = recall(
        run,
        users=[user] if user is not None else None,
        history=items,
        data=data,
        n=top,
        kind=kind,
        exclude_seen=exclude_seen,
        backend=backend,
    )
    for line in answers.warnings:
        click.echo(line, err=True)
    form = "json" if as_json else form or ("tsv" if all_users else "table")
    if output is not None:
        lists.save(output, answers, form)
    else:
        lists.write(sys.stdout, answers, form)


def ids_of(option: str, text: str) -> list[str]:
    """Return the ids in a row of CSV, where quotes hold commas; empty fields are no ids.

    Nothing is stripped: a blank may be part of an id. Raises ConfigError.
    """
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        rows = [[], []]
    if len(rows) > 1:
        raise ConfigError(say(option, 'item ids as one row of CSV: a,b,"c,d"', repr(text)))
    return [word for row in rows for word in row if word]
