"""What a check may do: ask, and compare what comes back.

Every question goes through `ask`, which also holds the rules of all operators: inputs stay as they
were, an answer has memory of its own, the shape and the type that it should have.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import numpy as np

from mindref.conformance.bounds import Precision
from mindref.conformance.judging import compare
from mindref.conformance.judging.call import Anything, Call, leaves
from mindref.conformance.judging.failure import Adrift, Beside, Broken, Evidence
from mindref.conformance.judging.reference import Expected, expected
from mindref.conformance.judging.subject import Subject
from mindref.errors import STRANGE

Change = Callable[[Anything], Anything]


class Got(dict[str, Anything]):
    """An answer that remembers its question."""

    def __init__(self, call: Call, parts: Mapping[str, Anything]) -> None:
        super().__init__(parts)
        self.call = call


class Judge:
    """One example of one check."""

    def __init__(
        self, subject: Subject, precision: Precision, seed: int, factor: float = 1
    ) -> None:
        self.subject, self.precision, self.factor = subject, precision, factor
        self.rng = np.random.default_rng(seed)
        self.asked: list[Call] = []
        self.frozen: list[int] = []  # places of those that were asked with read-only arrays
        self.kept: list[tuple[Anything, Anything]] = []  # what was returned, and a copy of it
        self.answers: list[tuple[int, Got]] = []  # place among those asked, answer
        self.compared = 0  # numbers that were compared
        self.share = 0.0  # largest share of the allowed error that was used
        self.grade = "A"
        self.first: Got | None = None
        self.known: list[tuple[Call, str, dict[str, Expected]]] = []  # what was worked out

    def ask(self, call: Call, *, read_only: bool = False) -> Got:
        """Return the answer of the backend; what it raises is a failure of the check."""
        self.frozen += [len(self.asked)] * read_only
        self.asked.append(call)
        given = fresh(call, read_only)
        try:
            parts = self.quietly(given)
        except STRANGE as error:  # conformance-R13
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise Broken(f"raised {said[:300]}", self.evidence(kind="raised")) from error
        self.watch(call, given, parts)
        got = Got(call, {name: np.array(x) for name, x in parts.items()})
        self.kept += [(x, got[name]) for name, x in parts.items()]
        self.answers.append((len(self.asked) - 1, got))
        self.first = self.first or got
        return got

    def quietly(self, call: Call) -> dict[str, Anything]:
        """Ask without warnings: what comes of an overflow is looked at."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.subject.answer(call)

    def watch(self, call: Call, given: Call, parts: Mapping[str, Anything]) -> None:
        """Hold the rules of all operators: inputs unchanged, memory of one's own, types."""
        before, after = leaves(everything(call)), leaves(everything(given))
        for name, x in before.items():
            if x.tobytes() != after[name].tobytes():
                what = f"writes to its input {name}"
                raise Beside("numerics-R7", what, self.evidence(kind="beside"))
        for x, copy in self.kept:
            if x.tobytes() != copy.tobytes():
                what = "changes what it returned before"
                raise Beside("backend-R12", what, self.evidence(kind="beside"))
        for part, x in parts.items():
            if any(np.shares_memory(x, y) for y in [*after.values(), *(k for k, _ in self.kept)]):
                what = f"{part} shares memory with an input or an earlier answer"
                raise Beside("backend-R12", what, self.evidence(kind="beside"))
            if part not in ("rows", "active") and x.dtype != call.dtype:
                what = f"{part} is of type {x.dtype} for inputs of type {call.dtype}"
                raise Beside("numerics-R2", what, self.evidence(kind="beside"))

    def expected(self, call: Call, mode: str = "statistical") -> dict[str, Expected]:
        """Return what the reference answers, each number with its allowed error."""
        for known, how, found in self.known:
            if known is call and how == mode:
                return found
        made = expected(call, self.precision, mode)
        found = {n: e._replace(allowed=self.factor * e.allowed) for n, e in made.items()}
        self.known.append((call, mode, found))
        return found

    def agree(self, call: Call, *parts: str) -> Got:
        """Ask, and compare with the reference: the parts named, or all of them."""
        got = self.ask(call)
        self.within(got, parts)
        return got

    def within(self, got: Got, parts: tuple[str, ...] = ()) -> None:
        """Compare an answer with the reference."""
        want = self.expected(got.call)
        for name in parts or [n for n in want if n in got or n not in ("rows", "couplings")]:
            if name not in got:
                raise Broken(f"{name} did not come back", self.evidence(name, kind="missing"))
            self.close(name, got[name], want[name], partial(self.worst, got.call, name))

    def worst(self, *calls_and_name: Any) -> Anything:
        """Return the allowed error of the worst case, summed over the calls."""
        *calls, name = calls_and_name
        return reduce(np.add, [self.expected(call, "worst")[name].allowed for call in calls])

    def close(
        self, name: str, got: Anything, want: Expected, worst: Callable[[], Anything]
    ) -> None:
        """Compare one part with value and allowed error; beyond it the worst case decides."""
        if got.shape != want.value.shape:
            what = f"{name} has shape {got.shape}, expected {want.value.shape}"
            raise Broken(what, self.evidence(name, got))
        ratio = compare.ratio(got, want)
        self.compared += int(np.count_nonzero(np.isfinite(want.allowed)))
        if ratio > 1:
            wide = want._replace(allowed=np.maximum(worst(), want.allowed))
            if compare.ratio(got, wide) > 1:  # conformance-R6
                raise Broken(compare.words(name, got, want), self.evidence(name, got, wide))
            self.grade = "B"
        self.share = max(self.share, ratio)

    def same(
        self,
        first: Got,
        second: Got,
        *parts: str,
        through: Mapping[str, Change] | None = None,
    ) -> None:
        """Compare two answers, those of the second changed by `through` first, part by part.

        They may lie apart by the sum of their allowed errors.
        """
        allowed_first, allowed_second = self.expected(first.call), self.expected(second.call)
        for name in parts or tuple(n for n in second if n != "rows"):
            change = (through or {}).get(name, np.asarray)
            allowed = allowed_first[name].allowed + change(allowed_second[name].allowed)
            want = Expected(change(second[name]), allowed)
            worst = partial(self.worst_of_both, first.call, second.call, name, change)
            with self.like(second, name, change):
                self.close(name, first[name], want, worst)

    def worst_of_both(self, first: Call, second: Call, name: str, change: Change) -> Anything:
        """Return the allowed error of the worst case of a part and of another that is changed."""
        return self.worst(first, name) + change(self.worst(second, name))

    def equal(
        self,
        first: Got,
        second: Got,
        *parts: str,
        through: Mapping[str, Change] | None = None,
    ) -> None:
        """Compare two answers number by number, without any tolerance."""
        for name in parts or tuple(second):
            change = (through or {}).get(name, np.asarray)
            with self.like(second, name, change):
                self.exactly(first, name, change(second[name]))

    @contextmanager
    def like(self, other: Got, name: str, change: Change) -> Iterator[None]:
        """Add to a failure which numbers of another answer were expected, if it is a choice."""
        try:
            yield
        except Broken as error:
            place = next((i for i, a in self.answers if a is other), -1)
            index = chosen(change, other[name])
            if place >= 0 and index is not None:
                error.evidence = error.evidence._replace(like=(place, index))
            else:  # numbers made of another answer, which is as likely to be the wrong one
                error.evidence = error.evidence._replace(kind="fact")
            raise

    def exactly(self, got: Got, name: str, value: Any, where: Any = True) -> None:
        """Compare a part with exact numbers, in the places of `where`."""
        want = np.where(where, np.broadcast_to(value, got[name].shape), got[name])
        self.compared += int(np.count_nonzero(np.broadcast_to(where, got[name].shape)))
        if not np.array_equal(got[name], want, equal_nan=want.dtype.kind == "f"):
            what = compare.words(name, got[name], Expected(want, np.zeros(want.shape)))
            if want.dtype.kind == "f":  # what is not asked for may be anything
                want = np.where(where, want, 0)
            asked = Expected(want, np.where(np.broadcast_to(where, want.shape), 0.0, np.inf))
            raise Broken(what, self.evidence(name, got[name], asked))

    def holds(self, truth: Any, message: str, got: Got | None = None, part: str = "") -> None:
        """Fail with a message unless the truth is true; for facts that are no comparison."""
        self.compared += 1
        if not truth:
            value = got[part] if got is not None and part else None
            raise Broken(message, self.evidence(part, value))

    def refuses(self, call: Call) -> None:
        """Ask what cannot be answered: anything but an exception is a failure."""
        self.asked.append(call)
        self.compared += 1
        try:
            self.quietly(fresh(call))
        except NotImplementedError as error:
            what = f"raised NotImplementedError: {error}"
            raise Broken(what, self.evidence(kind="answered")) from error
        except STRANGE:
            return
        what = "was expected to be refused and was answered"
        raise Broken(what, self.evidence(kind="answered"))

    def anchor(self) -> None:
        """Compare the first answer with the reference: a law of wrong answers says nothing."""
        if self.first is None:
            return
        try:
            self.within(self.first)
        except Broken as error:
            raise Adrift(str(error), error.evidence) from error

    def evidence(
        self,
        part: str = "",
        got: Anything | None = None,
        want: Expected | None = None,
        kind: str = "fact",
    ) -> Evidence:
        """Return what was asked so far, what is wrong, and what should have come."""
        place = next((i for i, a in self.answers if any(x is got for x in a.values())), -1)
        answers = tuple((i, dict(a)) for i, a in self.answers)
        found = Evidence(tuple(self.asked), part, got, place=place, kind=kind)
        found = found._replace(frozen=tuple(self.frozen), answers=answers)
        if want is None:
            return found
        low, high = compare.interval(want)
        kind = "outside" if place >= 0 else "fact"  # about something made of an answer
        return found._replace(low=low, high=high, kind=kind)


