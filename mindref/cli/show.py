"""How commands talk: progress on standard error, tables on standard output."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from mindref.recommender.run import Hooks
from mindref.train import Epoch

if TYPE_CHECKING:
    from rich.table import Table


class Stop:
    """Ctrl-C asks the training to end after the step at hand; a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self.asked

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take note of the signal; the next one is Python's own KeyboardInterrupt."""
        self.asked = True
        signal.signal(number, signal.default_int_handler)


@contextmanager
def listening() -> Iterator[Stop]:
    """Let Ctrl-C end the training in good order while the block runs."""
    stop = Stop()
    before = signal.signal(signal.SIGINT, stop.hear)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress(config: Any, first: int, quiet: bool, stop: Stop) -> Iterator[Hooks]:
    """Show a bar on a terminal, a line per epoch elsewhere, nothing if quiet; all on stderr."""
    if quiet:
        yield Hooks(stop=stop)
    elif sys.stderr.isatty():
        yield from bar(config, first, stop)
    else:
        yield from lines(config, first, stop)


def bar(config: Any, first: int, stop: Stop) -> Iterator[Hooks]:
    """Yield hooks that move a rich progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    words = "{task.fields[rate]:>8} examples/s  loss {task.fields[loss]}  {task.fields[best]}"
    columns = (TextColumn("step {task.completed}/{task.total}"), BarColumn(), TextColumn(words))
    meter = Meter(config, first)
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=config.steps, completed=first, rate="", loss="", best="")

        def on_step(step: int, loss: float) -> None:
            meter.add(step, loss)
            if step % 10 == 0 or step == config.steps:
                rate, mean = f"{meter.rate:,.0f}", f"{meter.loss:.4f}"
                shown.update(task, completed=step, rate=rate, loss=mean)

        def on_epoch(epoch: Epoch) -> None:
            shown.update(task, best=f"{config.metric} {epoch.value:.4f}")
            shown.console.print(epoch_line(config, epoch, meter))

        yield Hooks(on_step, on_epoch, stop)


def lines(config: Any, first: int, stop: Stop) -> Iterator[Hooks]:
    """Yield hooks that print a line per epoch."""
    meter = Meter(config, first)

    def on_epoch(epoch: Epoch) -> None:
        tell(epoch_line(config, epoch, meter))

    yield Hooks(meter.add, on_epoch, stop)


def tell(line: str) -> None:
    """Say something on standard error; that nobody listens any more is no reason to stop."""
    with suppress(BrokenPipeError):
        click.echo(line, err=True)


class Meter:
    """Examples per second since the start, and a running mean of the loss."""

    def __init__(self, config: Any, first: int) -> None:
        self.batch, self.first, self.started = config.batch, first, time.perf_counter()
        self.step, self.loss = first, float("nan")

    def add(self, step: int, loss: float) -> None:
        """Take note of a step."""
        self.step = step
        self.loss = loss if self.loss != self.loss else 0.98 * self.loss + 0.02 * loss

    @property
    def rate(self) -> float:
        """Examples per second."""
        return (self.step - self.first) * self.batch / (time.perf_counter() - self.started)


def epoch_line(config: Any, epoch: Epoch, meter: Meter) -> str:
    """Return what is said of an epoch."""
    star = "  best so far" if epoch.is_best else ""
    return (
        f"step {epoch.step}/{config.steps}  loss {epoch.loss:.4f}  {meter.rate:,.0f} examples/s"
        f"  validation {config.metric} {epoch.value:.4f}{star}"
    )


def metrics_table(
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]], cases: int, which: str = "test"
) -> None:
    """Print one row per metric and one column per ranking, with 95 % intervals."""
    from rich.table import Table

    what = f"{cases} {which} cases, whole catalogue ranked"
    table = Table(title=f"{what}; 95 % intervals by bootstrap")
    table.add_column("metric")
    for name in metrics:
        table.add_column(name, justify="right")
    for metric in next(iter(metrics.values())):
        cells = [written(metrics[name][metric]) for name in metrics]
        table.add_row(metric, *cells)
    show_table(table)


def show_table(table: Table) -> None:
    """Print a table through click, whose handling of a closed pipe is ours and not rich's."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 110)
    with console.capture() as drawn:
        console.print(table)
    click.echo(drawn.get(), nl=False)


def written(estimate: Mapping[str, float]) -> str:
    """Return an estimate with its interval, or alone where there is none."""
    value, low, high = (estimate[x] for x in ("value", "low", "high"))
    return f"{value:.4f}" if low == high else f"{value:.4f} [{low:.4f}, {high:.4f}]"


def interests_lines(about: Mapping[str, Any]) -> list[str]:
    """Return what is said of the health of interests."""
    if not about:
        return ["interests: nobody has two active ones, so there is nothing to compare"]
    shares = ", ".join(f"{share + 0.0:.0%}" for share in about["share_by_rank"])
    out = [
        f"interests of {about['users']} users with two or more: mean pairwise cosine"
        f" {about['similarity']:.3f}; {about['effective']:.2f} in effect;"
        f" coupling weight from the fullest: {shares}"
    ]
    if "recovery" in about:
        found = about["recovery"]
        out.append(
            f"planted interests recovered: adjusted Rand index {found['ari']:.3f}"
            f" (chance {found['ari_chance']:.3f}), purity {found['purity']:.3f}"
            f" (chance {found['purity_chance']:.3f})"
        )
    return out


def history_table(buckets: Mapping[str, Mapping[str, float]]) -> None:
    """Print one row per length of history."""
    from rich.table import Table

    names = [name for name in next(iter(buckets.values())) if name.startswith(("hit_rate", "ndcg"))]
    table = Table(title="model, by behaviours in the history")
    for name in ("behaviours", "cases", *names):
        table.add_column(name, justify="right")
    for bucket, row in buckets.items():
        table.add_row(bucket, f"{row['cases']:.0f}", *[f"{row[name]:.4f}" for name in names])
    show_table(table)
