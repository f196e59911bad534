"""mindref bench: time training steps, inference, evaluation and recall of all backends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mindref.bench.choices import MODELS, TASKS
from mindref.cli import settings
from mindref.cli.progress import ProgressBar, is_terminal, progress_bar
from mindref.cli.streams import print_json, print_stderr, print_stdout
from mindref.cli.tables import print_table
from mindref.errors import ConfigError, say
from mindref.process.threads import usable_cores

if TYPE_CHECKING:
    from mindref.bench.run import BenchPlan


def integer_option(
    name: str, low: int, high: int, default: int, text: str
) -> Callable[[settings.Function], settings.Function]:
    """Return an option for an integer."""
    text = f"{text} [{low} to {high}; default {default}]."
    kind = click.IntRange(low, high)
    return click.option(name, type=kind, default=default, metavar="N", help=text)


def float_option(
    name: str, low: float, high: float, default: float, text: str
) -> Callable[[settings.Function], settings.Function]:
    """Return an option for a number."""
    text = f"{text} [{low:g} to {high:g}; default {default:g}]."
    kind = click.FloatRange(low, high)
    return click.option(name, type=kind, default=default, metavar="X", help=text)


@click.command("bench", short_help="Time all installed backends in one interleaved run.")
@click.option(
    "--backends", metavar="A,B,...",
    help="Contenders: installed backends or module:object [default: all that are installed and"
    " compute the model].",
)  # fmt: skip
@click.option(
    "--model", type=click.Choice(MODELS), default=MODELS[0], show_default=True,
    help="Recipe: a preset of `mindref train`, or the family youtube_dnn. The sizes B, L, d, K, r,"
    " hidden and S of all but mind default to the recipe's.",
)  # fmt: skip
@settings.device_option
@click.option(
    "--tasks", default=",".join(TASKS), show_default=True, metavar="A,B,...", help="Tasks to time."
)
@click.option(
    "--relative-to", "base", metavar="NAME",
    help="Contender that the others are compared with [default: numba, else numpy].",
)  # fmt: skip
@integer_option("--rounds", 1, 100_000, 30, "Rounds; every contender runs once per round")
@integer_option("--burst", 1, 100_000, 50, "Training steps timed together in a round")
@float_option("--lead", 0, 3600, 0.25, "Seconds of untimed steps before a burst, at least 1 step")
@click.option(
    "--warmup", "warm_up", type=click.IntRange(1, 1000), default=2, metavar="N",
    help="Untimed runs of each task; for a step, of all 8 batches [1 to 1000; default 2].",
)  # fmt: skip
@float_option("--limit", 1, 86_400, 60.0, "Seconds for warm-up and for rounds; at least 3 rounds")
@click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N",
    help="Threads per contender [1 to 1024; default: 2, or 1 on a single core].",
)  # fmt: skip
@integer_option("--batch", 1, 1_000_000, 256, "B, training examples per step")
@integer_option("--length", 1, 10_000, 50, "L, maximum history length in behaviours")
@click.option(
    "--ragged/--full", default=True, show_default=True,
    help="History lengths: uniform from 1 to L, or always L.",
)  # fmt: skip
@integer_option("--width", 1, 4096, 64, "d, width of item vectors and interests")
@integer_option("--interests", 1, 64, 4, "K, maximum number of interests per user")
@integer_option("--iterations", 1, 100, 3, "r, routing iterations")
@click.option(
    "--hidden", default="256", show_default=True, metavar="A,B,...",
    help="Widths of the hidden ReLU layers, each from 1; the last layer has width d.",
)  # fmt: skip
@integer_option("--negatives", 1, 10_000_000, 1280, "S, sampled negatives shared by a batch")
@integer_option("--catalogue", 2, 100_000_000, 100_000, "N, number of items")
@float_option("--zipf", 0, 10, 1.0, "Exponent of Zipf's law for the popularity of items")
@click.option(
    "--power", type=click.FloatRange(0), default=float("inf"), metavar="X",
    help="p, exponent of label-aware attention [0 to inf; default inf].",
)  # fmt: skip
@integer_option("--users", 1, 100_000_000, 4096, "Users in inference, evaluation and recall")
@integer_option("--top", 1, 100_000, 100, "Items per user in evaluation and recall, n")
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True,
    help="Dtype of parameters and arithmetic.",
)  # fmt: skip
@integer_option("--seed", 0, 2**63 - 1, 0, "Seed of all random numbers")
@settings.json_option
def bench_command(
    backends: str | None,
    tasks: str,
    threads: int | None,
    hidden: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Time training steps, inference, evaluation and recall of all contenders in one run.

    Each contender runs in a separate process on the same synthetic batches, whose item ids follow
    Zipf's law. The contenders take turns.

    The tables show median and quartiles over the rounds, the ratio per round, and the memory of the
    process (without GPU memory).

    Exit code 0: at least one contender was timed; 1: none; 2: none supports the device.
    """
    settings.set_threads(None)
    from mindref.bench.run import BenchPlan, installed_contenders, run_bench
    from mindref.bench.workload import WorkloadSettings

    num_threads = min(2, usable_cores()) if threads is None else threads
    words = [word for word in split_names(hidden) if not word.isdecimal() or int(word) < 1]
    if words:
        expected = "positive integers, comma separated"
        raise ConfigError(say("--hidden", expected, repr(words[0])))
    plan_options = {name: options.pop(name) for name in BenchPlan._fields if name in options}
    model = options.pop("model")
    names = split_names(backends or "")
    if backends is None:
        names = installed_contenders(plan_options["device"], model)
    sizes = explicit_sizes(model, {**options, "hidden": tuple(map(int, split_names(hidden)))})
    plan = BenchPlan(
        names=names,
        settings=WorkloadSettings.for_model(model, **sizes, threads=num_threads),
        tasks=check_names_known("--tasks", tasks, tuple(TASKS)),
        **plan_options,
    )
    check_bench_plan(plan)
    with bench_progress() as listener:
        result = run_bench(plan, listener)
    print_result(result, as_json=as_json)
    return 0 if any(row["usable"] for row in result["contenders"].values()) else 1


