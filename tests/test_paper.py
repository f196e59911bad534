"""The page on the paper: its settings equal the preset, and its rules and links exist."""

import math
import re

from mindref.config import Config
from mindref.presets import PRESETS, default_protocol
from tests import spec_pages

PAGE = spec_pages.SPECS / "paper.md"
SECTIONS = {
    "3.1", "3.2", "3.3.1", "3.3.2", "3.4", "3.5", "3.6", "4.1", "4.2", "4.3", "4.4", "5", "6",
}  # fmt: skip
VALUES = {"true": True, "infinity": math.inf}


def rows_below(heading):
    """Return the cells of the table below a heading."""
    text = PAGE.read_text(encoding="utf-8").split(f"{heading}\n")[1]
    table = text[text.index("\n|") :].strip().split("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_table_of_settings_is_the_preset():
    paper = Config.of("paper")
    settings = {name: value for name, value, _ in rows_below("## The preset")}
    assert set(PRESETS["paper"]) <= set(settings), "each change of the preset has a row"
    assert {"interests", "width"} <= set(settings), "the paper has other values of K and d"
    for name, text in settings.items():
        value = getattr(paper, name)
        assert value == VALUES.get(text, type(value)(text)), name
    assert default_protocol("paper") == "paper"


def test_each_section_of_the_paper_has_a_row():
    rows = rows_below("## The model") + rows_below("## The experiments")
    assert all(len(row) == 3 and all(row) for row in rows)
    assert {row[0].split(",")[0] for row in rows} == SECTIONS
    equations = {n for row in rows for n in re.findall(r"\d+", row[0].partition("eq. ")[2])}
    assert {str(n) for n in range(1, 13)} - {"5", "6"} <= equations, "4 to 7 is a range"


def test_the_rules_and_linked_pages_exist():
    text = PAGE.read_text(encoding="utf-8")
    rules = {rule for page in spec_pages.names() for rule in spec_pages.rules(page)}
    assert set(re.findall(r"\b[a-z_]+-R\d+\b", text)) <= rules
    pages = set(re.findall(r"\]\(([a-z_]+)\.md", text))
    assert {"model", "routing", "squash", "label_attention", "sampled_softmax"} <= pages
    for page in pages:
        assert (spec_pages.SPECS / f"{page}.md").is_file(), page
