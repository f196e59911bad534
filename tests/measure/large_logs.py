"""Measure time and peak memory of reading, training, evaluation and recall by the size of the log.

    OPENBLAS_NUM_THREADS=1 python -m tests.measure.large_logs 1000000 5000000

It generates a log of E events, E / 20 users and E / 10 items in a temporary folder, with Zipf's law
for items (exponent 1) and unequal users. Each stage is a new process. The table shows its processor
time (user and system, all threads) and its largest resident set. The time of the stage DataFrame
does not include pandas' reading of the file. Recall computes the lists of the first users; with
`--all-users`, a further stage writes those of all users.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

STEPS, CASES, TOP, USERS, BLOCK = 1000, 1000, 100, 1024, 1_000_000
USER_POWER = 1.5  # of uniform numbers: the first users have many events
MEASURE = """
import json, resource, sys, time
start = time.perf_counter()
{work}
usage = resource.getrusage(resource.RUSAGE_SELF)
times = {{"seconds": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime}}
print(json.dumps({{**times, "peak": usage.ru_maxrss * 1024, **result}}))
"""
READ = """
from mindref.data.readers import read_log
log = read_log(sys.argv[1])
result = {name: log.notes[name] for name in ("interactions", "users", "items")}
"""
FROM_DATAFRAME = """
import pandas
from mindref.data.frames import from_dataframe
frame = pandas.read_csv(sys.argv[1], engine="pyarrow")
before = resource.getrusage(resource.RUSAGE_SELF)
from_dataframe(frame)
after = resource.getrusage(resource.RUSAGE_SELF)
result = {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
"""
RECALL = f"""
import mindref
model = mindref.load(sys.argv[1])
users = model.served.log.user_ids[:{USERS}]
model.recommend_many(users, n={TOP}, index="auto")
result = {{"users": len(users)}}
"""
COMMAND = """
from mindref.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
result = {}
"""


def write_log(path: Path, events: int) -> None:
    """Write a log: users, items and times of `events` rows, the same on each machine."""
    users, items = events // 20, events // 10
    chances = np.cumsum(1 / np.arange(1, items + 1))
    each_item = np.random.default_rng(0).permutation(items)  # each item occurs once among the first
    types = pa.schema([("user_id", pa.int64()), ("item_id", pa.int64()), ("timestamp", pa.int64())])
    with csv.CSVWriter(path, types) as writer:
        for start in range(0, events, BLOCK):
            rows = np.arange(start, min(start + BLOCK, events))
            rng = np.random.default_rng([1, start])
            user = (users * rng.random(len(rows)) ** USER_POWER).astype(np.int64)
            item = np.searchsorted(chances, chances[-1] * rng.random(len(rows)))
            first = rows[rows < items]
            item[: len(first)] = each_item[first]
            columns = [user, np.minimum(item, items - 1), 1_500_000_000 + rows // 4]
            writer.write_table(pa.table(columns, schema=types))


def measure(work: str, *arguments: object) -> dict[str, float]:
    """Run a stage in a new process; return seconds, peak memory in bytes, and its counts."""
    command = [sys.executable, "-c", MEASURE.format(work=work), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure_stages(folder: Path, events: int, all_users: bool) -> dict[str, dict[str, float]]:
    """Return the measurements of each stage for a log of this size."""
    log, run = folder / f"{events}.csv", folder / f"run-{events}"
    if not log.exists():
        write_log(log, events)
    stages = {"read": measure(READ, log), "DataFrame": measure(FROM_DATAFRAME, log)}
    train = ["train", "--data", log, "--out", run, "--preset", "mind", "--steps", STEPS]
    train += ["--validation-users", CASES, "--test-users", CASES, "--quiet", "--json"]
    stages["train"] = measure(COMMAND, *train)
    stages["evaluate"] = measure(COMMAND, "evaluate", run, "--json")
    stages["recall"] = measure(RECALL, run)
    if all_users:
        recall = ["recall", run, "--all-users", "--top", TOP, "--output", folder / "lists.tsv"]
        stages["recall of all"] = measure(COMMAND, *recall)
        stages["recall of all"]["users"] = stages["read"]["users"]
    return stages


def cell(stage: dict[str, float]) -> str:
    """Return a cell of the table: seconds, peak, and the users of recall."""
    users = f", {stage['users']:,.0f} users" if "items" not in stage and "users" in stage else ""
    return f"{stage['cpu']:.1f} s, {stage['peak'] / 1e9:.2f} GB{users}"


def print_row(events: int, stages: dict[str, dict[str, float]]) -> None:
    """Print a row of the table: seconds and peak of each stage."""
    read = stages["read"]
    cells = [f"{events:,}", f"{read['users']:,.0f}", f"{read['items']:,.0f}"]
    cells += [cell(x) for x in stages.values()]
    print("| " + " | ".join(cells) + " |", flush=True)
    print(json.dumps(stages), file=sys.stderr)


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("events", type=int, nargs="+")
    parser.add_argument("--all-users", action="store_true")
    options = parser.parse_args(arguments)
    heads = ["events", "users", "items", "read", "DataFrame", "train", "evaluate", "recall"]
    heads += ["recall of all"] if options.all_users else []
    print("| " + " | ".join(heads) + " |\n|" + "--:|" * len(heads))
    for events in options.events:
        with tempfile.TemporaryDirectory() as name:
            print_row(events, measure_stages(Path(name), events, options.all_users))


if __name__ == "__main__":
    main(sys.argv[1:])