def explicit_sizes(model: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the command line sets; the others follow from the recipe.

    Raises ConfigError for an option that the recipe does not use.
    """
    from mindref.bench.workload import recipe_config, unused_sizes

    typed = settings.typed_options()
    explicit = {name: x for name, x in options.items() if name in typed}
    for name in unused_sizes(recipe_config(model)):
        if name in explicit:
            subject, todo = f"--{name}", f"remove it; --model {model} does not use it"
            raise ConfigError(say(subject, f"no value with --model {model}", explicit[name], todo))
    return explicit


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


def check_bench_plan(plan: BenchPlan) -> None:
    """Raise ConfigError for a plan without contenders or tasks, or too small a catalogue."""
    for option, got in (("--backends", plan.names), ("--tasks", plan.tasks)):
        if not got:
            raise ConfigError(say(option, "at least one", "none"))
    sizes = plan.settings
    if sizes.top + sizes.length > sizes.catalogue:
        expected = f"at most {sizes.catalogue - sizes.length}: --catalogue less --length"
        raise ConfigError(say("--top", expected, sizes.top, "lower it, or raise --catalogue"))


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
                print_table(
                    part.heads, part.rows, title=part.title, title_justify="left", width=130
                )


@contextmanager
def bench_progress() -> Iterator[BenchProgress]:
    """Yield a listener that prints progress on standard error: a bar on a terminal, or lines.

    The bar is updated only between runs: a drawing thread would slow down the timed work.
    """
    if not is_terminal():
        yield BenchProgress(None)
        return
    with progress_bar(transient=True, auto_refresh=False) as bar:
        yield BenchProgress(bar)


class BenchProgress(NamedTuple):
    """Progress of a bench run, as a bar or as lines."""

    bar: ProgressBar | None

    def on_phase(self, text: str) -> None:
        """Show the phase that starts."""
        if self.bar is None:
            print_stderr(text)
        else:
            self.bar.start(text)

    def on_round(self, task: str, turn: int, rounds: int) -> None:
        """Show the round that starts, counted from 0; as a line only the first one."""
        if self.bar is not None:
            if turn == 0:
                self.bar.start(f"{task}: timing", rounds)
            self.bar.update(f"{task}: timing", turn, f"{turn}/{rounds}")
        elif turn == 0:
            print_stderr(f"{task}: timing {rounds} rounds")
