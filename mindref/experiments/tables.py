"""Results as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mindref.experiments import results
from mindref.experiments.arms import describe_settings
from mindref.experiments.paired_tests import MIN_PROBABILITY, HitRateDifference
from mindref.models.family import family_of
from mindref.models.registry import RECALL_FAMILIES

PAPER_LENGTHS = (10, 50, 100)  # n of the paper's table
TEST_METRICS = ("hit_rate@10", "ndcg@10", "hit_rate@50")  # of the best trial of `mindref tune`


class ResultTable(NamedTuple):
    """A table with title, notes, column headings, rows, and a command to copy."""

    title: str
    notes: tuple[str, ...]
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    command: str = ""


def result_tables(result: results.ExperimentResult) -> list[ResultTable]:
    """Return the tables of a result."""
    if result["kind"] == "compare":
        return [paper_table(result), models_table(result), tuning_table(result)]
    return [trials_table(result) if result["kind"] == "tune" else ablation_table(result)]


def paper_table(result: results.ComparisonResult) -> ResultTable:
    """Return the paper's table: hit rates, and their change relative to the opponent in percent."""
    rows = []
    for arm in result["arms"]:
        cells = [relative_rate(arm, f"hit_rate@{n}") for n in PAPER_LENGTHS]
        rows.append((arm["label"], *cells))
    note = f"in brackets: change relative to {result['opponent']} in percent"
    heads = ("model", *(f"HR@{n}" for n in PAPER_LENGTHS))
    return ResultTable(f"hit rate: {data_description(result)}", (note,), heads, rows)


def relative_rate(arm: results.ArmResult, metric: str) -> str:
    """Return a hit rate, and its change relative to the opponent in percent if there is one."""
    if arm["metrics"] is None:
        return "diverged"
    value = f"{arm['metrics'][metric]['value']:.4f}"
    against = arm["against"]
    if against is None or against[metric]["percent"] is None:
        return value
    return f"{value} ({against[metric]['percent']:+.2f})"


def models_table(result: results.ComparisonResult) -> ResultTable:
    """Return the table of all hit rates with intervals and tests."""
    heads = ("model", "N", "hit rate", "sd of seeds", "difference", "p", "p, Holm")
    rows = []
    for arm in result["arms"]:
        if arm["metrics"] is None:
            continue
        for n in result["lengths"]:
            metric = f"hit_rate@{n}"
            estimate = arm["metrics"][metric]
            deviation = "" if estimate["sd"] is None else f"{estimate['sd']:.4f}"
            difference = difference_cells((arm["against"] or {}).get(metric))
            rows.append((arm["label"], str(n), estimate_text(estimate), deviation, *difference))
    title = f"compared with {result['opponent']}, user by user"
    return ResultTable(title, statistics_notes(result), heads, rows)


def tuning_table(result: results.ComparisonResult) -> ResultTable:
    """Return the table of trials and chosen settings per model."""
    tuning = result["tuning"]
    rows = []
    for arm in result["arms"]:
        trials, number = arm["trials"], arm["chosen"]
        value = "diverged" if number is None else f"{trials[number]['validation']:.4f}"
        rows.append((arm["label"], str(len(trials)), describe_settings(arm["settings"]), value))
    note = (
        f"{tuning['trials']} trials per model, fewer if its grid has fewer; chosen by"
        f" {tuning['metric']} on validation cases with seed {tuning['seed']} only"
    )
    heads = ("model", "trials", "settings chosen", f"validation {tuning['metric']}")
    return ResultTable("tuning", (note,), heads, rows)


