"""mindref similar: print the items that are similar to an item."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mindref.cli import settings
from mindref.cli.streams import print_stderr

FORMATS = ("table", "tsv")


@click.command("similar", short_help="The items that are similar to an item.")
@click.argument("run", type=settings.FOLDER)
@click.argument("item")
@click.option(
    "--top", "n", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N",
    help="Number of items [1 to 100000].",
)  # fmt: skip
@settings.only_option
@settings.exclude_option
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="Output format [default: table].",
)  # fmt: skip
@click.option("--output", type=settings.FILE, help="Write to this file." + settings.REPLACED)
@settings.threads_option
@settings.json_option
def similar_command(
    run: Path,
    item: str,
    n: int,
    only: Path | None,
    exclude: Path | None,
    form: str | None,
    output: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print the items of RUN whose vectors have the largest cosine with that of ITEM.

    ITEM is an id or a title of the catalogue. An id has priority over a title. The FILE of --only
    or --exclude has one item id a line.
    """
    settings.set_threads(threads)
    form = settings.output_format(form, "table", as_json=as_json)
    inputs = {"the file of --only": only, "the file of --exclude": exclude}
    settings.check_output_file("--output", output, inputs, [run])
    from mindref.recall import lists
    from mindref.recommender.serving.list_request import ListRequest
    from mindref.recommender.serving.similar import similar_of_run

    answer, lines = similar_of_run(run, item, ListRequest(n=n, only=only, exclude=exclude))
    print_stderr(*lines)
    if output is None:
        lists.write_similar(sys.stdout, answer, form)
        return
    print_stderr(*lists.save_similar(output, answer, form))
