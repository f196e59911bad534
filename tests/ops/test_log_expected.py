"""Effect of subtracting log expected counts, by enumerating every set of a small catalogue."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from scipy.optimize import minimize, minimize_scalar

from mindref.conformance import strategies
from mindref.conformance.strategies import normal
from mindref.conformance.tolerances import WORKED_EXAMPLE
from mindref.ops import sampled_softmax
from tests import spec_pages
from tests.assertions import assert_close

LEARNT = spec_pages.examples("sampled_softmax")[1]


@pytest.mark.rules("sampled_softmax-R13", "sampled_softmax-R3")
@given(rng=strategies.generators(), sizes=strategies.distinct_sizes(3))
def test_all_items_without_correction_give_the_full_softmax(rng, sizes):
    b, n, d = sizes
    user, items, ids = normal(rng, b, d), normal(rng, n, d), rng.integers(0, n, b)
    out, saved = sampled_softmax.forward(
        user, items[ids], items, ids, np.arange(n), np.zeros(b), np.zeros(n)
    )
    raised = np.exp(user @ items.T)
    p = raised / raised.sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(b), ids]).mean()
    assert_close(out, expected, "loss")
    d_user, d_target, d_items = sampled_softmax.backward(1.0, saved)
    one_hot = np.eye(n)[ids]
    assert_close(d_user, (p - one_hot) @ items / b, "d_user")
    d_items = d_items + one_hot.T @ d_target  # the target is one of the items
    assert_close(d_items, (p - one_hot).T @ user / b, "d_items")


CHANCE = np.array([0.5, 0.3, 0.2])
SCORES = np.array([0.4, -1.1, 2.0])


def sum_over_negatives(ids, target, chance=CHANCE):
    """Return sum over the negatives of exp(logit), read back from the loss."""
    log_expected = np.log(len(ids) * chance)
    out, _ = sampled_softmax.forward(
        np.ones((1, 1)),
        np.zeros((1, 1)),  # logit 0 for the target: loss = log(1 + sum)
        SCORES[list(ids)][:, None],
        np.array([target]),
        np.array(ids),
        np.zeros(1),
        log_expected[list(ids)],
    )
    return float(np.expm1(out))


@pytest.mark.rules("sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R4")
@pytest.mark.parametrize("target", [99, 0, 2])
@pytest.mark.parametrize("draws", [1, 2, 4])
def test_the_corrected_sum_is_unbiased(draws, target):
    expected = sum(
        float(np.prod(CHANCE[list(ids)])) * sum_over_negatives(ids, target)
        for ids in itertools.product(range(3), repeat=draws)
    )
    others = sum(np.exp(s) for i, s in enumerate(SCORES) if i != target)
    assert_close(expected, others, "over all draws", atol=0)


@pytest.mark.rules("sampled_softmax-R2", "sampled_softmax-R3")
def test_the_probability_is_that_of_the_target_given_the_set():
    # each item is in the set by itself with its own chance; the target is drawn from P
    included, p = np.array([0.7, 0.2, 0.5, 0.9]), np.array([0.1, 0.4, 0.3, 0.2])
    joint = {}
    for inside in itertools.product([False, True], repeat=4):
        chance = np.prod(np.where(inside, included, 1 - included))
        for target in range(4):
            together = tuple(sorted({*np.flatnonzero(inside), target}))
            row = joint.setdefault(together, {})
            row[target] = row.get(target, 0) + chance * p[target]
    for together, row in joint.items():
        ids = np.array(together)
        for target, mass in row.items():
            out, _ = sampled_softmax.forward(
                np.ones((1, 1)),
                np.log(p)[[target]][:, None],
                np.log(p)[ids][:, None],
                np.array([target]),
                ids,
                np.log(included)[[target]],
                np.log(included)[ids],
            )
            assert_close(np.exp(-out), mass / sum(row.values()), f"{target} {together}", atol=0)


def sets(chance, draws):
    """Yield every set of draws with replacement, in any order, and how likely it is."""
    for ids in itertools.combinations_with_replacement(range(len(chance)), draws):
        counts = np.bincount(ids, minlength=len(chance))
        orders = math.factorial(draws) / math.prod(map(math.factorial, counts.tolist()))
        yield np.array(ids), orders * float(np.prod(chance**counts))


def learnt(shares, chance, draws, hits):
    """Return the softmax of the scores for which the expected loss of all draws is smallest.

    Two hundred users hold the targets in the shares of the catalogue, so their mean loss is the
    expectation over targets. The loss is convex in the scores, so there is one smallest.
    """
    targets = np.repeat(np.arange(len(shares)), np.round(200 * shares).astype(int))
    assert len(targets) == 200
    ids = targets if hits == "out" else np.full(200, -1)  # no negative has this id: no hit
    log_expected = np.log(draws * chance)

    def expected(scores):
        loss, slope = 0.0, np.zeros(len(shares))
        for drawn, likely in sets(chance, draws):
            vectors = np.ones((200, 1)), scores[targets][:, None], scores[drawn][:, None]
            logs = log_expected[targets], log_expected[drawn]
            out, saved = sampled_softmax.forward(*vectors, ids, drawn, *logs)
            _, d_targets, d_negatives = sampled_softmax.backward(likely, saved)
            loss += likely * float(out)
            np.add.at(slope, targets, d_targets[:, 0])
            np.add.at(slope, drawn, d_negatives[:, 0])
        return loss, slope

    found = minimize(expected, np.zeros(len(shares)), jac=True, options={"gtol": 1e-8})
    raised = np.exp(found.x - found.x.max())
    return raised / raised.sum()


@pytest.mark.rules("sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R4")
@pytest.mark.parametrize("case", LEARNT["cases"], ids=str)
def test_the_scores_of_the_smallest_loss_match_the_page(case):
    copies = case["copies"]
    shares = np.tile(np.array(LEARNT["shares"]) / copies, copies)
    raised = shares ** (0.75 if case["sampler"] == "unigram" else 0.0)
    found = learnt(shares, raised / raised.sum(), case["draws"], case["hits"])
    together = found.reshape(copies, -1).sum(axis=0)
    np.testing.assert_allclose(together, case["learnt"], rtol=0, atol=WORKED_EXAMPLE)


ITEMS, USERS = 100, 100
TABLE_ROW = re.compile(r"^\| (\d+) \| [\d.]+ \|((?: [\d.]+ % \|){5})$", re.M)
BIAS = [
    (int(row[1]), share, float(cell))
    for row in TABLE_ROW.finditer(spec_pages.text("sampled_softmax"))
    for share, cell in zip(
        (0.01, 0.05, 0.25, 0.5, 0.95), re.findall(r"[\d.]+", row[2]), strict=True
    )
]


def composed_sets(draws):
    """Yield draws by number of copies of two items, and their probability, for uniform Q.

    Item 0 has the share P, item 1 is the target of the other users, item 2 is neither.
    """
    for first, second in itertools.product(range(draws + 1), repeat=2):
        rest = draws - first - second
        if rest < 0:
            continue
        orders = math.factorial(draws) // math.factorial(first) // math.factorial(second)
        counts = orders // math.factorial(rest) * (ITEMS - 2) ** rest
        probability = counts / ITEMS**draws
        if probability > 1e-9:
            yield np.repeat([0, 1, 2], [first, second, rest]), probability


@pytest.mark.rules("sampled_softmax-R2", "sampled_softmax-R3", "sampled_softmax-R4")
@pytest.mark.slow(every=9)
@pytest.mark.parametrize(("draws", "share", "percent"), BIAS)
def test_the_bias_of_masked_hits_matches_the_table_of_the_page(draws, share, percent):
    targets = np.repeat([0, 1], [round(USERS * share), USERS - round(USERS * share)])
    log_expected = np.full(ITEMS, np.log(draws / ITEMS))
    ones, drawn = np.ones((USERS, 1)), list(composed_sets(draws))

    def expected_loss(score):
        scores = np.array([score, 0.0, 0.0])[:, None]
        logs = log_expected[targets]
        return sum(
            probability
            * sampled_softmax.forward(
                ones, scores[targets], scores[ids], targets, ids, logs, log_expected[ids]
            )[0]
            for ids, probability in drawn
        )

    score = minimize_scalar(expected_loss, bounds=(-2, 12), options={"xatol": 1e-6}).x
    learnt_share = np.exp(score) / (np.exp(score) + ITEMS - 1)
    assert round(100 * (learnt_share / share - 1), 2) == percent
    assert percent == 0 or percent < 100 * share / (1 - share), "the limit that the page states"


def test_the_table_of_the_bias_is_read():
    assert len(BIAS) == 4 * 5
