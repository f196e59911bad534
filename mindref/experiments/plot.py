"""Draw a result: estimates with their intervals, curves of validation where they were asked for.

Needs the extra `plot`. Whether it is there is asked before anything slow (mindref.bench.report).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mindref.run import atomic

Panel = Callable[[Any], None]  # draws on an axis
SETTINGS = {"svg.hashsalt": "mindref", "svg.fonttype": "none", "font.size": 8}
WIDTH = 8.0  # inches
LINES = ("-o", "--s", "-.^", ":v")  # colour is never alone


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw into a file; its ending is the format. Raises RunError when it cannot be written."""
    matplotlib = importlib.import_module("matplotlib")
    figures = importlib.import_module("matplotlib.figure")
    panels = panels_of(found)
    kind = path.suffix[1:]
    nameless = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context(SETTINGS):
        size = (WIDTH, sum(height for height, _ in panels))
        figure = figures.Figure(figsize=size, layout="constrained")
        shares = [height for height, _ in panels]
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=shares)[:, 0]
        for axis, (_, panel) in zip(axes, panels, strict=True):
            panel(axis)
        with atomic.writing(path) as stream:
            figure.savefig(stream, format=kind, metadata=nameless[kind], dpi=120)


def panels_of(found: dict[str, Any]) -> list[tuple[float, Panel]]:
    """Return what is drawn below each other: height in inches, and how."""
    if found["kind"] == "compare":
        arms, at = found["arms"], found["at"]
        rates = [(height(arms), rates_panel(arms, n)) for n in at]
        return [*rates, (3.0, curves_panel("validation", arms))]
    panels: list[tuple[float, Panel]] = []
    for study in found["studies"]:
        panels.append((height(study["arms"]), effects_panel(study, found["at"])))
        if study["curves"]:
            panels.append((3.0, curves_panel(study["title"], study["arms"])))
    return panels


def height(arms: list[dict[str, Any]]) -> float:
    """Return the height of a panel with a line for each arm."""
    return 0.8 + 0.3 * len(arms)


def rates_panel(arms: list[dict[str, Any]], n: int) -> Panel:
    """Return a panel of hit rates at n with their intervals."""

    def panel(axis: Any) -> None:
        points(axis, arms, "metrics", f"hit_rate@{n}", "value", 0.0)
        finish(axis, arms, f"hit rate at {n}, 95 % intervals")

    return panel


def effects_panel(study: dict[str, Any], at: list[int]) -> Panel:
    """Return a panel of the effects of a study with their intervals."""

    def panel(axis: Any) -> None:
        axis.axvline(0, color="0.7", linewidth=0.8, zorder=0)
        for i, n in enumerate(at):
            shift = 0.2 * (i - (len(at) - 1) / 2)
            points(axis, study["arms"], "against", f"hit_rate@{n}", "difference", shift)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        finish(axis, study["arms"], f"{study['title']}: effect against {study['base']}")

    return panel


def points(
    axis: Any, arms: list[dict[str, Any]], part: str, metric: str, name: str, shift: float
) -> None:
    """Draw a point and an interval for each arm that has them."""
    able = [(i, arm[part][metric]) for i, arm in enumerate(arms) if arm[part] is not None]
    values = [numbers[name] for _, numbers in able]
    # the bootstrap's percentiles may leave out the value itself, and a bar has no length below 0
    below = [max(0.0, x[name] - x["low"]) for _, x in able]
    above = [max(0.0, x["high"] - x[name]) for _, x in able]
    places, marker = [i + shift for i, _ in able], "o" if shift <= 0 else "s"
    axis.errorbar(values, places, xerr=[below, above], fmt=marker, capsize=2, label=metric)


def finish(axis: Any, arms: list[dict[str, Any]], title: str) -> None:
    """Write the arms beside the lines and the title above."""
    axis.set_yticks(range(len(arms)), [arm["label"] for arm in arms])
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.set_title(title, loc="left").set_parse_math(False)


def curves_panel(title: str, arms: list[dict[str, Any]]) -> Panel:
    """Return a panel of the validation metric by step, the mean over seeds, a line for each arm."""

    def panel(axis: Any) -> None:
        for arm, style in zip(arms, LINES * len(arms), strict=False):
            steps, values = [x[0] for x in arm["curve"]], [x[1] for x in arm["curve"]]
            axis.plot(steps, values, style, label=arm["label"])
        axis.set_xlabel("step")
        axis.set_ylabel("validation")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        axis.set_title(f"{title}: while training", loc="left").set_parse_math(False)

    return panel
