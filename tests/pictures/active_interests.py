"""Number of active interests K' over the number of behaviours n, eq. 9."""

from __future__ import annotations

import numpy as np

from mindref.ops.routing import count_active_interests
from tests.pictures.plot import Plot
from tests.pictures.svg import Drawing

END = 40  # largest n
LARGE, SMALL = 5, 3  # K of the two step functions


def draw() -> Drawing:
    """Return the picture."""
    numbers = np.arange(END + 1)
    counts = count_active_interests(numbers, LARGE)
    starts = {k: int(np.argmax(counts >= k)) for k in range(2, LARGE + 1)}
    steps = ", ".join(f"{k} from {n}" for k, n in starts.items())
    out = Drawing(
        370,
        "Active interests K' over the number of behaviours n",
        f"Two step functions. With K = {LARGE}, K' is 1 at first, {steps} behaviours on."
        f" With K = {SMALL}, K' does not exceed {SMALL}. A dashed line is log2 n.",
    )
    out.heading("K′ = max(1, min(K, ⌊log₂ n⌋)): one more interest for twice as many behaviours")
    plot = Plot(out, (60, 52), (610, 240), (-1, END), (0, 5.6))
    plot.frame({n: str(n) for n in (0, *starts.values(), END)}, {k: str(k) for k in range(6)})
    out.text((365, 344), "n, the number of behaviours that routing receives", anchor="middle")
    out.text((22, 172), "K′", "ink bold", size=17)
    grid = np.linspace(1, END, 79)
    plot.curve(zip(grid, np.log2(grid), strict=True), "axis dash", width=1.5)
    for interests, kind, radius in ((LARGE, 4, 5.5), (SMALL, 1, 2.8)):
        counts = count_active_interests(numbers, interests)
        for n, count in zip(numbers, counts, strict=True):
            out.marker(
                kind, plot.point(n, count), f"mark f{1 if interests == LARGE else 2}", r=radius
            )
    label_counts(plot)
    return out


def label_counts(plot: Plot) -> None:
    """Name the two step functions and log2 n."""
    out = plot.drawing
    x, y = plot.point(33, LARGE)
    out.text((x, y + 26), f"K = {LARGE} (diamonds)", "ink bold")
    x, y = plot.point(24, SMALL)
    out.text((x, y + 24), f"K = {SMALL} (small circles)", "ink bold")
    x, y = plot.point(22.5, np.log2(22.5))
    out.text((x, y - 16), "log₂ n", "dim", anchor="end")
