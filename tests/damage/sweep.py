"""One copy per operation: the answer is that of the intact run, or an error names the file."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mindref.errors import RunError
from tests.damage import damaged_runs
from tests.damage.damage_ops import DamageOp, byte_ops, replacement_ops, swap_file
from tests.damage.damaged_runs import DamagedFolder, Query
from tests.recall.annoy_trees import INDEX

HAZARDS = ("a pipe", "a device", "huge, then zeros", "huge, all zeros", "a huge array")
"""Operations that may hang a process or fill the memory. They run in a child process."""

OTHER_ANSWER = {("optimiser.safetensors", "missing"), ("report.json", "missing")}
"""Cases with a different answer, by specs/security.md: a run without a state or a report."""


class Outcome(NamedTuple):
    """The outcome of a query of a damaged copy."""

    subject: str
    file: str
    operation: str
    query: str
    end: str  # same, named, or a description of the mistake

    @property
    def is_right(self) -> bool:
        """Return whether the outcome is the same answer or a RunError that names the file."""
        return self.end in ("same", "named") or (self.file, self.operation) in OTHER_ANSWER


def fresh_copy(subject: DamagedFolder, scratch: Path) -> Path:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return Path(shutil.copytree(subject.folder, scratch / "copy"))


def answer_text(query: Query, folder: Path) -> str:
    """Return an answer as text that can be compared."""
    return json.dumps(query(folder), sort_keys=True, default=str)


def outcome_of(query: Query, copy: Path, file: str, expected: str) -> str:
    """Return the end of a query."""
    try:
        return "same" if answer_text(query, copy) == expected else "ANOTHER ANSWER"
    except RunError as error:
        return judge_message(str(error), copy, file)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]


def judge_message(text: str, copy: Path, file: str) -> str:
    """Return `named` for a message that names the file and states what to do."""
    if not all(char.isprintable() for char in text):
        return f"control characters in {text!r}"
    names = (str(copy / file), str(copy / file.removesuffix(".manifest.json")))
    missing = "no config.json in it" in text and file == "config.json"
    if not missing and not any(name in text for name in names):
        return f"names another file: {text}"
    return "named" if ";" in text else f"does not say what to do: {text}"


def operations(subject: DamagedFolder, file: str, count: int) -> Iterator[DamageOp]:
    path = subject.folder / file
    yield from byte_ops(path, count)
    for description, folder in subject.others.items():
        other = matching(folder, file)
        yield DamageOp(f"of {description}", partial(swap_file, other=other))
    yield from replacement_ops(path)


def matching(folder: Path, file: str) -> Path:
    """Return the corresponding file of another run. The name of an index file is a digest."""
    if file.endswith(".index"):
        kind = Path(file).name.split("-")[0]
        return next((folder / "index").glob(f"{kind}*.index"))
    return folder / file


def sweep(
    subject: DamagedFolder, scratch: Path, count: int, hazards: bool = False, every: int = 1
) -> Iterator[Outcome]:
    """Yield outcomes of queries after operations on every file: all, or one of every `every`.

    hazards: the operations of HAZARDS, or all others.
    """
    expected, repeated = (
        {name: answer_text(query, fresh_copy(subject, scratch)) for name, query in queries}
        for queries in 2 * [subject.queries.items()]
    )
    assert expected == repeated, "answers must be deterministic"
    cases = [
        (file, operation, name)
        for file in subject.files
        for operation in operations(subject, file, count)
        if (operation.name in HAZARDS) == hazards
        for name in subject.queries
    ]
    for file, operation, name in cases[every - 1 :: every]:
        copy = fresh_copy(subject, scratch)
        operation.do(copy / file)
        end = outcome_of(subject.queries[name], copy, file, expected[name])
        yield Outcome(subject.name, file, operation.name, name, end)


MAKE: dict[str, Callable[[Path], DamagedFolder]] = {
    "mind": lambda folder: damaged_runs.trained_family(folder, "mind", index=INDEX),
    "mind_plus": lambda folder: damaged_runs.trained_family(folder, "mind_plus"),
    "youtube_dnn": lambda folder: damaged_runs.trained_family(
        folder, "youtube_dnn", user_features=["age"]
    ),
    "maxmf": lambda folder: damaged_runs.trained_family(folder, "maxmf"),
    "item_knn": lambda folder: damaged_runs.trained_family(folder, "item_knn"),
    "din": damaged_runs.trained_reranker,
    "shards": damaged_runs.shard_files,
}
MEMORY_LIMIT, SECONDS = 1 << 34, 3600  # of a child process; beyond them it is ended


def main(name: str, folder: str, count: int, hazards: bool, every: int) -> None:
    """Sweep in a child process. Print the number of correct outcomes, and all others."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    signal.alarm(SECONDS)
    subject = MAKE[name](Path(folder))
    outcomes = list(sweep(subject, Path(folder) / "copies", count, hazards, every))
    wrong = [x for x in outcomes if not x.is_right]
    print(json.dumps({"right": len(outcomes) - len(wrong), "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "hazards", int(sys.argv[5]))
