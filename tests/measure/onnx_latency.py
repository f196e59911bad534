"""Compare the latency of exported user towers in ONNX Runtime with that of mindref.

    MINDREF_THREADS=1 python -m tests.measure.onnx_latency RUN ...

Each run is exported. For 1 and for 64 users of the log, ONNX Runtime (one thread), the backend of
the run and the reference compute the interests in turns. The output is the median CPU time of each,
in milliseconds, and the median of the ratios to ONNX Runtime in the same round. All have one
thread, so that the CPU time is the latency on a machine without other programs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mindref.backend import load_backend
from mindref.data.batches import pad_histories
from mindref.models.serving import compute_interests
from mindref.recommender.export import export_run
from mindref.recommender.serving import ServedModel

ROUNDS, WARM_UP = 300, 20


def main() -> None:
    print(
        "run                 nodes  difference  allowed  users  onnxruntime     backend   reference"
    )
    for run in map(Path, sys.argv[1:]):
        served = ServedModel.load(run)
        with tempfile.TemporaryDirectory() as folder:
            facts = export_run(run, "onnx", Path(folder) / "served")
            session = open_session(Path(folder) / "served" / facts["tower"]["file"])
        checked = facts["checked"]
        start = f"{run.name:<20}{facts['tower']['nodes']:>5}  {checked['difference']:>10.1e}"
        for users in (1, 64):
            print(f"{start}  {checked['allowed']:>7.1e}  {users:>5}", end="")
            for median, ratio in measure_run(served, session, users):
                print(f"  {1e3 * median:>5.2f} ({ratio:.1f})", end="")
            print()


def open_session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measure_run(served: ServedModel, session: Any, users: int) -> list[tuple[float, float]]:
    """Return the median seconds of each contender, and its median ratio to the first."""
    behaviours, profiles, _ = served.encode_users(list(served.log.user_ids))
    histories, window = served.servable.select(behaviours), served.model.config.window
    contenders = (served.backend, load_backend("numpy"))
    names = [x.name for x in session.get_inputs()]
    seconds = []
    for number in range(ROUNDS):
        which = (number * users + np.arange(users)) % len(histories)
        rows, profile = histories.take(which), profiles[which]

        def run_onnx(rows: Any = rows, profile: Any = profile) -> None:
            items, mask = pad_histories(served.servable.to_rows(rows), window)
            session.run(None, dict(zip(names, (items, mask, profile), strict=False)))

        calls: list[Callable[[], Any]] = [run_onnx]
        for backend in contenders:
            arguments = (served.model, rows, profile, backend)
            calls.append(lambda arguments=arguments: compute_interests(*arguments))
        seconds.append([time_call(call) for call in calls])
    columns = list(zip(*seconds[WARM_UP:], strict=True))
    return [
        (statistics.median(column), statistics.median(np.divide(column, columns[0])))
        for column in columns
    ]


def time_call(call: Callable[[], Any]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
