"""Training progress on standard error, and result tables on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import click

from mindref.cli.signals import StopRequest
from mindref.cli.stderr import print_stderr
from mindref.cli.tables import print_table
from mindref.models.family import family_of
from mindref.recommender.training_run import Hooks
from mindref.training.loop import Epoch

BESIDE = ("item_knn", "popularity")  # baselines-R20: the report also has random


@contextmanager
def show_progress(config: Any, first: int, quiet: bool, stop: StopRequest) -> Iterator[Hooks]:
    """Show a progress bar on a terminal, otherwise one line per epoch; nothing if quiet.

    All output is on standard error. A family without training steps prints one line at the end.
    """
    if quiet:
        yield Hooks(stop=stop)
    elif not family_of(config.model).by_steps:
        yield Hooks(
            on_epoch=lambda epoch: print_stderr(f"fitted  {value_line(config, epoch)}"), stop=stop
        )
    elif is_terminal():
        yield from progress_bar(config, first, stop)
    else:
        meter = TrainingMeter(config, first)
        yield Hooks(meter.add, lambda epoch: print_stderr(epoch_line(config, epoch, meter)), stop)


def is_terminal() -> bool:
    """Return whether standard error is a terminal; it may be closed (None)."""
    return sys.stderr is not None and sys.stderr.isatty()


def progress_bar(config: Any, first: int, stop: StopRequest) -> Iterator[Hooks]:
    """Yield hooks that update a rich progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    fields = "{task.fields[rate]:>8} examples/s  loss {task.fields[loss]}  {task.fields[best]}"
    columns = (TextColumn("step {task.completed}/{task.total}"), BarColumn(), TextColumn(fields))
    meter = TrainingMeter(config, first)
    stream: Any = TolerantStderr()
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=stream)) as bar:
        task = bar.add_task("", total=config.steps, completed=first, rate="", loss="", best="")

        def on_step(step: int, loss: float) -> None:
            meter.add(step, loss)
            if step % 10 == 0 or step == config.steps:
                rate, mean = f"{meter.rate:,.0f}", f"{meter.loss:.4f}"
                bar.update(task, completed=step, rate=rate, loss=mean)

        def on_epoch(epoch: Epoch) -> None:
            if epoch.value is not None:
                bar.update(task, best=f"{config.metric} {epoch.value:.4f}")
            bar.console.print(epoch_line(config, epoch, meter))

        yield Hooks(on_step, on_epoch, stop)


class TolerantStderr:
    """Standard error for the progress bar; errors while writing are ignored (faults-R11)."""

    def __init__(self) -> None:
        self.stream = sys.stderr  # rich replaces sys.stderr while the bar is shown

    def __getattr__(self, name: str) -> Any:
        if name == "stream":  # not set yet, as in copy.copy
            raise AttributeError(name)
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text; ignore errors."""
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts; ignore errors."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Flush; ignore errors."""
        with suppress(OSError):
            self.stream.flush()


class TrainingMeter:
    """Throughput since the start in examples per second, and a moving average of the loss."""

    def __init__(self, config: Any, first: int) -> None:
        self.batch, self.first, self.started = config.batch, first, time.perf_counter()
        self.step, self.loss = first, float("nan")

    def add(self, step: int, loss: float) -> None:
        """Add a step."""
        self.step = step
        self.loss = loss if self.loss != self.loss else 0.98 * self.loss + 0.02 * loss

    @property
    def rate(self) -> float:
        """Examples per second."""
        seconds = time.perf_counter() - self.started  # faults-R12: a monotonic clock
        return (self.step - self.first) * self.batch / max(seconds, 1e-9)


def epoch_line(config: Any, epoch: Epoch, meter: TrainingMeter) -> str:
    """Return the line of an epoch: step, loss, throughput, validation metric."""
    words = [f"step {epoch.step}/{config.steps}", f"loss {epoch.loss:.4f}"]
    words.append(f"{meter.rate:,.0f} examples/s")
    if epoch.value is not None:
        words.append(value_line(config, epoch))
    return "  ".join([*words, *(["best so far"] if epoch.is_best else [])])


