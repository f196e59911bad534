"""The formulas of the study are those of the pages, as LaTeX, MathML and plain text."""

import re
import xml.etree.ElementTree as ET

import pytest

from mindref.errors import DataError
from mindref.study import formulas
from mindref.study.equation import is_iteration, link_symbols, render_plain
from mindref.study.formulas import find_formulas, load_formulas
from mindref.study.latex import ARGUMENTS, IGNORED, MACROS, SPACE, parse_formula
from mindref.study.mathml import render_mathml
from mindref.study.steps import KINDS
from mindref.study.steps.letters import CONSTANTS, LETTERS, select_letters
from mindref.study.steps.option_texts import OPTION_TEXTS
from mindref.study.tracing import trace_pair
from tests.study.formulas import all_formulas, split_formulas
from tests.study.pairs import VARIED, make_random_pair

FORMULAS = [
    (f"{page} {name}", latex)
    for page, names in load_formulas().items()
    for name, formulas in names.items()
    for latex in formulas
]


def test_the_derived_file_has_the_formulas_of_the_pages():
    changed = load_formulas() != all_formulas()
    assert not changed, "run: python -m tests.study.formulas --write"


def test_each_formula_of_the_pages_is_rendered():
    assert len(FORMULAS) > 100
    for reference, latex in FORMULAS:
        row = parse_formula(latex, reference)
        ET.fromstring(render_mathml([row]))
        plain = render_plain(row)
        assert plain.isascii(), reference
        assert "\\" not in plain, reference
        assert not re.search(r"  (?!if|for)|\( | \)|[{}]|\^$|_$", plain), plain
        assert "".join(re.findall(r"[A-Za-z]", plain)), reference


def test_every_macro_of_the_parser_occurs_on_a_page():
    macros = set(re.findall(r"\\([A-Za-z]+)", " ".join(latex for _, latex in FORMULAS)))
    assert {*MACROS, *ARGUMENTS, *IGNORED, SPACE} - {","} <= macros


def test_every_step_has_formulas_of_pages_and_every_entry_of_letters_is_used():
    options = [case.fields["formulas"] for case in OPTION_TEXTS if "formulas" in case.fields]
    shown = [x for formulas in (*(kind.formulas for kind in KINDS), *options) for x in formulas]
    assert all(find_formulas(reference) for reference in shown)
    for where in LETTERS:
        assert any(x == where or x.startswith((f"{where} ", f"{where}.")) for x in shown), where


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"w_{ik}^{(t)} = \exp(b_{ik}^{(t)}) / \sum_j \exp(b_{ij}^{(t)})",
         "w_ik^(t) = exp(b_ik^(t)) / sum_j exp(b_ij^(t))"),
        (r"d_{S e_i} \text{ gains } \sum_k d_{b_{ik}}^{(t+1)} \, u_k^{(t)}",
         "d_Se_i gains sum_k d_b_ik^(t+1) u_k^(t)"),
        (r"\ell = -\log \frac{\exp(y)}{\exp(y) + \sum_s \exp(z_s)}",
         "loss = -log(exp(y) / (exp(y) + sum_s exp(z_s)))"),
        (r"d_x = \frac{h}{n} (g - \langle a, g \rangle a) + h' \langle a, g \rangle a",
         "d_x = (h / n) (g - <a, g> a) + h' <a, g> a"),
        (r"\eta' = \eta \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}",
         "eta' = eta (sqrt(1 - beta_2^t) / (1 - beta_1^t))"),
        (r"K' = \max(1, \min(K, \lfloor \log_2 n \rfloor))",
         "K' = max(1, min(K, floor(log_2 n)))"),
        (r"a_k = \mathrm{sign}(s_k) \lvert s_k \rvert^{p-1}", "a_k = sign(s_k) |s_k|^(p-1)"),
        (r"z_s = -\infty \text{ if } i_s = i_t", "z_s = -infinity if i_s = i_t"),
        (r"\hat x = x / \lVert x \rVert", "x_hat = x / ||x||"),
        (r"d_x = \frac{g_i - \langle w, g \rangle}{(1 + n^2)^2}",
         "d_x = (g_i - <w, g>) / (1 + n^2)^2"),
        (r"h' = \frac{2r^3}{1 + r^2} \quad \text{if } n \gt 1", "h' = 2r^3 / (1 + r^2)  if n > 1"),
        (r"\frac{1}{\lVert x \rVert} \left( d_{\hat x} - y \right)", "(1 / ||x||) (d_x_hat - y)"),
        (r"d_{E_v} = \sum_{(i, f) : \rho_{if} = v} a_{if}",
         "d_E_v = sum_((i, f) : rho_if = v) a_if"),
        (r"q = [P_1 ; \ldots ; P_G]", "q = [P_1 ; ... ; P_G]"),
    ],
)  # fmt: skip
def test_plain_text(latex, plain):
    assert render_plain(parse_formula(latex, "")) == plain


