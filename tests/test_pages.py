"""Wording and formulas of the pages: rules about influence state their scope, LaTeX is intact."""

import re

import pytest
from markdown_it import MarkdownIt

from mindref.study.latex import INLINE_FORMULA as FORMULA
from tests import spec_pages
from tests.assertions import nonempty

PAGES = [
    "baselines", "din", "item_attention", "label_attention", "maxmf", "metrics", "mind_plus",
    "model", "notation", "numerics", "optimiser", "pooled_softmax", "recall", "relu_layer",
    "routing", "sampled_softmax", "softmax", "squash", "youtube_dnn",
]  # fmt: skip
INFLUENCE = re.compile(r"influence|depend on the|stay the same|not matter|not change|change no")
SCOPE = re.compile(r"\bbytes?\b|rounding")
ITERATION = re.compile(r"\^\{?[tr](?![a-z])")
"""An index of an iteration without parentheses: b^t+1 may be read as (b^t) + 1."""

FILES = sorted(path.relative_to(spec_pages.SPECS) for path in spec_pages.SPECS.rglob("*.md"))
MARKDOWN = MarkdownIt("commonmark").enable("table")
CODE = re.compile(r"`+[^`]*`+")
STEP_TABLE = re.compile(r"^\| step \| formula \| meaning \|\n.*\n((?:\|.*\n)+)", re.M)
STEP_ROW = re.compile(r"\| (\d+) \| \$[^$]+\$ \| .+ \|")
LOOP_ROW = re.compile(r"\| \| for \$[^$]+\$ \| .+ \|\n")
"""The head of a loop: it has no number and names the steps that are repeated."""


def sentences_about_influence(text):
    rules = [line for line in text.splitlines() if spec_pages.RULE.match(line)]
    sentences = [x for rule in rules for x in re.split(r"(?<=\.) ", rule)]
    return [x for x in sentences if INFLUENCE.search(x)]


def test_a_rule_about_influence_says_bytes_or_rounding():
    sentences = [x for page in PAGES for x in sentences_about_influence(spec_pages.text(page))]
    assert len(sentences) > 10
    assert [x for x in sentences if not SCOPE.search(x)] == []


def test_an_unscoped_sentence_is_found():
    old = "- **a-R1** (must) Padding must have no influence. The capsules must stay the same."
    assert len([x for x in sentences_about_influence(old) if not SCOPE.search(x)]) == 2


def find_long_rules(text):
    """Return the labels of the rules that have more than two sentences beside a condition."""
    rules = {}
    for line in text.splitlines():
        if match := spec_pages.RULE.match(line):
            rule = re.sub("^ Condition: ", "", CODE.sub("C", line[match.end() :]))
            condition = line[match.end() :].startswith(" Condition: ")
            rules[match["label"]] = len(re.findall(r"[.?!](?= [A-Z]|$)", rule)) - condition
    return [label for label, sentences in rules.items() if sentences > 2]


def test_a_rule_has_at_most_two_sentences():
    assert {name: find_long_rules(spec_pages.text(name)) for name in spec_pages.names()} == {
        name: [] for name in nonempty(spec_pages.names())
    }
    assert find_long_rules("- **a-R1** (must) One. Two. Three.") == ["a-R1"]
    assert find_long_rules("- **a-R1** (must) One. `x` is two. `x` is three.") == ["a-R1"]
    assert find_long_rules("- **a-R1** (must) Condition: x. One. Two.") == []


def test_indices_of_iterations_are_in_parentheses():
    assert not ITERATION.findall(spec_pages.text("routing"))
    assert ITERATION.findall("b_ik^t+1, b^{t+1}, u^r") == ["^t", "^{t", "^r"]


def is_malformed(formula):
    """Return whether braces or environments do not match, or GitHub rejects a macro or a dollar."""
    depths = [0]
    for brace in re.findall(r"(?<!\\)[{}]", formula):
        depths.append(depths[-1] + (1 if brace == "{" else -1))
    begun, ended = (re.findall(rf"\\{x}{{([\w*]+)}}", formula) for x in ("begin", "end"))
    # GitHub rejects \operatorname, and latex2mathml has no environment aligned
    forbidden = "$" in formula or r"\operatorname" in formula or "{aligned}" in formula
    return depths[-1] != 0 or min(depths) < 0 or sorted(begun) != sorted(ended) or forbidden


def find_broken_formulas(text):
    """Return the paragraphs, cells and blocks whose formulas GitHub would change or not render.

    Markdown splits a cell at |, removes a backslash before punctuation, and reads two _ after
    brackets as emphasis. A formula must be the same before and after Markdown.
    """
    broken = []
    for token in MARKDOWN.parse(text):
        if token.type == "fence" and token.info == "math" and is_malformed(token.content):
            broken.append(token.content)
        if token.type == "inline":
            source = CODE.sub("", token.content)
            children = [x for x in token.children if x.type in ("text", "softbreak")]
            shown = FORMULA.findall("".join(x.content or "\n" for x in children))
            formulas = FORMULA.findall(source)
            intact = formulas == shown and source.count("$") == 2 * len(formulas)
            broken += [source] * (not intact or any(map(is_malformed, formulas)))
    return broken


def read_files():
    """Return page -> text of all pages of specs/."""
    assert len(FILES) > 30
    return {str(x): (spec_pages.SPECS / x).read_text(encoding="utf-8") for x in FILES}


def test_formulas_are_intact():
    broken = {file: find_broken_formulas(text) for file, text in read_files().items()}
    assert {file: formulas for file, formulas in broken.items() if formulas} == {}


def find_wrong_steps(text):
    """Return the rows of the tables of steps without the next number or without one formula."""
    tables = STEP_TABLE.findall(LOOP_ROW.sub("", text))
    rows = [(str(i), x) for t in tables for i, x in enumerate(t.splitlines(), 1)]
    matches = [(number, row, STEP_ROW.fullmatch(row)) for number, row in rows]
    return [row for number, row, match in matches if not match or match[1] != number]


def test_each_step_of_a_table_is_one_formula():
    wrong = {file: find_wrong_steps(text) for file, text in read_files().items()}
    assert {file: rows for file, rows in wrong.items() if rows} == {}


def test_a_step_without_its_number_or_with_two_formulas_is_noticed():
    head = "| step | formula | meaning |\n|--:|---|---|\n"
    rows = ["| 1 | $a$ | a $b$ |", "| 3 | $b$ | b |", "| 3 | $a$, $b$ | c |", "| 4 | a | d |"]
    assert find_wrong_steps(head + "\n".join(rows) + "\n") == rows[1:]
    loop = "| | for $t = 1, 2$ | steps 2 and 3 |"
    assert find_wrong_steps("\n".join([head + rows[0], loop, "| 2 | $b$ | b |", ""])) == []
    assert find_wrong_steps("\n".join([head + rows[0], loop.replace("for ", ""), ""]))


@pytest.mark.parametrize(
    "text",
    [
        "the weight $w_j is one",
        "$x_{i$ and $w$",
        "$}x{$",
        "```math\n\\begin{split} a\n```",
        "```math\n\\begin{aligned} a &= b \\end{aligned}\n```",
        "| a | b |\n|---|---|\n| $|x|$ | length |",
        r"$a\,b$",
        "$(a)_{i}$ and $(b)_{j}$",
        "$a<b>c$",
        "2$x$",
        r"$\operatorname{sign}(x)$",
    ],
)
def test_a_broken_formula_is_noticed(text):
    assert find_broken_formulas(text)
    assert not find_broken_formulas(r"$x_i$, `$x`: ($\lvert x_{i} \rvert$) $a_{j}$")
