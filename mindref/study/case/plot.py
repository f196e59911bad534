"""Draw a case study: for each user a heat map of couplings, strips of retrieved items, controls.

Colour is never alone: cells carry their digits where there is room, and the largest of a column is
bold, else a dot. Titles are drawn as they are: no mathematics in them, one line, cut to fit.
"""

from __future__ import annotations

import importlib
import textwrap
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from mindref.run import atomic
from mindref.study.case.controls import Measures
from mindref.study.case.study import CaseStudy, Shown, Strip

GRID = 0.05  # of cosines, as in the paper's figure
ROOM = 26  # columns that leave room for digits
CUT = 34  # letters of a title
WIDTH = 13.0  # inches
SETTINGS = {"svg.hashsalt": "mindref", "svg.fonttype": "none", "font.size": 8}


def draw(study: CaseStudy, path: Path) -> None:
    """Draw into a file; its ending is the format. Raises RunError when it cannot be written."""
    matplotlib = importlib.import_module("matplotlib")
    figures = importlib.import_module("matplotlib.figure")
    kind = path.suffix[1:]
    nameless = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # letters that the font lacks become boxes
        heights = [height for shown in study.users for height in heights_of(shown)]
        figure = figures.Figure(figsize=(WIDTH, sum(heights) + 0.8), layout="constrained")
        figure.get_layout_engine().set(hspace=0.02)
        axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for at, shown in enumerate(study.users):
            draw_map(axes[3 * at], shown)
            draw_strips(axes[3 * at + 1], shown)
            draw_controls(axes[3 * at + 2], shown)
        words(figure.suptitle("\n".join([cut(study.name), *map(wrapped, study.notes)])))
        with atomic.writing(path) as stream:
            figure.savefig(stream, format=kind, metadata=nameless, dpi=120)


def heights_of(shown: Shown) -> tuple[float, float, float]:
    """Return the heights in inches of the heat map, the strips and the controls of a user."""
    lines = len(shown.strips) + (shown.single is not None)
    return 2.4 + 0.3 * len(shown.couplings), 0.8 + 0.36 * lines, 1.5


