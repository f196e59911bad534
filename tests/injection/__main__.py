"""Write the table of specs/faults.md: python -m tests.injection --write [COMMAND...].

Without --write, only the wrong outcomes and the rows are printed. Every call of every command
fails once, which takes about half an hour on two cores.
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import spec_pages
from tests.injection.outcomes import WORKS, Outcome, outcomes, processes, table_row

PAGE = spec_pages.SPECS / "faults.md"
BEGIN, END = "<!-- injection: begin -->", "<!-- injection: end -->"
HEAD = ["| command | failing calls | same result | message, exit code 2 | wrong |",
        "|---|---|--:|--:|--:|"]  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the rows and wrong outcomes; write the table if all commands were run."""
    names = [x for x in arguments if not x.startswith("--")] or list(WORKS)
    step = next((int(x[7:]) for x in arguments if x.startswith("--step=")), 1)
    with ThreadPoolExecutor(processes()) as pool:
        results = dict(
            zip(names, pool.map(lambda name: results_of(name, step), names), strict=True)
        )
    rows = [table_row(name, results[name]) for name in names]
    wrong = [(name, x) for name in names for x in results[name] if x.kind == "wrong"]
    for name, x in wrong:
        print(f"{name}: {x.call}: {x.reason}")
    if "--write" in arguments and names == list(WORKS) and step == 1:
        text = PAGE.read_text(encoding="utf-8")
        first, last = text.index(BEGIN) + len(BEGIN), text.index(END)
        table = "\n".join(["", *HEAD, *rows, ""])
        PAGE.write_text(text[:first] + table + text[last:], encoding="utf-8")
    return int(bool(wrong))


def results_of(name: str, step: int) -> list[Outcome]:
    """Return the outcomes of a command."""
    with tempfile.TemporaryDirectory() as folder:
        results = outcomes(Path(folder), name, step)
    print(table_row(name, results), flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
