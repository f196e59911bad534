"""Train, evaluate, recall, export and study in cycles, and measure whether anything grows.

    python -m tests.measure.soak 120            # minutes

Each cycle works in this process, and then calls one command in a child process. After each cycle,
memory, descriptors, threads, children and files are counted. The first quarter of the time warms
up. Of the rest, the last third is compared with the first third. Exit code 1 if the median of a
memory size has grown by more than 2 % and 4 MB, or the largest value of any count. Linux only.
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

import mindref
from mindref.bench.machine import resident_bytes
from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.export import export_run
from mindref.study.traced_user import open_traced_user
from tests.list_requests import write_lists
from tests.runs import run_python

Sample = dict[str, float]
TRAIN = (
    "train --data LOG --out RUNS/outside --preset mind --steps 6 --evaluate-every 3 --batch 32"
    " --negatives 32 --width 8 --hidden 8 --metric hit_rate@10 --quiet"
)
COMMANDS = (
    TRAIN,
    "evaluate RUNS/kept --json",
    "recall RUNS/kept --all-users --output RUNS/lists.tsv",
    "export RUNS/kept --to vectors --format npy --output RUNS/vectors",
    "study RUNS/kept --plain",
)
PEAK = """
import sys
from mindref.bench.machine import peak_bytes
from mindref.cli import main
try:
    main(sys.argv[1:])
finally:
    print(f"peak {peak_bytes()}", file=sys.stderr)
"""


def call_command(words: str, log: Path, runs: Path) -> float:
    """Call a command in a child process; return its largest memory in MB. Raises if it fails."""
    arguments = words.replace("LOG", str(log)).replace("RUNS", str(runs)).split()
    done = run_python("-c", PEAK, *arguments)
    if done.returncode:
        raise RuntimeError(f"{words}: exit code {done.returncode}: {done.stderr}")
    return int(done.stderr.rpartition("peak ")[2]) / (1 << 20)


def work_in_process(log: Path, runs: Path, number: int) -> None:
    """Train, evaluate, recall, export and study within this process; leave nothing on disk."""
    run = runs / "inside"
    settings = {"steps": 12, "evaluate_every": 4, "batch": 32, "negatives": 32, "width": 8}
    backend = ("numba", "numpy")[number % 2]
    model = mindref.MIND(hidden=[8], metric="hit_rate@10", seed=number, backend=backend, **settings)
    model.fit(log, run=run)
    served = mindref.load(run)
    assert len(served.recommend(user=served.served.log.user_ids[0], n=5)) == 5
    evaluate_run(run, list_lengths=(10,))
    for kind in ("auto", "annoy", "faiss-flat"):
        write_lists(run, runs / "inside.tsv", index=kind)
    export_run(run, "onnx", run / "export", users=20)
    assert open_traced_user(run, None, "median").trace.to_json()
    shutil.rmtree(run)
    (runs / "inside.tsv").unlink()


def count_resources(folders: Sequence[Path]) -> Sample:
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


def soak(folder: Path, seconds: float) -> list[Sample]:
    """Return a sample for each cycle of so many seconds; at least one cycle for each command."""
    folders = [folder / name for name in ("temporary", "runs", "cache")]
    for path in folders:
        path.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folders[0])
    os.environ["NUMBA_CACHE_DIR"] = str(folders[2])
    write_synthetic_log(make_synthetic_log(users=60, items=120), folder)
    log, runs = folder / "shop.inter", folders[1]
    call_command(TRAIN, log, runs)
    (runs / "outside").rename(runs / "kept")
    samples, began = list[Sample](), time.monotonic()
    while time.monotonic() < began + seconds or len(samples) < len(COMMANDS):
        work_in_process(log, runs, len(samples))
        command = COMMANDS[len(samples) % len(COMMANDS)]
        peak = call_command(command, log, runs)
        for path in (runs / "outside", runs / "vectors"):
            shutil.rmtree(path, ignore_errors=True)
        (runs / "lists.tsv").unlink(missing_ok=True)
        sample = {"seconds": time.monotonic() - began, **count_resources(folders)}
        samples.append({**sample, f"MB of {command.split()[0]}": peak})
    return samples


def main(minutes: float) -> int:
    """Print each number before and after, and return whether one has grown."""
    with tempfile.TemporaryDirectory() as name:
        samples = soak(Path(name), 60 * minutes)
    print(f"{len(samples)} cycles, {minutes:g} minutes")
    warm = [x for x in samples if x["seconds"] >= 0.25 * samples[-1]["seconds"]]
    grown = False
    for name in sorted({name for sample in samples for name in sample} - {"seconds"}):
        values = [sample[name] for sample in warm if name in sample]
        third = max(1, len(values) // 3)
        is_size = name.startswith("MB")
        middle = statistics.median if is_size else max
        before, after = middle(values[:third]), middle(values[-third:])
        grows = after > before and not (is_size and after <= max(1.02 * before, before + 4))
        print(f"{name:<24} {before:>10.1f} {after:>10.1f}  {'GROWS' if grows else ''}")
        grown |= grows
    return int(grown)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
