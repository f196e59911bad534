"""mindref recall: the best items for a user, a history, or everybody."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import click

from mindref.cli.settings import (
    backend_of,
    backend_option,
    check_file,
    device_option,
    json_option,
    refuse_others,
    set_threads,
    threads_option,
)
from mindref.cli.telling import tell
from mindref.errors import ConfigError, printable, say

FORMATS = ("table", "tsv", "jsonl")


@click.command("recall", short_help="The best items for a user, a history, or everybody.")
@click.argument("run", nargs=-1, metavar="RUN", type=click.Path(path_type=Path))
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
    "--rerank",
    "stage",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIN_RUN",
    help="Put in order by a ranking stage that was trained for RUN; the scores are its own.",
)
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
@click.option(
    "--shard", metavar="I/N", help="With --all-users: only share I of N, from 1, for --merge."
)
@click.option(
    "--merge", is_flag=True, help="RUN... are the files of all shares: write them as one."
)
@backend_option
@device_option
@threads_option
@json_option
def command(
    run: tuple[Path, ...],
    user: str | None,
    history: str | None,
    all_users: bool,
    data: Path | None,
    top: int,
    stage: Path | None,
    kind: str,
    exclude_seen: bool,
    form: str | None,
    output: Path | None,
    shard: str | None,
    merge: bool,
    backend: str | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print the TOP items of RUN for one user or history, with titles and the interest of each.

    No user needs to be known: --history answers for behaviours that were never seen in training.

    \b
    Many machines can share the users of a run that all of them see:
      mindref recall RUN --all-users --shard 1/2 --output part-1
      mindref recall RUN --all-users --shard 2/2 --output part-2
      mindref recall --merge part-1 part-2 --output lists.tsv
    """
    if merge:
        refuse_others("--merge", ("run", "merge", "output"), "the files of the parts and --output")
        merge_parts(run, output)
        return
    if len(run) != 1:
        raise click.UsageError(f"expected one RUN, got {len(run)}.", click.get_current_context())
    set_threads(threads, backend or backend_of(run[0]))
    if sum([user is not None, history is not None, all_users]) != 1:
        expected = "one of --user, --history, --all-users"
        raise ConfigError(say("recall", expected, "none or several"))
    items = ids_of("--history", history) if history is not None else None
    share = share_of(shard, all_users, output)
    check_file("--output", output)
    form = "json" if as_json else form or ("tsv" if all_users else "table")
    asked: dict[str, Any] = {"data": data, "n": top, "kind": kind}
    asked |= {"exclude_seen": exclude_seen, "backend": backend, "device": device}
    if share is not None and output is not None:
        if stage is not None:
            todo = "rank the lists of all users in one go"
            raise ConfigError(say("--shard", "lists in the order of recall", "--rerank", todo))
        write_share(run[0], output, form, share, asked)
    else:
        users = [user] if user is not None else None
        show(run[0], output, form, {"users": users, "history": items, "stage": stage, **asked})


def show(run: Path, output: Path | None, form: str, asked: dict[str, Any]) -> None:
    """Print the lists, or write them to a file."""
    from mindref.recommender import lists
    from mindref.recommender.bulk import recall

    answers = recall(run, **asked)
    for line in answers.warnings:
        tell(printable(line))
    if output is not None:
        for line in lists.save(output, answers, answers.index, form):
            tell(line)
    else:
        lists.write(sys.stdout, answers, answers.index, form)


def write_share(
    run: Path, output: Path, form: str, share: tuple[int, int], asked: dict[str, Any]
) -> None:
    """Write the lists of one share of the users."""
    from mindref.recommender.shares import recall_all

    for line in recall_all(run, output, form=form, shard=share, **asked):
        tell(printable(line))


def merge_parts(paths: tuple[Path, ...], output: Path | None) -> None:
    """Write all shares as one file. Raises ConfigError without one to write to."""
    if output is None:
        raise ConfigError(say("--merge", "--output, the file to write", "none"))
    check_file("--output", output)
    from mindref.recommender import parts

    parts.merge(paths, output)


def share_of(text: str | None, all_users: bool, output: Path | None) -> tuple[int, int] | None:
    """Return i and n of a share. Raises ConfigError for anything else."""
    if text is None:
        return None
    if not all_users or output is None:
        todo = "a share is kept until all are merged"
        expected = "--all-users and --output beside it"
        raise ConfigError(say("--shard", expected, "not both of them", todo))
    from mindref.recommender.parts import is_share

    first, _, second = text.partition("/")
    if not (first.isascii() and first.isdecimal() and second.isascii() and second.isdecimal()):
        raise ConfigError(say("--shard", "I/N, such as 1/4", repr(text)))
    # no text of thousands of digits is made a number
    share = (int(first), int(second)) if len(first) <= len(second) <= 9 else (0, 0)
    if not is_share(share):
        raise ConfigError(say("--shard", "I/N with I from 1 to N, below 10^9", repr(text)))
    return share


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