def draw_map(axis: Any, shown: Shown) -> None:
    """Draw couplings: rows interests, columns behaviours, those of one interest side by side."""
    count, columns = len(shown.couplings), len(shown.behaviours)
    order = sorted(range(columns), key=lambda i: shown.owners[i])
    cells = [[row[i] for i in order] for row in shown.couplings]
    axis.imshow(cells, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for k, row in enumerate(cells):
        for at, value in enumerate(row):
            owner = shown.owners[order[at]] == k
            if columns <= ROOM:
                ink = "white" if value > 0.6 else "black"
                weight = "bold" if owner else "normal"
                axis.text(at, k, f"{value:.2f}", ha="center", va="center", color=ink, weight=weight)
            elif owner:
                axis.plot(at, k, ".", color="white" if value > 0.6 else "black", markersize=3)
    axis.set_yticks(range(count), [f"interest {k + 1}" for k in range(count)])
    labels = [label(shown, i) for i in order]
    axis.set_xticks(range(columns), labels, rotation=45, ha="right", rotation_mode="anchor")
    for tick in axis.get_xticklabels():
        words(tick)
    words(axis.set_title(heading(shown), loc="left"))


def label(shown: Shown, behaviour: int) -> str:
    """Return the title of a behaviour, its group with it where it is known."""
    group = f"  [{shown.groups[behaviour]}]" if shown.groups else ""
    return cut(shown.behaviours[behaviour]) + group


def heading(shown: Shown) -> str:
    """Return the words above a heat map: who, by which rule, and how to read it."""
    who = wrapped(f"user {cut(shown.user)}: {shown.rule}")
    count = len(shown.behaviours)
    what = (
        f"the last {count} behaviours before the one asked for, side by side by strongest interest"
    )
    return f"{who}\ncouplings of the last round, each column adds up to 1: {what}"


def draw_controls(axis: Any, shown: Shown) -> None:
    """Write the measures of the user beside those of the controls, as a table in words."""
    axis.set_axis_off()
    words(axis.text(0, 1, controls_in_words(shown), va="top", family="monospace"))


def controls_in_words(shown: Shown) -> str:
    """Return the measures of the user and of the controls as lines of a table."""
    c = shown.controls
    rows = {
        "this user": c.user,
        f"initial logits redrawn, mean of {c.draws}": c.redrawn,
        f"as many behaviours of nobody, mean of {c.draws}": c.mixed,
    }
    head = f"{'':42}{'largest coupling':>18}{'interests used':>16}{'cosine between':>16}"
    head += f"{'purity':>8}" if shown.groups else ""
    lines = [f"{name:42}{numbers(m)}" for name, m in rows.items()]
    same = (
        f"with redrawn logits: same grouping {c.grouping:.2f} (adjusted Rand index, lowest"
        f" {c.lowest_grouping:.2f}), cosine of an interest with its counterpart {c.match:.2f}"
    )
    order = f"in another order: couplings change by {c.reordered:.0e} at the most"
    purity = "purity: share of behaviours that are of the commonest group of their interest"
    return "\n".join([head, *lines, same, order, *([purity] if shown.groups else [])])


def numbers(m: Measures) -> str:
    """Return measures as the cells of a line, a dash for a cosine of one interest with none."""
    cosine = "-" if m.similarity is None else f"{m.similarity:.2f}"
    purity = "" if m.purity is None else f"{m.purity:8.2f}"
    return f"{m.largest:18.2f}{m.used:16.1f}{cosine:>16}{purity}"


def draw_strips(axis: Any, shown: Shown) -> None:
    """Draw a line for each vector: dots at the cosines of its items, their size how many."""
    strips = [*shown.strips, *([] if shown.single is None else [shown.single])]
    for at, each in enumerate(strips):
        found = Counter(round(item.cosine / GRID) for item in each.items)
        places = [cell * GRID for cell in found]
        colour = "tab:orange" if each is shown.single else "tab:blue"
        axis.axhline(at, color="0.85", linewidth=0.8, zorder=0)
        axis.scatter(places, [at] * len(places), s=[18 * n for n in found.values()], color=colour)
        beside = axis.get_yaxis_transform()  # right of the axis, at the height of the line
        words(axis.text(1.01, at, brings(each), va="center", transform=beside, size=7))
    axis.set_yticks(range(len(strips)), [each.name for each in strips])
    axis.set_ylim(len(strips) - 0.5, -0.5)
    axis.set_xlabel("cosine of item and vector, in steps of 0.05; area of a dot: number of items")
    words(axis.set_title(wrapped(below(shown)), loc="left"))


def brings(each: Strip) -> str:
    """Return what a vector brings, in words: group, likeness, the first titles."""
    share = f"{each.of_commonest} of {len(each.items)} {each.commonest}; " if each.commonest else ""
    first = "; ".join(cut(item.title) for item in each.items[:2])
    return f"{share}mean cosine between them {each.alike:.2f}\n{first}; ..."


def below(shown: Shown) -> str:
    """Return the words above the strips."""
    count = sum(len(each.items) for each in shown.strips)
    text = (
        f"the {len(shown.strips[0].items)} best unseen items of each vector"
        f" ({shown.distinct} different ones among {count}); what came next, {cut(shown.target)},"
        f" is at place {shown.place}"
    )
    if shown.single_place is not None:
        text += f", by the single vector at {shown.single_place}"
    return text


def cut(title: str) -> str:
    """Return a title on one line, printable, of at most `CUT` letters."""
    plain = "".join(c if c.isprintable() else " " for c in title)
    plain = " ".join(plain.split())
    return plain if len(plain) <= CUT else plain[: CUT - 1].rstrip() + "…"


def wrapped(text: str) -> str:
    """Return words on lines that fit the figure."""
    return textwrap.fill(text, 130)


def words(text: Any) -> None:
    """Let a dollar sign be a dollar sign."""
    text.set_parse_math(False)
