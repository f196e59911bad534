"""Texts, equations and questions of the steps, for every setting of the model."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import mindref.study
from mindref.models.parameters import Catalogue
from mindref.study import user_summary
from mindref.study.equation import render_latex, render_mathml, tokenise_equation
from mindref.study.sources import find_span
from mindref.study.steps import KINDS
from mindref.study.steps.option_texts import OPTION_TEXTS
from mindref.study.top_items import find_top_items
from mindref.study.tracing import trace_pair
from tests import spec_pages
from tests.study.pairs import VARIED, make_random_pair


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_equation_is_well_formed_mathml(kind):
    ET.fromstring(render_mathml(kind.equation, {}))


def test_a_symbol_is_linked_and_has_a_subscript():
    mathml = render_mathml("w_ij = exp(b_ij)", {"w": "w[2]"})
    assert '<msub data-symbol="w"><mi>w</mi><mi>ij</mi></msub>' in mathml
    assert mathml.count("data-symbol") == 1, "b is no tensor here"


def test_a_tensor_name_with_an_underscore_is_one_symbol():
    known = {"o_t": "o_t", "o": "o", "d_o_t": "d_o_t"}
    names = [x.text for x in tokenise_equation("d_o_t + o_t + o_s", known) if x.kind == "symbol"]
    assert names == ["d_o_t", "o_t", "o"]
    assert render_latex("d_o_t", known) == r"\partial o_{t}"
    assert '<mrow data-symbol="o_t">' not in render_mathml("o_t", known)
    assert '<msub data-symbol="o_t"><mi>o</mi><mi>t</mi></msub>' in render_mathml("o_t", known)


def test_gradients_greek_letters_sums_powers_and_words_are_rendered():
    text = "d_w'_ij = beta sum_k x_k^2 where K is large"
    assert render_latex(text, {"d_w'": "", "x": ""}) == (
        r"\partial w'_{ij} = \beta \sum_{k} x_{k} ^{2} \text{ where } K \text{ is } \text{ large }"
    )
    mathml = render_mathml(text, {"d_w'": "", "x": ""})
    assert "<mo>∂</mo><mi>w′</mi>" in mathml
    assert "<mi>β</mi>" in mathml


def test_a_label_is_matched_as_a_whole():
    text = find_span("mindref.ops.sampled_softmax:cross_entropy@sampled_softmax-R1").text
    assert "sampled_softmax-R1 " in text.replace("\n", " ") + " "
    assert "logaddexp" in text, "not the line of R10 or R18"


def step(kind, user=None, **changes):
    trace = trace_pair(user or make_random_pair(3, **changes))
    return next(step for step in trace.steps if step.kind == kind)


def without_profile():
    user = make_random_pair(3)
    histories = user.batch.histories._replace(profile=np.zeros((1, 0), np.int64))
    weight = user.params.layers[0].weight[: user.config.width]
    layers = (user.params.layers[0]._replace(weight=weight), *user.params.layers[1:])
    batch = user.batch._replace(histories=histories)
    return user._replace(params=user.params._replace(layers=layers), batch=batch)


def with_features():
    user = make_random_pair(3)
    rows = np.stack([np.arange(30), np.arange(30)[::-1]], axis=1)
    return user._replace(catalogue=Catalogue(rows, np.full((30, 2), 0.5)))


SECTIONS = {
    "3.1": range(1, 4), "3.2": (), "3.3.1": range(4, 8), "3.3.2": range(8, 10), "3.4": (),
    "3.5": range(10, 12),
}  # fmt: skip
"""Sections of the paper that a step may cite, with their numbered equations."""

EQUATIONS = {
    "interests.count": "9", "routing.weights": "6", "routing.sums": "5", "routing.capsules": "7",
    "routing.agreement": "8", "serve.scores": "3",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_step_cites_a_section_that_has_the_equation(kind):
    sections = re.findall(r"section ([\d.]*\d)", kind.paper)
    equations = re.findall(r"eq\. (\d+)", kind.paper)
    if "Kingma" in kind.paper:
        return
    assert set(sections) <= set(SECTIONS)
    for number in equations if sections else ():
        assert any(int(number) in SECTIONS[section] for section in sections)
    if kind.kind in EQUATIONS:
        assert equations == [EQUATIONS[kind.kind]]
    if re.match(r"(interests|layers)\.?(join|d_join|relu)?$", kind.kind):
        assert "Fig. 2" in kind.paper, "the layers have no section"


def test_option_texts_name_existing_steps_and_rules():
    kinds = {kind.kind for kind in KINDS}
    assert set(EQUATIONS) <= kinds
    for case in OPTION_TEXTS:
        assert case.kind in kinds
        for rule in case.fields.get("rules", "").split():
            assert rule in spec_pages.rules(rule.partition("-")[0]), (case.kind, rule)


@pytest.mark.parametrize(
    ("kind", "changes", "equation"),
    [
        ("interests.count", {}, "K' = max(1, min(K, floor(log2 n)))"),
        ("interests.count", {"interest_count": "fixed"}, "K' = K"),
        ("routing.logits", {}, "b_ik ~ N(0, sigma^2)"),
        ("routing.logits", {"routing": "uniform"}, "b_ik = 0"),
        ("routing.weights", {}, "w_ik = exp(b_ik) / sum_j exp(b_ij)"),
        ("routing.weights", {"routing_axis": "behaviours"}, "w_ik = exp(b_ik) / sum_l exp(b_lk)"),
        ("routing.capsules", {"squash": "unit"}, "u_kd = z_kd / |z_k|"),
        ("routing.capsules", {"squash": "none"}, "u_kd = z_kd"),
        ("interests.active", {}, "v_kd = active_k y_kd"),
        ("interests.active", {"last_relu": True}, "v_kd = active_k x_kd"),
        ("interests.d_active", {"last_relu": True}, "d_x_kd = active_k d_v_kd"),
        ("attention.power", {"power": 0.0}, "g_k = 0"),
        ("attention.power", {"attention": "mean"}, "g_k = 0"),
        ("attention.weights", {"power": np.inf}, "h_k = 1 for the largest s_k, 0 for the others"),
        ("serve.scores", {}, "score_xk = sum_d E_xd v_kd"),
        ("serve.scores", {"normalise": True}, "score_xk = sum_d E_xd v1_kd"),
    ],
)
def test_the_equation_agrees_with_the_settings(kind, changes, equation):
    shown = step(kind, **changes)
    assert shown.equation == equation
    known = {tensor.name for tensor in trace_pair(make_random_pair(3, **changes)).tensors.values()}
    assert set(shown.symbols.values()) <= known


@pytest.mark.parametrize(
    ("kind", "changes", "false"),
    [
        ("routing.weights", {"routing_axis": "behaviours"}, "weights of a film sum"),
        ("routing.d_weights", {"routing_axis": "behaviours"}, "each row"),
        ("routing.logits", {"sigma": 0.0}, "random"),
        ("routing.logits", {"routing": "uniform"}, "random"),
        ("routing.capsules", {"squash": "unit"}, "support for an interest"),
        ("attention.weights", {"power": 0.0}, "receives most of the gradient"),
        ("attention.scores", {"attention": "mean"}, "used in training only"),
        ("negatives.draw", {"sampler": "uniform"}, "Popular"),
        ("serve.scores", {"score": "sum"}, "best score of any interest"),
        ("routing.d_votes", {"routing_gradient": "last"}, "term of each use"),
    ],
)
def test_texts_that_are_wrong_for_a_setting_are_replaced(kind, changes, false):
    shown = step(kind, **changes)
    assert false not in shown.title + shown.why
    assert false in " ".join(x.title + x.why for x in trace_pair(make_random_pair(3)).steps)


def test_texts_without_user_features_do_not_mention_a_profile():
    user = without_profile()
    for kind in ("ids", "interests.join", "interests.d_join"):
        text = step(kind, user).title + step(kind, user).why
        assert "the profile and" not in text
        assert "profile is joined" not in text
    assert step("interests.join", user).equation == "x_kd = u_kd"


def test_the_source_lines_of_a_lookup_agree_with_the_branch():
    assert "rows[:, 0]" in step("history.embed").source[-1].text
    assert "einsum" in step("history.embed", with_features()).source[-1].text


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
def test_the_trace_of_serving_equals_the_top_items(changes):
    user = make_random_pair(3, **changes)
    trace = trace_pair(user)
    names = trace.labels["item"]
    shown = [int(names[place].removeprefix("item ")) for place in trace.values["top"]]
    best = user_summary.list_top_items(user, trace.values["v"], trace.values["active"])
    assert shown == [entry.item for entry in best]
    order = trace.values["top"]
    assert np.allclose(trace.values["best"][order], [f.score for f in best], rtol=0, atol=1e-12)
    assert trace.values["brought_by"][order].tolist() == [f.interest for f in best]


@pytest.mark.parametrize("score", ["max", "sum"])
def test_inactive_interests_have_no_influence_on_the_top_items(score):
    interests, active = np.array([[-1.0], [0.0], [-2.0]]), np.array([True, False, True])
    top_items = find_top_items(interests, active, np.array([[1.0], [3.0]]), n=2, score=score)
    assert top_items.brought_by.tolist() == [0, 0]
    assert top_items.best.tolist() == ([-1, -3] if score == "max" else [-3, -9])
    assert top_items.order.tolist() == [0, 1]


def test_the_text_mentions_a_shortened_catalogue():
    assert "Of 300 films, the best films" in step("serve.scores", items=300).why
    assert "the best films and the target" not in step("serve.scores").why


def test_the_range_of_ids_is_the_catalogue():
    ids = next(x for x in step("ids").invariants if "catalogue" in x.text)
    assert float(ids.check["high"]) == 29


ASKED = {kind.kind: kind.question for kind in KINDS if kind.question}


def one_of_two(**changes):
    """Return the trace of a user with two of four interests, whose every score is negative."""
    user = make_random_pair(2, length=4, pads=2, **changes)
    layers = list(user.params.layers)
    layers[-1] = layers[-1]._replace(bias=layers[-1].bias - 1e3 * user.params.items[3])
    target = np.array([3])
    params = user.params._replace(layers=tuple(layers))
    return trace_pair(user._replace(params=params, batch=user.batch._replace(target=target)))


def test_an_inactive_interest_is_never_the_answer():
    trace = one_of_two()
    assert trace.values["active"].tolist() == [True, True, False, False]
    assert (trace.values["s"][:2] < 0).all()
    for step in trace.steps:
        ask = ASKED.get(step.kind)
        if step.question and ask and ask.axis == "interest" and ask.how != "count":
            assert step.question.answer < 2, step.id


@pytest.mark.parametrize("length", [1, 2, 3])
def test_one_interest_gives_no_question_about_interests(length):
    for step in trace_pair(make_random_pair(1, length=length)).steps:
        ask = ASKED.get(step.kind)
        if ask and ask.axis == "interest" and ask.how != "count":
            assert step.question is None, step.id


def test_the_package_docstring_lists_every_module():
    folder = Path(mindref.study.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert modules | packages <= set(re.findall(r"[a-z_]+", mindref.study.__doc__ or ""))
