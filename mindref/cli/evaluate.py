"""mindref evaluate: evaluate a run with top-n lists from its whole catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import click

from mindref.cli import reports, run_settings, settings
from mindref.cli.reading_options import parse_reading, reading_options
from mindref.cli.streams import print_as_warnings, print_json, print_stdout, warn_unfinished
from mindref.data.protocols import EVALUATION_PROTOCOLS
from mindref.errors import ConfigError, say
from mindref.evaluation import LIST_LENGTHS, LONGEST


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `mindref evaluate`."""

    run: Annotated[Path, click.argument("run", type=settings.FOLDER)]
    data: Annotated[Path | None, click.option(
        "--data", type=settings.PATH, help="The log [default: the log of the run]."
    )]  # fmt: skip
    reading: Annotated[dict[str, Any], reading_options]
    protocol: Annotated[str | None, click.option(
        "--split", "protocol", type=click.Choice(EVALUATION_PROTOCOLS),
        help="Protocol that splits the log [default: the protocol of the run].",
    )]  # fmt: skip
    cases: Annotated[str, click.option(
        "--cases", type=click.Choice(["test", "validation"]), default="test", show_default=True,
        help="Evaluation cases to use.",
    )]  # fmt: skip
    exclude_seen: Annotated[bool | None, settings.seen_option()]
    lengths: Annotated[str, click.option(
        "--at", "lengths", default=",".join(map(str, LIST_LENGTHS)), show_default=True,
        metavar="N,N,...", help="Values of n for top-n metrics, each from 1 to 100000.",
    )]  # fmt: skip
    max_cases: Annotated[int | None, click.option(
        "--max-cases", type=click.IntRange(0), metavar="N",
        help="Evaluate at most N cases, drawn with the seed of the run; from 0, which is all"
        " [default: the setting test_users of the run; all validation cases].",
    )]  # fmt: skip
    predictions: Annotated[Path | None, settings.output_option(
        "--predictions", "Write the top-n lists as TSV: user, rank, item, score, interest."
    )]  # fmt: skip
    backend: Annotated[str | None, settings.backend_option]
    device: Annotated[str, settings.device_option]
    threads: Annotated[int | None, settings.threads_option]
    as_json: Annotated[bool, settings.json_option]


@click.command("evaluate", short_help="Evaluate a run on held-out interactions.")
@settings.add_options(EvaluateOptions)
def evaluate_command(options: EvaluateOptions) -> None:
    """Evaluate RUN on every case: hit rate, recall, NDCG, MRR and coverage.

    Each case ranks the whole catalogue. The baselines item_knn, popularity and, with seen items,
    own_counts are evaluated on the same cases. Items of the user's history are excluded, unless
    --include-seen is given.

    For a DIN run (mindref train --model din) the report of its training is printed: the metrics
    with the order of recall and with the order of DIN.
    """
    run, as_json = options.run, options.as_json
    if run_settings.is_reranker_run(run):
        settings.reject_other_options(f"{run}, a DIN run", ("run", "as_json"), "only --json")
        settings.set_threads(None)
        from mindref.recommender.training.rerank_trainer import load_rerank_report

        reranker_report = load_rerank_report(run)
        if as_json:
            print_json(reranker_report)
        else:
            reports.print_gains(reranker_report)
        return
    settings.set_threads(options.threads, options.backend or run_settings.run_backend(run))
    inputs = {
        "the file of --data": options.data,
        "the file of --items": options.reading["item_file"],
        "the file of --users": options.reading["user_file"],
    }
    settings.check_output_file("--predictions", options.predictions, inputs, [run])
    from mindref.recommender.evaluate_run import evaluate_run

    list_lengths, reading = parse_lengths("--at", options.lengths), parse_reading(options.reading)
    warn_unfinished(run)
    report = evaluate_run(
        run,
        data=options.data,
        reading=reading,
        protocol=options.protocol,
        which=options.cases,
        exclude_seen=options.exclude_seen,
        list_lengths=list_lengths,
        max_cases=options.max_cases,
        predictions=options.predictions,
        backend=options.backend,
        device=options.device,
    )
    print_as_warnings(report["warnings"])
    if as_json:
        print_json(report)
        return
    reports.print_metrics(report["metrics"][options.cases], report["cases"], options.cases)
    reports.print_history_table(report["by_history_length"])
    print_stdout(*reports.report_lines(report))


def parse_lengths(option: str, text: str) -> list[int]:
    """Return the numbers of a comma-separated list. Raises ConfigError."""
    words = [word.strip() for word in text.split(",")]
    lengths = [int(word) for word in words if word.isdecimal() and len(word) < 10]
    if len(lengths) < len(words) or not all(1 <= length <= LONGEST for length in lengths):
        expected = f"integers from 1 to {LONGEST}, comma separated"
        raise ConfigError(say(option, expected, repr(text)))
    return lengths
