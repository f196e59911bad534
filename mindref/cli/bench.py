"""mindref bench: time a step, inference, evaluation and recall of every installed backend."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mindref.cli.settings import Decorator, check_file, device_option, json_option, set_threads
from mindref.cli.telling import tell
from mindref.errors import ConfigError, say
from mindref.process.threads import cores

if TYPE_CHECKING:
    from mindref.bench.run import Listener

TASKS = ("step", "inference", "evaluation", "recall")
NUMBERS = ("B", "L", "K", "d", "catalogue", "threads")
FORMATS = (".png", ".svg", ".pdf")


def size(name: str, low: int, high: int, default: int, text: str) -> Decorator:
    """Return an option for a whole number."""
    kind = click.IntRange(low, high)
    text = f"{text} [{low} to {high}; default {default}]."
    return click.option(name, type=kind, default=default, metavar="N", help=text)


def real(name: str, low: float, high: float, default: float, text: str) -> Decorator:
    """Return an option for a number."""
    text = f"{text} [{low:g} to {high:g}; default {default:g}]."
    kind = click.FloatRange(low, high)
    return click.option(name, type=kind, default=default, metavar="X", help=text)


@click.command("bench", short_help="Time every installed backend, side by side.")
@click.option(
    "--backends", metavar="A,B,...",
    help="Who is timed: installed backends, module:object, torch-eager, jax-jit [default: all"
    " that are installed].",
)  # fmt: skip
@device_option
@click.option(
    "--tasks", default=",".join(TASKS), show_default=True, metavar="A,B,...", help="What is timed."
)
@click.option(
    "--relative-to", "base", metavar="NAME",
    help="Whom the others are compared with [default: numba, else numpy].",
)  # fmt: skip
@size("--rounds", 1, 100_000, 30, "Rounds; in each, every backend runs once")
@size("--burst", 1, 100_000, 50, "Steps timed together in a round")
@real("--lead", 0, 3600, 0.25, "Seconds of steps before them that are not timed, at least one step")
@size("--warmup", 1, 1000, 2, "Runs of each task before any is timed; for a step, of all 8 batches")
@real("--limit", 1, 86_400, 60, "Seconds of warm-up and of rounds of a task, at least 3 rounds")
@click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N",
    help="Threads of each backend [1 to 1024; default: 2, or 1 on a single core].",
)  # fmt: skip
@size("--batch", 1, 1_000_000, 256, "B, samples of a step")
@size("--length", 1, 10_000, 50, "L, most behaviours of a user")
@click.option(
    "--ragged/--full", default=True, show_default=True,
    help="Histories of 1 to L behaviours, all equally likely; or L each.",
)  # fmt: skip
@size("--width", 1, 4096, 64, "d, width of items and interests")
@size("--interests", 1, 64, 4, "K, most interests of a user")
@size("--iterations", 1, 100, 3, "r, rounds of routing")
@click.option(
    "--hidden", default="256", show_default=True, metavar="A,B,...",
    help="Widths of the layers before the last, which has d.",
)  # fmt: skip
@size("--negatives", 1, 10_000_000, 1280, "S, negatives that a batch shares")
@size("--catalogue", 2, 100_000_000, 100_000, "N, items")
@real("--zipf", 0, 10, 1, "Exponent of the popularity of items: rank to the power of minus this")
@click.option(
    "--power", type=click.FloatRange(0), default=float("inf"), metavar="X",
    help="p of label-aware attention [0 to inf; default inf].",
)  # fmt: skip
@size("--users", 1, 100_000_000, 4096, "Users of inference, evaluation and recall")
@size("--top", 1, 100_000, 100, "Items of a list in evaluation and recall")
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True,
    help="Type of parameters and arithmetic.",
)  # fmt: skip
@size("--seed", 0, 2**63 - 1, 0, "Of all that is drawn")
@click.option(
    "--scaling", default="", metavar="A,B,...",
    help=f"Also vary these numbers of a step, one at a time: {', '.join(NUMBERS)}.",
)  # fmt: skip
@click.option(
    "--plot", "picture", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Draw it, as .png, .svg or .pdf; needs the extra `plot`.",
)  # fmt: skip
@json_option
def command(
    backends: str | None,
    device: str,
    tasks: str,
    base: str | None,
    rounds: int,
    burst: int,
    lead: float,
    warmup: int,
    limit: float,
    threads: int | None,
    hidden: str,
    scaling: str,
    picture: Path | None,
    as_json: bool,
    **sizes: Any,
) -> int:
    """Time whole training steps, inference, evaluation and recall, all backends in turns.

    Each has a process of its own; all run on the same made-up batches with Zipf ids. `torch-eager`
    and `jax-jit` are steps of these frameworks that the bench brings along, on the CPU. Medians
    and quartiles over the rounds, the ratio round by round, memory of the process (not of a GPU)
    beyond what stood before there were parameters, and for a step its share of the measured peak
    of matrix products, which is that of the CPU.

    Exit code 0: somebody was timed; 1: nobody could be; 2: nobody computes on the device.
    """
    set_threads(None)
    check_picture(picture)
    from mindref.bench.run import Plan, bench, installed
    from mindref.bench.world import Settings

    asked = min(2, cores()) if threads is None else threads
    widths = tuple(positive("--hidden", word) for word in words_of(hidden))
    plan = Plan(
        names=words_of(backends) if backends is not None else installed(device),
        settings=Settings(**sizes, hidden=widths, threads=asked),
        tasks=chosen("--tasks", tasks, TASKS),
        rounds=rounds,
        warm_up=warmup,
        burst=burst,
        lead=lead,
        limit=limit,
        base=base,
        scaling=chosen("--scaling", scaling, NUMBERS),
        device=device,
    )
    check_plan(plan)
    with listening() as listener:
        found = bench(plan, listener)
    show(found, as_json, picture)
    return 0 if any(its["usable"] for its in found["candidates"].values()) else 1


def words_of(text: str) -> tuple[str, ...]:
    """Return the distinct words of a comma-separated list, in their order."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def chosen(option: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a list, all of them known. Raises ConfigError."""
    found = words_of(text)
    for word in found:
        if word not in known:
            raise ConfigError(say(option, f"some of {', '.join(known)}", repr(word)))
    return found


