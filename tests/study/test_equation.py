"""Equations are written once and shown in three ways."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from mindref.study.equation import render_latex, render_mathml, tokenise_equation
from mindref.study.sources import find_span
from mindref.study.steps import KINDS
from mindref.study.steps.kind import StepKind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_equation_is_well_formed_mathml(kind: StepKind) -> None:
    ET.fromstring(render_mathml(kind.equation, {}))


def test_a_symbol_is_linked_and_has_a_subscript() -> None:
    found = render_mathml("w_ij = exp(b_ij)", {"w": "w[2]"})
    assert '<msub data-symbol="w"><mi>w</mi><mi>ij</mi></msub>' in found
    assert found.count("data-symbol") == 1, "b is no tensor here"


def test_a_tensor_name_with_an_underscore_is_one_symbol() -> None:
    known = {"o_t": "o_t", "o": "o", "d_o_t": "d_o_t"}
    names = [x.text for x in tokenise_equation("d_o_t + o_t + o_s", known) if x.kind == "symbol"]
    assert names == ["d_o_t", "o_t", "o"]
    assert render_latex("d_o_t", known) == r"\partial o_{t}"
    assert '<mrow data-symbol="o_t">' not in render_mathml("o_t", known)
    assert '<msub data-symbol="o_t"><mi>o</mi><mi>t</mi></msub>' in render_mathml("o_t", known)


def test_gradients_greek_letters_sums_powers_and_words_are_rendered() -> None:
    text = "d_w'_ij = beta sum_k x_k^2 where K is large"
    assert render_latex(text, {"d_w'": "", "x": ""}) == (
        r"\partial w'_{ij} = \beta \sum_{k} x_{k} ^{2} \text{ where } K \text{ is } \text{ large }"
    )
    found = render_mathml(text, {"d_w'": "", "x": ""})
    assert "<mo>∂</mo><mi>w′</mi>" in found
    assert "<mi>β</mi>" in found


def test_a_label_is_matched_as_a_whole() -> None:
    text = find_span("mindref.ops.sampled_softmax:cross_entropy@sampled_softmax-R1").text
    assert "sampled_softmax-R1 " in text.replace("\n", " ") + " "
    assert "logaddexp" in text, "not the line of R10 or R18"
