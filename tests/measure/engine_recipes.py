"""Compare the recipes of the guide's page "Other search engines" with exact recall, on a run.

    python -m tests.measure.engine_recipes RUN [USERS] [N]

takes USERS users of the log (100), evenly spaced, and prints for each engine how many lists of
N items (20) equal those of `mindref recall --index exact`: the same items in the same order except
in ties, and scores that differ only by rounding. Exit code 1 if a list differs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np

from mindref.recommender.bulk import recall_lists
from mindref.recommender.vector_export import export_vectors
from tests.recommender.test_engines import (
    RECIPES,
    assert_same_list,
    postgres_server,
    run_recipe,
)


def main(run: Path, count: int = 100, n: int = 20) -> int:
    """Print the number of equal lists for each engine; return the exit code."""
    with tempfile.TemporaryDirectory() as name, postgres_server() as variables:
        os.environ.update(variables)
        folder = Path(name)
        facts = export_vectors(run, folder / "vectors", all_users=True)
        users = chosen_users(folder, count)
        expected = recall_lists(run, users=users, n=n, kind="exact")
        lists = [(x.user, [(row.item, row.score) for row in x.items]) for x in expected]
        print(f"{run.name}: {facts['items']['shape'][0]} items, {facts['users']['users']} users")
        equal = [count_equal(engine, folder, lists, n) for engine in RECIPES]
    return int(equal != [len(lists)] * len(equal))


def chosen_users(folder: Path, count: int) -> list[str]:
    """Return ids of users, evenly spaced in the order of the export."""
    from pyarrow import parquet

    users = parquet.read_table(folder / "vectors" / "interests.parquet")["user"].unique()
    rows = np.unique(np.linspace(0, len(users) - 1, count).astype(int))
    return [str(users[row]) for row in rows.tolist()]


def count_equal(
    engine: str, folder: Path, lists: list[tuple[str, list[tuple[str, float]]]], n: int
) -> int:
    """Print and return the number of users whose list equals the expected one."""
    names, equal = run_recipe(engine, folder), 0
    with chdir(folder):
        for user, expected in lists:
            result = names["recommend"](names["search"], user, n)
            try:
                assert_same_list(result, expected)
                equal += 1
            except AssertionError as error:
                print(f"{engine}, user {user}: {error}", file=sys.stderr)
    if "database" in names:
        names["database"].close()
    print(f"{engine}: {equal} of {len(lists)} lists are equal", flush=True)
    return equal


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), *map(int, sys.argv[2:])))
