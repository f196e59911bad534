"""Time of a training step as a function of one size, with all other sizes fixed.

All values of one contender are timed together in interleaved rounds, each value in a separate
process. So the comparison between values does not depend on the time of day. Contenders are timed
one after the other, because each holds tables of up to a million items in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mindref.bench.choices import SCALED_SETTINGS
from mindref.bench.timing import add_ratios
from mindref.bench.workers import WorkerPool
from mindref.bench.workload import WorkloadSettings
from mindref.process.threads import usable_cores

if TYPE_CHECKING:
    from mindref.bench.run import BenchPlan, ProgressListener


def vary_setting(size: str, settings: WorkloadSettings) -> dict[int, WorkloadSettings]:
    """Return value -> settings with this value of the size."""
    name, values = SCALED_SETTINGS[size]
    if name == "threads":
        values = (*(2**i for i in range(10) if 2**i < usable_cores()), usable_cores())
    fields = settings.to_dict()
    return {value: WorkloadSettings.of({**fields, name: value}) for value in values}


def scaling_rows(plan: BenchPlan, size: str, listener: ProgressListener) -> list[dict[str, Any]]:
    """Return a row per contender and value: times of a step, ratio to the first value."""
    rows = []
    for name in plan.names:
        with WorkerPool() as pool:
            rows += contender_rows(pool, plan, size, name, listener)
    return rows


def contender_rows(
    pool: WorkerPool, plan: BenchPlan, size: str, name: str, listener: ProgressListener
) -> list[dict[str, Any]]:
    """Return the rows of one contender."""
    from mindref.bench.run import start_workers, time_task

    settings = vary_setting(size, plan.settings)
    keys = {value: f"{name} at {size}={value}" for value in settings}
    jobs = {keys[value]: (name, changed) for value, changed in settings.items()}
    facts = start_workers(pool, jobs, plan._replace(tasks=("step",)), listener)
    times = time_task(pool, plan, "step", listener, f"scaling {size}, {name}")
    add_ratios(times, keys[min(settings)])
    rows = []
    for value, key in keys.items():
        row = times.get(key, {"error": pool.reasons.get(key, "not timed")})
        if "error" in row:
            row = {"error": row["error"]}
        else:  # bytes of the tables, behaviours of a batch
            row |= {name: facts[key][name] for name in ("tables", "behaviours")}
            row["rate"] = settings[value].batch / row["median"]
        rows.append({"contender": name, "size": size, "value": value} | row)
    return rows
