"""Wording of the pages: rules about influence state their scope, iterations are in parentheses."""

import re

import pytest

from tests import spec_pages

PAGES = [
    "label_attention", "numerics", "pooled_softmax", "relu_layer", "routing", "sampled_softmax",
    "softmax", "squash",
]  # fmt: skip
INFLUENCE = re.compile(r"influence|depend on the|stay the same|not matter|not change|change no")
SCOPE = re.compile(r"\bbytes?\b|rounding")
ITERATION = re.compile(r"\^\{?[tr](?![a-z])")
"""An index of an iteration without parentheses: b^t+1 may be read as (b^t) + 1."""


def sentences_about_influence(text):
    rules = [line for line in text.splitlines() if spec_pages.RULE.match(line)]
    sentences = [x for rule in rules for x in re.split(r"(?<=\.) ", rule)]
    return [x for x in sentences if INFLUENCE.search(x)]


@pytest.mark.parametrize("page", PAGES)
def test_a_rule_about_influence_says_bytes_or_rounding(page):
    unscoped = [x for x in sentences_about_influence(spec_pages.text(page)) if not SCOPE.search(x)]
    assert not unscoped


def test_an_unscoped_sentence_is_found():
    old = "- **a-R1** (must) Padding must have no influence. The capsules must stay the same."
    assert len([x for x in sentences_about_influence(old) if not SCOPE.search(x)]) == 2


def test_indices_of_iterations_are_in_parentheses():
    assert not ITERATION.findall(spec_pages.text("routing"))
    assert ITERATION.findall("b_ik^t+1, b^{t+1}, u^r") == ["^t", "^{t", "^r"]
