"""Run the calls of several callers: in turn, in threads at the same time, or after a fork.

Spec: specs/backend.md, R18 and R22. Reproduction scripts contain this code, so it must not import
the suite.

`forward(backend, call)` returns an answer and saved values, `backward(backend, call, saved)` the
gradients. For a call that is no operator, `forward` returns the whole answer.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple, TypedDict

from mindref.conformance.runner.forks import Answer, Answers, answers_of_child

LIMIT, THREAD_LIMIT = 15.0, 60.0
"""Seconds after which a child process counts as hanging, and after which threads do."""

SLOWER = 50.0
"""This multiple of the time of a single caller is added to the limits."""

NO_END = "concurrent callers did not end within"
"""Text of the error for threads that hang. They may hold a lock, so no other call can run."""

SWITCH = 1e-6
"""Seconds between two switches of threads, so that many states are seen from another thread."""

PAUSED_LINES, MAX_PAUSES, PAUSE = 0.05, 200, 1e-4
"""Fraction of the lines at which a thread pauses, most pauses of a thread, and their seconds."""

LEFT_OUT = ("rows", "couplings", "active")
"""Parts of an answer that the answers of callers omit."""


class CallFields(TypedDict):
    """A call as a dictionary. A script that reproduces a failure contains such dictionaries."""

    stem: str
    arrays: dict[str, Any]  # arrays, or nested tuples and dicts of arrays
    numbers: dict[str, Any]
    d_out: Any  # arrays; None: compute no gradients
    gradients: tuple[str, ...]  # the arguments with a gradient


class Callers(NamedTuple):
    """A backend, the call of each caller, and the functions that run a call in two phases."""

    backend: Any
    calls: list[CallFields]
    forward: Callable[[Any, CallFields], tuple[Answer, Any]]
    backward: Callable[[Any, CallFields, Any], Answer]
    numbers: dict[str, Any]

    def answer(self, backend: Any, call: CallFields) -> Answer:
        """Return the whole answer to one call."""
        answer, saved = self.forward(backend, call)
        return {**answer, **self.backward(backend, call, saved)}

    def in_turn(self, backend: Any) -> Answers:
        """Return the answer to each call, one call after another."""
        return [self.answer(backend, call) for call in self.calls]


def answer_callers(
    backend: Any,
    call: CallFields,
    forward: Callable[[Any, CallFields], tuple[Answer, Any]],
    backward: Callable[[Any, CallFields, Any], Answer],
) -> Answer:
    """Return the answers of all callers; the names are "caller 0: out" and so on.

    call["numbers"]["mode"] is a key of MODES. If a caller gets several answers, the first answer
    that differs from the answer of a single caller is returned.
    """
    callers = Callers(backend, split_callers(call), forward, backward, call["numbers"])
    answers = MODES[call["numbers"]["mode"]](callers)
    return {
        caller_part(number, name): x
        for number, answer in enumerate(answers)
        for name, x in answer.items()
        if name not in LEFT_OUT
    }


def caller_part(number: int, name: str) -> str:
    """Return the name of an array in the answer of callers, such as "caller 0: out"."""
    return f"caller {number}: {name}"


def split_callers(call: CallFields) -> list[CallFields]:
    """Return the call of each caller."""
    arrays, parts = call["arrays"]["callers"], call["numbers"]["callers"]
    cotangents = call["d_out"] or [None] * len(parts)
    return [
        CallFields(
            stem=part["stem"],
            arrays=x,
            numbers=part["numbers"],
            d_out=d_out,
            gradients=part["gradients"],
        )
        for part, x, d_out in zip(parts, arrays, cotangents, strict=True)
    ]


def answer_in_turn(callers: Callers) -> Answers:
    """Return the answer to each call, one call after another."""
    return callers.in_turn(callers.backend)


def answer_again(callers: Callers) -> Answers:
    """Repeat all calls "repeats" times. Switches between threads of the backend are frequent."""
    with frequent_switches():
        rounds = [callers.in_turn(callers.backend) for _ in range(callers.numbers["repeats"])]
    return first_different(rounds, rounds[0])


def answer_in_threads(callers: Callers) -> Answers:
    """Run each caller in its own thread, "repeats" times at the same time.

    After that, each thread calls `backward` with the values that another thread saved. All this is
    done "fresh" times with a new object, and once with the given one.
    """
    single, seconds = timed_answers(callers)
    objects = [new_object(callers.backend) for _ in range(callers.numbers["fresh"])]
    rounds: list[Answers] = []
    with frequent_switches():
        for backend in (*objects, callers.backend):
            rounds += call_in_threads(callers, backend, THREAD_LIMIT + SLOWER * seconds)
    return first_different(rounds, single)


def timed_answers(callers: Callers) -> tuple[Answers, float]:
    """Return the answer to each call, one call after another, and the seconds of all calls."""
    began = time.monotonic()
    return callers.in_turn(callers.backend), time.monotonic() - began


def answer_after_fork(callers: Callers) -> Answers:
    """Return the answers of the child of a fork. The parent runs all calls before the fork."""
    _, seconds = timed_answers(callers)
    limit = LIMIT + SLOWER * seconds
    return answers_of_child(lambda: callers.in_turn(callers.backend), limit)


MODES = {
    "in turn": answer_in_turn,
    "again": answer_again,
    "threads": answer_in_threads,
    "fork": answer_after_fork,
}
"""How the calls run -> function."""


def call_in_threads(callers: Callers, backend: Any, limit: float) -> list[Answers]:
    """Return the answers by repetition and caller. Raises the first error of a thread.

    limit: seconds after which RuntimeError is raised.
    """
    count, repeats = len(callers.calls), range(callers.numbers["repeats"])
    barrier = threading.Barrier(count)
    begun: list[list[tuple[Answer, Any]]] = [[] for _ in callers.calls]
    answers: list[Answers] = [[{}] * count for _ in repeats]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        other = (number + 1) % count  # whose saved values this thread passes to `backward`
        try:
            barrier.wait()
            sys.settrace(pause_at_lines(number))
            begun[number] = [callers.forward(backend, callers.calls[number]) for _ in repeats]
            barrier.wait()
            for repeat, (answer, saved) in enumerate(begun[other]):
                gradients = callers.backward(backend, callers.calls[other], saved)
                answers[repeat][other] = {**answer, **gradients}
        except BaseException as error:
            errors.append(error)
            barrier.abort()
        finally:
            sys.settrace(None)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(count)]
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        barrier.abort()
        raise RuntimeError(f"{count} {NO_END} {limit:.0f} seconds")
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return answers


def pause_at_lines(seed: int) -> Callable[[FrameType, str, object], Any]:
    """Return a trace function that pauses at random lines of Python, so that other threads run.

    Without pauses, a call may end before another thread gets a core.
    """
    rng, left = random.Random(seed), MAX_PAUSES

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if not left:
            sys.settrace(None)
            return None
        if event == "line" and rng.random() < PAUSED_LINES:
            left -= 1
            time.sleep(PAUSE)
        return trace

    return trace


def first_different(rounds: list[Answers], single: Answers) -> Answers:
    """Return, for each caller, the first answer that differs from `single`, or the last answer."""
    return [
        next((x for x in answers if answer_bytes(x) != answer_bytes(expected)), answers[-1])
        for *answers, expected in zip(*rounds, single, strict=True)
    ]


def answer_bytes(answer: Answer) -> dict[str, bytes]:
    """Return the bytes of each array in `answer`."""
    return {name: x.tobytes() for name, x in answer.items()}


def new_object(backend: Any) -> Any:
    """Return a new object of the class of `backend`, on the same device."""
    fresh = type(backend)()
    device = getattr(backend, "device_name", None)
    return fresh.on(device) if device is not None and hasattr(fresh, "on") else fresh


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Switch between threads every microsecond within the `with` block."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
