"""Buffers that are reused from step to step, and the threads that fill them.

If each step allocated and freed its memory, it would take up to twice the time. Arrays are
therefore kept under a name, and enlarged when necessary. Work is divided into blocks. Block
boundaries depend only on array sizes, and no two blocks write to the same memory. Results therefore
have the same bytes with any number of threads.

Threads run phases one after another; a phase is a list of tasks that run in any order. Each thread
takes the next task until no task is left. The thread that finishes the last task of a phase starts
the next phase, while the other threads wait for tasks of the next phase. Control does not return to
the caller between phases, because the threads would then have to be woken up again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar, cast
from weakref import finalize

import numpy as np
import numpy.typing as npt

from mindref.kernels import CACHE_LINE
from mindref.process.threads import pool_threads

Task = Callable[[], None]
Phase = Callable[[], Iterable[Task]]
"""A function that returns the tasks of a phase, called when the previous phase is done."""


class ThreadPool:
    """The state that all threads share during one call of `KernelWorkspace.run_phases`."""

    def __init__(self, phases: Iterator[Phase], threads: int) -> None:
        """Start the first phase."""
        self.phases, self.threads = phases, threads
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.lock, self.unfinished = Lock(), 0  # unfinished: number of tasks that are not done
        # number of running threads; the calling thread, which receives Ctrl-C, is not counted
        self.num_workers = 0
        self.exited: SimpleQueue[None] = SimpleQueue()  # one entry for each worker that exited
        self.errors: list[BaseException] = []
        self.stopped = self.finished = False  # finished: all phases are done without an error
        self.start_phase()

    def submit(self, tasks: Iterable[Task]) -> None:
        """Add tasks to the current phase. Only `start_phase` and running tasks may submit tasks."""
        new = list(tasks)
        with self.lock:
            self.unfinished += len(new)
        for task in new:
            self.tasks.put(task)

    def start_phase(self) -> None:
        """Start the next phase that has tasks. If no phase is left, stop all threads."""
        for phase in self.phases:
            tasks = list(phase())
            if tasks:
                self.submit(tasks)
                return
        self.finished = True
        self.stop()

    def stop(self) -> None:
        """Prevent each thread from starting another task."""
        self.stopped = True
        for _ in range(self.threads):
            self.tasks.put(None)

    def run_tasks(self) -> None:
        """Run tasks until the pool is stopped. An error in a task also stops the pool."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # error settings are per thread
                while (task := self.tasks.get()) is not None and not self.stopped:
                    task()
                    del task  # otherwise the objects of the task would stay in memory
                    self.mark_done()
        except BaseException as error:
            self.errors.append(error)
            self.stop()

    def worker(self) -> None:
        """Run tasks in a thread other than the caller's."""
        with self.lock:
            self.num_workers += 1
        try:
            self.run_tasks()
        finally:
            with self.lock:
                self.num_workers -= 1
            self.exited.put(None)

    def mark_done(self) -> None:
        """Mark a task done; if it was the last task of its phase, start the next phase."""
        with self.lock:
            self.unfinished -= 1
            last = self.unfinished == 0
        if last and not self.stopped:
            self.start_phase()

    def join(self) -> None:
        """Wait until no task is running, then raise the first error. Ctrl-C counts as an error.

        Tasks write to buffers that the next caller uses, so the caller waits for running tasks. A
        worker that starts later runs no task, because the pool is stopped.
        """
        is_waiting = not self.finished  # if finished is true, no task is left
        while is_waiting:
            try:
                self.wait_for_workers()
                is_waiting = False
            except KeyboardInterrupt as interrupt:  # wait again
                self.errors.append(interrupt)
        if self.errors:
            raise self.errors[0]

    def wait_for_workers(self) -> None:
        """Stop the pool, and wait until all workers have exited."""
        self.stop()
        while self.num_workers > 0:
            self.exited.get()


Buffer = npt.NDArray[Any]
T = TypeVar("T")
Jobs = SimpleQueue[Callable[[], None] | None]
"""Calls for a worker thread; None ends the thread."""