def chosen(change: Change, x: Anything) -> Anything | None:
    """Return which numbers of x in which order a change takes, None if it does anything else."""
    index = np.asarray(change(np.arange(x.size).reshape(x.shape)))
    if index.dtype.kind != "i" or not np.isin(index, np.arange(x.size)).all():
        return None
    same = x.reshape(-1)[index].tobytes() == np.asarray(change(x)).tobytes()
    return index if same else None


def everything(call: Call) -> dict[str, Any]:
    """Return all arrays of a call, the cotangent too."""
    return {**call.arrays, "d_out": call.cotangent}


def fresh(call: Call, read_only: bool = False) -> Call:
    """Return a call with copies of its arrays, which may be written to or may not."""
    arrays = mapped_all(call.arrays, read_only)
    return call._replace(arrays=arrays, cotangent=copied(call.cotangent, read_only))


def copied(x: Any, read_only: bool) -> Any:
    """Return a copy of an array that may be written to, or may not."""
    if not isinstance(x, np.ndarray):
        return x
    copy = np.array(x)
    copy.setflags(write=not read_only)
    return copy


def mapped_all(x: Any, read_only: bool) -> Any:
    """Return a nest of tuples and dicts with copies of its arrays."""
    if isinstance(x, dict):
        return {name: mapped_all(part, read_only) for name, part in x.items()}
    if isinstance(x, tuple):
        parts = [mapped_all(part, read_only) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return copied(x, read_only)
