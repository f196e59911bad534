"""Draw a case study: heat map of coupling weights, lists of items and controls of each user.

A narrow heat map has digits, the largest of a column in bold; a wide heat map marks the largest by
a dot. Titles are drawn as plain text on one line and are shortened.
"""

from __future__ import annotations

import importlib
import textwrap
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from mindref.run import atomic
from mindref.study.case_study.controls import RoutingMeasures
from mindref.study.case_study.numbers import CaseStudy, ItemList, UserStudy

GRID = 0.05  # of cosines, as in the paper's figure
MAX_DIGIT_COLUMNS = 26  # columns of a heat map with digits
MAX_TITLE = 34  # characters of a title
WIDTH = 13.0  # inches
SETTINGS = {"svg.hashsalt": "mindref", "svg.fonttype": "none", "font.size": 8}


def draw_figure(study: CaseStudy, path: Path) -> None:
    """Draw into a file; its ending is the format. Raises RunError if it cannot be written."""
    matplotlib = importlib.import_module("matplotlib")
    figures = importlib.import_module("matplotlib.figure")
    kind = path.suffix[1:]
    nameless = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # characters that the font does not have
        heights = [height for user_study in study.users for height in row_heights(user_study)]
        figure = figures.Figure(figsize=(WIDTH, sum(heights) + 0.8), layout="constrained")
        figure.get_layout_engine().set(hspace=0.02)
        axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for number, user_study in enumerate(study.users):
            draw_map(axes[3 * number], user_study)
            draw_item_lists(axes[3 * number + 1], user_study)
            draw_controls(axes[3 * number + 2], user_study)
        disable_math(
            figure.suptitle("\n".join([shorten_title(study.name), *map(wrap_caption, study.notes)]))
        )
        with atomic.open_atomic(path) as stream:
            figure.savefig(stream, format=kind, metadata=nameless, dpi=120)


def row_heights(user_study: UserStudy) -> tuple[float, float, float]:
    """Return the heights in inches of heat map, lists and controls of a user."""
    lines = len(user_study.lists) + (user_study.single is not None)
    return 2.4 + 0.3 * len(user_study.couplings), 0.8 + 0.36 * lines, 1.5