def value_line(config: Any, epoch: Epoch) -> str:
    """Return the validation metric of an epoch, with its name."""
    return f"validation {config.metric} {epoch.value:.4f}"


def print_metrics(metrics: Mapping[str, Any], cases: int, which: str = "test") -> None:
    """Print a row per metric: the model with 95 % intervals, and the baselines in BESIDE."""
    model = metrics["model"]
    rows = [
        (name, format_estimate(model[name]), *(f"{metrics[x][name]['value']:.4f}" for x in BESIDE))
        for name in model
    ]
    title = f"{cases} {which} cases, each ranks the whole catalogue; 95 % intervals"
    print_table(("metric", "model", *BESIDE), rows, title=title)


def print_gains(report: Mapping[str, Any]) -> None:
    """Print the metrics with the order of recall and of DIN, and the difference."""
    if report["all"] is None:
        click.echo("no test case has its target among the candidates: there is no metric")
        return
    orders = ("before", "after", "gain")
    rows = [
        (part, metric, *(format_estimate(report[part][order][metric]) for order in orders))
        for part in ("all", "within")
        for metric in report[part]["before"]
    ]
    heads = ("cases", "metric", "order of recall", "order of din", "gain")
    title = f"{report['candidates']} candidates per case; 95 % bootstrap intervals"
    print_table(heads, rows, title=title, left=2, no_wrap=True)
    all_cases, within = (f"{report[part]['cases']:,}" for part in ("all", "within"))
    click.echo(
        f"all: {all_cases} test cases with a target; within: the {within} cases whose target is"
        " among the candidates"
    )


def format_estimate(estimate: Mapping[str, float]) -> str:
    """Return an estimate and its interval; only the estimate if the interval is empty."""
    value, low, high = (estimate[x] for x in ("value", "low", "high"))
    return f"{value:.4f}" if low == high else f"{value:.4f} [{low:.4f}, {high:.4f}]"


def interests_lines(statistics: Mapping[str, Any] | None) -> list[str]:
    """Return the interest statistics as text; an empty list for a family without routing."""
    if statistics is None:
        return []
    if not statistics:
        return ["interests: no user has two active interests"]
    weights = ", ".join(f"{weight + 0.0:.0%}" for weight in statistics["share_by_rank"])
    lines = [
        f"interests of {statistics['users']} users with two or more: mean pairwise cosine"
        f" {statistics['similarity']:.3f}; effective number of interests"
        f" {statistics['effective_number']:.2f}; coupling weight, largest first: {weights}"
    ]
    if "recovery" in statistics:
        recovery = statistics["recovery"]
        lines.append(
            f"true interests recovered: adjusted Rand index {recovery['ari']:.3f}"
            f" (chance {recovery['ari_chance']:.3f}), purity {recovery['purity']:.3f}"
            f" (chance {recovery['purity_chance']:.3f})"
        )
    return lines


def untrained_lines(counts: Mapping[str, float]) -> list[str]:
    """Return the share of items without training interactions; an empty list if there are none."""
    if not counts["items"]:
        return []
    unserved = counts["items"] - counts["with_features"]
    return [
        f"items without training interactions: {counts['items']:,} ({counts['item_share']:.1%} of"
        f" the catalogue, {counts['target_share']:.1%} of the targets); {unserved:,} of them have"
        " no trained features and are never recommended"
    ]


def tie_lines(groups: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return hit rates of targets with and without the time of the previous behaviour."""
    names = {"tied": "at the time of the previous behaviour", "untied": "at a later time"}
    return [
        f"{row['cases']:.0f} targets {names[name]}: "
        + ", ".join(f"{n} {x:.4f}" for n, x in row.items() if n.startswith("hit_rate"))
        for name, row in groups.items()
    ]


def print_history_table(buckets: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table with a row per range of history lengths."""
    names = [name for name in next(iter(buckets.values())) if name.startswith(("hit_rate", "ndcg"))]
    rows = [
        (bucket, f"{row['cases']:.0f}", *(f"{row[name]:.4f}" for name in names))
        for bucket, row in buckets.items()
    ]
    title = "metrics of the model by number of behaviours in the history"
    print_table(("behaviours", "cases", *names), rows, title=title, left=0)
