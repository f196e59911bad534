"""Compare seven public implementations with the rules, for specs/field.md.

    python -m tests.public_code.comparison --write       write the tables from deviations.toml
    python -m tests.public_code.comparison --diagnose    print what the suite names for each mutant

Each deviation is re-stated as a mutant. The text `seen` of the mutant names the implementations;
a test compares both (test_comparison.py).
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import Mutant, backend_of
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.diagnosed import add_diagnoses
from tests.conformance.mutant_kills import citing
from tests.mutants import MUTANTS
from tests.public_code.naming import named_mutants
from tests.public_code.table import PAGE, split_page

DATA = Path(__file__).with_name("deviations.toml")
KINDS = ("mistake", "variant", "simpler")
COLUMNS = {  # column -> its heading
    "ComiRec": "ComiRec",
    "EasyRec": "EasyRec",
    "PaddleRec-2021": "PaddleRec 4aaa458",
    "PaddleRec-HEAD": "PaddleRec HEAD",
    "UMI": "UMI",
    "REMI": "REMI",
    "torch-rechub": "torch-rechub",
    "DeepMatch": "DeepMatch",
}
ADAPTED = {"torch-rechub": "torch-rechub", "DeepMatch": "deepmatch"}
"""Column -> section of the page with the results of its adapter."""
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
DIAGNOSED = Precision.of("float64")
BUDGET = ExampleBudget(30, seed=0, shrink=False)


class Deviation(NamedTuple):
    """A deviation of one implementation."""

    mutant: str
    column: str
    kind: str
    place: str  # file and line
    condition: str  # when the code deviates; empty: always


@cache
def read_deviations() -> tuple[Deviation, ...]:
    """Return the deviations in the order of the file, one for each column."""
    table = tomllib.loads(DATA.read_text(encoding="utf-8"))
    return tuple(
        Deviation(mutant, column, kind, place, *(condition or [""]))
        for mutant, row in table.items()
        for project, (kind, place, *condition) in row.items()
        for column in columns_of(project)
    )


def columns_of(project: str) -> list[str]:
    """Return the columns of a project: those that begin with its name."""
    return [column for column in COLUMNS if column == project or column.startswith(f"{project}-")]


def project_of(column: str) -> str:
    """Return the project of a column, such as "PaddleRec" for both of its columns."""
    return column.removesuffix("-2021").removesuffix("-HEAD")


def is_seen(mutant: Mutant, column: str) -> bool:
    """Return whether the text `seen` of a mutant names the implementation of a column."""
    name = re.escape(project_of(column))
    return bool(re.search(rf"(?<![\w-]){name}(?!-Torch| before)(?!\w)", mutant.seen))


def adapter_verdict(column: str, rule: str) -> str:
    """Return the status of a rule in the results of an adapter, as it is; empty: none."""
    if column not in ADAPTED:
        return ""
    _, body, _ = split_page(PAGE.read_text(encoding="utf-8"), ADAPTED[column])
    row = re.search(rf"^\| {rule} \| (\w+)", body, re.M)
    return row[1] if row else ""


def comparison_table() -> Iterator[str]:
    """Yield a row for each mutant: the kind of deviation of each implementation."""
    yield f"| rule | re-stated as | {' | '.join(COLUMNS.values())} |"
    yield "|---|---|" + "---|" * len(COLUMNS)
    deviations = read_deviations()
    for name in dict.fromkeys(one.mutant for one in deviations):
        mutant = BY_NAME[name]
        kinds = {one.column: one.kind for one in deviations if one.mutant == name}
        cells = [cell(kinds.get(column, ""), column, mutant.rule) for column in COLUMNS]
        yield f"| {' | '.join([mutant.rule, f'`{name}`', *cells])} |"


def cell(kind: str, column: str, rule: str) -> str:
    verdict = adapter_verdict(column, rule) if kind else ""
    return f"{kind}, {verdict}" if verdict else kind


def place_table() -> Iterator[str]:
    """Yield a row for each mutant: its description, and the places of the deviation."""
    yield "| re-stated as | deviation | where |"
    yield "|---|---|---|"
    deviations = read_deviations()
    for name in dict.fromkeys(one.mutant for one in deviations):
        places = [place_text(one) for one in deviations if one.mutant == name]
        text = BY_NAME[name].description.replace("|", "\\|")
        by = "" if "suite" in BY_NAME[name].scope else " (killed by the tests, not by the suite)"
        yield f"| `{name}`{by} | {text} | {'; '.join(places)} |"


def place_text(one: Deviation) -> str:
    return f"{COLUMNS[one.column]} `{one.place}`" + f" ({one.condition})" * bool(one.condition)


def write() -> None:
    """Write both tables into the page."""
    for part, lines in (("comparison", comparison_table()), ("places", place_table())):
        head, _, tail = split_page(PAGE.read_text(encoding="utf-8"), part)
        PAGE.write_text(head + "\n".join(lines) + "\n" + tail, encoding="utf-8")


def diagnose() -> None:
    """Print, for each mutant of the suite, the first failed check and the mutants that it names."""
    for name in dict.fromkeys(one.mutant for one in read_deviations()):
        mutant = BY_NAME[name]
        if "suite" not in mutant.scope:
            continue
        for check in citing(mutant.rule):
            implementation = BackendImplementation(backend_of(mutant))
            result = run_check(check, implementation, DIAGNOSED, BUDGET)
            if result.status == "failed":
                names = named_mutants(add_diagnoses(implementation, [result])[0].diagnosis)
                print(name, check.name, ", ".join(names) or "not named", sep=" | ", flush=True)
                break
        else:
            print(name, "survives", sep=" | ", flush=True)


if __name__ == "__main__":
    actions = {"--write": write, "--diagnose": diagnose}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit(f"usage: python -m tests.public_code.comparison {'|'.join(actions)}")
    actions[sys.argv[1]]()
