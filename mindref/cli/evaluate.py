"""mindref evaluate: judge a run on full rankings of its catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mindref.cli import ranking
from mindref.cli.reading import reading_of, reading_options
from mindref.cli.settings import (
    backend_of,
    backend_option,
    check_file,
    device_option,
    is_ranking,
    json_option,
    refuse_others,
    set_threads,
    threads_option,
)
from mindref.cli.telling import tell
from mindref.cli.train import PROTOCOLS
from mindref.errors import ConfigError, say

SEEN = "targets that the user has had"  # a note of evaluate_run


@click.command("evaluate", short_help="Judge a run on full rankings.")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--data", type=click.Path(path_type=Path), help="Another log [default: the one of the run]."
)
@reading_options
@click.option(
    "--split", "protocol", type=click.Choice(PROTOCOLS), help="[default: the one of the run]"
)
@click.option(
    "--cases", type=click.Choice(["test", "validation"]), default="test", show_default=True,
    help="Which cases of the split.",
)  # fmt: skip
@click.option(
    "--exclude-seen/--include-seen", default=None, help="[default: as the run was trained]"
)
@click.option(
    "--at", default="10,20,50", show_default=True, metavar="N,N,...", help="Lengths of the lists."
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the ranked lists as TSV: user, rank, item, score, interest.",
)
@click.option(
    "--indexable",
    is_flag=True,
    help="Of a ranking stage: why it cannot be indexed, measured on 400 test cases.",
)
@click.option(
    "--recall",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="Of a ranking stage: where its recall run lies now, if it has moved.",
)
@backend_option
@device_option
@threads_option
@json_option
def command(
    run: Path,
    data: Path | None,
    protocol: str | None,
    cases: str,
    exclude_seen: bool | None,
    at: str,
    predictions: Path | None,
    indexable: bool,
    recall: Path | None,
    backend: str | None,
    device: str,
    threads: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Rank the whole catalogue for every case of RUN: hit rate, recall, NDCG, MRR, coverage.

    Beside the model stand popularity and random. Items that the user has had are left out unless
    --include-seen.

    Of a ranking stage (mindref train --model din) the report of its training is printed again: what
    its order is worth beside that of recall.
    """
    if is_ranking(run):
        known: tuple[str, ...] = ("run", "indexable", "as_json")
        words = "--json or --indexable"
        if indexable:
            known += ("recall", "data", "backend", "device", "threads")
            words = "--recall, --data, --backend, --device, --threads or --json"
        refuse_others(f"{run}, a ranking stage", known, words)
        ranking.evaluate(run, indexable, recall, data, device, threads, as_json, backend)
        return
    for option, asked in (("--indexable", indexable), ("--recall", recall)):
        if asked:
            raise ConfigError(say(option, "a ranking stage, as --model din makes", run))
    set_threads(threads, backend or backend_of(run))
    check_file("--predictions", predictions)
    from mindref.recommender.again import evaluate_run

    lengths = numbers("--at", at)
    found = evaluate_run(
        run,
        data=data,
        reading=reading_of(given),
        protocol=protocol,
        which=cases,
        exclude_seen=exclude_seen,
        at=lengths,
        predictions=predictions,
        backend=backend,
        device=device,
    )
    for line in found["warnings"]:
        tell(line)
    if as_json:
        click.echo(json.dumps(found))
        return
    from mindref.cli import show

    show.metrics_table(found["metrics"][cases], found["cases"], cases)
    show.history_table(found["by_history_length"])
    for line in show.tie_lines(found["by_tie"]):
        click.echo(line)
    for line in show.interests_lines(found["interests"]):
        click.echo(line)
    for line in note_lines(found["notes"], hidden=found["exclude_seen"]):
        click.echo(line)


def numbers(option: str, text: str) -> list[int]:
    """Return the numbers of a comma-separated list. Raises ConfigError."""
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise ConfigError(say(option, "positive integers, comma separated", repr(text)))
    return found


def note_lines(notes: dict[str, int], *, hidden: bool) -> list[str]:
    """Return what is worth a line: what is not zero, and what seen items cost where `hidden`."""
    lines = {name: f"{count:,} {name}" for name, count in notes.items() if count}
    if hidden and SEEN in lines:
        lines[SEEN] += ": missed where what was seen is left out; --include-seen ranks it too"
    return list(lines.values())
