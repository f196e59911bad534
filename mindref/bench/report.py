"""What a run of the bench found, as tables for people and as a plot."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindref.bench.tasks import TASKS
from mindref.errors import ConfigError, say
from mindref.run import atomic

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

BUSY = 0.5  # load a core before the start, above which times are to be doubted
MEGA = 1e6


def show(found: dict[str, Any], console: Console) -> None:
    """Print everything: a table a task, the floor, a table a number that was varied."""
    for line in heading(found):
        tell(console, line)
    for task, rows in found["tasks"].items():
        console.print(task_table(task, rows, found))
        for line in reasons(rows, found["candidates"]):
            tell(console, line)
    if found["floor"] is not None:
        for line in floor_lines(found["floor"]):
            tell(console, line)
    numbers = dict.fromkeys(row["number"] for row in found["scaling"])
    for number in numbers:
        rows = [row for row in found["scaling"] if row["number"] == number]
        console.print(scaling_table(number, rows))
        for row in rows:
            if "error" in row:
                who = f"{row['candidate']} at {number} {row['value']}"
                tell(console, f"{who}: not usable: {row['error']}")


def tell(console: Console, line: str) -> None:
    """Print a line as it is: in `module:X:` rich would find a picture."""
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def heading(found: dict[str, Any]) -> list[str]:
    """Return the machine, the sizes and what must be known before a number is believed."""
    machine, s = found["machine"], found["settings"]
    lines = [f"{machine['cpu']}, {machine['cores']} cores; threads of each: {s['threads']}"]
    lines[0] += f"; {devices(found['candidates'])}"
    kind = f"1 to {s['length']}" if s["ragged"] else str(s["length"])
    layers = "-".join(map(str, (s["width"], *s["hidden"], s["width"])))
    lines.append(
        f"B {s['batch']}, behaviours {kind}, K {s['interests']}, d {s['width']},"
        f" r {s['iterations']}, layers {layers}, {s['negatives']:,} negatives,"
        f" {s['catalogue']:,} items (Zipf {s['zipf']:g}), {s['dtype']}"
    )
    load = machine["load_before"]
    if load is not None and load[0] > BUSY * machine["cores"]:
        lines.append(
            f"the machine was busy before the start (load {load[0]:.1f}): threads of BLAS and of"
            " frameworks suffer more from that than others, so do not trust the ratios"
        )
    lines += [
        f"{name}={word} is set: products, or loops, may not be those of this processor"
        for name, word in machine["instructions"].items()
    ]
    for name, its in found["candidates"].items():
        if its.get("pinned_to_cores"):
            lines.append(f"{name} has no limit of threads but cores: {its['pinned_to_cores']}")
    for name, row in found["tasks"].get("step", {}).items():
        if row.get("same_loss") is False:
            lines.append(f"{name} began with another loss: it does not compute the same function")
    return lines


def devices(candidates: dict[str, Any]) -> str:
    """Return where all that are timed compute, in words."""
    where = {name: its["device"] for name, its in candidates.items() if "device" in its}
    if len(set(where.values())) == 1:
        return f"device of each: {next(iter(where.values()))}"
    return "devices: " + (", ".join(f"{name} {device}" for name, device in where.items()) or "none")


def task_table(task: str, rows: dict[str, Any], found: dict[str, Any]) -> Table:
    """Return the table of a task."""
    from rich.table import Table
    from rich.text import Text

    base, of_step = found["relative_to"], task == "step"
    table = Table(title=f"{task}: {TASKS[task].text}", title_justify="left")
    for name in (
        "",
        "median ms",
        "quartiles",
        TASKS[task].rate,
        f"x {base or 'nobody'}",
        "quartiles",
        "MB",
    ):
        table.add_column(name, justify="right" if name else "left")
    for name in ("GEMM peak", "x bound", "x word by word") if of_step and found["floor"] else ():
        table.add_column(name, justify="right")
    for name in found["candidates"]:
        row = rows.get(name, {})
        if "seconds" in row:
            table.add_row(Text(name), *cells(row), *bound_cells(row))
        else:
            table.add_row(Text(name), "not usable")
    return table


def reasons(rows: dict[str, Any], candidates: dict[str, Any]) -> list[str]:
    """Return why those cannot be used that have no times; what they say stands on one line."""
    lines = []
    for name, its in candidates.items():
        row = rows.get(name, {"error": its.get("reason", "it ended before")})
        if "seconds" not in row:
            lines.append(f"{name}: not usable: {row.get('error', 'not timed')}")
    return lines


def cells(row: dict[str, Any]) -> list[str]:
    """Return the cells that all tasks have."""
    ratio = row.get("ratio")
    return [
        ms(row["median"]),
        f"{ms(row['low'])} to {ms(row['high'])}",
        f"{row['rate']:,.0f}",
        f"{ratio['median']:.2f}" if ratio else "",
        f"{ratio['low']:.2f} to {ratio['high']:.2f}" if ratio else "",
        f"{row['memory'] / MEGA:,.0f}" if row.get("memory") is not None else "",
    ]


def bound_cells(row: dict[str, Any]) -> list[str]:
    """Return the cells that only a step has."""
    if "times_bound" not in row:
        return []
    times = (f"{row[name]:.2f}" for name in ("times_bound", "times_word_by_word"))
    return [f"{row['share_of_peak']:.0%}", *times]


def ms(seconds: float) -> str:
    """Return seconds in milliseconds, to three digits."""
    value = seconds * 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def floor_lines(floor: dict[str, Any]) -> list[str]:
    """Return what a step takes by its equations, and why."""
    work, moved = sum(floor["flops"].values()), sum(floor["bytes"].values())
    gemm, copy = floor["gemm_flops_per_second"], floor["copy_bytes_per_second"]
    parts = ", ".join(f"{name} {part / MEGA:,.0f}" for name, part in floor["flops"].items())
    return [
        f"bound by the equations {ms(floor['seconds'])} ms: {work / MEGA:,.0f} MFLOP ({parts}) at"
        f" {gemm / 1e9:,.0f} GFLOP/s, and {moved / MEGA:,.1f} MB at {copy / 1e9:,.1f} GB/s",
        f"word by word {ms(floor['seconds_word_by_word'])} ms: a vote for every behaviour, and all"
        " interests there and back",
        f"a batch: {floor['counts']['behaviours']:,.0f} behaviours,"
        f" {floor['counts']['touched']:,.0f} rows of the table",
    ]


def scaling_table(number: str, rows: list[dict[str, Any]]) -> Table:
    """Return how the cost of a step grows with a number."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"a step by {number}", title_justify="left")
    heads = ("", number, "median ms", "quartiles", "x first", "examples/s")
    for name in (*heads, "µs a behaviour", "MB", "MB beyond table and moments"):
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        start = (Text(row["candidate"]), f"{row['value']:,}")
        if "error" in row:
            table.add_row(*start, "not usable")
            continue
        known = row.get("memory") is not None
        table.add_row(
            *start,
            ms(row["median"]),
            f"{ms(row['low'])} to {ms(row['high'])}",
            f"{row['ratio']['median']:.2f}" if "ratio" in row else "",
            f"{row['rate']:,.0f}",
            f"{row['median'] / row['behaviours'] * MEGA:.2f}",
            f"{row['memory'] / MEGA:,.0f}" if known else "",
            f"{(row['memory'] - row['tables']) / MEGA:,.0f}" if known else "",
        )
    return table


