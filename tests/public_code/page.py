"""The generated parts of specs/field.md, each between two comments with its name.

    python -m tests.public_code.page --write comparison     # seconds
    python -m tests.public_code.page --write bugs           # minutes
    python -m tests.public_code.page --check FOLDER         # lines of the sources FOLDER/PROJECT

The mutants describe each deviation; `deviations.toml` has its kind, its place in the source of each
project and its cost. The part `bugs` has the diagnosis of each bug of bugs.py.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import Mutant
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.diagnosed import add_diagnoses
from mindref.conformance.runner.plan import PROFILES, RunSettings
from mindref.conformance.runner.suite_run import SuiteRun
from tests import spec_pages
from tests.mutants import MUTANTS
from tests.public_code.bugs import BUGS, PublicBug

PAGE = spec_pages.SPECS / "field.md"
DATA = Path(__file__).with_name("deviations.toml")
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
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
PRECISION = Precision.of("float64")
PROFILE = "smoke"
NAMING = "your result equals the reference with this mistake"
MISTAKE = re.compile(r"\[([\w-]+), [a-z_]+-R\d+")


def split_page(part: str) -> tuple[str, str, str]:
    """Return the text of the page before, in and after a generated part."""
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    body, tail = rest.split(end)
    return head + begin, body, end + tail


# the comparison


class Deviation(NamedTuple):
    """A deviation of one implementation."""

    mutant: str
    column: str
    kind: str
    place: str  # file and line
    condition: str  # when the code deviates; empty: always


@cache
def read_table() -> tuple[dict[str, dict[str, list[str]]], dict[str, str]]:
    """Return mutant -> project -> kind, place and condition; and mutant -> cost."""
    table = tomllib.loads(DATA.read_text(encoding="utf-8"))
    costs = {mutant: row.pop("cost", "") for mutant, row in table.items()}
    return table, costs


@cache
def read_deviations() -> tuple[Deviation, ...]:
    """Return the deviations in the order of the file, one for each column."""
    return tuple(
        Deviation(mutant, column, kind, place, *(condition or [""]))
        for mutant, row in read_table()[0].items()
        for project, (kind, place, *condition) in row.items()
        for column in COLUMNS
        if column == project or column.startswith(f"{project}-")
    )


def project_of(column: str) -> str:
    """Return the project of a column, such as "PaddleRec" for both of its columns."""
    return column.removesuffix("-2021").removesuffix("-HEAD")


def is_seen(mutant: Mutant, column: str) -> bool:
    """Return whether the text `seen` of a mutant names the implementation of a column."""
    name = re.escape(project_of(column))
    return bool(re.search(rf"(?<![\w-]){name}(?!-Torch| before)(?!\w)", mutant.seen))


def comparison_table() -> Iterator[str]:
    """Yield a row for each mutant: its description, the places by kind of deviation, the cost."""
    yield "| rule | re-stated as | deviation | implementations | HR@50 |"
    yield "|---|---|---|---|--:|"
    table, costs = read_table()
    for name, projects in table.items():
        mutant = BY_NAME[name]
        places: dict[str, list[str]] = {}
        for project, (kind, place, *condition) in projects.items():
            source = place.partition("#")[0]
            where = " ".join([f"`{source}`", *(f"({text})" for text in condition)])
            places.setdefault(kind, []).append(f"{COLUMNS.get(project, project)} {where}")
        kinds = "; ".join(f"{kind}: {', '.join(places[kind])}" for kind in places)
        by = "" if "suite" in mutant.scope else " (tests)"
        text = mutant.description.replace("|", "\\|")
        yield f"| {mutant.rule} | `{name}`{by} | {text} | {kinds} | {costs[name]} |"


def check_places(folder: Path) -> tuple[list[str], int]:
    """Return the places without their word in a copy of the sources, and the number of right ones.

    `folder` contains a folder for each project. Projects and places without a copy are left out.
    """
    wrong, right = [], 0
    for mutant, projects in read_table()[0].items():
        for project, (_, place, *_) in projects.items():
            source, _, word = place.partition("#")
            file, _, line = source.partition(":")
            if word and (folder / project).is_dir():
                lines = (folder / project / file).read_text(encoding="utf-8").splitlines()
                if word in "".join(lines[int(line) - 1 : int(line)]):
                    right += 1
                else:
                    wrong.append(f"{mutant}: {project} {source} does not contain {word}")
    return wrong, right


# the diagnosis of the bugs


class BugDiagnosis(NamedTuple):
    """What the conformance report says of a bug."""

    check: str  # first check that names the bug, else names a mutant, else fails
    mutants: tuple[str, ...]  # several if their results are equal for the calls of the check
    others: tuple[str, ...]  # other mutants that other failures name


def named_mutants(diagnosis: str) -> tuple[str, ...]:
    """Return the mutants that a diagnosis names; empty if there is only a nearest mutant."""
    return tuple(MISTAKE.findall(diagnosis)) if diagnosis.startswith(NAMING) else ()


def diagnose_bug(bug: type[PublicBug]) -> BugDiagnosis:
    """Run the suite on a bug."""
    backend = f"tests.public_code.bugs:{bug.__name__}"
    results = SuiteRun(backend, (bug.stem,), RunSettings(PROFILE)).all_of(PRECISION).values()
    failed = [(r.check, named_mutants(r.diagnosis)) for r in results if r.status == "failed"]
    right = [(check, names) for check, names in failed if set(names) & set(bug.mutants)]
    with_mutants = [(check, names) for check, names in failed if names]
    check, mutants = (right or with_mutants or failed)[0]
    wrong = {name for one in with_mutants if one not in right for name in one[1]}
    return BugDiagnosis(check, mutants, tuple(sorted(wrong - set(mutants))))


def repeat_diagnosis(bug: type[PublicBug], name: str) -> tuple[str, ...]:
    """Run one check on a bug, and return the mutants that its diagnosis names."""
    check = next(check for check in all_checks() if check.name == name)
    subject = BackendImplementation(bug())
    budget = ExampleBudget(PROFILES[PROFILE].examples, seed=0, shrink=False)
    result = run_check(check, subject, PRECISION, budget)
    assert result.status in ("failed", "blocked"), f"{bug.__name__} passes {name}"
    return named_mutants(add_diagnoses(subject, [result._replace(status="failed")])[0].diagnosis)


def bug_table() -> Iterator[str]:
    """Yield the number of named bugs and a row for each bug."""
    rows, right = [], 0
    for bug in BUGS:
        diagnosis, mutant = diagnose_bug(bug), BY_NAME[bug.mutants[0]]
        names = [f"`{name}`" for name in diagnosis.mutants]
        if diagnosis.others:
            names.append("elsewhere " + ", ".join(f"`{name}`" for name in diagnosis.others))
        is_right = bool(set(diagnosis.mutants) & set(bug.mutants)) and not diagnosis.others
        right += is_right
        cells = [f"`{bug.__name__}`", mutant.rule]
        cells += [f"`{diagnosis.check}`", " or ".join(names) or "nothing"]
        rows.append(f"| {' | '.join([*cells, 'yes' if is_right else 'no'])} |")
    yield f"{right} of {len(BUGS)} are named.\n"
    yield "| bug | rule | check | the diagnosis names | right |"
    yield "|---|---|---|---|---|"
    yield from rows


def read_bugs() -> dict[str, dict[str, str]]:
    """Return bug -> the cells of its row by column, without code marks."""
    columns = ("rule", "check", "names", "right")
    _, body, _ = split_page("bugs")
    lines = [line.replace("\\|", "/").strip("|").split("|") for line in body.splitlines()[4:]]
    rows = [[cell.strip().replace("`", "") for cell in cells] for cells in lines]
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in rows}


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "comparison": comparison_table,
    "bugs": bug_table,
}


def main(words: list[str]) -> None:
    """Write the parts that are named, or check the places in a folder of sources."""
    if words[:1] == ["--check"] and len(words) == 2:
        wrong, right = check_places(Path(words[1]))
        sys.stdout.write("\n".join([*wrong, f"{right} places are right, {len(wrong)} wrong\n"]))
        sys.exit(bool(wrong))
    if words[:1] != ["--write"] or not set(words[1:]) <= set(PARTS):
        sys.exit(f"usage: page.py --write [{'|'.join(PARTS)}]... or --check FOLDER")
    for part in words[1:]:
        lines = "\n".join(PARTS[part]())
        head, _, tail = split_page(part)
        PAGE.write_text(f"{head}{lines}\n{tail}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