def trials_table(result: results.TuningResult) -> ResultTable:
    """Return the table of the trials of `mindref tune`, best first, and the command to copy."""
    trials = result["trials"]
    rows = []
    for trial in sorted(trials, key=lambda row: row["validation"] or 0.0, reverse=True):
        value = "diverged" if trial["diverged"] else f"{trial['validation']:.4f}"
        settings = describe_settings(trial["settings"])
        label = trial["model"]  # a preset, which is trained by steps, or a model
        is_fitted = label in RECALL_FAMILIES and not family_of(label).by_steps
        steps = "-" if is_fitted else str(trial["best_step"])
        numbers = (str(trial["trial"]), value, steps)
        rows.append((label, settings, *numbers))
    best = trials[result["best"]]
    test = ", ".join(
        f"{name} {estimate_text(row)}"
        for name, row in result["test"].items()
        if name in TEST_METRICS and row["value"] is not None
    )
    notes = (
        f"best trial on the test cases, which selected nothing: {test}",
        f"run: {best['run']}",
    )
    heads = ("model", "settings", "trial", result["metric"], "best step")
    title = "trials, by the metric on validation cases"
    return ResultTable(title, notes, heads, rows, result["train"])


def ablation_table(result: results.AblationResult) -> ResultTable:
    """Return the table of all arms, each compared with the base of its study."""
    metrics = [f"hit_rate@{n}" for n in result["lengths"]]
    heads = ["study", "arm"]
    for n in result["lengths"]:
        heads += [f"HR@{n}", "effect", "p, Holm"]
    rows = []
    for study in result["studies"]:
        for arm in study["arms"]:
            cells = [cell for metric in metrics for cell in effect_cells(arm, metric)]
            rows.append((study["name"], arm["label"], *cells, arm["verdict"]))
    notes = (
        *statistics_notes(result),
        "verdict: better or worse if an interval of the effect excludes 0 and its p, adjusted for"
        " the number of comparisons, is below .05",
    )
    verdict = "verdict" if len(result["seeds"]) > 1 else "verdict (one seed)"
    title = f"ablation: {data_description(result)}"
    return ResultTable(title, notes, (*heads, verdict), rows)


def effect_cells(arm: results.ArmResult, metric: str) -> tuple[str, str, str]:
    """Return the cells of one metric of an arm."""
    if arm["metrics"] is None:
        return ("diverged", "", "")
    difference, _, p_holm = difference_cells((arm["against"] or {}).get(metric))
    return (f"{arm['metrics'][metric]['value']:.4f}", difference, p_holm)


def estimate_text(row: Mapping[str, Any]) -> str:
    """Return an estimate with its interval."""
    return f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"


def difference_cells(row: HitRateDifference | None) -> tuple[str, str, str]:
    """Return a difference with its interval, and its p-values."""
    if row is None:
        return ("", "", "")
    text = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
    return text, format_p(row["p"]), format_p(row["p_holm"])


def format_p(p: float) -> str:
    """Return a p-value with few digits, or "<" for one below the smallest computed probability."""
    if p < MIN_PROBABILITY:
        return f"<{MIN_PROBABILITY:.0e}"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def data_description(result: results.ComparisonResult | results.AblationResult) -> str:
    """Return the test cases, ranked items and seeds as text."""
    data, seeds = result["data"], result["seeds"]
    cases = sorted(set(data["cases"]))
    count = f"{cases[0]:,}" if len(cases) == 1 else f"{cases[0]:,} to {cases[-1]:,}"
    seen = "unseen items" if data["exclude_seen"] else "all items"
    return (
        f"{count} test cases ({data['split']}), {seen} of {data['items']:,} ranked,"
        f" {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    )


def statistics_notes(result: results.ComparisonResult | results.AblationResult) -> tuple[str, ...]:
    """Return how intervals and p-values were computed."""
    statistics = result["statistics"]
    intervals = ", ".join(statistics["intervals"])
    lines = [
        f"intervals: {statistics['confidence']:.0%}, {intervals}; p: {statistics['test']}, for"
        f" these trained models; adjusted: {statistics['adjusted']}"
    ]
    if len(result["seeds"]) == 1:
        lines.append("one seed: the intervals exclude the variance between trainings")
    return tuple(lines)
