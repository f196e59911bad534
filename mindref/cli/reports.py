"""Printing of a report: tables of metrics and the lines below them, for `train` and `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mindref.cli.streams import print_stdout
from mindref.cli.tables import print_table
from mindref.evaluation import SEEN_TARGETS

if TYPE_CHECKING:
    from mindref.evaluation.metrics import Estimate
    from mindref.recommender.training.rerank_trainer import SectionReport


def print_metrics(
    metrics: Mapping[str, Mapping[str, Estimate]], cases: int, which: str = "test"
) -> None:
    """Print a row per metric: the model with 95 % intervals, and the baselines."""
    model = metrics["model"]
    baselines = [name for name in metrics if name != "model"]  # baselines-R20
    rows = [
        (name, format_estimate(x), *(f"{metrics[y][name]['value']:.4f}" for y in baselines))
        for name, x in model.items()
    ]
    title = f"{cases} {which} cases, each ranks the whole catalogue; 95 % intervals"
    print_table(("metric", "model", *baselines), rows, title=title)


def print_gains(report: Mapping[str, Any]) -> None:
    """Print the metrics with the order of recall and of DIN, and the difference."""
    if report["all"] is None:
        print_stdout("no test case has its target among the candidates: there is no metric")
        return
    parts: dict[str, SectionReport] = {name: report[name] for name in ("all", "within")}
    rows = [
        (
            name,
            metric,
            format_estimate(part["before"][metric]),
            format_estimate(part["after"][metric]),
            format_estimate(part["gain"][metric]),
        )
        for name, part in parts.items()
        for metric in part["before"]
    ]
    heads = ("cases", "metric", "order of recall", "order of din", "gain")
    title = f"{report['candidates']} candidates per case; 95 % bootstrap intervals"
    print_table(heads, rows, title=title, left=2, no_wrap=True)
    print_stdout(
        f"all: {parts['all']['cases']:,} test cases with a target; within: the"
        f" {parts['within']['cases']:,} cases whose target is among the candidates"
    )


def format_estimate(estimate: Estimate) -> str:
    """Return an estimate and its interval; only the estimate if the interval is empty."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return f"{value:.4f}" if low == high else f"{value:.4f} [{low:.4f}, {high:.4f}]"


def print_history_table(buckets: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table with a row per range of history lengths."""
    names = [name for name in next(iter(buckets.values())) if name.startswith(("hit_rate", "ndcg"))]
    rows = [
        (bucket, f"{row['cases']:.0f}", *(f"{row[name]:.4f}" for name in names))
        for bucket, row in buckets.items()
    ]
    title = "metrics of the model by number of behaviours in the history"
    print_table(("behaviours", "cases", *names), rows, title=title, left=0)


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Return model, warnings, targets, ties, interest statistics, untrained items and counts."""
    return [
        *model_lines(report),
        *(f"Warning: {line}" for line in report["baseline_warnings"]),
        *target_lines(report.get("targets", 0), report["cases"]),
        *terms_lines(report.get("score_terms", {})),
        *tie_lines(report["by_tie"]),
        *interests_lines(report["interests"]),
        *untrained_lines(report["untrained"]),
        *note_lines(report["notes"], hidden=report["exclude_seen"]),
    ]


def model_lines(report: Mapping[str, Any]) -> list[str]:
    """Return one line that names the model and how to train MIND; an empty list for MIND."""
    if "train_mind" not in report:
        return []
    return [f"model: {report['model']}; to train MIND itself: {report['train_mind']}"]  # model-R66


def terms_lines(terms: Mapping[str, float]) -> list[str]:
    """Return a line about each term of the score that validation chose."""
    lines = []
    if terms.get("own_counts"):
        weight, decay = f"{terms['own_counts']:.3g}", f"{terms['decay']:g}"
        lines += [f"scores include {weight} times the user's own counts, with decay {decay}"]
    if terms.get("popularity"):
        power = f"to the power of {terms['popularity']:g}"
        lines += [f"item vectors are multiplied by their relative popularity {power}"]
    return lines


def target_lines(targets: int, cases: int) -> list[str]:
    """Return the mean number of targets of a case; an empty list if no case has several."""
    if targets <= cases:
        return []
    return [f"{targets:,} targets in {cases:,} cases: {targets / cases:.1f} in a case on average"]


def tie_lines(groups: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return hit rates of targets with and without the time of the previous behaviour."""
    names = {"tied": "at the time of the previous behaviour", "untied": "at a later time"}
    return [
        f"{row['cases']:.0f} targets {names[name]}: "
        + ", ".join(f"{n} {x:.4f}" for n, x in row.items() if n.startswith("hit_rate"))
        for name, row in groups.items()
    ]


def interests_lines(statistics: Mapping[str, Any] | None) -> list[str]:
    """Return the interest statistics as text; an empty list for a family without routing."""
    if statistics is None:
        return []
    if not statistics:
        return ["interests: no user has two active interests"]
    weights = ", ".join(f"{weight:.0%}" for weight in statistics["share_by_rank"])
    lines = [
        f"interests of {statistics['users']} users with two or more: mean pairwise cosine"
        f" {statistics['similarity']:.3f}; effective number of interests"
        f" {statistics['effective_number']:.2f}; coupling weight, largest first: {weights}"
    ]
    if "recovery" in statistics:
        recovery = statistics["recovery"]
        lines.append(
            f"true interests recovered: adjusted Rand index {recovery['ari']:.3f}"
            f" (chance {recovery['ari_chance']:.3f}), purity {recovery['purity']:.3f}"
            f" (chance {recovery['purity_chance']:.3f})"
        )
    return lines


def untrained_lines(counts: Mapping[str, float]) -> list[str]:
    """Return the share of untrained items; an empty list if there are none."""
    if not counts["items"]:
        return []
    unserved = counts["items"] - counts["with_features"]
    shares = [f"{counts['item_share']:.1%} of the catalogue"]
    if "target_share" in counts:  # not without test cases
        shares.append(f"{counts['target_share']:.1%} of the targets")
    return [
        f"untrained items (in no training example): {counts['items']:,}"
        f" ({', '.join(shares)}); {unserved:,} of them have no trained features and are never"
        " recommended"
    ]


def note_lines(notes: Mapping[str, int], *, hidden: bool) -> list[str]:
    """Return a line for each non-zero count; `hidden`: seen items were excluded."""
    lines = {name: f"{count:,} {name}" for name, count in notes.items() if count}
    if hidden and SEEN_TARGETS in lines:
        advice = ": always missed, because seen items are excluded; try --include-seen"
        lines[SEEN_TARGETS] += advice
    return list(lines.values())
