"""mindref similar: print the items that are similar to an item."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import click

from mindref.cli import settings
from mindref.cli.streams import print_stderr


@dataclass(frozen=True)
class SimilarOptions:
    """The options of `mindref similar`."""

    run: Annotated[Path, click.argument("run", type=settings.FOLDER)]
    item: Annotated[str, click.argument("item")]
    n: Annotated[int, click.option(
        "--top", "n", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N",
        help="Number of items [1 to 100000].",
    )]  # fmt: skip
    only: Annotated[Path | None, settings.only_option]
    exclude: Annotated[Path | None, settings.exclude_option]
    threads: Annotated[int | None, settings.threads_option]
    as_json: Annotated[bool, settings.json_option]


@click.command("similar", short_help="The items that are similar to an item.")
@settings.add_options(SimilarOptions)
def similar_command(options: SimilarOptions) -> None:
    """Print the items of RUN whose vectors have the largest cosine with that of ITEM.

    ITEM is an id or a title of the catalogue. An id has priority over a title. The FILE of --only
    or --exclude has one item id a line.
    """
    settings.set_threads(options.threads)
    from mindref.recall import lists
    from mindref.recommender.serving.list_request import ListRequest
    from mindref.recommender.serving.similar import similar_of_run

    request = ListRequest(n=options.n, only=options.only, exclude=options.exclude)
    answer, lines = similar_of_run(options.run, options.item, request)
    print_stderr(*lines)
    lists.write_similar(sys.stdout, answer, as_json=options.as_json)
