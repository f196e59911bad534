"""mindref recall: print or write the top-n items of users or of a history."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import click

from mindref.cli import run_settings, settings
from mindref.cli.settings import flag_option, output_option
from mindref.cli.streams import print_stderr, warn_unfinished
from mindref.errors import ConfigError, say

FORMATS = ("table", "tsv", "jsonl")


@dataclass(frozen=True)
class RecallOptions:
    """The options of `mindref recall`."""

    run: Annotated[Path, click.argument("run", type=settings.FOLDER)]
    user: Annotated[str | None, click.option(
        "--user", metavar="ID", help="A user id of the run's log."
    )]  # fmt: skip
    history: Annotated[str | None, click.option(
        "--history", metavar="ITEM,...",
        help="Items as one CSV row, oldest first: ids, or titles. An id has priority over a title."
        " Write a title with commas in double quotes: '\"Sun, The\",Rain'.",
    )]  # fmt: skip
    all_users: Annotated[bool, flag_option("--all-users", "All users of the run's log.")]
    data: Annotated[Path | None, settings.moved_log_option]
    n: Annotated[int, click.option(
        "--top", "n", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N",
        help="Number of items per user, n [1 to 100000].",
    )]  # fmt: skip
    reranker: Annotated[Path | None, click.option(
        "--rerank", "reranker", type=settings.FOLDER, metavar="DIN_RUN",
        help="Rerank with DIN_RUN, a DIN model trained on RUN. Scores are DIN's.",
    )]  # fmt: skip
    index: Annotated[str, settings.index_option]
    exclude_seen: Annotated[bool | None, settings.seen_option()]
    only: Annotated[Path | None, settings.only_option]
    exclude: Annotated[Path | None, settings.exclude_option]
    per_interest: Annotated[int | None, click.option(
        "--per-interest", type=click.IntRange(1, 100_000), metavar="N",
        help="At most N items of a list have the same best interest [1 to 100000; default: no"
        " limit]. A list may then have fewer than --top items.",
    )]  # fmt: skip
    form: Annotated[str | None, click.option(
        "--format", "form", type=click.Choice(FORMATS),
        help="Output format [default: table; tsv for --all-users].",
    )]  # fmt: skip
    output: Annotated[Path | None, output_option("--output", "Write to this file.")]
    backend: Annotated[str | None, settings.backend_option]
    device: Annotated[str, settings.device_option]
    threads: Annotated[int | None, settings.threads_option]
    as_json: Annotated[bool, settings.json_option]


@click.command("recall", short_help="Top-n items for a user, a history, or all users.")
@settings.add_options(RecallOptions)
def recall_command(options: RecallOptions) -> None:
    """Print the top-n items of RUN for one user or history, with titles and interests.

    --history accepts any history of items of the log; the user need not be in the log.

    The FILE of --only or --exclude has one item id a line, for all users. Or every line has a user
    id, a tab and an item id; a user without a line is not restricted. Ids are escaped as in TSV
    output.
    """
    run, output = options.run, options.output
    settings.set_threads(options.threads, options.backend or run_settings.run_backend(run))
    if sum([options.user is not None, options.history is not None, options.all_users]) != 1:
        expected = "one of --user, --history, --all-users"
        raise ConfigError(say("recall", expected, "none or several"))  # recall-R37
    users = None if options.user is None else [options.user]
    histories = None
    if options.history is not None:
        histories = [parse_item_ids("--history", options.history)]
    inputs = {
        "the log of --data": options.data,
        "the file of --only": options.only,
        "the file of --exclude": options.exclude,
    }
    settings.check_output_file("--output", output, inputs, [run])
    default = "tsv" if options.all_users else "table"
    form = settings.output_format(options.form, default, as_json=options.as_json)
    warn_unfinished(run)
    from mindref.recommender.serving.list_request import ListRequest

    request = ListRequest(
        users=users,
        histories=histories,
        n=options.n,
        only=options.only,
        exclude=options.exclude,
        per_interest=options.per_interest,
        exclude_seen=options.exclude_seen,
        index=options.index,
        data=options.data,
        backend=options.backend,
        device=options.device,
        reranker=options.reranker,
    )
    from mindref.recall.lists import open_output, write_lists
    from mindref.recommender.serving.recall import recall_lists

    lists = recall_lists(run, request)
    print_stderr(*lists.warnings)
    with open_output(output) as (stream, warnings):  # the lists are computed while they are written
        write_lists(stream, lists, lists.index, form)
    print_stderr(*warnings)


def parse_item_ids(option: str, text: str) -> list[str]:
    """Return the items of a CSV row. Quotes may contain commas; empty fields are dropped.

    Spaces are kept, because an id may contain spaces. Raises ConfigError.
    """
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        is_row = len(rows) <= 1
    except csv.Error:
        is_row = False
    if not is_row:
        raise ConfigError(say(option, 'items as one row of CSV: a,b,"c,d"', repr(text)))
    return [item for row in rows for item in row if item]
