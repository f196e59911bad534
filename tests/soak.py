"""Train, evaluate, recall and export in cycles, and watch that nothing grows.

    python -m tests.soak --minutes 60

One process goes through the cycles by way of the package, and starts the commands as children.
After every cycle it takes down: its resident set (RSS), open descriptors, threads, children that
are left, what lies in the folder of temporary files, in the folder of the runs and in the cache of
compiled functions, and the largest resident set of each command. The first quarter of the time
warms up. Of the rest, the last third is compared with the first third: it fails (exit code 1) if

- the median RSS of the process or of a command has grown by more than 2 % and 4 MB, or
- the largest number of anything else has grown at all.

Linux only: the numbers are those of /proc.
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE, STDOUT

from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from tests import fake_exporter
from tests.runs import environment, options

RELATIVE, ABSOLUTE = 0.02, 4.0  # of RSS: both must be passed, the second in MB
WARM = 0.25  # share of the time that warms up
Sample = dict[str, float]
# what the system says of a child would include the size of its parent before the exec
COMMAND = """
import sys
from pathlib import Path
from mindref.cli import main
peak = Path(sys.argv.pop(1))
try:
    main(sys.argv[1:])
finally:
    peak.write_text(Path("/proc/self/status").read_text())
"""


def main(words: Sequence[str] | None = None) -> int:
    """Soak, print the figures, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long [default: 60]")
    parser.add_argument("--every", type=int, default=5, help="cycles between commands [5]")
    parser.add_argument("--samples", type=Path, help="write every sample here, as JSON lines")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name:
        samples = soak(Path(name), 60 * asked.minutes, asked.every, asked.samples)
    rows = verdict(samples)
    print(f"{len(samples)} cycles, {asked.minutes:g} minutes")
    for row in rows:
        print("{name:<24} {before:>10.1f} {after:>10.1f}  {word}".format(**row))
    return int(any(row["word"] == "GROWS" for row in rows))


def soak(folder: Path, seconds: float, every: int, out: Path | None) -> list[Sample]:
    """Return a sample for each cycle of so many seconds."""
    places = Places(folder)
    children = {}
    samples, until, began = [], time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < until or len(samples) < 4:
        if len(samples) % every == 0:
            children = commands(places)
        cycle(places, len(samples))
        samples.append({"seconds": time.monotonic() - began, **measured(places), **children})
        if out is not None:
            with out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(samples[-1]) + "\n")
    return samples


class Places:
    """Where everything lies, and the environment that says so."""

    def __init__(self, folder: Path) -> None:
        self.temporary, self.runs, self.cache = (folder / x for x in ("tmp", "runs", "cache"))
        for place in (self.temporary, self.runs, self.cache):
            place.mkdir()
        plugin = fake_exporter.offer(folder / "plugin")
        sys.path.insert(0, str(plugin))
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.temporary)
        os.environ["NUMBA_CACHE_DIR"] = str(self.cache)
        self.environment = environment(PYTHONPATH=os.pathsep.join([str(plugin), os.getcwd()]))
        write_synthetic_log(make_synthetic_log(users=60, items=120), folder)
        self.log = folder / "shop.inter"


def cycle(places: Places, number: int) -> None:
    """Train, evaluate, recall and export within this process; leave nothing on disk."""
    import mindref
    from mindref.recommender import sharding
    from mindref.recommender.evaluate_run import evaluate_run
    from mindref.recommender.export import export_run

    run = places.runs / "inside"
    settings = {"steps": 12, "evaluate_every": 4, "batch": 32, "negatives": 32, "width": 8}
    backend = ("numba", "numpy")[number % 2]
    made = mindref.MIND(hidden=[8], metric="hit_rate@10", seed=number, backend=backend, **settings)
    made.fit(places.log, run=run)
    served = mindref.load(run)
    user = served.served.log.user_ids[0]
    assert len(served.recommend(user=user, n=5)) == 5
    evaluate_run(run, list_lengths=(10,))
    for kind in ("auto", "annoy", "faiss-flat"):
        sharding.recall_all(run, places.runs / "lists.tsv", kind=kind)
    export_run(run, "onnx", run / "export", users=20)
    shutil.rmtree(run)
    (places.runs / "lists.tsv").unlink()


def commands(places: Places) -> Sample:
    """Run the commands as processes of their own; return the largest resident set of each, MB."""
    runs = places.runs
    small = options(steps=12, evaluate_every=4)
    run, lists = runs / "child", runs / "lists.tsv"
    asked = {
        "train": ["train", "--data", places.log, "--out", run, "--quiet", *small],
        "resume": ["train", "--resume", run, "--quiet"],
        "evaluate": ["evaluate", run, "--predictions", runs / "ranked.tsv"],
        "recall": ["recall", run, "--all-users", "--index", "annoy", "--output", lists],
        "share": ["recall", run, "--all-users", "--shard", "1/1", "--output", runs / "part"],
        "export": ["export", run, "--to", "onnx", "--users", 20],
    }
    found = {f"MB of {name}": child(words, places) for name, words in asked.items()}
    shutil.rmtree(run)
    for name in ("lists.tsv", "ranked.tsv", "part", "part.manifest.json"):
        (runs / name).unlink(missing_ok=True)
    return found


def child(words: Sequence[object], places: Places) -> float:
    """Run a command to its end; return the largest resident set in MB."""
    peak = places.runs.parent / "peak"
    command = [sys.executable, "-c", COMMAND, str(peak), *map(str, words)]
    done = subprocess.run(
        command, env=places.environment, stdout=PIPE, stderr=STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[3:])}\n{done.stdout}")
    return size(peak, "VmHWM")


def size(status: Path, name: str) -> float:
    """Return a size that the system states of a process, in MB."""
    lines = status.read_text(encoding="ascii").splitlines()
    words = dict(line.split(":", 1) for line in lines)
    return int(words[name].split()[0]) / 1024


def measured(places: Places) -> Sample:
    """Return what this process and its folders hold now."""
    gc.collect()
    return {
        "MB of this process": size(Path("/proc/self/status"), "VmRSS"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": len(children()),
        "temporary files": everything(places.temporary),
        "files of runs": everything(places.runs),
        "files of the cache": everything(places.cache),
    }


def children() -> list[str]:
    """Return the processes that this one has left behind."""
    paths = Path("/proc/self/task").glob("*/children")
    return [pid for path in paths for pid in path.read_text(encoding="ascii").split()]


def everything(folder: Path) -> int:
    """Count all that lies below a folder."""
    return sum(1 for _ in folder.rglob("*"))


def verdict(samples: Sequence[Sample]) -> list[dict[str, object]]:
    """Return a row for each number: what it was, what it became, and whether that is growth."""
    end = samples[-1]["seconds"]
    warm = [x for x in samples if x["seconds"] >= WARM * end]
    third = max(1, len(warm) // 3)
    rows = []
    for name in sorted(samples[-1].keys() - {"seconds"}):
        is_size = name.startswith("MB")
        middle = statistics.median if is_size else max
        before, after = (middle([x[name] for x in some]) for some in (warm[:third], warm[-third:]))
        grows = after > before
        if is_size:
            grows = after > before * (1 + RELATIVE) and after > before + ABSOLUTE
        word = "GROWS" if grows else ""
        rows.append({"name": name, "before": before, "after": after, "word": word})
    return rows


if __name__ == "__main__":
    sys.exit(main())
