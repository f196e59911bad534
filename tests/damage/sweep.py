"""One copy per operation: the answer is that of the intact run, or an error names the file."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mindref.errors import RunError
from tests.damage import damaged_runs
from tests.damage.damage_ops import DamageOp, byte_ops, replacement_ops, swap_file
from tests.damage.damaged_runs import DamagedFolder, Query

STRANGERS = ("a pipe", "a device", "huge, then zeros", "huge, all zeros", "a huge array")
"""Operations that may hang a process or fill the memory. They run in a child process."""


SAID = {("optimiser.safetensors", "missing"), ("report.json", "missing")}
"""Cases with a different answer, by specs/security.md: a run without a state or a report."""


class Found(NamedTuple):
    """The outcome of a query of a damaged copy."""

    subject: str
    file: str
    harm: str
    ask: str
    end: str  # same, named, or what is wrong with it

    @property
    def is_right(self) -> bool:
        """Return whether the outcome is the same answer or a RunError that names the file."""
        return self.end in ("same", "named") or (self.file, self.harm) in SAID


def copied(subject: DamagedFolder, place: Path) -> Path:
    """Return a fresh copy of the folder."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return Path(shutil.copytree(subject.folder, place / "copy"))


def plain(answer: Any) -> str:
    """Return an answer as text that can be compared."""
    return json.dumps(answer, sort_keys=True, default=str)


def ending(ask: Query, copy: Path, file: str, whole: str) -> str:
    """Return the outcome of a query."""
    try:
        answer = plain(ask(copy))
    except RunError as error:
        return words_of(str(error), copy, file)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "same" if answer == whole else "ANOTHER ANSWER"


def words_of(text: str, copy: Path, file: str) -> str:
    """Return `named` for a message that names the file and says what to do."""
    if not all(char.isprintable() for char in text):
        return f"control characters in {text!r}"
    own = (str(copy / file), str(copy / file.removesuffix(".manifest.json")))
    missing = "no config.json in it" in text and file == "config.json"
    if not missing and not any(name in text for name in own):
        return f"names another file: {text}"
    if ";" not in text:
        return f"does not say what to do: {text}"
    return "named"


def harms(subject: DamagedFolder, file: str, count: int) -> Iterator[DamageOp]:
    """Yield all operations on a file."""
    path = subject.folder / file
    yield from byte_ops(path, count)
    for what, other in subject.others.items():
        there = matching(other, file)
        yield DamageOp(f"of {what}", lambda x, there=there: swap_file(x, there))  # type: ignore[misc]
    yield from replacement_ops(path)


def matching(folder: Path, file: str) -> Path:
    """Return the corresponding file of another run. The name of an index file is a digest."""
    if file.endswith(".index"):
        kind = Path(file).name.split("-")[0]
        return next((folder / "index").glob(f"{kind}*.index"))
    return folder / file


def swept(
    subject: DamagedFolder, place: Path, count: int, strange: bool = False, every: int = 1
) -> Iterator[Found]:
    """Yield the outcomes of queries after operations on every file: all, or one of every `every`.

    strange: the harms that a mistake would make the process hang with, or no others.
    """
    number = 0
    whole = {name: plain(ask(copied(subject, place))) for name, ask in subject.asks.items()}
    again = {name: plain(ask(copied(subject, place))) for name, ask in subject.asks.items()}
    assert whole == again, "what is compared must be the same each time"
    for file in subject.files:
        for harm in harms(subject, file, count):
            if (harm.name in STRANGERS) != strange:
                continue
            for name, ask in subject.asks.items():
                number += 1
                if number % every:
                    continue
                copy = copied(subject, place)
                harm.do(copy / file)
                end = ending(ask, copy, file, whole[name])
                yield Found(subject.name, file, harm.name, name, end)


MAKE: dict[str, Callable[[Path], DamagedFolder]] = {
    "mind": lambda folder: damaged_runs.trained_family(folder, "mind", index="annoy"),
    "mind_plus": lambda folder: damaged_runs.trained_family(folder, "mind_plus"),
    "youtube_dnn": lambda folder: damaged_runs.trained_family(
        folder, "youtube_dnn", user_features=["age"]
    ),
    "maxmf": lambda folder: damaged_runs.trained_family(folder, "maxmf"),
    "item_knn": lambda folder: damaged_runs.trained_family(folder, "item_knn"),
    "din": damaged_runs.trained_reranker,
    "parts": damaged_runs.shard_files,
}
ROOM, SECONDS = 1 << 34, 3600  # of memory that may be mapped; then a child is lost


def main(name: str, folder: str, count: int, strange: bool, every: int) -> None:
    """Sweep in a child process. Print the number of correct outcomes, and all others."""
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    signal.alarm(SECONDS)
    place = Path(folder)
    subject = MAKE[name](place)
    found = list(swept(subject, place / "copies", count, strange, every))
    wrong = [x for x in found if not x.is_right]
    print(json.dumps({"right": len(found) - len(wrong), "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "strange", int(sys.argv[5]))