def check_plot() -> None:
    """Raise ConfigError, before all that is slow, if nothing can draw."""
    if find_spec("matplotlib") is None:
        todo = "pip install 'mindref[plot]'"
        raise ConfigError(say("--plot", "matplotlib", "not installed", todo))


def plot(found: dict[str, Any], path: Path) -> None:
    """Draw median and quartiles of each task, and each number that was varied.

    The ending of the path is the format: png, svg or pdf. Raises RunError when it cannot be
    written.
    """
    figures = importlib.import_module("matplotlib.figure")
    numbers = list(dict.fromkeys(row["number"] for row in found["scaling"]))
    panels = [*found["tasks"], *numbers]
    figure = figures.Figure(figsize=(6, 3.2 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        if panel in found["tasks"]:
            draw_task(axis, panel, found["tasks"][panel])
        else:
            draw_scaling(axis, panel, [row for row in found["scaling"] if row["number"] == panel])
    with atomic.writing(path) as stream:
        figure.savefig(stream, format=path.suffix[1:])


def draw_task(axis: Any, task: str, rows: dict[str, Any]) -> None:
    """Draw a bar a candidate, with its quartiles."""
    timed = {name: row for name, row in rows.items() if "seconds" in row}
    medians = [row["median"] * 1000 for row in timed.values()]
    below = [(row["median"] - row["low"]) * 1000 for row in timed.values()]
    above = [(row["high"] - row["median"]) * 1000 for row in timed.values()]
    axis.barh(list(timed), medians, xerr=[below, above], height=0.5, color="0.7")
    axis.invert_yaxis()
    axis.set_xlabel("ms, median and quartiles")
    axis.set_title(task)


def draw_scaling(axis: Any, number: str, rows: list[dict[str, Any]]) -> None:
    """Draw a line a candidate."""
    for name in dict.fromkeys(row["candidate"] for row in rows):
        its = [row for row in rows if row["candidate"] == name and "seconds" in row]
        axis.plot(
            [row["value"] for row in its],
            [row["median"] * 1000 for row in its],
            marker="o",
            label=name,
        )
    axis.set(xscale="log", xlabel=number, ylabel="ms a step", title=number)
    axis.set_ylim(bottom=0)
    axis.legend()
