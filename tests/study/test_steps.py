"""Texts, formulas and questions of the steps, for every setting of the model."""

import re
from functools import cache
from html import escape
from pathlib import Path

import numpy as np
import pytest

import mindref.study
from mindref.models.parameters import Catalogue
from mindref.study import user_summary
from mindref.study.sources import find_span
from mindref.study.steps import KINDS
from mindref.study.steps.option_texts import OPTION_TEXTS
from mindref.study.top_items import find_top_items
from mindref.study.tracing import trace_pair
from tests import spec_pages
from tests.study.pairs import VARIED, make_random_pair


def test_a_label_is_matched_as_a_whole():
    text = find_span("mindref.ops.sampled_softmax:cross_entropy@sampled_softmax-R1").text
    assert "sampled_softmax-R1 " in text.replace("\n", " ") + " "
    assert "logaddexp" in text, "not the line of R10 or R18"


@cache
def plain_trace():
    return trace_pair(make_random_pair(3))


def step(kind, user=None, **changes):
    if user is None and not changes:
        trace = plain_trace()
    else:
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
    ("kind", "changes", "pages"),
    [
        ("interests.count", {}, "routing forward Active interests"),
        ("interests.count", {"interest_count": "fixed"}, 'model option interest_count="fixed"'),
        ("routing.logits", {}, "routing forward Keyed logits"),
        ("routing.logits", {"routing": "uniform"}, 'model option routing="uniform"'),
        ("routing.weights", {}, "routing forward 2"),
        ("routing.weights", {"routing_axis": "behaviours"}, 'routing option axis="behaviours"'),
        ("routing.capsules", {"squash": "unit"}, 'routing option kind="unit"'),
        ("routing.capsules", {"squash": "none"}, 'routing option kind="none"'),
        ("routing.d_weights", {"routing_axis": "behaviours"}, "routing backward 2.2"),
        ("attention.power", {"power": 0.0}, "label_attention option power=0"),
        ("attention.power", {"attention": "mean"}, "label_attention option power=0"),
        ("attention.weights", {"power": np.inf}, "label_attention option power=inf"),
        ("serve.scores", {"score": "sum"}, 'recall option score="sum"'),
    ],
)
@pytest.mark.slow(every=3)
def test_the_formulas_agree_with_the_settings(kind, changes, pages):
    assert pages in step(kind, **changes).equation.pages


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
@pytest.mark.slow(every=5, start=4)
def test_the_tensors_of_an_equation_are_those_of_its_step(changes):
    for shown in trace_pair(make_random_pair(3, **changes)).steps:
        names = {*shown.inputs, *(tensor.name for tensor in shown.outputs)}
        equation = shown.equation
        assert {*equation.symbols.values(), *equation.letters.values()} <= names, shown.id
        linked = set(re.findall(r'data-symbol="([^"]+)"', equation.mathml))
        assert linked == {escape(symbol) for symbol in equation.symbols}, shown.id


WITHOUT_SYMBOL = {
    "ids": "mask", "history.embed": "history.index", "target.embed": "target.index",
    "negatives.embed": "negatives.index", "interests.count": "mask active", "routing.votes": "Se",
    "routing.weights": "allowed", "routing.capsules": "across along", "negatives.draw":
    "target_id negative_ids logq_t", "attention.power": "active", "attention.weights": "active",
    "loss.logits": "beta", "loss.hits": "hits o", "loss.d_logits": "beta", "attention.d_user":
    "d_v.mixed", "routing.d_votes": "from_z from_a", "items.gradient":
    "d_e d_items.rows d_neg d_query d_t d_target history.index history.weights negatives.index"
    " negatives.weights target.index target.weights", "update.S": "S S.complement1 S.complement2",
    "update.items": "items.complement1 items.complement2", "serve.scores": "active brought_by",
}  # fmt: skip
"""Tensors that a step reads or returns, and that its formulas do not name."""


def test_every_other_tensor_of_a_step_is_a_symbol_of_its_formulas():
    for shown in plain_trace().steps:
        names = {*shown.inputs, *(tensor.name for tensor in shown.outputs)}
        unnamed = names - set(shown.equation.symbols.values())
        bases = {name.partition("[")[0] for name in unnamed}
        assert bases == set(WITHOUT_SYMBOL.get(shown.kind, "").split()), shown.id


@pytest.mark.parametrize(
    ("kind", "letters"),
    [
        ("attention.weights", {"w_k": "h"}),
        ("attention.d_scores", {"d_a_k": "d_c", "w_k": "h", "d_w_k": "d_h"}),
        ("loss.logits",
         {"y": "o_t", "u": "q", "log E_t": "logq_t", "z_s": "o", "n_s": "neg", "log E_s": "logq"}),
        ("loss.d_vectors",
         {"d_u": "d_q", "d_c_t": "d_o_t", "d_c_s": "d_o", "n_s": "neg", "u": "q",
          "d_n_s": "d_neg"}),
        ("layers.relu", {"a": "y[1]", "y": "x[1]"}),
        ("routing.sums", {}),
    ],
)  # fmt: skip
def test_letters_that_differ_from_the_tensor_are_listed(kind, letters):
    assert step(kind).equation.letters == letters


@pytest.mark.parametrize(
    ("kind", "changes", "symbols"),
    [
        ("interests.active", {}, {"y": "y[2]"}),
        ("interests.active", {"last_relu": True}, {"x": "x[2]"}),
        ("serve.scores", {"normalise": True}, {"v1": "v1"}),
        ("loss.logits", {"normalise": True}, {"q1": "q1", "t1": "t1", "neg1": "neg1"}),
    ],
)
def test_a_symbol_is_the_tensor_that_the_settings_use(kind, changes, symbols):
    assert symbols.items() <= step(kind, **changes).equation.symbols.items()


def test_the_logits_of_two_iterations_have_two_symbols():
    steps = {x.id: x.equation for x in plain_trace().steps}
    assert steps["routing[1].update"].symbols == {"b'": "b[2]", "b": "b[1]", "a": "a[1]"}
    gradients = steps["routing[1].d_weights"].symbols
    assert {"d_b": "d_b[2]", "d_b'": "d_b[1]"}.items() <= gradients.items()


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
        ("routing.d_votes", {"routing_gradient": "last"}, "in r iterations"),
    ],
)
def test_texts_that_are_wrong_for_a_setting_are_replaced(kind, changes, false):
    shown = step(kind, **changes)
    assert false not in shown.title + shown.why
    assert false in " ".join(x.title + x.why for x in plain_trace().steps)


def test_texts_without_user_features_do_not_mention_a_profile():
    user = without_profile()
    for kind in ("ids", "interests.join", "interests.d_join"):
        text = step(kind, user).title + step(kind, user).why
        assert "the profile and" not in text
        assert "profile is joined" not in text
    assert step("interests.join", user).equation.plain == "x_k = u_k"


def test_the_source_lines_of_a_lookup_agree_with_the_branch():
    assert "rows[:, 0]" in step("history.embed").source[-1].text
    assert "einsum" in step("history.embed", with_features()).source[-1].text


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
@pytest.mark.slow(every=5, start=0)
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
    (question,) = (step.question for step in trace.steps if step.id == "attention.scores")
    assert question.choices[question.answer].startswith(("interest 1:", "interest 2:"))
    assert len(question.choices) == 2


def test_the_package_docstring_lists_every_module():
    folder = Path(mindref.study.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert modules | packages <= set(re.findall(r"[a-z_]+", mindref.study.__doc__ or ""))
