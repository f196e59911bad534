"""Benchmark results as lines and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mindref.bench.choices import TASKS
from mindref.bench.workload import recipe_config, unused_sizes

BUSY_LOAD = 0.5  # load per core before the start above which a warning is printed
MEGA, GIGA = 1e6, 1e9


class BenchTable(NamedTuple):
    """A table of a result; the first column has the names of the contenders."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def report_parts(result: dict[str, Any]) -> Iterator[str | BenchTable]:
    """Yield lines, a table per task, and the lower bound of a step."""
    yield from heading_lines(result)
    for task, rows in result["tasks"].items():
        yield task_table(task, rows, result)
        yield from failure_lines(rows, result["contenders"])
    if result["lower_bound"]:
        yield bound_line(result["lower_bound"])


def heading_lines(result: dict[str, Any]) -> list[str]:
    """Return the machine, the sizes and warnings."""
    machine, s = result["machine"], result["settings"]
    lines = [f"{machine['cpu']}, {machine['cores']} cores; threads per contender: {s['threads']}"]
    lines[0] += f"; {device_line(result['contenders'])}"
    lines.append(size_line(s))
    load = machine["load_before"]
    if load is not None and load[0] > BUSY_LOAD * machine["cores"]:
        lines.append(
            f"Warning: the machine was busy (load {load[0]:.1f}). Ratios are unreliable: BLAS and"
            " framework threads lose more time than others."
        )
    lines += [
        f"Warning: {name}={value} is set. Libraries may use other instructions than by default."
        for name, value in machine["instructions"].items()
    ]
    for name, row in result["contenders"].items():
        if row.get("pinned_to_cores"):
            lines.append(
                f"{name} has no thread limit; it is pinned to cores: {row['pinned_to_cores']}"
            )
    for name, row in result["tasks"].get("step", {}).items():
        if row.get("same_loss") is False:
            lines.append(f"{name} started with another loss: it does not compute the same function")
    return lines


def size_line(s: dict[str, Any]) -> str:
    """Return the model and the sizes that have an effect on a step of it."""
    layers = "-".join(map(str, (s["width"], *s["hidden"], s["width"])))
    by_size = {
        "batch": f"B {s['batch']}",
        "length": f"behaviours 1 to {s['length']}",
        "interests": f"K {s['interests']}",
        "width": f"d {s['width']}",
        "iterations": f"r {s['iterations']}",
        "hidden": f"layers {layers}",
        "negatives": f"{s['negatives']:,} negatives",
        "catalogue": f"{s['catalogue']:,} items",
    }
    unused = unused_sizes(recipe_config(s["model"]))
    texts = [text for name, text in by_size.items() if name not in unused]
    return f"model {s['model']}: {', '.join(texts)}, {s['dtype']}"


def device_line(contenders: dict[str, Any]) -> str:
    """Return the devices of the contenders as text."""
    devices = {name: row["device"] for name, row in contenders.items() if "device" in row}
    if len(set(devices.values())) == 1:
        return f"device: {next(iter(devices.values()))}"
    listed = ", ".join(f"{name} {device}" for name, device in devices.items())
    return f"devices: {listed or 'none'}"


def task_table(task: str, rows: dict[str, Any], result: dict[str, Any]) -> BenchTable:
    """Return the table of a task."""
    base = result["relative_to"]
    heads = ["", "median ms", "quartiles", TASKS[task].rate, f"x {base or 'none'}", "quartiles"]
    heads += ["MB", "x bound"] if task == "step" else ["MB"]
    cells = [
        [name, *time_cells(row)] if "seconds" in row else [name, "not usable"]
        for name in result["contenders"]
        for row in [rows.get(name, {})]
    ]
    return BenchTable(f"{task}: {TASKS[task].text}", heads, cells)


def failure_lines(rows: dict[str, Any], contenders: dict[str, Any]) -> list[str]:
    """Return a line for each contender without times, with the reason."""
    lines = []
    for name, contender in contenders.items():
        row = rows.get(name, {"error": contender.get("reason", "its process ended before")})
        if "seconds" not in row:
            lines.append(f"{name}: not usable: {row.get('error', 'not timed')}")
    return lines


def time_cells(row: dict[str, Any]) -> list[str]:
    """Return median, quartiles, rate, ratio, its quartiles, memory, and ratio to the bound."""
    ratio, bound = row.get("ratio"), row.get("times_bound")
    cells = [
        milliseconds(row["median"]),
        f"{milliseconds(row['low'])} to {milliseconds(row['high'])}",
        f"{row['rate']:,.0f}",
        f"{ratio['median']:.2f}" if ratio else "",
        f"{ratio['low']:.2f} to {ratio['high']:.2f}" if ratio else "",
        f"{row['memory'] / MEGA:,.0f}" if row.get("memory") is not None else "",
    ]
    return [*cells, f"{bound['median']:.2f}"] if bound else cells


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds with three digits."""
    value = seconds * 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bound_line(bound: dict[str, Any]) -> str:
    """Return the lower bound of a step, its terms and the rates, all medians over the rounds."""
    if "error" in bound:
        return f"lower bound: not measured: {bound['error']}"
    work, rates = bound["work"], bound["rates"]
    arithmetic = [
        f"{work[name] / MEGA:,.1f} MFLOP {text} at {rates[name] / GIGA:,.0f} GFLOP/s"
        for name, text in (("products", "of products"), ("other", "of vectors"))
    ]
    traffic = f"{work['bytes'] / MEGA:,.1f} MB at {rates['bytes'] / GIGA:,.1f} GB/s"
    time = milliseconds(bound["median"])
    text = " plus ".join(arithmetic)
    return f"lower bound of a step: {time} ms, the larger of {text}, and {traffic}"