def test_mathml_has_scripts_limits_fractions_roots_and_fences():
    mathml = render_mathml([parse_formula(r"\sum_k x_k^2 \frac{\lVert a \rVert}{\sqrt{b}}", "")])
    assert '<munder><mo movablelimits="false">∑</mo><mi>k</mi></munder>' in mathml
    assert "<msubsup><mi>x</mi><mi>k</mi><mn>2</mn></msubsup>" in mathml
    assert '<mo form="postfix" fence="true" stretchy="true">‖</mo>' in mathml
    assert "<msqrt><mi>b</mi></msqrt>" in mathml
    assert "<mover" in render_mathml([parse_formula(r"\hat x", "")])


@pytest.mark.parametrize(
    ("latex", "mathml"),
    [
        (r"h = n^2 / (1 + n^2)", "<mfrac><mrow><msup><mi>n</mi><mn>2</mn></msup></mrow><mrow>"),
        (r"a = x / \lVert x \rVert", "<mfrac><mrow><mi>x</mi></mrow><mrow><mrow><mo form="),
        (r"t - e m / (s + 1)", "<mi>t</mi><mo>−</mo><mfrac><mrow><mi>e</mi>"),
        (r"\langle u, t \rangle / \tau - b", "</mrow></mrow><mrow><mi>τ</mi></mrow></mfrac><mo>"),
        (r"\max_k s_k", "<munder><mi>max</mi><mi>k</mi></munder>"),
        (r"(1 + n)^2", "<msup><mrow><mo>(</mo>"),
        (r"( \sum_k a_k ) b", "<mo>)</mo></mrow>"),
    ],
)  # fmt: skip
def test_mathml_has_fractions_limits_and_a_row_for_each_pair_of_fences(latex, mathml):
    assert mathml in render_mathml([parse_formula(latex, "")])


def test_no_formula_is_displayed_with_a_slash():
    for reference, latex in FORMULAS:
        assert "<mo>/</mo>" not in render_mathml([parse_formula(latex, reference)]), reference


def open_letters(node):
    """Yield the names outside links and indices: neither tensors nor constants."""
    if node.kind in ("linked", "constant"):
        return
    if node.kind == "script":
        yield from open_letters(node.parts[0])
        if not is_iteration(node.parts[2]):
            yield from open_letters(node.parts[2])
    elif node.kind == "letter":
        yield node.plain
    else:
        for part in node.parts:
            yield from open_letters(part)


WITHOUT_ENTRY = {"...", "squash", "sign", "infinity", "k"}
"""Functions, signs, and the k of words such as "the first active k"."""


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
@pytest.mark.slow(every=5, start=0)
def test_every_letter_of_a_step_is_a_tensor_or_a_declared_constant(changes, monkeypatch):
    rows = []
    monkeypatch.setattr(formulas, "render_mathml", lambda x: rows.extend(x) or "<math>")
    for step in trace_pair(make_random_pair(3, **changes)).steps:
        assert not set(step.equation.constants) & set(step.equation.letters), step.id
        assert {x for row in rows for x in open_letters(row)} <= WITHOUT_ENTRY, step.id
        rows.clear()


def test_every_constant_is_used_and_has_a_meaning():
    used = set()
    for changes in VARIED.values():
        for step in trace_pair(make_random_pair(3, **changes)).steps:
            used |= step.equation.constants.items()
            assert not re.search(r"[{}]", " ".join(step.equation.constants.values()))
    declared = {name for entries in CONSTANTS.values() for name in entries}
    assert declared == {name for name, _ in used}
    assert ("eta", "learning rate, 0.005") in used


