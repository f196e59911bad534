"""Run the suite on each fault, and print or write the table of the faults that it kills.

python -m tests.conformance.independent --write      write the table into specs/coverage.md
python -m tests.conformance.independent --only NAME  run these faults, and write nothing
"""

from __future__ import annotations

import argparse

from tests.conformance.independent.faults import FAULTS
from tests.conformance.independent.table import SECTION, make_table, outcome_text, run_faults
from tests.conformance.mutant_kills import write_section


def arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--processes", type=int, default=2, help="how many faults run at once")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--only", nargs="+", choices=FAULTS, metavar="NAME")
    return parser.parse_args()


def main() -> None:
    options, outcomes = arguments(), []
    for outcome in run_faults(options.only or FAULTS, options.processes):
        outcomes.append(outcome)
        print(outcome_text(outcome), flush=True)
    if options.write:
        write_section(SECTION, make_table(outcomes))
    elif not options.only:
        print(*make_table(outcomes), sep="\n")


if __name__ == "__main__":
    main()
