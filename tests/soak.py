"""Train, evaluate, recall, export and study in cycles, and watch that nothing grows.

    python -m tests.soak 120            # minutes
    python -m tests.soak 120 --write    # also write tests/soak.json, for a picture

Each cycle works in this process, and then calls one command in a child process. After each cycle it
takes down the resident set (RSS) of this process, the largest RSS of each command, the descriptors,
threads and children, and the files in its folders of temporary files, of runs and of compiled
functions. The first quarter of the time warms up. Of the rest, the last third is compared with the
first third: it fails (exit code 1) if the median of a size has grown by more than 2 % and 4 MB, or
the largest number of anything else at all. Linux only: the numbers are those of /proc.
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mindref.bench.machine import machine_facts, resident_bytes
from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from tests.runs import run_python

RELATIVE, ABSOLUTE = 0.02, 4.0  # of a size: both must be passed, the second in MB
WARM = 0.25  # share of the time that warms up
RESULT = Path(__file__).with_name("soak.json")
KEPT = 240  # samples in the result, at equal distances
Sample = dict[str, float]
COMMANDS = {
    "train": "train --data LOG --out RUNS/outside --preset mind --steps 6 --evaluate-every 3"
    " --batch 32 --negatives 32 --width 8 --hidden 8 --metric hit_rate@10 --quiet",
    "evaluate": "evaluate RUNS/kept --json",
    "recall": "recall RUNS/kept --all-users --output RUNS/lists.tsv",
    "export": "export RUNS/kept --to vectors --format npy --output RUNS/vectors",
    "study": "study RUNS/kept --plain",
}
"""Name -> words of a command; one is called in each cycle, in turn."""
COMMAND = """
import atexit, pathlib, sys
from mindref.cli import main

@atexit.register
def write_peak():
    from mindref.bench.machine import peak_bytes

    pathlib.Path(sys.argv[1]).write_text(str(peak_bytes()), encoding="ascii")

main(sys.argv[2:])
"""
RESULTS = ("outside", "lists.tsv", "vectors")  # written by commands; removed after each cycle


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("minutes", type=float, nargs="?", default=60.0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        samples = soak(Path(name), 60 * options.minutes)
    rows = verdict(samples)
    print(f"{len(samples)} cycles, {options.minutes:g} minutes")
    for row in rows:
        print("{name:<24} {before:>10.1f} {after:>10.1f}  {word}".format(**row))
    if options.write:
        write(samples, rows)
    return int(any(row["word"] == "GROWS" for row in rows))


def write(samples: Sequence[Sample], rows: Sequence[dict[str, object]]) -> None:
    """Write some of the samples, and the verdict."""
    last = len(samples) - 1
    kept = sorted({round(i * last / (KEPT - 1)) for i in range(KEPT)})
    shown = [{name: round(x, 1) for name, x in samples[i].items()} for i in kept]
    machine = {name: x for name, x in machine_facts().items() if name in ("cpu", "cores")}
    result = {"machine": machine, "cycles": len(samples), "verdict": list(rows), "samples": shown}
    RESULT.write_text(json.dumps(result, indent=0) + "\n", encoding="utf-8")


def soak(folder: Path, seconds: float) -> list[Sample]:
    """Return a sample for each cycle of so many seconds."""
    temporary, runs, cache = folders = [folder / name for name in ("tmp", "runs", "cache")]
    for path in folders:
        path.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    os.environ["NUMBA_CACHE_DIR"] = str(cache)
    write_synthetic_log(make_synthetic_log(users=60, items=120), folder)
    log = folder / "shop.inter"
    samples, began = list[Sample](), time.monotonic()
    sizes: Sample = {}
    call_command("train", log, runs)
    (runs / "outside").rename(runs / "kept")
    while time.monotonic() < began + seconds or len(samples) < 4:
        cycle(log, runs, len(samples))
        command = list(COMMANDS)[len(samples) % len(COMMANDS)]
        sizes[f"MB of {command}"] = call_command(command, log, runs)
        remove_results(runs)
        if len(sizes) < len(COMMANDS):  # the first sample has a size of each command
            sizes |= {f"MB of {x}": call_command(x, log, runs)
                      for x in COMMANDS if f"MB of {x}" not in sizes}  # fmt: skip
            remove_results(runs)
        samples.append({"seconds": time.monotonic() - began, **sizes, **measured(folders)})
    return samples


def call_command(name: str, log: Path, runs: Path) -> float:
    """Call a command in a child process; return its largest RSS in MB. Raises if it fails."""
    words = COMMANDS[name].replace("LOG", str(log)).replace("RUNS", str(runs)).split()
    peak = runs / "peak"
    done = run_python("-c", COMMAND, peak, *words)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr}")
    size = int(peak.read_text(encoding="ascii")) / (1 << 20)
    peak.unlink()
    return size


def remove_results(runs: Path) -> None:
    """Remove the files and folders that commands have written."""
    for name in RESULTS:
        path = runs / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def cycle(log: Path, runs: Path, number: int) -> None:
    """Train, evaluate, recall, export and study within this process; leave nothing on disk."""
    import mindref
    from mindref.recommender import sharding
    from mindref.recommender.evaluate_run import evaluate_run
    from mindref.recommender.export import export_run
    from mindref.study.traced_user import open_traced_user

    run = runs / "inside"
    settings = {"steps": 12, "evaluate_every": 4, "batch": 32, "negatives": 32, "width": 8}
    backend = ("numba", "numpy")[number % 2]
    made = mindref.MIND(hidden=[8], metric="hit_rate@10", seed=number, backend=backend, **settings)
    made.fit(log, run=run)
    served = mindref.load(run)
    assert len(served.recommend(user=served.served.log.user_ids[0], n=5)) == 5
    evaluate_run(run, list_lengths=(10,))
    for kind in ("auto", "annoy", "faiss-flat"):
        sharding.recall_all(run, runs / "inside.tsv", kind=kind)
    export_run(run, "onnx", run / "export", users=20)
    assert open_traced_user(run, None, "median").trace.to_json()
    shutil.rmtree(run)
    (runs / "inside.tsv").unlink()


def measured(folders: Sequence[Path]) -> Sample:
    """Return what this process and its folders hold now."""
    gc.collect()
    children = [x.read_text("ascii").split() for x in Path("/proc/self/task").glob("*/children")]
    return {
        "MB of this process": (resident_bytes() or 0) / (1 << 20),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": sum(map(len, children)),
        **{f"files in {path.name}": sum(1 for _ in path.rglob("*")) for path in folders},
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
