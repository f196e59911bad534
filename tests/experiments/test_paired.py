"""Statistics on made-up hits: by hand, by scipy, and where the truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.log import Floats
from mindref.errors import RunError
from mindref.experiments import paired
from mindref.experiments.contrasts import contrasts, verdict
from mindref.experiments.hits import Hits
from mindref.experiments.paired import Cases
from tests import pages
from tests.experiments.small import everybody, hits

EXAMPLES = {example["name"]: example for example in pages.examples("experiments")}


@pytest.mark.rules("experiments-R1")
def test_arms_of_other_cases_are_no_pair() -> None:
    one, other = hits([1, 2], [3, 4]), hits([1, 2], [3, 4])
    assert paired.cases_of([one, other]).users.tolist() == [0, 1]
    other[1] = Hits(np.array([0, 2]), np.array([3, 4]))
    with pytest.raises(RunError, match="test cases: expected the same ones for all arms"):
        paired.cases_of([one, other])


@pytest.mark.rules("experiments-R2", "experiments-R3", "experiments-R4", "experiments-R8")
def test_the_worked_example() -> None:
    example = EXAMPLES["table"]
    arms = {name: hits(*rows) for name, rows in example["first"].items()}
    alone, against, cases = contrasts(arms, [("one", "other")], example["at"], 200)
    assert cases.asked.sum() == 8
    for name, metrics in example["alone"].items():
        for metric, numbers in metrics.items():
            for key, value in numbers.items():
                assert alone[name][metric][key] == pytest.approx(value), (name, metric, key)
    for metric, numbers in example["against"].items():
        for key, value in numbers.items():
            expected = None if value is None else pytest.approx(value)
            assert against["one", "other"][metric][key] == expected, (metric, key)


@pytest.mark.rules("experiments-R2")
def test_a_hit_beyond_n_or_nowhere_is_none() -> None:
    seeds = hits([0, 1, 10, 11])
    cases = paired.cases_of([seeds])
    assert paired.hit_at(seeds, cases, 10).tolist() == [[0, 1, 1, 0]]


@pytest.mark.rules("experiments-R3", "experiments-R4")
def test_where_seeds_draw_their_users_every_case_weighs_the_same() -> None:
    seeds = [Hits(np.array([3, 5, 9]), np.array([1, 0, 0])), Hits(np.array([5]), np.array([1]))]
    cases = paired.cases_of([seeds])
    table = paired.hit_at(seeds, cases, 10)
    assert cases.users.tolist() == [3, 5, 9]
    assert cases.asked.tolist() == [[True, True, True], [False, True, False]]
    assert paired.mean(table, cases) == 2 / 4
    assert paired.by_seed(table, cases) == [1 / 3, 1]
    assert paired.spread([1 / 3, 1]) == pytest.approx(np.sqrt(2) / 3)
    assert paired.spread([1.0]) is None
    drawn = paired.samples_of(table[None], cases, np.random.default_rng(0), 3000)
    means = drawn.hits.sum(axis=(1, 2)) / drawn.asked.sum(axis=1)
    means = means[~np.isnan(means)]
    assert set(np.unique(means.round(6))) <= {
        round(a / b, 6) for b in range(1, 10) for a in range(b + 1)
    }
    assert means.min() >= 0
    assert means.max() <= 1


def sampled(tables: Floats, seed: int, resamples: int) -> Floats:
    """Return the means (R, M) of samples of tables (M, S, U) in which everybody is asked."""
    cases = everybody(tables)
    drawn = paired.samples_of(tables, cases, np.random.default_rng(seed), resamples)
    means = [
        paired.sampled_means(table, drawn.hits[:, at], drawn, cases)
        for at, table in enumerate(tables)
    ]
    return np.stack(means, axis=1)


@pytest.mark.rules("experiments-R5", "experiments-R7")
def test_with_one_seed_the_interval_is_that_of_scipy() -> None:
    from scipy.stats import bootstrap

    table = (np.random.default_rng(1).random((1, 1, 400)) < 0.3).astype(float)
    own = paired.interval(sampled(table, 2, 4000)[:, 0])
    theirs = bootstrap(
        (table[0, 0],), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    np.testing.assert_allclose(own, theirs, atol=0.004)


@pytest.mark.rules("experiments-R5")
def test_the_cases_of_a_user_stay_together_and_all_arms_have_the_same_sample() -> None:
    same = (np.random.default_rng(4).random(300) < 0.4).astype(float)
    tables = np.stack([np.stack([same] * 3), 1 - np.stack([same] * 3)])  # seeds add no knowledge
    means = sampled(tables, 4, 4000)
    np.testing.assert_allclose(means.sum(axis=1), 1, rtol=1e-12)
    p = same.mean()
    assert means[:, 0].std() == pytest.approx(np.sqrt(p * (1 - p) / 300), rel=0.05)


@pytest.mark.rules("experiments-R6")
@pytest.mark.parametrize("ones", [[1], [1, 0], [1, 1, 0], [1, 0, 0, 0]])
def test_where_users_are_all_alike_the_interval_is_that_of_student(ones: list[int]) -> None:
    from scipy.stats import ttest_1samp

    table = np.repeat(np.array(ones, float)[None, :, None], 5, axis=2)
    means = sampled(table, 5, 40_000)[:, 0]
    if len(ones) == 1:
        assert set(means) == {1.0}
        return
    expected = ttest_1samp(ones, 0).confidence_interval(0.9)
    np.testing.assert_allclose(paired.interval(means, 0.9), expected, rtol=0.05, atol=0.02)


@pytest.mark.rules("experiments-R6")
def test_all_arms_have_the_same_sample_of_seeds() -> None:
    table = np.zeros((2, 3, 5))
    table[0, 2] = table[1, 2] = 1
    means = sampled(table, 6, 200)
    assert len(set(means[:, 0])) > 100
    assert means[:, 0].tobytes() == means[:, 1].tobytes()


@pytest.mark.rules("experiments-R23")
def test_what_users_explain_of_the_seeds_is_counted_once() -> None:
    """Every case is drawn by itself: an interval is as wide as that of S U cases, in most tables.

    In full it would be that of Student beside that of the users, thrice as wide.
    """
    rng, ratios = np.random.default_rng(9), []
    for seed in range(60):
        table = (rng.random((1, 4, 150)) < 0.3).astype(float)
        low, high = paired.interval(sampled(table, seed, 400)[:, 0])
        ratios.append((high - low) / (2 * 1.96 * np.sqrt(0.3 * 0.7 / 600)))
    assert 0.95 < np.median(ratios) < 1.2


@pytest.mark.rules("experiments-R23")
def test_what_users_do_not_explain_of_the_seeds_is_counted() -> None:
    from scipy.stats import t

    rng = np.random.default_rng(10)
    chance = np.array([0.1, 0.2, 0.3, 0.4])[:, None]
    table = (rng.random((1, 4, 1000)) < chance).astype(float)
    own = table[0].mean(axis=1)
    low, high = paired.interval(sampled(table, 11, 9000)[:, 0])
    expected = 2 * t(3).ppf(0.975) * own.std(ddof=1) / 2
    assert high - low == pytest.approx(expected, rel=0.1)


def made_up(
    rng: np.random.Generator, users: int, effect: float, noise: float, seeds: int = 3
) -> np.ndarray:
    """Draw the hits of two arms (2, S, U): users differ, arms differ by effect, seeds by noise."""
    ease = rng.beta(2, 5, users)
    shift = np.array([0, effect])[:, None] + noise * rng.standard_normal((2, seeds))
    chance = np.clip(ease + shift[:, :, None], 0, 1)
    return (rng.random((2, seeds, users)) < chance).astype(float)


@pytest.mark.rules("experiments-R6", "experiments-R7", "experiments-R23")
@pytest.mark.parametrize(
    ("users", "seeds", "noise", "least"),
    [
        *((200, 3, noise, least) for noise, least in [(0.0, 0.93), (0.01, 0.93), (0.03, 0.9)]),
        (200, 2, 0.03, 0.85),
        *((800, seeds, 0.03, least) for seeds, least in [(2, 0.85), (3, 0.87), (5, 0.88)]),
    ],
)
@pytest.mark.slow(every=3)
def test_intervals_hold_the_truth_about_as_often_as_they_say(
    users: int, seeds: int, noise: float, least: float
) -> None:
    """With few seeds and much noise between them 95 % cannot be had: the page says so."""
    rng, held, rounds = np.random.default_rng(6), 0, 250
    for number in range(rounds):
        table = made_up(rng, users, 0.05, noise, seeds)
        arms = np.concatenate([table, table[1:] - table[:1]])
        low, high = paired.interval(sampled(arms, number, 300)[:, 2])
        held += low <= 0.05 <= high
    print(users, seeds, noise, held / rounds)
    assert least <= held / rounds <= 0.985


@pytest.mark.rules("experiments-R23")
def test_intervals_hold_where_every_seed_asks_other_users() -> None:
    """The means of seeds deviate by their users alone, which is no deviation of training."""
    rng, held, rounds, few = np.random.default_rng(12), 0, 150, 150
    for number in range(rounds):
        asked = np.repeat(np.eye(3), few, axis=1).astype(bool)
        table = ((rng.random(asked.shape) < rng.beta(2, 5, 3 * few)) & asked).astype(float)
        cases = Cases(np.arange(3 * few), asked)
        drawn = paired.samples_of(table[None], cases, np.random.default_rng(number), 300)
        low, high = paired.interval(paired.sampled_means(table, drawn.hits[:, 0], drawn, cases))
        held += low <= 2 / 7 <= high
    assert 0.92 <= held / rounds <= 0.99


@pytest.mark.rules("experiments-R7")
def test_the_interval_of_a_difference_is_narrower_than_that_of_strangers() -> None:
    rng = np.random.default_rng(7)
    users = (rng.random(500) < 0.3).astype(float)
    other = np.where(rng.random(500) < 0.02, 1 - users, users)
    arms = {
        "a": hits((users * 1).astype(int).tolist()),
        "b": hits((other * 1).astype(int).tolist()),
    }
    alone, against, _ = contrasts(arms, [("a", "b")], [10], 500)
    numbers = against["a", "b"]["hit_rate@10"]
    width = alone["a"]["hit_rate@10"]["high"] - alone["a"]["hit_rate@10"]["low"]
    assert numbers["high"] - numbers["low"] < width / 2
    assert numbers["difference"] == pytest.approx(users.mean() - other.mean())


@pytest.mark.rules("experiments-R8")
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=10))
def test_sign_flips_are_counted_as_by_hand_and_by_scipy(differences: list[int]) -> None:
    d = np.array(differences)
    signs = np.array(list(itertools.product([-1, 1], repeat=len(d))))
    expected = (np.abs(signs @ d) >= abs(d.sum())).mean()
    assert paired.sign_flips(d) == pytest.approx(expected)
    if len(d) > 1:
        from scipy.stats import permutation_test

        found = permutation_test(
            (d,), lambda x, axis: np.abs(x.sum(axis=axis)), permutation_type="samples",
            vectorized=True, alternative="greater", n_resamples=np.inf,
        )  # fmt: skip
        assert paired.sign_flips(d) == pytest.approx(found.pvalue)


@pytest.mark.rules("experiments-R8")
def test_without_an_effect_p_is_uniform_and_a_planted_effect_is_found() -> None:
    from scipy.stats import kstest

    rng = np.random.default_rng(8)

    def p(effect: float) -> float:
        one, other = made_up(rng, 2000, effect, 0.0)
        return paired.sign_flips((other - one).sum(axis=0).astype(int))

    null = [p(0.0) for _ in range(300)]
    assert kstest(null, "uniform").pvalue > 0.05
    assert np.mean(np.array(null) < 0.05) < 0.09
    assert max(p(0.05) for _ in range(20)) < 1e-3


@pytest.mark.rules("experiments-R8")
def test_tiny_p_values_keep_their_digits() -> None:
    assert paired.sign_flips(np.ones(60, int)) == pytest.approx(2.0**-59)
    assert paired.sign_flips(np.zeros(5, int)) == 1
    many = np.repeat([1, -1, 2, -2, 3], [9000, 8800, 700, 650, 30])
    assert 0 < paired.sign_flips(many) < 0.05


@pytest.mark.rules("experiments-R9")
def test_holm_by_hand() -> None:
    example = EXAMPLES["holm"]
    assert paired.holm(example["p"]) == pytest.approx(example["adjusted"])
    assert paired.holm([0.6, 0.9]) == [1, 1]
    assert paired.holm([]) == []


@pytest.mark.rules("experiments-R9")
def test_all_comparisons_of_a_table_are_adjusted_together() -> None:
    arms = {"a": hits([1] * 9 + [0] * 3), "b": hits([0] * 12), "c": hits([11] * 12)}
    _, against, _ = contrasts(arms, [("a", "b"), ("c", "b")], [10, 50], 50)
    found = [numbers for metrics in against.values() for numbers in metrics.values()]
    assert [x["p_holm"] for x in found] == pytest.approx(paired.holm([x["p"] for x in found]))
    assert len(found) == 4
    assert min(x["p_holm"] for x in found) == pytest.approx(4 * min(x["p"] for x in found))


@pytest.mark.rules("experiments-R10")
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([(0.01, 0.02), (-0.01, 0.02)], "better"),
        ([(-0.01, 0.02), (-0.03, -0.01)], "worse"),
        ([(0.01, 0.02), (-0.03, -0.01)], "mixed"),
        ([(0.0, 0.02), (-0.03, 0.0)], "no difference shown"),
    ],
)
def test_a_verdict_is_what_the_intervals_leave_out(
    bounds: list[tuple[float, float]], expected: str
) -> None:
    found = {
        f"hit_rate@{i}": {"low": low, "high": high, "p_holm": 0.04}
        for i, (low, high) in enumerate(bounds)
    }
    assert verdict(found) == expected
    for one in found.values():
        one["p_holm"] = 0.05  # as likely as that among so many comparisons
    assert verdict(found) == "no difference shown"
