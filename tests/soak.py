"""Train, evaluate, recall and export in cycles, and watch that nothing grows.

    python -m tests.soak 60      # minutes

After every cycle it takes down the resident set (RSS) of this process, its descriptors, threads and
children, and the files in its folders of temporary files, of runs and of compiled functions. The
first quarter of the time warms up. Of the rest, the last third is compared with the first third: it
fails (exit code 1) if the median RSS has grown by more than 2 % and 4 MB, or the largest number of
anything else at all. Linux only: the numbers are those of /proc.
"""

import gc
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mindref.bench.machine import resident_bytes
from mindref.data.synthetic import make_synthetic_log, write_synthetic_log

RELATIVE, ABSOLUTE = 0.02, 4.0  # of RSS: both must be passed, the second in MB
WARM = 0.25  # share of the time that warms up
Sample = dict[str, float]


def main() -> int:
    minutes = float(sys.argv[1]) if sys.argv[1:] else 60.0
    with tempfile.TemporaryDirectory() as name:
        samples = soak(Path(name), 60 * minutes)
    rows = verdict(samples)
    print(f"{len(samples)} cycles, {minutes:g} minutes")
    for row in rows:
        print("{name:<24} {before:>10.1f} {after:>10.1f}  {word}".format(**row))
    return int(any(row["word"] == "GROWS" for row in rows))


def soak(folder: Path, seconds: float) -> list[Sample]:
    """Return a sample for each cycle of so many seconds."""
    places = [folder / name for name in ("tmp", "runs", "cache")]
    for place in places:
        place.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(places[0])
    os.environ["NUMBA_CACHE_DIR"] = str(places[2])
    write_synthetic_log(make_synthetic_log(users=60, items=120), folder)
    samples, began = list[Sample](), time.monotonic()
    while time.monotonic() < began + seconds or len(samples) < 4:
        cycle(folder / "shop.inter", places[1], len(samples))
        samples.append({"seconds": time.monotonic() - began, **measured(places)})
    return samples


def cycle(log: Path, runs: Path, number: int) -> None:
    """Train, evaluate, recall and export within this process; leave nothing on disk."""
    import mindref
    from mindref.recommender import sharding
    from mindref.recommender.evaluate_run import evaluate_run
    from mindref.recommender.export import export_run

    run = runs / "inside"
    settings = {"steps": 12, "evaluate_every": 4, "batch": 32, "negatives": 32, "width": 8}
    backend = ("numba", "numpy")[number % 2]
    made = mindref.MIND(hidden=[8], metric="hit_rate@10", seed=number, backend=backend, **settings)
    made.fit(log, run=run)
    served = mindref.load(run)
    assert len(served.recommend(user=served.served.log.user_ids[0], n=5)) == 5
    evaluate_run(run, list_lengths=(10,))
    for kind in ("auto", "annoy", "faiss-flat"):
        sharding.recall_all(run, runs / "lists.tsv", kind=kind)
    export_run(run, "onnx", run / "export", users=20)
    shutil.rmtree(run)
    (runs / "lists.tsv").unlink()


def measured(places: Sequence[Path]) -> Sample:
    """Return what this process and its folders hold now."""
    gc.collect()
    children = [x.read_text("ascii").split() for x in Path("/proc/self/task").glob("*/children")]
    return {
        "MB of this process": (resident_bytes() or 0) / (1 << 20),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": sum(map(len, children)),
        **{f"files in {place.name}": sum(1 for _ in place.rglob("*")) for place in places},
    }


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
