"""What the page is made of: for each user a trace, and beside it what the other views show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.study.case.study import of_users, open_worlds
from mindref.study.exercises import NAMES
from mindref.study.exercises.desk import Desk
from mindref.study.exercises.exercise import find
from mindref.study.extras import extras_of
from mindref.study.subject import subject


class Leaf(NamedTuple):
    """One user of the page, as plain data."""

    trace: dict[str, Any]
    extras: dict[str, Any]


def leaves(
    run: Path | None,
    baseline: Path | None,
    data: Path | None,
    users: Sequence[str],
    desk: Desk,
) -> list[Leaf]:
    """Return the users of a run directory, or of the built-in world for None.

    desk: where the learner's files of the exercises are.
    """
    world, single = open_worlds(run, baseline, data)
    out = []
    for rule in users:
        found = subject(world, rule)
        extras = extras_of(found.given, world.titles)
        study = of_users(world, single, [found.chosen]).to_dict()
        extras["case"] = study["users"][0] | {"notes": study["notes"]}
        extras["exercises"] = exercises(desk)
        out.append(Leaf(json.loads(found.trace.to_json()), extras))
    return out


def exercises(desk: Desk) -> list[dict[str, str]]:
    """Return every exercise, the step that it belongs to, and how far the learner is."""
    standings = desk.standings()
    out = []
    for name in NAMES:
        exercise, standing = find(name), standings.get(name)
        status = "passed" if standing and standing.passed else "begun" if standing else "open"
        step = exercise.steps[0]
        out.append({"name": name, "title": exercise.title, "step": step, "status": status})
    return out
