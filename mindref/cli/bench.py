"""mindref bench: time training steps, inference, evaluation and recall of all backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import click

from mindref.bench.choices import MODELS, TASKS
from mindref.cli import settings
from mindref.cli.streams import print_json, print_stderr, print_stdout
from mindref.cli.tables import print_table
from mindref.errors import ConfigError, say
from mindref.process.threads import usable_cores


@dataclass(frozen=True)
class BenchOptions:
    """The options of `mindref bench`."""

    backends: Annotated[str | None, click.option(
        "--backends", metavar="A,B,...",
        help="Contenders: installed backends or module:object [default: all that are installed and"
        " compute the model].",
    )]  # fmt: skip
    model: Annotated[str, click.option(
        "--model", type=click.Choice(MODELS), default=MODELS[0], show_default=True,
        help="Recipe: a preset of `mindref train`, or the family youtube_dnn. Sizes are those of"
        " the recipe; for mind histories have up to 50 behaviours, and a batch 1280 negatives.",
    )]  # fmt: skip
    device: Annotated[str, settings.device_option]
    tasks: Annotated[str, click.option(
        "--tasks", default=",".join(TASKS), show_default=True, metavar="A,B,...",
        help="Tasks to time.",
    )]  # fmt: skip
    rounds: Annotated[int, click.option(
        "--rounds", type=click.IntRange(1, 100_000), default=30, metavar="N",
        help="Rounds; every contender runs once per round [1 to 100000; default 30].",
    )]  # fmt: skip
    limit: Annotated[float, click.option(
        "--limit", type=click.FloatRange(1, 86_400), default=60.0, metavar="X",
        help="Seconds for warm-up and for rounds; at least 3 rounds [1 to 86400; default 60].",
    )]  # fmt: skip
    threads: Annotated[int | None, click.option(
        "--threads", type=click.IntRange(1, 1024), metavar="N",
        help="Threads per contender [1 to 1024; default: 2, or 1 on a single core].",
    )]  # fmt: skip
    batch: Annotated[int | None, click.option(
        "--batch", type=click.IntRange(1, 1_000_000), metavar="N",
        help="B, training examples per step [1 to 1000000; default: 256 for mind, else that of the"
        " recipe].",
    )]  # fmt: skip
    catalogue: Annotated[int, click.option(
        "--catalogue", type=click.IntRange(200, 100_000_000), default=100_000, metavar="N",
        help="Number of items, which are drawn by Zipf's law [200 to 100000000; default 100000].",
    )]  # fmt: skip
    users: Annotated[int, click.option(
        "--users", type=click.IntRange(1, 100_000_000), default=4096, metavar="N",
        help="Users in inference, evaluation and recall [1 to 100000000; default 4096].",
    )]  # fmt: skip
    as_json: Annotated[bool, settings.json_option]


@click.command("bench", short_help="Time all installed backends in one interleaved run.")
@settings.add_options(BenchOptions)
def bench_command(options: BenchOptions) -> int:
    """Time training steps, inference, evaluation and recall of all contenders in one run.

    Each contender runs in a separate process on the same synthetic batches, whose item ids follow
    Zipf's law. The contenders take turns. Lists have 100 items.

    The tables show median and quartiles over the rounds, the ratio to numba (else numpy) per round,
    and the memory of the process (without GPU memory).

    Exit code 0: at least one contender was timed; 1: none; 2: none supports the device.
    """
    settings.set_threads(None)
    from mindref.bench.run import BenchPlan, installed_contenders, run_bench
    from mindref.bench.workload import WorkloadSettings

    model, device, names = options.model, options.device, options.backends
    sizes = {} if options.batch is None else {"batch": options.batch}
    plan = BenchPlan(
        names=installed_contenders(device, model) if names is None else split_names(names),
        settings=WorkloadSettings.for_model(
            model,
            **sizes,
            catalogue=options.catalogue,
            users=options.users,
            threads=options.threads or min(2, usable_cores()),
        ),
        tasks=check_names_known("--tasks", options.tasks, tuple(TASKS)),
        rounds=options.rounds,
        limit=options.limit,
        device=device,
    )
    for option, got in (("--backends", plan.names), ("--tasks", plan.tasks)):
        if not got:
            raise ConfigError(say(option, "at least one", "none"))
    result = run_bench(plan, print_stderr)
    print_result(result, as_json=options.as_json)
    return 0 if any(row["usable"] for row in result["contenders"].values()) else 1


def split_names(text: str) -> tuple[str, ...]:
    """Return the distinct names in a comma-separated list, in order."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def check_names_known(option: str, text: str, valid: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in a comma-separated list. Raises ConfigError for an unknown name."""
    names = split_names(text)
    for name in names:
        if name not in valid:
            raise ConfigError(say(option, f"some of {', '.join(valid)}", repr(name)))
    return names


def print_result(result: dict[str, Any], *, as_json: bool) -> None:
    """Print the result."""
    from mindref.bench import report

    if as_json:
        print_json(result)
    else:
        for part in report.report_parts(result):
            if isinstance(part, str):
                print_stdout(part)
            else:
                print_table(part.heads, part.rows, title=part.title, width=130)
