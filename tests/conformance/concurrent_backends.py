"""Backends of relu_layer with faults of concurrency, for tests and their scripts."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from mindref.backend import Capabilities
from mindref.ops import squash


class Right:
    """A right layer without checks of its arguments."""

    name = "concurrent"
    to_numpy = from_numpy = staticmethod(lambda x: x)

    def __init__(self) -> None:
        self.parent = os.getpid()
        self.ops = SimpleNamespace(
            relu_layer=SimpleNamespace(forward=self.forward, backward=self.backward)
        )

    def capabilities(self) -> Capabilities:
        return Capabilities(("relu_layer",), options=(), concurrency=("threads", "fork"))

    def forward(self, x: Any, weight: Any, bias: Any, *, relu: bool) -> Any:
        out = self.product(x, weight) + bias
        passed = (out > 0) if relu else np.ones(out.shape, bool)
        return np.where(passed, out, 0), (x, weight, passed)

    def product(self, x: Any, weight: Any) -> Any:
        return x @ weight

    def backward(self, d_out: Any, saved: Any) -> Any:
        x, weight, passed = saved
        d_sum = np.where(passed, d_out, 0)
        return d_sum @ weight.T, x.T @ d_sum, d_sum.sum(axis=0)


class SharedScratch(Right):
    """All callers share one array for the product."""

    scratch: Any = None

    def product(self, x: Any, weight: Any) -> Any:
        if self.scratch is None or self.scratch.dtype != x.dtype:
            self.scratch = np.empty((len(x), weight.shape[1]), x.dtype)
        scratch = self.scratch
        if scratch.shape != (len(x), weight.shape[1]):
            return x @ weight
        np.matmul(x, weight, out=scratch)
        return scratch.copy()


class FirstCallRaces(Right):
    """The first call of an object fills a table, and another caller does not wait for it."""

    table: Any = None

    def product(self, x: Any, weight: Any) -> Any:
        if self.table is None:
            self.table = np.zeros(1, x.dtype)
            time.sleep(0.05)
            self.table[0] = 1
        return (x @ weight) * self.table.astype(x.dtype)


class ThreadSaved(Right):
    """Saved values are known in the thread of forward only."""

    def forward(self, *arrays: Any, relu: bool) -> Any:
        out, saved = super().forward(*arrays, relu=relu)
        return out, (threading.get_ident(), saved)

    def backward(self, d_out: Any, saved: Any) -> Any:
        thread, values = saved
        factor = np.asarray(thread == threading.get_ident(), d_out.dtype)
        return super().backward(d_out * factor, values)


class Hangs(Right):
    """A call in another thread than the main thread keeps the lock without end."""

    lock = threading.Lock()

    def product(self, x: Any, weight: Any) -> Any:
        with self.lock:
            if threading.current_thread() is not threading.main_thread():
                threading.Event().wait()
            return x @ weight


class HangsWithWrongResults:
    """A squash without options, 1.5 times too long, which keeps a lock as Hangs does."""

    name = "hangs"
    to_numpy = from_numpy = staticmethod(lambda x: x)
    lock = threading.Lock()
    backward = staticmethod(squash.backward)

    def __init__(self) -> None:
        self.ops = SimpleNamespace(squash=self)

    def capabilities(self) -> Capabilities:
        return Capabilities(("squash",), options=(), concurrency=("threads",))

    def forward(self, x: Any, *, kind: str) -> Any:
        with self.lock:
            if threading.current_thread() is not threading.main_thread():
                threading.Event().wait()
            out, saved = squash.forward(x, kind=kind)
            return 1.5 * out, saved


class ZeroInChild(Right):
    """The child of a fork gets zeros."""

    def product(self, x: Any, weight: Any) -> Any:
        return (x @ weight) * np.asarray(os.getpid() == self.parent, x.dtype)


class HangsInChild(Right):
    """The child of a fork waits without end."""

    def product(self, x: Any, weight: Any) -> Any:
        while os.getpid() != self.parent:
            time.sleep(0.01)
        return x @ weight


class EndsInChild(Right):
    """The child of a fork ends the process."""

    def product(self, x: Any, weight: Any) -> Any:
        if os.getpid() != self.parent:
            os._exit(3)
        return x @ weight


class RaisesInChild(Right):
    """The child of a fork raises an error."""

    def product(self, x: Any, weight: Any) -> Any:
        if os.getpid() != self.parent:
            raise ValueError("no pool")
        return x @ weight


class OrderOfArrival(Right):
    """Parts of a large gradient are added in an order that changes from call to call."""

    rng = np.random.default_rng()

    def backward(self, d_out: Any, saved: Any) -> Any:
        x, weight, passed = saved
        d_sum, total = np.where(passed, d_out, 0), np.zeros(weight.shape, weight.dtype)
        for part in self.rng.permutation(8) if len(x) > 1024 else range(8):
            total = total + x[part::8].T @ d_sum[part::8]
        return d_sum @ weight.T, total, d_sum.sum(axis=0)
