"""A process that holds one subject and does what it is told, a line of JSON each way.

Started by `mindref.bench.crew`, never forked; between commands it sleeps. The first line that it
reads says who it holds; later ones are

    {"do": "begin", "task": T, "warm_up": N, "limit": S}    run before any is timed;
                                                            {"answer", "seconds"}
    {"do": "run", "task": T, "steps": N, "lead": S}         {"seconds": that one took}
    {"do": "end"}    {"memory": bytes held at the most since "begin", beyond those held before there
                     were parameters; null where that is not known}

The answer to what fails is {"error": reason}, and the process lives on. It ends at once when nobody
listens any more, whatever it does.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TextIO

from mindref.backend import look_here
from mindref.bench import memory, subjects, timing
from mindref.bench.floor import Floor, counts
from mindref.bench.machine import versions
from mindref.bench.tasks import Work
from mindref.bench.world import Settings, World
from mindref.errors import STRANGE

FLOOR = "floor"  # not a subject: it measures the machine


class Held:
    """A subject and what has been asked of it."""

    def __init__(self, job: dict[str, Any]) -> None:
        name, settings = job["name"], Settings.of(job["settings"])
        look_here(name)
        if job["bound"]:
            subjects.bound_cores(settings.threads)
        device = job.get("device", "cpu")
        rehearse(name, settings, job["tasks"], device)
        self.world = World(settings)
        _ = self.world.batches, self.world.histories, self.world.catalogue
        gc.collect()
        self.before = memory.resident()
        self.subject = subjects.make(name, self.world, device)
        self.work = Work(self.subject, self.world)
        items = self.subject.params.items
        self.facts = {
            "level": self.subject.level,
            "device": self.subject.device,
            "versions": versions(),
            "tables": 3 * int(items.nbytes),  # values and two moments
            "behaviours": counts(self.world).behaviours,
        }

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do what a command says and return the answer."""
        if command["do"] == "begin":
            started = time.perf_counter()
            answer = self.work.warm_up(command["task"], command["warm_up"], command["limit"])
            memory.forget()  # what compiling took
            return {"answer": answer, "seconds": time.perf_counter() - started}
        if command["do"] == "run":
            return self.run(command["task"], command["steps"], command["lead"])
        most = memory.peak()
        known = most is not None and self.before is not None
        return {"memory": most - self.before if known else None}  # type: ignore[operator]

    def run(self, task: str, steps: int, lead: float) -> dict[str, Any]:
        """Time a task, after untimed steps for `lead` seconds, of which there is at least one.

        The others have had the cores and the caches, and threads of theirs may still wait for work
        with eyes open; and Linux leaves threads of ours that have slept on one core for a while.
        """
        one = self.work.burst("step", 1)

        def warm() -> None:
            goes_on = timing.until(lead)
            one()
            while goes_on():
                one()

        is_step = task == "step"
        work = self.work.burst(task, steps)
        seconds = timing.timed(work, 1, lead=warm if is_step else None)
        return {"seconds": seconds / (steps if is_step else 1)}


def rehearse(name: str, settings: Settings, tasks: list[str], device: str) -> None:
    """Do all tasks once with next to nothing, so that what is loaded and compiled is not counted.

    What fails here is left to fail again where it is reported.
    """
    small = dataclasses.replace(
        settings, batch=4, length=4, negatives=4, catalogue=64, users=4, top=2
    )
    world = World(small)
    work = Work(subjects.make(name, world, device), world)
    for task in tasks:
        with suppress(*STRANGE):
            work.warm_up(task, 1, 0.0)


def main() -> None:
    """Answer until nobody asks any more."""
    answers = private_output()
    asked = commands()
    job = next(asked)
    try:
        held: Any = Floor(Settings.of(job["settings"])) if job["name"] == FLOOR else Held(job)
        write(answers, held.facts)
    except STRANGE as error:
        write(answers, {"error": reason(error)})
        return
    for command in asked:
        try:
            write(answers, held.obey(command))
        except STRANGE as error:
            write(answers, {"error": reason(error)})


def private_output() -> TextIO:
    """Return the stream of the answers; what a library prints goes to standard error from now."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def commands() -> Iterator[dict[str, Any]]:
    """Yield what is asked, line by line; the process ends with the pipe.

    A thread reads, asleep until a line comes: it notes the end while a long run goes on, too.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    Thread(target=listen, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def write(stream: TextIO, answer: dict[str, Any]) -> None:
    """Send an answer."""
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


def reason(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
