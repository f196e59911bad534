"""A process that holds one contender and executes commands: JSON lines in and out.

Started by `mindref.bench.workers`, never forked; it sleeps between commands. The first line names
the contender. The commands and their answers:

    {"do": "begin", "task": T, "warm_up": N, "limit": S}    untimed runs: {"answer", "seconds"}
    {"do": "run", "task": T, "steps": N, "lead": S}         timed: {"seconds": per step or run}
    {"do": "end"}    {"memory": peak bytes since "begin", minus the bytes before the parameters
                     existed; null if unknown}

The answer to a failed command is {"error": reason}; the process continues. It ends when its
standard input is closed.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from mindref.backend import import_from_cwd
from mindref.bench import machine, timing
from mindref.bench.contenders import Contender
from mindref.bench.lower_bound import LOWER_BOUND, MachineRates
from mindref.bench.workload import NUM_BATCHES, Workload, WorkloadSettings
from mindref.errors import FOREIGN_ERRORS
from mindref.process import memory
from mindref.shapes import Array


class ContenderTasks:
    """The tasks of one contender."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.counter = count()
        self.functions: dict[str, Callable[[], object]] = {
            "step": self.step,
            "inference": contender.inference,
            "evaluation": contender.evaluation,
            "recall": contender.recall,
        }

    def step(self) -> Array:
        """Take a step with the next batch."""
        return self.contender.step(next(self.counter) % NUM_BATCHES)

    def warm_up(self, task: str, times: int, limit: float) -> float:
        """Run a task untimed, so that everything is compiled; return a summary of the first result.

        A step goes through all batches each time, because a framework may compile for each batch
        size. The warm-up stops after `limit` seconds. The summary is compared between contenders:
        see `summarise_answer`.
        """
        started = time.perf_counter()
        first = summarise_answer(self.functions[task]())
        for _ in range(times * (NUM_BATCHES if task == "step" else 1) - 1):
            if time.perf_counter() - started > limit:
                break
            self.functions[task]()
        return first

    def burst(self, task: str, steps: int) -> Callable[[], None]:
        """Return the function to time in a round: `steps` steps, or one run of another task."""
        work, repeats = self.functions[task], steps if task == "step" else 1

        def run() -> None:
            for _ in range(repeats):
                work()

        return run


def summarise_answer(answer: object) -> float:
    """Return a number that identifies a result: the loss, or the mean size of the interests.

    For lists of items it is their length, because the order of equal scores may differ.
    """
    if isinstance(answer, tuple):  # interests and active
        return float(np.abs(np.asarray(answer[0], np.float64)).mean())
    values = np.asarray(answer)
    return float(values) if values.ndim == 0 else float(values.size)


class WorkerState:
    """A contender and its tasks."""

    def __init__(self, job: dict[str, Any]) -> None:
        name, settings = job["name"], WorkloadSettings.of(job["settings"])
        import_from_cwd(name)
        if job["pin"] and hasattr(os, "sched_setaffinity"):  # not on every system
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: settings.threads])
        device = job.get("device", "cpu")
        run_tiny_workload(name, settings, job["tasks"], device)
        workload = Workload(settings)
        _ = workload.batches, workload.histories, workload.catalogue
        gc.collect()
        self.before = memory.resident_memory()
        contender = Contender(name, workload, device)
        self.tasks = ContenderTasks(contender)
        self.facts = {
            "level": contender.level,
            "device": contender.device,
            "versions": machine.installed_versions(),
        }

    def execute(self, command: dict[str, Any]) -> dict[str, Any]:
        """Execute a command and return its answer."""
        if command["do"] == "begin":
            started = time.perf_counter()
            answer = self.tasks.warm_up(command["task"], command["warm_up"], command["limit"])
            machine.reset_peak()  # exclude the memory of compilation
            return {"answer": answer, "seconds": time.perf_counter() - started}
        if command["do"] == "run":
            return self.run(command["task"], command["steps"], command["lead"])
        peak = machine.peak_bytes()
        is_measured = peak is not None and self.before is not None
        return {"memory": peak - self.before if is_measured else None}  # type: ignore[operator]

    def run(self, task: str, steps: int, lead: float) -> dict[str, Any]:
        """Time a task after at least one and `lead` seconds of untimed steps.

        The untimed steps fill the caches, outlast spinning threads of other processes, and let
        Linux spread threads over the cores again after they slept on one core.
        """
        step = self.tasks.burst("step", 1)

        def lead_in() -> None:
            has_time = timing.time_limit(lead)
            step()
            while has_time():
                step()

        is_step = task == "step"
        burst = self.tasks.burst(task, steps)
        seconds = timing.measure_seconds(burst, lead=lead_in if is_step else None)
        return {"seconds": seconds / (steps if is_step else 1)}


def run_tiny_workload(name: str, settings: WorkloadSettings, tasks: list[str], device: str) -> None:
    """Run all tasks once on a tiny workload, so that loading and compilation are not measured.

    An error is ignored here; it occurs and is reported again with the real workload.
    """
    small = dataclasses.replace(
        settings, batch=4, length=4, negatives=4, catalogue=64, users=4, top=2
    )
    runner = ContenderTasks(Contender(name, Workload(small), device))
    for task in tasks:
        with suppress(*FOREIGN_ERRORS):
            runner.warm_up(task, 1, 0.0)


def main() -> None:
    """Answer commands until standard input is closed.

    Answers have their own stream: standard output is redirected to standard error.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    state: WorkerState | MachineRates | None = None
    for line in read_messages():
        try:
            if state is None:
                is_bound = line["name"] == LOWER_BOUND
                state = MachineRates(line) if is_bound else WorkerState(line)
                answer = state.facts
            else:
                answer = state.execute(line)
        except FOREIGN_ERRORS as error:
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if state is None:
            return


def read_messages() -> Iterator[dict[str, Any]]:
    """Yield the lines as JSON: the job, then commands. The process exits at the end of input.

    A thread reads the lines, so that the end is noticed also during a long command.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def put_lines() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    Thread(target=put_lines, daemon=True).start()
    while True:
        yield json.loads(lines.get())
