"""Throughput, ratios and lower bounds, added to the rows of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mindref.bench import lower_bound, timing
from mindref.bench.lower_bound import BatchCounts
from mindref.bench.workload import WorkloadSettings

LOSS_TOLERANCE = 1e-3  # relative difference of first losses that counts as another function


def add_rates(rows: dict[str, dict[str, Any]], task: str, settings: WorkloadSettings) -> None:
    """Add the throughput of each row in examples or users per second, from its median."""
    count = settings.batch if task == "step" else settings.users
    for row in timed_rows(rows):
        row["rate"] = count / row["median"]


def add_ratios(rows: dict[str, dict[str, Any]], base: str | None) -> None:
    """Add the ratio of each row's time to the base's time, per round."""
    base_row = rows.get(base, {}) if base is not None else {}
    for row in timed_rows(rows):
        if "seconds" in base_row:
            ratios = timing.round_ratios(row["seconds"], base_row["seconds"])
            row["ratio"] = timing.summarise_times(ratios)._asdict()


def add_loss_agreement(rows: dict[str, dict[str, Any]], base: str | None) -> None:
    """Add whether the first loss of each row equals the base's. If not, the functions differ."""
    base_row = rows.get(base, {}) if base is not None else {}
    for row in timed_rows(rows):
        if "answer" in base_row:
            difference = abs(row["answer"] - base_row["answer"])
            row["same_loss"] = difference <= LOSS_TOLERANCE * abs(base_row["answer"])


def lower_bound_report(values: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Return the lower bound of a step and its parts."""
    counts = BatchCounts(**{**values, "widths": tuple(values["widths"])})
    gemm, copy = measured["gemm"], measured["copy"]
    as_written = lower_bound.as_written_counts(counts)
    return {
        "counts": counts._asdict(),
        "flops": lower_bound.step_flops(counts),
        "bytes": lower_bound.step_bytes(counts),
        "gemm_flops_per_second": gemm,
        "copy_bytes_per_second": copy,
        "seconds": lower_bound.bound_seconds(counts, gemm, copy),
        "seconds_as_written": lower_bound.bound_seconds(as_written, gemm, copy),
    }


def add_bound_ratios(rows: dict[str, dict[str, Any]], bound: dict[str, Any]) -> None:
    """Add to each row its share of the GEMM peak and its time relative to both bounds."""
    work = sum(bound["flops"].values())
    for row in timed_rows(rows):
        row["share_of_peak"] = work / row["median"] / bound["gemm_flops_per_second"]
        row["times_lower_bound"] = row["median"] / bound["seconds"]
        row["times_as_written"] = row["median"] / bound["seconds_as_written"]


def timed_rows(rows: dict[str, dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the rows with times."""
    return [row for row in rows.values() if "seconds" in row]
