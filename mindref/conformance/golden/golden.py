"""Make, write, load and compare the golden values.

In a checkout, `python -m mindref.conformance.golden.golden --write` recomputes the golden values.
For each array, the command prints the largest change in ULP (units in the last place).
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
    GoldenCase,
    GoldenSheet,
    sheet_cases,
    sheet_from_json,
    sheet_json,
    sheet_of,
    sheet_safetensors,
)
from mindref.conformance.runner.call import AnyArray, Call, named_arrays
from mindref.conformance.runner.reference import reference_answer
from mindref.conformance.versions import SPEC
from mindref.errors import DataError, say

FOLDER = "mindref/conformance/golden"
PROVENANCE = "PROVENANCE.json"
COMMAND = "python -m mindref.conformance.golden.golden --write"


def build_sheets() -> Iterator[GoldenSheet]:
    """Yield the content of each golden file, with new answers of the reference."""
    for stem, calls in cases.all_cases():
        golden_cases = {}
        for name, call in calls.items():
            answer = {part: np.array(x) for part, x in reference_answer(call).items()}
            golden_cases[name] = GoldenCase(call, answer)
        yield sheet_of(stem, golden_cases)


@cache
def load_cases(stem: str) -> dict[str, GoldenCase]:
    """Return the calls and answers in the file `stem`.json. Raises DataError for a damaged file."""
    return sheet_cases(sheet_from_json(read_verified(f"{stem}.json").decode()))


def read_verified(name: str) -> bytes:
    """Return the bytes of the golden file `name`. Raises DataError if the SHA-256 is wrong."""
    recorded, content = golden_hashes().get(name, "in PROVENANCE.json"), read_shipped(name)
    actual = hashlib.sha256(content).hexdigest()
    if actual != recorded:  # conformance-R15
        raise damaged_error(name, f"sha256 {recorded}", actual)
    return content


def golden_hashes() -> dict[str, str]:
    """Return a dict: golden file -> SHA-256. Raises DataError if PROVENANCE.json is damaged."""
    content = read_shipped(PROVENANCE)
    try:
        return dict(json.loads(content)["files"])
    except (ValueError, LookupError, TypeError) as error:
        raise damaged_error(PROVENANCE, "the hashes of all files", type(error).__name__) from error


def read_shipped(name: str) -> bytes:
    """Return the bytes of the installed file `name`. Raises DataError if the file is missing."""
    try:
        return resources.files("mindref.conformance.golden").joinpath(name).read_bytes()
    except OSError as error:
        raise damaged_error(name, "a file", type(error).__name__) from error


def damaged_error(name: str, expected: str, got: str) -> DataError:
    """Return the error for a missing or damaged file."""
    return DataError(say(f"golden values: {name}", expected, got, "install mindref again"))


def case_name(call: Call) -> str:
    """Return the name of a golden call. The call may have another dtype than the stored call."""
    return case_names(call.stem)[call_digest(call)]


@cache
def case_names(stem: str) -> dict[bytes, str]:
    """Return a dict for the calls in the file `stem`.json: hash of a call -> name of the call."""
    return {call_digest(case.call): name for name, case in load_cases(stem).items()}


def call_digest(call: Call) -> bytes:
    """Return a hash of the call in float64, so that the dtype of the call has no effect."""
    exact = call.to(np.float64)
    digest = hashlib.sha256(repr(exact.numbers).encode())
    for name, x in named_arrays(exact.arrays).items():
        digest.update(f"{name}{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return digest.digest()


def provenance(files: dict[str, bytes]) -> dict[str, Any]:
    """Return the command, date, seed and versions of this run, and the SHA-256 of each file."""
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


def write_golden(folder: Path) -> Iterator[str]:
    """Write the golden files to `folder`. Yield one line of text for the change of each array."""
    files: dict[str, bytes] = {}
    for sheet in build_sheets():
        before = folder / f"{sheet.stem}.json"
        old = sheet_from_json(before.read_text(encoding="utf-8")).arrays if before.is_file() else {}
        for name in [*sheet.arrays, *(n for n in old if n not in sheet.arrays)]:
            change = describe_difference(old.get(name), sheet.arrays.get(name))
            yield f"{sheet.stem} {name}: {change}"
        files[f"{sheet.stem}.json"] = sheet_json(sheet).encode()
        files[f"{sheet.stem}.safetensors"] = sheet_safetensors(sheet)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    words = json.dumps(provenance(files), indent=1)
    (folder / PROVENANCE).write_text(words + "\n", encoding="utf-8")


def describe_difference(old: AnyArray | None, new: AnyArray | None) -> str:
    """Return a text with the difference between `old` and `new`, such as "2 ULP"."""
    if old is None or new is None:
        return "new" if old is None else "gone"
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"{old.dtype}{old.shape} became {new.dtype}{new.shape}"
    if new.dtype.kind != "f":
        return "the same" if np.array_equal(old, new) else "other numbers"
    return f"{ulps(old, new):g} ULP"


def ulps(old: AnyArray, new: AnyArray) -> float:
    """Return the largest difference in ULP (units in the last place of the larger number)."""
    units = np.abs(new - old) / np.spacing(np.maximum(np.abs(old), np.abs(new)))
    return float(np.max(units, initial=0))


def main() -> None:
    """Write the golden files of the checkout in the current folder."""
    folder = Path.cwd() / FOLDER
    if sys.argv[1:] != ["--write"] or not folder.is_dir():
        sys.exit(f"usage, in a checkout of mindref: {COMMAND}")
    for line in write_golden(folder):
        print(line)


if __name__ == "__main__":
    main()
