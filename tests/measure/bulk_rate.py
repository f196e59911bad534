"""Compare `recommend_many` with a loop over `recommend`: microseconds per user, in turns.

    OPENBLAS_NUM_THREADS=1 python -m tests.measure.bulk_rate RUN [USERS]

The first USERS (2,000) users of the log of RUN, as ids and as histories, lists of 50 items. Each
line is one turn of all ways. Then follow recommend_many with an allow list of half of the items for
all users, with one list per user, and with a limit per interest.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mindref

LENGTH, TURNS = 50, 3


def microseconds(work: Callable[[], Any], users: int) -> float:
    """Return the time of a call per user."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / users * 1e6


def main(run: Path, count: int) -> None:
    """Print the times and ratios."""
    model = mindref.load(run)
    served = model.served
    users, ids = list(served.log.user_ids)[:count], list(served.dense)
    rows, _, _ = served.encode_users(users)
    histories = [
        [served.items.ids[i] for i in served.servable.select(rows).row(case)]
        for case in range(len(users))
    ]
    model.recommend_many(users, LENGTH)  # compiles
    for turn in range(TURNS):
        loop = microseconds(lambda: [model.recommend(user=x, n=LENGTH) for x in users], count)
        many = microseconds(lambda: model.recommend_many(users, LENGTH), count)
        print(f"turn {turn}, users: loop {loop:.0f}, many {many:.0f}, ratio {loop / many:.1f}")
        loop = microseconds(lambda: [model.recommend(x, LENGTH) for x in histories], count)
        many = microseconds(lambda: model.recommend_many(histories, LENGTH), count)
        print(f"turn {turn}, histories: loop {loop:.0f}, many {many:.0f}, ratio {loop / many:.1f}")
    by_user = {user: ids[number % 7 :: 7] for number, user in enumerate(users)}
    options = {
        "no filter": {},
        "half of the items allowed": {"only": ids[::2]},
        "a seventh of the items by user": {"only": by_user},
        "per_interest 25": {"per_interest": 25},
        "per_interest 15": {"per_interest": 15},
    }
    for name, limits in options.items():
        many = microseconds(lambda: model.recommend_many(users, LENGTH, **limits), count)  # noqa: B023
        print(f"{name}: {many:.0f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
