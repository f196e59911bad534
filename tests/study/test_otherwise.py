"""What a step says is true of the model at hand, whatever its settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.models.parameters import Catalogue
from mindref.study import outcome
from mindref.study.run import Given, trace_of
from mindref.study.serve import serve
from mindref.study.steps import KINDS
from mindref.study.steps.otherwise import CASES
from mindref.study.trace import Step, Trace
from tests import pages
from tests.study.givens import VARIED, given


def step(kind: str, user: Given | None = None, **changes: Any) -> Step:
    """Return the first step of a kind, as it is said of a model."""
    trace = trace_of(user or given(3, **changes))
    return next(step for step in trace.steps if step.kind == kind)


def without_profile() -> Given:
    user = given(3)
    histories = user.batch.histories._replace(profile=np.zeros((1, 0), np.int64))
    weight = user.params.layers[0].weight[: user.config.width]
    layers = (user.params.layers[0]._replace(weight=weight), *user.params.layers[1:])
    batch = user.batch._replace(histories=histories)
    return user._replace(params=user.params._replace(layers=layers), batch=batch)


def with_features() -> Given:
    user = given(3)
    rows = np.stack([np.arange(30), np.arange(30)[::-1]], axis=1)
    return user._replace(catalogue=Catalogue(rows, np.full((30, 2), 0.5)))


def test_every_case_is_about_a_step_that_there_is_and_names_rules_that_there_are() -> None:
    kinds = {kind.kind for kind in KINDS}
    for case in CASES:
        assert case.kind in kinds
        for rule in case.says.get("rules", "").split():
            assert rule in pages.rules(rule.partition("-")[0]), (case.kind, rule)


@pytest.mark.parametrize(
    ("kind", "changes", "equation"),
    [
        ("interests.count", {}, "K' = max(1, min(K, floor(log2 n)))"),
        ("interests.count", {"interest_count": "fixed"}, "K' = K"),
        ("routing.logits", {}, "b_ij ~ N(0, sigma^2)"),
        ("routing.logits", {"routing": "uniform"}, "b_ij = 0"),
        ("routing.weights", {}, "w_ij = exp(b_ij) / sum_k exp(b_ik)"),
        ("routing.weights", {"routing_axis": "behaviours"}, "w_ij = exp(b_ij) / sum_l exp(b_lj)"),
        ("routing.capsules", {"squash": "unit"}, "v_jd = z_jd / |z_j|"),
        ("routing.capsules", {"squash": "none"}, "v_jd = z_jd"),
        ("interests.active", {}, "u_jd = active_j y_jd"),
        ("interests.active", {"last_relu": True}, "u_jd = active_j x_jd"),
        ("interests.d_active", {"last_relu": True}, "d_x_jd = active_j d_u_jd"),
        ("attention.power", {"power": 0.0}, "g_j = 0"),
        ("attention.power", {"attention": "mean"}, "g_j = 0"),
        ("attention.weights", {"power": np.inf}, "h_j = 1 for the largest s_j, 0 for the others"),
        ("serve.scores", {}, "score_xj = sum_d E_xd u_jd"),
        ("serve.scores", {"normalise": True}, "score_xj = sum_d E_xd u1_jd"),
    ],
)
def test_the_equation_is_that_of_the_model(
    kind: str, changes: dict[str, Any], equation: str
) -> None:
    found = step(kind, **changes)
    assert found.equation == equation
    known = {tensor.name for tensor in trace_of(given(3, **changes)).tensors.values()}
    assert set(found.symbols.values()) <= known


@pytest.mark.parametrize(
    ("kind", "changes", "false"),
    [
        ("routing.weights", {"routing_axis": "behaviours"}, "behaviour has one voice"),
        ("routing.d_weights", {"routing_axis": "behaviours"}, "each row"),
        ("routing.logits", {"sigma": 0.0}, "random"),
        ("routing.logits", {"routing": "uniform"}, "random"),
        ("routing.capsules", {"squash": "unit"}, "how sure"),
        ("attention.weights", {"power": 0.0}, "The target chooses"),
        ("attention.scores", {"attention": "mean"}, "says which interest"),
        ("negatives.draw", {"sampler": "uniform"}, "popular"),
        ("serve.scores", {"score": "sum"}, "best interest"),
        ("routing.d_votes", {"routing_gradient": "last"}, "2R - 1 of them"),
    ],
)
def test_a_sentence_that_is_false_of_the_model_is_not_said(
    kind: str, changes: dict[str, Any], false: str
) -> None:
    found = step(kind, **changes)
    assert false not in found.title + found.why
    assert false in " ".join(x.title + x.why for x in trace_of(given(3)).steps)


def test_a_model_without_user_features_is_told_of_none() -> None:
    user = without_profile()
    for kind in ("ids", "interests.join", "interests.d_join"):
        text = step(kind, user).title + step(kind, user).why
        assert "Beside the profile" not in text
        assert "put behind" not in text
    assert step("interests.join", user).equation == "x_jd = v_jd"


def test_the_line_that_is_shown_for_a_lookup_is_the_one_that_ran() -> None:
    assert "rows[:, 0]" in step("history.embed").source[-1].text
    assert "einsum" in step("history.embed", with_features()).source[-1].text


@pytest.mark.parametrize("changes", VARIED.values(), ids=VARIED)
def test_what_is_served_is_what_the_package_serves(changes: dict[str, Any]) -> None:
    user = given(3, **changes)
    trace = trace_of(user)
    shown = served_items(trace, user)
    best = outcome.listed(user, trace.values["u"], trace.values["active"])
    assert shown == [found.item for found in best]
    order = trace.values["top"]
    assert np.allclose(trace.values["best"][order], [f.score for f in best], rtol=0, atol=1e-12)
    assert trace.values["brought_by"][order].tolist() == [f.interest for f in best]


def served_items(trace: Trace, user: Given) -> list[int]:
    """Return the items of the list, which names places among those that are shown."""
    names = trace.labels["item"]
    return [int(names[place].removeprefix("item ")) for place in trace.values["top"]]


@pytest.mark.parametrize("score", ["max", "sum"])
def test_an_interest_that_the_user_has_not_brings_nothing(score: str) -> None:
    found = serve(
        np.array([[-1.0], [0.0], [-2.0]]),
        np.array([True, False, True]),
        np.array([[1.0], [3.0]]),
        n=2,
        score=score,
    )
    assert found.brought_by.tolist() == [0, 0]
    assert found.best.tolist() == ([-1, -3] if score == "max" else [-3, -9])
    assert found.order.tolist() == [0, 1]


def test_a_large_catalogue_is_said_to_be_cut() -> None:
    assert "Of 300 items the best are shown" in step("serve.scores", items=300).why
    assert "items the best are shown" not in step("serve.scores").why


def test_an_id_beyond_the_catalogue_is_seen() -> None:
    ids = next(x for x in step("ids").invariants if "catalogue" in x.text)
    assert float(ids.check["high"]) == 29
