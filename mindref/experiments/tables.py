"""Results as tables for people: the same sheets for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.experiments.arms import in_words
from mindref.experiments.paired import TINY
from mindref.run import atomic

PAPER = (10, 50, 100)  # the lengths of the paper's table


class Sheet(NamedTuple):
    """A table: its title, what must be known to read it, columns and rows."""

    title: str
    notes: tuple[str, ...]
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sheets(found: dict[str, Any]) -> list[Sheet]:
    """Return the tables of a result."""
    if found["kind"] == "compare":
        return [paper_sheet(found), models_sheet(found), tuning_sheet(found)]
    return [ablation_sheet(found)]


def paper_sheet(found: dict[str, Any]) -> Sheet:
    """Return the paper's table: hit rates, relative to the opponent in percent."""
    rows = []
    for arm in found["arms"]:
        cells = [relative(arm, f"hit_rate@{n}") for n in PAPER]
        rows.append((arm["label"], *cells))
    note = f"in brackets: relative to {found['opponent']}, in percent"
    return Sheet(f"hit rate: {asked(found)}", (note,), ("model", *map(hr, PAPER)), rows)


def relative(arm: dict[str, Any], metric: str) -> str:
    """Return a hit rate, and how it stands to the opponent in percent where there is one."""
    if arm["metrics"] is None:
        return "diverged"
    value = f"{arm['metrics'][metric]['value']:.4f}"
    beside = arm["against"]
    if beside is None or beside[metric]["percent"] is None:
        return value
    return f"{value} ({beside[metric]['percent']:+.2f})"


def models_sheet(found: dict[str, Any]) -> Sheet:
    """Return every number with its interval and test."""
    heads = ("model", "N", "hit rate", "sd of seeds", "difference", "p", "p, Holm")
    rows = []
    for arm in found["arms"]:
        for n in found["at"] if arm["metrics"] is not None else ():
            metric = f"hit_rate@{n}"
            beside = (arm["against"] or {}).get(metric)
            rows.append((arm["label"], str(n), *alone(arm["metrics"][metric]), *pair(beside)))
    title = f"against {found['opponent']}, user by user"
    return Sheet(title, statistics(found), heads, rows)


def tuning_sheet(found: dict[str, Any]) -> Sheet:
    """Return what was tried for each model, and what was chosen."""
    tuning = found["tuning"]
    rows = []
    for arm in found["arms"]:
        tried, number = arm["trials"], arm["chosen"]
        value = "diverged" if number is None else f"{tried[number]['validation']:.4f}"
        rows.append((arm["label"], str(len(tried)), in_words(arm["settings"]), value))
    note = (
        f"{tuning['trials']} trials for every model, fewer only where its grid has no more; chosen"
        f" by {tuning['metric']} on validation cases with seed {tuning['seed']} alone"
    )
    heads = ("model", "trials", "settings chosen", f"validation {tuning['metric']}")
    return Sheet("tuning", (note,), heads, rows)


def ablation_sheet(found: dict[str, Any]) -> Sheet:
    """Return the table of a data set: every arm of every study against the base of the study."""
    metrics = [f"hit_rate@{n}" for n in found["at"]]
    heads = ["study", "arm"]
    for n in found["at"]:
        heads += [hr(n), "effect", "p, Holm"]
    rows = []
    for study in found["studies"]:
        for arm in study["arms"]:
            cells = [cell for metric in metrics for cell in effect(arm, metric)]
            took = found["cost"]["arms"][arm["runs"]]
            seconds = "" if took is None else f"{took:.3g}"
            rows.append((study["name"], arm["label"], *cells, seconds, arm["verdict"]))
    notes = (
        *statistics(found),
        "verdict: better or worse where an interval of the effect leaves out 0 and its p, adjusted"
        " for the number of comparisons, is below .05",
        f"cost: {found['cost']['unit']}, by the clock of this machine ({found['cost']['machine']})"
        " under whatever load it had",
    )
    verdicts = "verdict" if len(found["seeds"]) > 1 else "verdict on one training each"
    return Sheet(f"ablation: {asked(found)}", notes, (*heads, "s/1,000 steps", verdicts), rows)


def effect(arm: dict[str, Any], metric: str) -> tuple[str, str, str]:
    """Return the cells of a metric of an arm."""
    if arm["metrics"] is None:
        return ("diverged", "", "")
    value = f"{arm['metrics'][metric]['value']:.4f}"
    if arm["against"] is None:
        return (value, "", "")
    beside = arm["against"][metric]
    return (value, pair(beside)[0], p_words(beside["p_holm"]))


def alone(numbers: dict[str, Any]) -> tuple[str, str]:
    """Return an estimate with its interval, and the spread of the seeds."""
    value = f"{numbers['value']:.4f} [{numbers['low']:.4f}, {numbers['high']:.4f}]"
    return value, "" if numbers["sd"] is None else f"{numbers['sd']:.4f}"


def pair(beside: dict[str, Any] | None) -> tuple[str, str, str]:
    """Return a difference with its interval, and its p-values."""
    if beside is None:
        return ("", "", "")
    words = f"{beside['difference']:+.4f} [{beside['low']:+.4f}, {beside['high']:+.4f}]"
    return words, p_words(beside["p"]), p_words(beside["p_holm"])


def p_words(p: float) -> str:
    """Return a p-value in a few digits; below TINY nothing was counted, and none is nought."""
    if p < TINY:
        return f"<{TINY:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def hr(n: int) -> str:
    """Return the paper's name of the hit rate at n."""
    return f"HR@{n}"


def asked(found: dict[str, Any]) -> str:
    """Return of what log and of how many cases the numbers are."""
    data, seeds = found["data"], found["seeds"]
    cases = sorted(set(data["cases"]))
    count = f"{cases[0]:,}" if len(cases) == 1 else f"{cases[0]:,} to {cases[-1]:,}"
    seen = "unseen items" if data["exclude_seen"] else "all items"
    return (
        f"{count} test cases ({data['split']}), {seen} of {data['items']:,} ranked,"
        f" {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    )


def statistics(found: dict[str, Any]) -> tuple[str, ...]:
    """Return how intervals and p-values were made."""
    words = found["statistics"]
    how = ", ".join(words["intervals"])
    lines = [
        f"intervals: {words['confidence']:.0%}, {how}; p: {words['test']}, for"
        f" these trained models; adjusted: {words['adjusted']}"
    ]
    if len(found["seeds"]) == 1:
        lines.append("one seed: how much training itself varies is not in these intervals")
    return tuple(lines)


def markdown(found: dict[str, Any]) -> str:
    """Return a result as Markdown, the command above it."""
    head = f"`{found['command']}` (mindref {found['mindref']}, log {found['data']['log'][:12]})\n"
    return "\n".join([head, *(sheet_markdown(sheet) for sheet in sheets(found))])


def sheet_markdown(sheet: Sheet) -> str:
    """Return a sheet as Markdown; a bar in a cell is escaped."""
    lines = [f"**{sheet.title}**", "", f"| {' | '.join(sheet.heads)} |"]
    lines.append("|" + "---|" * len(sheet.heads))
    lines += [f"| {' | '.join(escaped(row))} |" for row in sheet.rows]
    return "\n".join([*lines, "", *(f"{note[0].upper()}{note[1:]}.  " for note in sheet.notes), ""])


def escaped(cells: Sequence[str]) -> list[str]:
    """Return cells without what would end them."""
    return [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]


def write_markdown(found: dict[str, Any], path: Path) -> None:
    """Write a result as Markdown. Raises RunError when it cannot be written."""
    atomic.write_text(path, markdown(found))