def positive(option: str, word: str) -> int:
    """Return a whole number from 1. Raises ConfigError."""
    if not word.isdecimal() or int(word) < 1:
        raise ConfigError(say(option, "whole numbers from 1, comma separated", repr(word)))
    return int(word)


def check_plan(plan: Any) -> None:
    """Raise ConfigError for what leaves nothing to be timed, or cannot be drawn."""
    for option, got in (("--backends", plan.names), ("--tasks", plan.tasks)):
        if not got:
            raise ConfigError(say(option, "at least one", "none"))
    settings = plan.settings
    if settings.top + settings.length > settings.catalogue:
        expected = f"at most {settings.catalogue - settings.length}: --catalogue less --length"
        raise ConfigError(say("--top", expected, settings.top, "lower it, or raise --catalogue"))


def check_picture(path: Path | None) -> None:
    """Raise ConfigError, before all that is slow, for a picture that could not be drawn."""
    if path is None:
        return
    from mindref.bench.report import check_plot

    check_file("--plot", path)
    if path.suffix not in FORMATS:
        raise ConfigError(say("--plot", f"a file ending in {', '.join(FORMATS)}", path))
    check_plot()


def show(found: dict[str, Any], as_json: bool, picture: Path | None) -> None:
    """Print what was found, and draw it if asked."""
    from mindref.bench import report

    if as_json:
        click.echo(json.dumps(found))
    else:
        from rich.console import Console

        report.show(found, Console(width=None if sys.stdout.isatty() else 130))
    if picture is not None:
        report.plot(found, picture)


@contextmanager
def listening() -> Iterator[Listener]:
    """Say on standard error how far the run is; on a terminal, with a bar for the rounds.

    The bar moves between runs alone: a thread that draws would take time from what is timed.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as bar:
        yield Shown(bar, console.is_terminal)


class Shown:
    """What is said of a run while it goes on."""

    def __init__(self, bar: Any, is_terminal: bool) -> None:
        self.bar, self.is_terminal = bar, is_terminal
        self.task = bar.add_task("")

    def say(self, text: str) -> None:
        """Say what begins now."""
        if self.is_terminal:
            self.bar.reset(self.task, total=None, description=text)
            self.bar.refresh()
        else:
            tell(text)

    def on_round(self, what: str, turn: int, rounds: int) -> None:
        """Show which round begins."""
        if self.is_terminal:
            text = f"{what}: timing"
            self.bar.update(self.task, total=rounds, completed=turn, description=text)
            self.bar.refresh()
        elif turn == 0:
            self.say(f"{what}: timing {rounds} rounds")