class KernelWorkspace:
    """Named buffers, and worker threads that wait for jobs."""

    def __init__(self, threads: int | None = None) -> None:
        """Create an empty workspace. threads: by default `pool_threads()`."""
        self.threads = threads or pool_threads()
        self.buffers: dict[str, Buffer] = {}
        # last view of each buffer, reused if the shape is equal
        self.views: dict[str, Buffer] = {}
        self.results: dict[str, tuple[object, object]] = {}  # of `cached`: name -> key, result
        self.queues: list[Jobs] = [SimpleQueue() for _ in range(self.threads - 1)]
        for jobs in self.queues:
            Thread(target=run_queued_jobs, args=(jobs,), daemon=True).start()
        self.pool: ThreadPool | None = None  # of the current `run_phases` call
        finalize(self, stop_threads, self.queues)

    def array(self, name: str, *shape: int, dtype: npt.DTypeLike) -> Buffer:
        """Return the buffer `name` as an array of this shape; its content is arbitrary."""
        view = self.views.get(name)
        if view is None or view.shape != shape or view.dtype != dtype:
            size, buffer = math.prod(shape), self.buffers.get(name)
            if buffer is None or buffer.size < size or buffer.dtype != dtype:
                buffer = self.buffers[name] = aligned_array(size + size // 4, dtype)
                self.results = {}  # results may contain views of the replaced buffer
            view = self.views[name] = buffer[:size].reshape(shape)
        return view

    def cached(self, name: str, key: object, create: Callable[[], T]) -> T:
        """Return the result stored for this name and key. If there is none, create and store it."""
        entry = self.results.get(name)
        if entry is None or entry[0] != key:
            entry = self.results[name] = key, create()
        return cast(T, entry[1])

    def run_phases(self, phases: Iterable[Phase]) -> None:
        """Run the phases one after another, on the worker threads and the calling thread.

        Raises the first error of a task.
        """
        pool = ThreadPool(iter(phases), self.threads)
        try:
            self.pool = pool
            for jobs in self.queues:
                jobs.put(pool.worker)
            pool.run_tasks()
        finally:
            try:
                pool.join()
            except KeyboardInterrupt:  # Ctrl-C may arrive outside the `try` of `join`
                pool.join()
                raise
            finally:
                self.pool = None  # otherwise the objects of its tasks would stay in memory

    def submit(self, tasks: Iterable[Task]) -> None:
        """Add tasks to the current phase. Only a running task may call this method."""
        assert self.pool is not None
        self.pool.submit(tasks)


def aligned_array(size: int, dtype: npt.DTypeLike) -> Buffer:
    """Return zeros (size,) that start at a cache line, which NumPy does not guarantee."""
    num_bytes = size * np.dtype(dtype).itemsize
    memory = np.zeros(num_bytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + num_bytes].view(dtype)


def aligned_zeros(arrays: Mapping[str, Buffer]) -> dict[str, Buffer]:
    """Return zeros of the shapes and dtypes of `arrays`; each result starts at a cache line."""
    return {name: aligned_array(x.size, x.dtype).reshape(x.shape) for name, x in arrays.items()}


def aligned_copies(arrays: Mapping[str, Buffer]) -> dict[str, Buffer]:
    """Return copies of `arrays`; each copy starts at a cache line."""
    copies = aligned_zeros(arrays)
    for name, x in arrays.items():
        copies[name][...] = x
    return copies


def run_queued_jobs(jobs: Jobs) -> None:
    """Run jobs until the queue returns None. An executor with futures takes twice as long."""
    while (job := jobs.get()) is not None:
        job()
        del job  # otherwise the finished step would stay in memory


def stop_threads(queues: list[Jobs]) -> None:
    """Stop the threads of a workspace that is no longer referenced."""
    for jobs in queues:
        jobs.put(None)


def block_slices(size: int, length: int) -> Iterator[slice]:
    """Yield slices of `length` that cover `size` elements; the last slice may be shorter."""
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))
