"""What the page is made of: for each user a trace, and beside it what the other views show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.study.case_study import case_study, open_worlds
from mindref.study.extras import extras_of
from mindref.study.subject import subject


class Leaf(NamedTuple):
    """One user of the page, as plain data."""

    trace: dict[str, Any]
    extras: dict[str, Any]


def leaves(
    run: Path | None, baseline: Path | None, data: Path | None, users: Sequence[str]
) -> list[Leaf]:
    """Return the users of a run directory, or of the built-in world for None."""
    world, single = open_worlds(run, baseline, data)
    out = []
    for rule in users:
        found = subject(world, rule)
        extras = extras_of(found.given, world.titles)
        extras["case_study"] = case_study(world, single, [rule]).to_dict()
        out.append(Leaf(json.loads(found.trace.to_json()), extras))
    return out
