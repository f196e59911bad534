"""How commands talk: progress on standard error, tables on standard output."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mindref.cli.ending import Stop
from mindref.cli.tables import show_table
from mindref.cli.telling import tell
from mindref.models.families import is_fitted
from mindref.recommender.run import Hooks
from mindref.training.loop import Epoch


@contextmanager
def progress(config: Any, first: int, quiet: bool, stop: Stop) -> Iterator[Hooks]:
    """Show a bar on a terminal, a line per epoch elsewhere, nothing if quiet; all on stderr.

    A family that is fitted at once has no steps to show: a line says that it is done.
    """
    if quiet:
        yield Hooks(stop=stop)
    elif is_fitted(getattr(config, "model", "")):  # a ranking stage has no such setting
        yield Hooks(on_epoch=lambda epoch: tell(f"fitted  {value_line(config, epoch)}"), stop=stop)
    elif is_terminal():
        yield from bar(config, first, stop)
    else:
        yield from lines(config, first, stop)


def is_terminal() -> bool:
    """Return whether standard error is a terminal; it may have been closed before Python began."""
    return sys.stderr is not None and sys.stderr.isatty()


def bar(config: Any, first: int, stop: Stop) -> Iterator[Hooks]:
    """Yield hooks that move a rich progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    words = "{task.fields[rate]:>8} examples/s  loss {task.fields[loss]}  {task.fields[best]}"
    columns = (TextColumn("step {task.completed}/{task.total}"), BarColumn(), TextColumn(words))
    meter = Meter(config, first)
    stream: Any = Patient()
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=stream)) as shown:
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


class Patient(io.TextIOBase):
    """Standard error for a bar: that nobody can read it is no reason to stop (faults-R11)."""

    def __init__(self) -> None:
        self.stream = sys.stderr  # the bar puts itself in its place

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase's cannot be changed, either
        """Return the encoding of what is written."""
        return self.stream.encoding

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError):
            self.stream.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return its descriptor, by which its width is found."""
        return self.stream.fileno()


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
        seconds = time.perf_counter() - self.started  # faults-R12: no clock that can be set
        return (self.step - self.first) * self.batch / max(seconds, 1e-9)


def epoch_line(config: Any, epoch: Epoch, meter: Meter) -> str:
    """Return what is said of an epoch."""
    star = "  best so far" if epoch.is_best else ""
    return (
        f"step {epoch.step}/{config.steps}  loss {epoch.loss:.4f}  {meter.rate:,.0f} examples/s"
        f"  {value_line(config, epoch)}{star}"
    )


def value_line(config: Any, epoch: Epoch) -> str:
    """Return the validation metric of an epoch, with its name."""
    return f"validation {config.metric} {epoch.value:.4f}"


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


def written(estimate: Mapping[str, float]) -> str:
    """Return an estimate with its interval, or alone where there is none."""
    value, low, high = (estimate[x] for x in ("value", "low", "high"))
    return f"{value:.4f}" if low == high else f"{value:.4f} [{low:.4f}, {high:.4f}]"


def interests_lines(about: Mapping[str, Any] | None) -> list[str]:
    """Return what is said of the health of interests; nothing of a family that does not route."""
    if about is None:
        return []
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


def tie_lines(parts: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return what is said of targets that tie in time with the behaviour before, and of others."""
    words = {"tied": "with the time of the behaviour before", "untied": "later than it"}
    return [
        f"{row['cases']:.0f} targets {words[name]}: "
        + ", ".join(f"{n} {x:.4f}" for n, x in row.items() if n.startswith("hit_rate"))
        for name, row in parts.items()
    ]


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
