"""Axes of a plot: data coordinates to px, ticks, curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.pictures.svg import Drawing, Point


@dataclass(frozen=True)
class Plot:
    """A rectangle of a drawing with the ranges of its two axes."""

    drawing: Drawing
    corner: Point  # upper left, px
    size: Point  # px
    x_range: Point
    y_range: Point

    def point(self, x: float, y: float) -> Point:
        """Return the px coordinates of a data point."""
        (x0, y0), (width, height) = self.corner, self.size
        (low_x, high_x), (low_y, high_y) = self.x_range, self.y_range
        right = (x - low_x) / (high_x - low_x) * width
        return x0 + right, y0 + height - (y - low_y) / (high_y - low_y) * height

    def frame(self, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str]) -> None:
        """Draw both axes and grid lines at the ticks; a tick with an empty label has none."""
        for y, label in y_ticks.items():
            left, height = self.point(self.x_range[0], y)
            self.drawing.line([(left, height), (left + self.size[0], height)], "axis", width=0.5)
            self.drawing.text((left - 7, height + 5), label, anchor="end")
        bottom = self.corner[1] + self.size[1]
        for x, label in x_ticks.items():
            left, _ = self.point(x, 0)
            self.drawing.line([(left, bottom), (left, bottom + 5)], "axis")
            self.drawing.text((left, bottom + 20), label, anchor="middle")
        x0, y0 = self.corner
        self.drawing.line([(x0, y0), (x0, bottom), (x0 + self.size[0], bottom)], "axis")

    def curve(self, points: Iterable[Point], css: str, *, width: float = 2.5) -> None:
        """Draw a line through data points."""
        self.drawing.line([self.point(x, y) for x, y in points], css, width=width)
