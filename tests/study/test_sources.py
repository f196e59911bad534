"""The source lines of a step compute its formulas, and an anchor names one statement."""

import ast

import pytest

from mindref.study.formulas import find_formulas
from mindref.study.sources import find_span
from mindref.study.steps import KINDS
from mindref.study.steps.option_texts import OPTION_TEXTS

COMPUTED_BY = {
    "data forward Negatives": "self._log_expected = np.log(size) + np.log(probabilities)",
    "embedding forward 1": "out = ...table[rows",  # the lookup of rows is part of the mean
    "embedding forward 2": "out = ",
    "model forward.1": "ids = histories.items[",
    "model interests 2": "return vectors.reshape(",
    "model interests 4": "joined = np.concatenate(",
    "model interests 6": "out = np.where(active",
    "model backward 1.6": "d_x = np.where(saved.active",
    "model backward 1.4": "return d_joined[..., :width], d_joined[..., width:].sum(",
    "model backward Table": "return RowGradient(ordered[first], np.add.reduceat(",
    'model option interest_count="fixed"': "count = np.where(lengths > 0, config.interests",
    'model option routing="uniform"': "capsules, s3 = ops.routing.forward(",
    "model option no user features": "joined = np.concatenate(",
    "relu_layer forward 1": "out = x @ weight + bias",
    "relu_layer forward 2": "rectified = np.maximum(out, 0)",
    "relu_layer backward 2": "d_sum = ",
    "relu_layer backward 1": "d_x, d_weight, d_bias = d_sum @ weight.T, x.T @ d_sum",
    "routing forward 1": "return history @ bilinear.T",
    "routing forward 2": "out = exponentials / np.where(",
    "routing forward 3": "return weights.transpose(0, 2, 1) @ votes",
    "routing forward 4": "capsules, s4 = squash.forward(z",
    "routing forward 5.1": "return votes @ capsules.transpose(0, 2, 1)",
    "routing forward 5.2": "logits = logits + agreement",
    "routing forward Active interests": "return np.clip(floor_log2, 1, interests)",
    "routing forward Mask": "allowed = mask[:, :, None] & active[:, None, :]",
    "routing forward Keyed logits": "table = (sigma * normal)",
    'routing option axis="behaviours"': "out = exponentials / np.where(",
    'routing option kind="unit"': "return unit, Saved(",
    'routing option kind="none"': "return x.copy(), Saved(",
    "routing backward 5": "votes_from_agreement = spread_to_votes(",
    "routing backward 4": "d_z = squash.backward(d_capsules",
    "routing backward 3.1": "votes_from_z = spread_to_votes(",
    "routing backward 3.2": "d_weights = vote_agreement(votes, d_z)",
    "routing backward 2.1": "d_logits = out * (d_out - inner)",
    "routing backward 2.2": "d_logits = out * (d_out - inner)",
    "routing backward 1.1": "return d_votes @ bilinear, d_bilinear",
    "routing backward 1.2": "d_bilinear = d_votes.reshape(flat).T @ history",
    "squash forward 1": "unit, norm = direction_and_length(x)",
    "squash forward 3": "gain = ",
    "squash forward 4": "return unit * gain",
    "squash backward Together.5": "return across * (d_out - inner * unit) + along * inner * unit",
    "label_attention forward 1": "scores = np.einsum(",
    "label_attention forward 2": "return (np.sign(x) * np.abs(x) ** power)",
    "label_attention forward 2 without overflow.1": "scaled = gap * base**power",
    "label_attention forward 2 without overflow.2": "out = exponentials / np.where(",
    "label_attention forward 3": "out = exponentials / np.where(",
    "label_attention forward 4": "out = np.einsum(",
    "label_attention option power=0": "return np.zeros_like(scores)",
    "label_attention option power=inf": "weights = one_hot_of_largest(scores, active)",
    "label_attention backward 4": "d_weights = np.einsum(",
    "label_attention backward 3": "d_logits = out * (d_out - inner)",
    "label_attention backward 2": "d_scores = d_powered * slope",
    "label_attention backward 1": "d_target = np.einsum(",
    "sampled_softmax forward 1": 'return squash.forward(x, kind="unit")',
    "sampled_softmax forward 2": "negative_logits = user @ negatives.T",
    "sampled_softmax forward 3": "negative_logits = np.where(hits, -np.inf",
    "sampled_softmax forward 4": "losses = np.logaddexp(0, gap + log_sum)",
    "sampled_softmax forward 4 without overflow.1": "largest = np.max(negative_logits",
    "sampled_softmax backward.2": "p_negatives = exponentials * np.exp(gap - losses)",
    "sampled_softmax backward 4": "d_target_logits = -d_negative_logits.sum(",
    "sampled_softmax backward 2.1": "d_target_logits = ",
    "sampled_softmax backward 2.2": "d_negative_logits = saved.p_negatives * scale",
    "sampled_softmax backward 2.3": "d_user = ",
    "sampled_softmax backward 2.4": "d_target = ",
    "sampled_softmax backward 2.5": "d_negatives = ",
    "sampled_softmax backward 1": "return d_out if saved is None else squash.backward(",
    "optimiser forward 1": "m = beta1 * first[rows]",
    "optimiser forward 2": "v = beta2 * second[rows]",
    "optimiser forward 3": "params[name][rows] -= rate * m / (np.sqrt(v) + epsilon * root)",
    "optimiser forward.1": "rate = float(learning_rate * factor * root / (1 - beta1**step)",
    "optimiser forward.2": "root = math.sqrt(1 - beta2**step)",
    "recall forward.1": "products = items @ interests.T",
    "recall forward.2": "best = ",
    "recall forward.3": "order = np.lexsort(",
    'recall option score="sum"': "best = products @ active",
}  # fmt: skip
"""The statement that computes each formula: its beginning, and a part of it after "..."."""


def with_options():
    """Yield every step, and every step with the texts of one setting."""
    steps = {kind.kind: kind for kind in KINDS}
    yield from KINDS
    for option in OPTION_TEXTS:
        yield steps[option.kind]._replace(**option.fields)


STEPS = list(with_options())


def test_the_source_lines_compute_the_formulas():
    compared = 0
    for step in STEPS:
        statements = [span.text for span in map(find_span, step.code)]
        for reference in step.formulas:
            start, _, part = COMPUTED_BY[reference].partition("...")
            assert any(text.startswith(start) and part in text for text in statements), (
                step.kind,
                reference,
                find_formulas(reference),
            )
            compared += 1
    assert compared > 50


def test_a_source_line_assigns_or_returns():
    anchors = [anchor for step in STEPS for anchor in step.code]
    assert len(anchors) > 50
    for anchor in anchors:
        (statement,) = ast.parse(find_span(anchor).text.removeprefix("return ")).body
        assert isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr)), anchor


def test_every_formula_of_the_table_is_shown():
    shown = {reference for step in STEPS for reference in step.formulas}
    shown.add('recall option score="sum"')  # of `adapt_serving_step`
    assert set(COMPUTED_BY) == shown


def test_an_anchor_of_several_statements_raises():
    with pytest.raises(LookupError, match="3 statements"):
        find_span("mindref.ops.softmax:backward@softmax-R5")
    with pytest.raises(LookupError, match="0 statements"):
        find_span("mindref.ops.softmax:backward@softmax-R7")


def test_a_docstring_is_no_source_line():
    text = find_span("mindref.ops.squash:backward@inner =").text
    assert text.startswith("inner = np.sum(")
