"""Weights of label-aware attention over the power p, for scores of both signs."""

from __future__ import annotations

import numpy as np

from mindref.ops import label_attention
from tests.pictures.plot import Plot
from tests.pictures.svg import Drawing

END = 12.0  # largest finite p of the curves; all scores in (-1, 1) have nearly equal powers
CASES = {"one score above 1": (1.5, 0.25, -0.75), "all in (−1, 1)": (0.75, 0.25, -0.5)}
DASHES = ("", " dash", " dot")


def draw() -> Drawing:
    """Return the picture."""
    out = Drawing(
        420,
        "Label-aware attention: weights over the power p",
        "Two plots of the weights of three interests over p, each with scores of both signs. At"
        " p = 0 all weights are one third. Just above p = 0 the weight of the negative score jumps"
        " down. At p = infinity the largest score has all the weight, even if a large finite p"
        " gives nearly equal weights.",
    )
    out.heading("The power p sets how much weight the interest with the best score gets")
    for index, (heading, scores) in enumerate(CASES.items()):
        draw_case(out, 48 + 345 * index, heading, scores)
    for index, label in enumerate(("largest score", "smaller score", "negative score")):
        x = 60 + 175 * index
        out.line([(x, 392), (x + 34, 392)], f"line s{index + 1}{DASHES[index]}", width=3)
        out.marker(index + 1, (x + 17, 392), f"mark f{index + 1}", r=5)
        out.text((x + 44, 397), label)
    out.marker(1, (588, 392), "mark hollow", r=5)
    out.text((600, 397), "limit p → 0")
    return out


def attention_weights(scores: tuple[float, ...], power: float) -> np.ndarray:
    """Return the weights (K,) of interests with these scores."""
    interests = np.array(scores)[None, :, None]
    active = np.ones(interests.shape[:2], bool)
    _, saved = label_attention.forward(interests, np.ones((1, 1)), active, power=power)
    return np.asarray(saved.weights.out[0])


def draw_case(out: Drawing, left: float, heading: str, scores: tuple[float, ...]) -> None:
    """Draw the weights for one set of scores."""
    numbers = ", ".join(f"{s:g}" for s in scores).replace("-", "−")
    out.text((left - 28, 58), f"weights, scores {numbers} ({heading})", size=13)
    plot = Plot(out, (left, 76), (300, 240), (-0.33 * END, 1.28 * END), (0, 1))
    infinity = 1.2 * END  # its position on the axis
    ticks = {**{p: f"{p}" for p in range(0, int(END) + 1, 3)}, infinity: "∞"}
    plot.frame(ticks, {y: f"{y:g}" for y in (0, 0.5, 1)})
    out.text((left + 176, 356), "p", anchor="middle")
    powers = [1e-9, *np.linspace(0.05, END, 120)]
    curves = np.array([attention_weights(scores, p) for p in powers])
    ends = {p: attention_weights(scores, p) for p in (0.0, np.inf)}
    for k in range(len(scores)):
        plot.curve(zip(powers, curves[:, k], strict=True), f"line s{k + 1}{DASHES[k]}", width=3)
        out.marker(1, plot.point(0, curves[0, k]), f"hollow s{k + 1}", r=5)
    for position, weights in ((0.0, ends[0.0]), (infinity, ends[np.inf])):
        for k in reversed(range(len(scores))):
            out.marker(k + 1, plot.point(position, weights[k]), f"mark f{k + 1}", r=5)
    x, y = plot.point(0, ends[0.0][0])
    out.text((x - 9, y + 5), "1/3 each", anchor="end", size=13)