def draw_map(axis: Any, user_study: UserStudy) -> None:
    """Draw coupling weights: rows interests, columns behaviours, sorted by strongest interest."""
    count, columns = len(user_study.couplings), len(user_study.behaviours)
    order = sorted(range(columns), key=lambda i: user_study.strongest_interests[i])
    cells = [[row[i] for i in order] for row in user_study.couplings]
    axis.imshow(cells, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for k, row in enumerate(cells):
        for number, value in enumerate(row):
            owner = user_study.strongest_interests[order[number]] == k
            if columns <= MAX_DIGIT_COLUMNS:
                ink = "white" if value > 0.6 else "black"
                weight = "bold" if owner else "normal"
                axis.text(
                    number, k, f"{value:.2f}", ha="center", va="center", color=ink, weight=weight
                )
            elif owner:
                axis.plot(number, k, ".", color="white" if value > 0.6 else "black", markersize=3)
    axis.set_yticks(range(count), [f"interest {k + 1}" for k in range(count)])
    labels = [behaviour_label(user_study, i) for i in order]
    axis.set_xticks(range(columns), labels, rotation=45, ha="right", rotation_mode="anchor")
    for tick in axis.get_xticklabels():
        disable_math(tick)
    disable_math(axis.set_title(map_heading(user_study), loc="left"))


def behaviour_label(user_study: UserStudy, behaviour: int) -> str:
    """Return the title of a film with its group, if known."""
    group = f"  [{user_study.groups[behaviour]}]" if user_study.groups else ""
    return shorten_title(user_study.behaviours[behaviour]) + group


def map_heading(user_study: UserStudy) -> str:
    """Return the title of a heat map: user, rule, and how to read it."""
    user_text = wrap_caption(f"user {shorten_title(user_study.user)}: {user_study.rule}")
    count = len(user_study.behaviours)
    order_text = f"the last {count} films before the target, sorted by strongest interest"
    return (
        f"{user_text}\ncoupling weights of the last iteration, each column sums to 1: {order_text}"
    )


def draw_controls(axis: Any, user_study: UserStudy) -> None:
    """Draw the measures of the user and of the controls as a text table."""
    axis.set_axis_off()
    disable_math(axis.text(0, 1, controls_table(user_study), va="top", family="monospace"))


def controls_table(user_study: UserStudy) -> str:
    """Return the measures of the user and of the controls as a text table."""
    c = user_study.controls
    rows = {
        "this user": c.user,
        f"initial logits redrawn, mean of {c.draws}": c.redrawn,
        f"random films, mean of {c.draws}": c.random_history,
    }
    head = f"{'':42}{'largest weight':>18}{'eff. interests':>16}{'mean cosine':>16}"
    head += f"{'purity':>8}" if user_study.groups else ""
    lines = [f"{name:42}{measure_cells(m)}" for name, m in rows.items()]
    same = (
        f"with redrawn logits: same grouping {c.grouping:.2f} (adjusted Rand index, lowest"
        f" {c.lowest_grouping:.2f}), mean cosine of matched interests {c.match:.2f}"
    )
    order = f"in another order: coupling weights change by at most {c.reordered:.0e}"
    purity = "purity: share of films in the most frequent group of their interest"
    return "\n".join([head, *lines, same, order, *([purity] if user_study.groups else [])])


def measure_cells(m: RoutingMeasures) -> str:
    """Return measures as table cells; a dash for the cosine of a single interest."""
    cosine = "-" if m.similarity is None else f"{m.similarity:.2f}"
    purity = "" if m.purity is None else f"{m.purity:8.2f}"
    return f"{m.largest:18.2f}{m.effective_number:16.1f}{cosine:>16}{purity}"


def draw_item_lists(axis: Any, user_study: UserStudy) -> None:
    """Draw a line for each vector: dots at the cosines of its items, sized by count."""
    strips = [*user_study.lists, *([] if user_study.single is None else [user_study.single])]
    for number, each in enumerate(strips):
        counts = Counter(round(item.cosine / GRID) for item in each.items)
        places = [cell * GRID for cell in counts]
        colour = "tab:orange" if each is user_study.single else "tab:blue"
        axis.axhline(number, color="0.85", linewidth=0.8, zorder=0)
        axis.scatter(
            places, [number] * len(places), s=[18 * n for n in counts.values()], color=colour
        )
        beside = axis.get_yaxis_transform()  # right of the axis
        disable_math(
            axis.text(1.01, number, list_caption(each), va="center", transform=beside, size=7)
        )
    axis.set_yticks(range(len(strips)), [each.name for each in strips])
    axis.set_ylim(len(strips) - 0.5, -0.5)
    axis.set_xlabel("cosine of item and vector, in steps of 0.05; area of a dot: number of items")
    disable_math(axis.set_title(wrap_caption(lists_heading(user_study)), loc="left"))


def list_caption(each: ItemList) -> str:
    """Return the caption of a list: group, mean cosine, first titles."""
    share = (
        f"{each.commonest_count} of {len(each.items)} {each.commonest}; " if each.commonest else ""
    )
    first = "; ".join(shorten_title(item.title) for item in each.items[:2])
    return f"{share}mean cosine between items {each.mean_cosine:.2f}\n{first}; ..."


def lists_heading(user_study: UserStudy) -> str:
    """Return the title of the lists."""
    count = sum(len(each.items) for each in user_study.lists)
    text = (
        f"the {len(user_study.lists[0].items)} best unseen items of each vector"
        f" ({user_study.distinct} different items among {count});"
        f" the target {shorten_title(user_study.target)} has rank {user_study.rank}"
    )
    if user_study.single_rank is not None:
        text += f", and {user_study.single_rank} for the single vector"
    return text


def shorten_title(title: str) -> str:
    """Return a title on one line, printable, of at most `MAX_TITLE` letters."""
    plain = "".join(c if c.isprintable() else " " for c in title)
    plain = " ".join(plain.split())
    return plain if len(plain) <= MAX_TITLE else plain[: MAX_TITLE - 1].rstrip() + "…"


def wrap_caption(text: str) -> str:
    """Return a text wrapped to the width of the figure."""
    return textwrap.fill(text, 130)


def disable_math(text: Any) -> None:
    """Print dollar signs literally instead of parsing mathematics."""
    text.set_parse_math(False)
