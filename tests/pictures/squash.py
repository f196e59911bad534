"""Length and both slopes of squash over the length n of its argument."""

from __future__ import annotations

import numpy as np

from mindref.ops import squash
from tests.pictures.plot import Plot
from tests.pictures.svg import Drawing

END = 5.0  # largest n


def draw() -> Drawing:
    """Return the picture."""
    out = Drawing(
        400,
        "squash: length and slopes over n",
        "Three curves over the length n of a vector. The length of the capsule grows from 0 toward"
        " 1. The slope across the vector is largest at n = 1. The slope along the vector is largest"
        " below n = 1. All three are equal at n = 1.",
    )
    out.heading("squash: a long vector gets a length near 1 and a small gradient")
    plot = Plot(out, (60, 52), (610, 270), (0, END), (0, 1))
    plot.frame({n: f"{n:g}" for n in range(6)}, {y: f"{y:g}" for y in (0, 0.25, 0.5, 0.75, 1)})
    out.text((365, 372), "n, the length of the vector before squash", anchor="middle")
    n = np.linspace(0, END, 101)
    length, across, along = squash_values(n)
    plot.curve(zip(n, length, strict=True), "line s1", width=3)
    plot.curve(zip(n, across, strict=True), "line s2 dash", width=3)
    plot.curve(zip(n, along, strict=True), "line s3 dot", width=3.5)
    label_curves(plot)
    return out


def squash_values(n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the length of the result and the slopes across and along, for lengths n (M,)."""
    vectors = np.stack([n, np.zeros_like(n)], axis=1)
    out, saved = squash.forward(vectors)
    return np.linalg.norm(out, axis=1), saved.across[:, 0], saved.along[:, 0]


def label_curves(plot: Plot) -> None:
    """Name the curves, and mark the largest slope along and the crossing of the curves."""
    out = plot.drawing
    peak = 1 / np.sqrt(3)
    length, across, along = squash_values(np.array([peak, 1.0, 2.9]))
    top, middle = plot.point(peak, along[0]), plot.point(1, length[1])
    out.line([top, plot.point(peak, 0.85)], "axis")
    out.line([middle, plot.point(1.5, 0.585)], "axis")
    out.marker(3, top, "mark f3")
    out.marker(1, middle, "mark hollow")
    x, y = plot.point(0.25, 0.875)
    out.text((x, y), f"largest slope along: {along[0]:.2f} at n = {peak:.2f}")
    x, y = plot.point(1.55, 0.58)
    out.text((x, y + 5), f"at n = 1 all three are {across[1]:g}")
    x, y = plot.point(2.9, length[2])
    out.text((x, y + 26), "length of the capsule, n² / (1 + n²)", "ink bold")
    x, y = plot.point(2.9, across[2])
    out.text((x, y - 14), "slope across, n / (1 + n²)", "ink bold")
    x, y = plot.point(2.9, along[2])
    out.text((x, y - 12), "slope along, 2n / (1 + n²)²", "ink bold")
