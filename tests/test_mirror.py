"""Pages, code and tests mirror one another: stems, labels, parts of a page, the reading order."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from mindref.ops import OPS
from tests import spec_pages
from tests.assertions import nonempty

REPOSITORY = Path(__file__).parent.parent
PARTS = [
    "Forward", "Worked example", "Rules", "Backward", "Inputs and outputs",
    "Special cases", "Errors", "Source and where we differ",
]  # fmt: skip
"""Only "Rules" is on every page: a page that has nothing for another part leaves it out."""
CHECKS = REPOSITORY / "mindref" / "conformance" / "checks"
LABEL = re.compile(r"\b([a-z_]+-R\d+)\b")


@cache
def cited_by_tests():
    """Return rule -> test files that carry `@pytest.mark.rules(rule)`."""
    cited = defaultdict(set)
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rules":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{path}: a label must be literal"
                    cited[argument.value].add(str(path.relative_to(REPOSITORY)))
    return cited


def cited_by_code():
    """Return rule -> files of the package that name it."""
    cited = defaultdict(set)
    for path in sorted((REPOSITORY / "mindref").rglob("*.py")):
        if CHECKS in path.parents:
            continue  # a check cites the rules that it judges, which is no line that keeps them
        for label in LABEL.findall(expand(path.read_text(encoding="utf-8"))):
            cited[label].add(str(path.relative_to(REPOSITORY)))
    return cited


def expand(text):
    """Write `x-R2, R6` out as `x-R2, x-R6`."""
    return re.sub(
        r"\b([a-z_]+)(-R\d+)((?:, R\d+)+)",
        lambda m: m[1] + m[2] + m[3].replace(", ", f", {m[1]}-"),
        text,
    )


def all_rules():
    return {rule for page in spec_pages.names() for rule in spec_pages.rules(page)}


def test_every_operator_has_its_page_module_and_test():
    for stem in OPS:
        for path in (
            f"specs/{stem}.md",
            f"mindref/ops/{stem}.py",
            f"mindref/kernels/{stem}.py",
            f"tests/ops/test_{stem}.py",
        ):
            assert (REPOSITORY / path).is_file(), f"{stem} lacks {path}"
        assert (CHECKS / stem).is_dir() or (CHECKS / f"{stem}.py").is_file(), f"{stem}: no checks"


def test_every_rule_is_cited_by_a_test_and_every_citation_is_a_rule():
    cited = set(cited_by_tests())
    assert cited == all_rules(), f"no test: {all_rules() - cited}; no rule: {cited - all_rules()}"


BY_NIGHT = {"conformance-R30", "recall-R26"}
"""Rules that only slow tests cite: they start many processes, or search for a diagnosis."""


def test_every_other_rule_is_cited_by_a_test_of_the_default_run():
    cited = set()
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assigned = [x for x in tree.body if isinstance(x, ast.Assign)]
        marks = {ast.unparse(x.targets[0]): ast.unparse(x.value) for x in assigned}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [*map(ast.unparse, node.decorator_list), "pytestmark"]
                texts = [marks.get(name, name) for name in names]
                if not any(re.search(r"pytest\.mark\.(slow|sweep)\b(?!\()", x) for x in texts):
                    cited.update(LABEL.findall(" ".join(x for x in texts if "mark.rules" in x)))
    assert all_rules() - cited == BY_NIGHT


def test_every_rule_stands_at_a_line_of_code_and_every_label_there_is_a_rule():
    cited = set(cited_by_code())
    assert cited == all_rules(), f"no line: {all_rules() - cited}; no rule: {cited - all_rules()}"


def test_a_page_has_its_parts_in_order():
    pages = {page: spec_pages.text(page) for page in spec_pages.names()}
    assert len(pages) > 20
    assert [page for page, text in pages.items() if not text.startswith(f"# {page}\n")] == []
    parts = {page: re.findall(r"^## (.*)$", text, re.M) for page, text in pages.items()}
    expected = {page: [x for x in PARTS if x in names] for page, names in parts.items()}
    assert {page: names for page, names in parts.items() if names != expected[page]} == {}
    assert [page for page, names in parts.items() if "Rules" not in names] == []


def test_rules_are_numbered_without_gaps():
    known = all_rules()
    for page in nonempty(spec_pages.names()):
        labels = list(spec_pages.rules(page))
        assert labels == [f"{page}-R{i + 1}" for i in range(len(labels))]
        assert labels, f"{page}: a page without rules says nothing"
        assert set(LABEL.findall(spec_pages.text(page))) <= known, page


def test_a_page_has_a_worked_example():
    assert [page for page in spec_pages.names() if not spec_pages.examples(page)] == []


def test_the_reading_order_names_every_page_once():
    index = (REPOSITORY / "specs" / "README.md").read_text(encoding="utf-8")
    order = re.findall(r"^\d+\. \[([a-z_]+)\]\(\1\.md\)", index, re.M)
    assert sorted(order) == spec_pages.names()
