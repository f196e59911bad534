"""Training progress on standard error, and result tables on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mindref.cli.signals import StopRequest
from mindref.cli.streams import print_stderr, print_stdout
from mindref.cli.tables import print_table
from mindref.models.family import family_of
from mindref.recommender.training.training_run import Hooks
from mindref.training.loop import Validation

PRINTED_BASELINES = ("item_knn", "popularity")  # baselines-R20: the report also has random


@contextmanager
def show_progress(
    config: Any, first: int, quiet: bool, stop: StopRequest, used: float = 0.0
) -> Iterator[Hooks]:
    """Show a progress bar on a terminal, otherwise one line per validation; nothing if quiet.

    All output is on standard error. A family without training steps prints one line at the end.
    first, used: steps and seconds that the training has used before.
    """
    if quiet:
        yield Hooks(stop=stop)
    elif not family_of(config.model).by_steps:
        yield Hooks(on_validation=lambda x: print_stderr(fitted_line(config, x)), stop=stop)
    elif is_terminal():
        yield from progress_bar(config, first, stop, used)
    else:
        meter = TrainingMeter(config, first, used)
        yield Hooks(meter.add, lambda x: print_stderr(validation_line(config, x, meter)), stop)


def is_terminal() -> bool:
    """Return whether standard error is a terminal; it may be closed (None)."""
    return sys.stderr is not None and sys.stderr.isatty()


def progress_bar(config: Any, first: int, stop: StopRequest, used: float = 0.0) -> Iterator[Hooks]:
    """Yield hooks that update a rich progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    fields = "{task.fields[rate]:>8} examples/s  loss {task.fields[loss]}  {task.fields[best]}"
    columns = (TextColumn("{task.fields[position]}"), BarColumn(), TextColumn(fields))
    meter = TrainingMeter(config, first, used)
    stream: Any = TolerantStderr()
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=Console(file=stream)) as bar:
        empty: dict[str, Any] = dict.fromkeys(("rate", "loss", "best", "left"), "")
        task = bar.add_task("", total=1.0, position=meter.position(first), **empty)

        def on_step(step: int, loss: float) -> None:
            meter.add(step, loss)
            if step % 10 == 0 or step == config.steps:
                bar.update(
                    task,
                    completed=meter.fraction,
                    position=meter.position(step),
                    rate=f"{meter.rate:,.0f}",
                    loss=f"{meter.loss:.4f}",
                    left=meter.remaining_text,
                )

        def on_validation(validation: Validation) -> None:
            if validation.value is not None:
                bar.update(task, best=f"{config.metric} {validation.value:.4f}")
            bar.console.print(validation_line(config, validation, meter))

        yield Hooks(on_step, on_validation, stop)


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
    """Throughput in examples per second, remaining time, and a moving average of the loss.

    first, used: steps and seconds that the training has used before.
    """

    def __init__(
        self,
        config: Any,
        first: int,
        used: float = 0.0,
        clock: Callable[[], float] = lambda: time.perf_counter(),
    ) -> None:
        self.config, self.clock = config, clock
        self.batch, self.first, self.started = config.batch, first, clock()
        self.step, self.loss, self.used = first, float("nan"), used
        self.compiled = self.started  # end of the first step, which may compile

    def add(self, step: int, loss: float) -> None:
        """Add a step."""
        if step == self.first + 1:
            self.compiled = self.clock()
        self.step = step
        self.loss = loss if self.loss != self.loss else 0.98 * self.loss + 0.02 * loss

    @property
    def rate(self) -> float:
        """Examples per second."""
        seconds = self.clock() - self.started  # faults-R12: a monotonic clock
        return (self.step - self.first) * self.batch / max(seconds, 1e-9)

    @property
    def steps_per_second(self) -> float:
        """Steps per second with validations, without the first step; 0 before the second step."""
        seconds = self.clock() - self.compiled
        return max(self.step - self.first - 1, 0) / max(seconds, 1e-9)

    @property
    def time_left(self) -> float:
        """Seconds until the time limit; infinite without a limit."""
        limit = self.config.time_limit or float("inf")
        return max(float(limit) - self.used - (self.clock() - self.started), 0.0)

    @property
    def remaining(self) -> float:
        """Seconds until the time limit or the last step; infinite if unknown."""
        rate, steps = self.steps_per_second, self.config.steps - self.step
        return min(self.time_left, steps / rate if rate else float("inf"))  # optimiser-R24

    @property
    def remaining_text(self) -> str:
        """The remaining time as text; empty if it is unknown or less than half a second."""
        seconds = self.remaining
        return f"{format_time(seconds)} left" if 0.5 < seconds < float("inf") else ""

    @property
    def fraction(self) -> float:
        """Fraction of the training that is done, by steps or by time."""
        by_steps = self.step / self.config.steps
        if not self.config.time_limit:
            return by_steps
        return max(by_steps, 1 - self.time_left / self.config.time_limit)

    def position(self, step: int) -> str:
        """Return the step and the last step; "~" marks the estimate with a time limit."""
        if not self.config.time_limit:
            return f"step {step}/{self.config.steps}"
        last_step = self.step + round(self.remaining * self.steps_per_second)
        return f"step {step}/~{last_step}" if self.steps_per_second else f"step {step}"


