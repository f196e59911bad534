"""Make, write, load and compare the frozen answers.

`python -m mindref.conformance.golden.golden --write` in a checkout makes them anew and prints, for
each array, how many units in the last place lie between what was there and what is there now.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterator
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mindref import __version__
from mindref.conformance.golden import cases
from mindref.conformance.golden.files import (
    Case,
    Sheet,
    as_json,
    as_safetensors,
    cases_of,
    from_json,
    sheet_of,
)
from mindref.conformance.judging.call import Answer, Anything, Call, leaves
from mindref.conformance.judging.reference import plainly
from mindref.conformance.versions import SPEC
from mindref.errors import DataError, say

FOLDER = "mindref/conformance/golden"
PROVENANCE = "PROVENANCE.json"
COMMAND = "python -m mindref.conformance.golden.golden --write"


def made() -> Iterator[Sheet]:
    """Yield the content of each file, with what the reference answers now."""
    for stem, calls in cases.all_cases():
        yield sheet_of(stem, {name: Case(call, answered(call)) for name, call in calls.items()})


def answered(call: Call) -> Answer:
    """Return what the reference answers, in arrays of their own."""
    return {name: np.array(x) for name, x in plainly(call).items()}


@cache
def load(stem: str) -> dict[str, Case]:
    """Return the shipped calls and answers of a stem. Raises DataError for a damaged file."""
    return cases_of(from_json(checked(f"{stem}.json").decode()))


def checked(name: str) -> bytes:
    """Return the bytes of a shipped file. Raises DataError unless they are those that were made."""
    wanted, content = hashes().get(name, "in PROVENANCE.json"), shipped(name)
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:  # conformance-R15
        raise damaged(name, f"sha256 {wanted}", found)
    return content


def hashes() -> dict[str, str]:
    """Return the SHA-256 of each shipped file. Raises DataError if the list cannot be read."""
    content = shipped(PROVENANCE)
    try:
        return dict(json.loads(content)["files"])
    except (ValueError, LookupError, TypeError) as error:
        raise damaged(PROVENANCE, "the hashes of all files", type(error).__name__) from error


def shipped(name: str) -> bytes:
    """Return the bytes of a file as it was installed. Raises DataError if there is none."""
    try:
        return resources.files("mindref.conformance.golden").joinpath(name).read_bytes()
    except OSError as error:
        raise damaged(name, "a file", type(error).__name__) from error


def damaged(name: str, expected: str, got: str) -> DataError:
    """Return what is said of a file that is not as it was made."""
    return DataError(say(f"frozen answers: {name}", expected, got, "install mindref anew"))


def name_of(call: Call) -> str:
    """Return the name of a call of the cases, in whatever type the call is now."""
    return names(call.stem)[question(call)]


@cache
def names(stem: str) -> dict[bytes, str]:
    """Return the names of the cases of a stem by what is asked."""
    return {question(case.call): name for name, case in load(stem).items()}


def question(call: Call) -> bytes:
    """Return a digest of a call; the same in every type, as all of them hold the numbers."""
    exact = call.to(np.float64)
    found = hashlib.sha256(repr(exact.numbers).encode())
    for name, x in leaves(exact.arrays).items():
        found.update(f"{name}{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return found.digest()


def provenance(files: dict[str, bytes]) -> dict[str, Any]:
    """Return how, when and by what the files were made, and their hashes."""
    return {
        "made_by": COMMAND,
        "of": "mindref.ops, mindref.models.mind and mindref.training.optimiser in float64",
        "date": date.today().isoformat(),
        "seed": cases.SEED,
        "mindref": __version__,
        "spec": SPEC,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "files": {name: hashlib.sha256(x).hexdigest() for name, x in sorted(files.items())},
    }


def write(folder: Path) -> Iterator[str]:
    """Write all files into a folder; yield a line for each array, how far it is from before."""
    files: dict[str, bytes] = {}
    for sheet in made():
        before = folder / f"{sheet.stem}.json"
        old = from_json(before.read_text(encoding="utf-8")).arrays if before.is_file() else {}
        for name in [*sheet.arrays, *(n for n in old if n not in sheet.arrays)]:
            yield f"{sheet.stem} {name}: {difference(old.get(name), sheet.arrays.get(name))}"
        files[f"{sheet.stem}.json"] = as_json(sheet).encode()
        files[f"{sheet.stem}.safetensors"] = as_safetensors(sheet)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    words = json.dumps(provenance(files), indent=1)
    (folder / PROVENANCE).write_text(words + "\n", encoding="utf-8")


def difference(old: Anything | None, new: Anything | None) -> str:
    """Say how far an array lies from what it was."""
    if old is None or new is None:
        return "new" if old is None else "gone"
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"{old.dtype}{old.shape} became {new.dtype}{new.shape}"
    if new.dtype.kind != "f":
        return "the same" if np.array_equal(old, new) else "other numbers"
    return f"{ulps(old, new):g} ULP"


def ulps(old: Anything, new: Anything) -> float:
    """Return the largest distance in units in the last place of the larger number."""
    units = np.abs(new - old) / np.spacing(np.maximum(np.abs(old), np.abs(new)))
    return float(np.max(units, initial=0))


def main() -> None:
    """Write the files of the checkout that this is run in."""
    folder = Path.cwd() / FOLDER
    if sys.argv[1:] != ["--write"] or not folder.is_dir():
        sys.exit(f"usage, in a checkout of mindref: {COMMAND}")
    for line in write(folder):
        print(line)


if __name__ == "__main__":
    main()
