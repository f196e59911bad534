"""Plots of a result: estimates with intervals, and validation curves.

Needs the extra `plot`; `mindref.bench.report.check_plot` checks it before slow work.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mindref.experiments.results import (
    AblationResult,
    ArmResult,
    ComparisonResult,
    StudyResult,
)
from mindref.run import atomic, lock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes"], None]  # draws on an axis
RC_SETTINGS = {"svg.hashsalt": "mindref", "svg.fonttype": "none", "font.size": 8}
WIDTH = 8.0  # inches
LINE_STYLES = ("-o", "--s", "-.^", ":v")  # distinguishable without colour


def draw_result(result: ComparisonResult | AblationResult, path: Path) -> None:
    """Write a plot; the suffix selects the format. Raises RunError if it cannot be written."""
    matplotlib = importlib.import_module("matplotlib")
    figures = importlib.import_module("matplotlib.figure")
    panels = result_panels(result)
    kind = path.suffix[1:]
    metadata = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context(RC_SETTINGS):
        size = (WIDTH, sum(height for height, _ in panels))
        figure = figures.Figure(figsize=size, layout="constrained")
        heights = [height for height, _ in panels]
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (_, panel) in zip(axes, panels, strict=True):
            panel(axis)
        with lock.lock_output(path), atomic.open_atomic(path) as stream:  # faults-R8
            figure.savefig(stream, format=kind, metadata=metadata[kind], dpi=120)


def result_panels(result: ComparisonResult | AblationResult) -> list[tuple[float, Panel]]:
    """Return height in inches and draw function of each panel, from top to bottom."""
    lengths = result["lengths"]
    if result["kind"] == "compare":
        models = result["arms"]
        rates = [(panel_height(models), partial(rates_panel, arms=models, n=n)) for n in lengths]
        return [*rates, (3.0, partial(curves_panel, title="validation", arms=models))]
    panels: list[tuple[float, Panel]] = []
    for study in result["studies"]:
        arms = study["arms"]
        panels.append((panel_height(arms), partial(effects_panel, study=study, lengths=lengths)))
        if study["curves"]:
            panels.append((3.0, partial(curves_panel, title=study["title"], arms=arms)))
    return panels


def panel_height(arms: Sequence[ArmResult]) -> float:
    """Return the height in inches of a panel with one line per arm."""
    return 0.8 + 0.3 * len(arms)


class Point(NamedTuple):
    """An estimate with its interval, on the line of an arm."""

    line: float
    value: float
    low: float
    high: float


def rates_panel(axis: Axes, arms: Sequence[ArmResult], n: int) -> None:
    """Draw the hit rates at n with their intervals."""
    metric = f"hit_rate@{n}"
    points = [
        Point(line, estimate["value"], estimate["low"], estimate["high"])
        for line, arm in enumerate(arms)
        if arm["metrics"] is not None
        for estimate in [arm["metrics"][metric]]
    ]
    draw_points(axis, points, metric, "o")
    label_arms(axis, arms, f"hit rate at {n}, 95 % intervals")


def effects_panel(axis: Axes, study: StudyResult, lengths: list[int]) -> None:
    """Draw the effects of a study with their intervals."""
    arms = study["arms"]
    axis.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    for i, n in enumerate(lengths):
        metric, shift = f"hit_rate@{n}", 0.2 * (i - (len(lengths) - 1) / 2)
        points = [
            Point(line + shift, effect["difference"], effect["low"], effect["high"])
            for line, arm in enumerate(arms)
            if arm["against"] is not None
            for effect in [arm["against"][metric]]
        ]
        draw_points(axis, points, metric, "o" if shift <= 0 else "s")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    label_arms(axis, arms, f"{study['title']}: effect against {study['base']}")


def draw_points(axis: Axes, points: list[Point], metric: str, marker: str) -> None:
    """Draw points with their intervals."""
    # a bootstrap interval may exclude the value itself, but an error bar cannot be negative
    below = [max(0.0, point.value - point.low) for point in points]
    above = [max(0.0, point.high - point.value) for point in points]
    axis.errorbar(
        [point.value for point in points],
        [point.line for point in points],
        xerr=[below, above],
        fmt=marker,
        capsize=2,
        label=metric,
    )


def label_arms(axis: Axes, arms: Sequence[ArmResult], title: str) -> None:
    """Set the labels of the arms and the title."""
    axis.set_yticks(range(len(arms)), [arm["label"] for arm in arms])
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.set_title(title, loc="left").set_parse_math(False)


def curves_panel(axis: Axes, title: str, arms: Sequence[ArmResult]) -> None:
    """Draw the validation curves, the mean over seeds, one line per arm."""
    for arm, style in zip(arms, LINE_STYLES * len(arms), strict=False):
        steps, values = [x[0] for x in arm["curve"]], [x[1] for x in arm["curve"]]
        axis.plot(steps, values, style, label=arm["label"])
    axis.set_xlabel("step")
    axis.set_ylabel("validation")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axis.set_title(f"{title}: validation during training", loc="left").set_parse_math(False)