def test_mathml_has_spaces_between_factors_and_a_minus_without_space():
    mathml = render_mathml([parse_formula(r"a = - b c \log d - e", "")])
    space = '<mspace width="0.25em"/>'
    assert f"<mi>b</mi>{space}<mi>c</mi>{space}<mi>log</mi>{space}<mi>d</mi>" in mathml
    assert mathml.count('<mo form="prefix">−</mo>') == 1
    assert space not in render_mathml([parse_formula("2n + f(x)", "")])


def test_two_formulas_are_two_lines():
    rows = [parse_formula(text, "") for text in ("a = b", "c = d")]
    assert render_mathml(rows).count("<mtr>") == 2
    assert "<mtable>" not in render_mathml(rows[:1])


def linked(latex, symbols):
    row = parse_formula(latex, "")

    def link_of(names):
        return next((("linked", symbols[name]) for name in names if name in symbols), ("", ""))

    return re.findall(r'data-symbol="([^"]+)"', render_mathml([link_symbols(row, link_of)]))


def test_a_symbol_is_linked_without_its_index_and_with_its_iteration():
    assert linked("w_{ij} = b_{ij}", {"w": "w"}) == ["w"]
    latex = "b_{ik}^{(t+1)} = b_{ik}^{(t)} + d_{b_{ik}}^{(t)}"
    names = {"b^(t+1)": "b'", "b^(t)": "b", "d_b^(t)": "d_b"}
    assert linked(latex, names) == ["b&#x27;", "b", "d_b"]


def test_a_vote_is_one_symbol_and_an_index_has_no_link():
    assert linked(r"\langle S e_i, u \rangle", {"Se": "Se", "S": "S"}) == ["Se"]
    assert linked("S e_i", {"S": "S", "e": "e"}) == ["S", "e"]
    assert linked("E_t + t", {"t": "t"}) == ["t"]
    assert linked("E_t + E_s", {"E_t": "target", "E": "other"}) == ["target", "other"]


def test_the_left_side_of_an_assignment_is_the_value_after_it():
    latex = r"m \leftarrow \beta_1 m + g"
    assert linked(latex, {"m": "before", "m'": "after"}) == ["after", "before"]


@pytest.mark.parametrize(
    ("latex", "got"),
    [(r"a \binom{b}{c}", r"got \binom"), ("x_{ik", "the end"), ("x_", "the end"),
     (r"\frac{a}", "the end")],
)  # fmt: skip
def test_unknown_latex_is_an_error_with_page_and_step(latex, got):
    with pytest.raises(DataError, match=f"^routing forward 3: expected .*{re.escape(got)}"):
        parse_formula(latex, "routing forward 3")


@pytest.mark.parametrize("name", ["forward 9", "forward 5.3", "forward 5.0", "backward", "x.y"])
def test_an_unknown_reference_is_an_error_with_the_reference(name):
    with pytest.raises(LookupError, match=f"routing {name}: no such formula"):
        find_formulas(f"routing {name}")
    with pytest.raises(LookupError):
        find_formulas("nothing")


def test_a_name_with_two_formulas_is_counted_from_one():
    assert find_formulas("routing forward 5") == [
        *find_formulas("routing forward 5.1"), *find_formulas("routing forward 5.2"),
    ]  # fmt: skip


def test_a_step_overrides_the_letters_of_its_page():
    assert select_letters("sampled_softmax forward 2", {})["z"] == "o"
    assert select_letters("sampled_softmax forward 4", {})["z"] == "l"
    assert select_letters("sampled_softmax backward 2.1", {})["z"] == "l"
    assert select_letters("model interests 6", {"model": {"x": "y"}})["x"] == "{last}"
    assert "x" not in select_letters("models", {"model": {"x": "y"}})


def test_a_block_is_split_into_its_formulas():
    block = "\\begin{split}\na &= b \\\\\nc &= d, \\qquad e = f\n\\end{split}\n"
    assert split_formulas(block) == ["a = b", "c = d", "e = f"]
    assert split_formulas(r"a, \quad b") == ["a", "b"]
    assert split_formulas(r"h = 1 \quad \text{if } n") == [r"h = 1 \quad \text{if } n"]
