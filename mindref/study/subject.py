"""A user of a world, traced: what the terminal and the page show."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mindref.study.run import Given, trace_of
from mindref.study.trace import Trace
from mindref.study.worlds.world import Chosen, World, choose, open_world, pair


class Subject(NamedTuple):
    """A training pair of one user, and its trace."""

    world: World
    chosen: Chosen
    given: Given
    trace: Trace


def subject(world: World, rule: str = "median") -> Subject:
    """Return the trace of the user whom a rule or an id names. Raises DataError as `choose`."""
    chosen = choose(world, rule)
    found = pair(world, chosen.user)
    model = world.model
    given = Given(model.params, found.batch, model.catalogue, model.config)
    facts: dict[str, Any] = {
        "model": world.name,
        "user": str(world.user_ids[chosen.user]),
        "chosen": chosen.rule,
        "target": world.titles[int(found.batch.target[0])],
        "negatives": found.negatives,
        "dtype": "float64",
        "seed": model.config.seed,
        "config": model.config.to_dict(),
    }
    return Subject(world, chosen, given, trace_of(given, facts=facts, titles=world.titles))


def open_subject(run: Path | None, data: Path | None = None, rule: str = "median") -> Subject:
    """Return the subject of a run directory, or of the built-in world for None."""
    return subject(open_world(run, data), rule)
