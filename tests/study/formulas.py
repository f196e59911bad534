"""The formulas of the pages, by page and step: python -m tests.study.formulas --write.

The study loads mindref/study/steps/formulas.json, because the package contains no pages. Its names:

    forward 3                    step 3 of the table of steps in section Forward
    interests 3, loss 3          of model, whose section Forward has two tables
    forward Active interests     the blocks after these words in bold, or after this heading
    forward                      the blocks before a table or words in bold
    option kind="unit"           the row of the table of options
    backward 3                   the blocks of this step in section Backward
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from mindref.run.atomic import write_json
from mindref.study.formulas import FORMULA_FILE
from mindref.study.latex import INLINE_FORMULA
from tests import spec_pages

PAGES = (
    "data", "embedding", "label_attention", "model", "optimiser", "recall", "relu_layer",
    "routing", "sampled_softmax", "softmax", "squash",
)  # fmt: skip
BOLD = re.compile(r"\*\*(?:Steps? )?(.+?)\.?\*\*|### (.+)")
SEPARATOR = re.compile(r",?\s*\\qquad\s*|,\s*\\quad\s*|\\\\")
"""What separates formulas of one block."""


def split_formulas(latex: str) -> list[str]:
    """Return the formulas of a block or of a cell, each in one line."""
    body = re.sub(r"\\(?:begin|end)\{split\}", "", latex).replace("&", "")
    return [" ".join(x.split()) for x in SEPARATOR.split(body) if x.strip()]


def read_section(text: str, heading: str) -> list[str]:
    """Return the lines of a section of a page."""
    match = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return match[1].splitlines() if match else []


def labelled_formulas(lines: list[str], section: str, tables: int) -> Iterator[tuple[str, str]]:
    """Yield name and LaTeX of each block and each row of a section."""
    label, table, words, block = section, "", "", None
    for line in lines:
        if block is not None:
            if line.strip() != "```":
                block.append(line)
                continue
            yield label, "\n".join(block)
            block = None
        elif line.strip() == "```math":
            block = []
        elif bold := BOLD.match(line):
            label = f"{section} {(bold[1] or bold[2]).replace('`', '')}"
        elif line.startswith("|"):
            if line.startswith("| step |"):
                table = words if tables > 1 else section
            elif line.startswith("| option |"):
                table = "option"
            yield from row_formulas(line, table)
        elif line.strip():
            table, words = "", line.rstrip(":.").split()[-1]


def row_formulas(line: str, table: str) -> Iterator[tuple[str, str]]:
    """Yield name and LaTeX of each formula in a row of a table of steps or of options."""
    cells = [cell.strip() for cell in line.strip("|").split(" | ")]
    if table == "option" and len(cells) == 3:
        options, formulas = (
            re.findall(r"`([^`]+)`", cells[0]) or [cells[0]],
            INLINE_FORMULA.findall(cells[2]),
        )
        each = len(formulas) // len(options)
        for index, latex in enumerate(formulas):
            yield f"option {options[index // each]}", latex
    elif table and cells[0].isdigit() and INLINE_FORMULA.search(cells[1]):
        yield f"{table} {cells[0]}", INLINE_FORMULA.findall(cells[1])[0]


def page_formulas(page: str) -> dict[str, list[str]]:
    """Return the formulas of a page by their names."""
    formulas: dict[str, list[str]] = {}
    for heading in ("Forward", "Backward"):
        lines = read_section(spec_pages.text(page), heading)
        tables = sum(line.startswith("| step |") for line in lines)
        for label, latex in labelled_formulas(lines, heading.lower(), tables):
            formulas.setdefault(label, []).extend(split_formulas(latex))
    return formulas


def all_formulas() -> dict[str, dict[str, list[str]]]:
    """Return the formulas of every page that the study shows."""
    return {page: page_formulas(page) for page in PAGES}


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write_json(FORMULA_FILE, all_formulas())
