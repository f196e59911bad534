"""Memory and counts of a soak over its time: python -m tests.soak 120 --write measures them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.pictures.plot import Plot
from tests.pictures.svg import Drawing
from tests.soak import RESULT

PROCESS = "MB of this process"
COUNTS = {"threads": "threads", "descriptors": "descriptors", "files in tmp": "temporary files"}
HEIGHT, LEFT, WIDTH = 150, 60, 470


def read() -> dict[str, Any]:
    """Return the result of the soak."""
    content: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return content


def draw() -> Drawing:
    """Return the picture."""
    samples = read()["samples"]
    minutes = samples[-1]["seconds"] / 60
    out = Drawing(
        660,
        "soak: memory, threads, descriptors and files over time",
        f"Three plots over {minutes:.0f} minutes. First: memory of one process that trains,"
        " evaluates, recalls, exports and studies in cycles. Second: largest memory of each"
        " command. Third: threads, descriptors and temporary files after each cycle. All curves"
        " are flat.",
    )
    out.heading(f"Nothing grows in {minutes:.0f} minutes of work")
    commands = sorted(name for name in samples[0] if name.startswith("MB of ") and name != PROCESS)
    plot_sizes(out, 66, "memory of the process, MB", samples, {PROCESS: "one process"})
    plot_sizes(out, 266, "memory of each command, MB", samples, {x: x[6:] for x in commands})
    plot_sizes(out, 466, "counts after each cycle", samples, COUNTS)
    out.text((LEFT + WIDTH / 2, 650), "minutes", anchor="middle")
    return out


def plot_sizes(
    out: Drawing, top: int, title: str, samples: Sequence[Any], names: dict[str, str]
) -> None:
    """Draw the curves of some numbers, each with its name at its end."""
    high = 1.25 * max(sample[name] for sample in samples for name in names)
    minutes = samples[-1]["seconds"] / 60
    plot = Plot(out, (LEFT, top), (WIDTH, HEIGHT), (0, minutes), (0, high))
    step = 10 ** (len(f"{high:.0f}") - 1)
    step = step if high / step >= 3 else step // 2
    ticks = {float(y): f"{y:,}" for y in range(0, int(high) + 1, int(step))}
    plot.frame({x: f"{x}" for x in range(0, int(minutes) + 1, 20)}, ticks)
    out.text((LEFT, top - 8), title, "ink bold")
    for number, (name, label) in enumerate(names.items()):
        points = [(sample["seconds"] / 60, sample[name]) for sample in samples]
        plot.curve(points, f"line s{number % 4 + 1}", width=2)
        out.text((LEFT + WIDTH + 8, label_height(plot, samples, list(names), name)), label)


def label_height(plot: Plot, samples: Sequence[Any], names: list[str], name: str) -> float:
    """Return the height of a label: that of the last value, at a distance from lower labels."""
    order = sorted(names, key=lambda x: samples[-1][x])
    heights: list[float] = []
    for each in order:
        y = plot.point(0, samples[-1][each])[1] + 5
        heights.append(min([y, *(x - 18 for x in heights[-1:])]))
    return heights[order.index(name)]