def format_time(seconds: float) -> str:
    """Return a time as text: 45s, 3m20s, 2h05m."""
    rounded = round(seconds)
    hours, minutes = rounded // 3600, rounded // 60
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{rounded % 60:02}s" if minutes else f"{rounded}s"


def validation_line(config: Any, validation: Validation, meter: TrainingMeter) -> str:
    """Return the line of a validation: step, loss, throughput, metric."""
    words = [meter.position(validation.step), f"loss {validation.loss:.4f}"]
    words += [f"{meter.rate:,.0f} examples/s", *filter(None, [meter.remaining_text])]
    if validation.value is not None:
        words.append(value_line(config, validation))
    return "  ".join([*words, *(["best so far"] if validation.is_best else [])])


def fitted_line(config: Any, validation: Validation) -> str:
    """Return the line of a fitted model, with the validation metric if there is one."""
    return "fitted" if validation.value is None else f"fitted  {value_line(config, validation)}"


def value_line(config: Any, validation: Validation) -> str:
    """Return the metric of a validation, with its name."""
    return f"validation {config.metric} {validation.value:.4f}"


def print_metrics(metrics: Mapping[str, Any], cases: int, which: str = "test") -> None:
    """Print a row per metric: the model with 95 % intervals, and PRINTED_BASELINES."""
    model, baselines = metrics["model"], [metrics[name] for name in PRINTED_BASELINES]
    rows = [
        (name, format_estimate(model[name]), *(f"{x[name]['value']:.4f}" for x in baselines))
        for name in model
    ]
    title = f"{cases} {which} cases, each ranks the whole catalogue; 95 % intervals"
    print_table(("metric", "model", *PRINTED_BASELINES), rows, title=title)


def print_gains(report: Mapping[str, Any]) -> None:
    """Print the metrics with the order of recall and of DIN, and the difference."""
    if report["all"] is None:
        print_stdout("no test case has its target among the candidates: there is no metric")
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
    print_stdout(
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
    """Return the share of untrained items; an empty list if there are none."""
    if not counts["items"]:
        return []
    unserved = counts["items"] - counts["with_features"]
    shares = [f"{counts['item_share']:.1%} of the catalogue"]
    if "target_share" in counts:  # not without test cases
        shares.append(f"{counts['target_share']:.1%} of the targets")
    return [
        f"untrained items (in no training example): {counts['items']:,}"
        f" ({', '.join(shares)}); {unserved:,} of them have no trained features and are never"
        " recommended"
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
