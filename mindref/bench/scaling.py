"""How the cost of a step grows: one number varied, all others as they are set.

Rows of one candidate are timed together in interleaved rounds, each in a process of its own: how
one value compares with another does not depend on when it ran. Candidates follow each other, as a
catalogue of a million items, with its moments, would else stand in memory once for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mindref.bench.crew import Crew
from mindref.bench.world import Settings
from mindref.process.threads import cores

if TYPE_CHECKING:
    from mindref.bench.run import Listener, Plan

NUMBERS = {
    "B": ("batch", (64, 256, 1024)),
    "L": ("length", (12, 25, 50, 100, 200)),
    "K": ("interests", (1, 2, 4, 8)),
    "d": ("width", (16, 32, 64, 128)),
    "catalogue": ("catalogue", (1_000, 10_000, 100_000, 1_000_000)),
    "threads": ("threads", ()),  # 1, 2, 4 ... up to the cores
}
"""Name on the command line -> setting and its values."""


def varied(number: str, settings: Settings) -> dict[int, Settings]:
    """Return value -> settings with it."""
    name, values = NUMBERS[number]
    if name == "threads":
        values = (*(2**i for i in range(10) if 2**i < cores()), cores())
    words = settings.to_dict()
    return {value: Settings.of({**words, name: value}) for value in values}


def rows(plan: Plan, number: str, listener: Listener) -> list[dict[str, Any]]:
    """Return a row for each candidate and value: times of a step, ratio to the first value."""
    found = []
    for name in plan.names:
        with Crew() as crew:
            found += rows_of(crew, plan, number, name, listener)
    return found


def rows_of(
    crew: Crew, plan: Plan, number: str, name: str, listener: Listener
) -> list[dict[str, Any]]:
    """Return the rows of one candidate."""
    from mindref.bench.run import add_ratios, started, timed_task

    settings = varied(number, plan.settings)
    keys = {value: f"{name} at {number}={value}" for value in settings}
    wanted = {keys[value]: (name, its) for value, its in settings.items()}
    facts = started(crew, wanted, plan._replace(tasks=("step",)), listener)
    times = timed_task(crew, plan, "step", listener, f"scaling {number}, {name}")
    add_ratios(times, keys[min(settings)])
    return [
        {"candidate": name, "number": number, "value": value}
        | row_of(facts.get(key), times.get(key), crew.reasons.get(key), settings[value])
        for value, key in keys.items()
    ]


def row_of(
    facts: dict[str, Any] | None,
    row: dict[str, Any] | None,
    reason: str | None,
    settings: Settings,
) -> dict[str, Any]:
    """Return what is reported of one value."""
    if facts is None or row is None:
        return {"error": reason or "not timed"}
    if "error" in row:
        return {"error": row["error"]}
    return {**row, "rate": settings.batch / row["median"], **facts_of(facts)}


def facts_of(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a size costs beside time."""
    return {"tables": facts["tables"], "behaviours": facts["behaviours"]}
