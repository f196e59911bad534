"""The exact top-n search: the rules of specs/recall.md for every list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError, ShapeError
from mindref.kernels import top_n as kernels
from mindref.recall import exact
from mindref.recall.exact import rescore_candidates, search_top_n
from mindref.recall.retrieval import ItemFilter
from tests import spec_pages
from tests.recall.brute_force import as_lists, brute_force


def definition(*, exclude, **problem):
    return brute_force(**problem, item_filter=ItemFilter(exclude=exclude))


@st.composite
def problems(draw):
    """Small whole numbers times a power of two: products are exact, and ties are many."""
    sizes = st.integers(1, 5)
    cases, interests, width, items = draw(sizes), draw(sizes), draw(sizes), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    info = np.finfo(dtype)
    scales = [1, info.smallest_subnormal, 2.0 ** (info.maxexp // 2 - 5)]
    whole = rng.integers(-2, 3, (items, width)).astype(dtype)
    return {
        "interests": rng.integers(-2, 3, (cases, interests, width)).astype(dtype),
        "active": rng.random((cases, interests)) < 0.7,
        "items": dtype(draw(st.sampled_from(scales))) * whole,
        "n": draw(st.integers(1, 45) | st.integers(1, 5)),
        "exclude": Ragged.of([rng.integers(0, items, rng.integers(0, 9)) for _ in range(cases)]),
        "score": draw(st.sampled_from(["max", "sum"])),
    }


@pytest.mark.rules(
    "recall-R1", "recall-R2", "recall-R3", "recall-R4", "recall-R5", "recall-R7", "recall-R8"
)
@given(problems(), st.sampled_from([1, 7, 50, 1 << 20]), st.sampled_from([1, 3, 1 << 14]))
def test_lists_agree_with_the_definition_for_any_block_size(problem, block, width):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "ITEMS_PER_BLOCK", width)
        unpatched = search_top_n(**problem)
        patch.setattr(exact, "SPARE", 0)  # exact products need none
        ranked = search_top_n(**problem, block=block)
    expected = definition(**problem)
    assert as_lists(ranked) == as_lists(unpatched) == expected
    vectors = (problem[name] for name in ("interests", "active", "items"))
    candidates = np.random.default_rng(block).permuted(ranked.items, axis=1)
    n, score = problem["n"] + 2, problem["score"]
    again = rescore_candidates(*vectors, candidates, n=n, score=score)
    assert as_lists(again) == expected


@pytest.mark.rules("recall-R1", "recall-R2", "recall-R3", "recall-R4", "recall-R5", "recall-R8")
@pytest.mark.parametrize("score", ["max", "sum"])
def test_the_worked_example_is_ranked(score):
    (page,) = spec_pages.examples("recall")
    ranked = search_top_n(
        np.array([page["interests"]], np.float64),
        np.array([page["active"]]),
        np.array(page["items"], np.float64),
        n=page["n"],
        exclude=Ragged.of([page["exclude"]]),
        score=score,
    )
    expected = page[score]
    assert ranked.items.tolist() == [expected["items"]]
    assert ranked.interests.tolist() == [expected["interests"]]
    scores = [-np.inf if value is None else value for value in expected["scores"]]
    np.testing.assert_array_equal(ranked.scores, [scores])


@pytest.mark.rules("recall-R2")
def test_values_of_inactive_interests_have_no_influence():
    rng = np.random.default_rng(0)
    interests, items = rng.standard_normal((4, 3, 5)), rng.standard_normal((30, 5))
    active = np.array([[True, False, True]] * 3 + [[False, False, False]])
    for filling in (0.0, 1e9, np.nan, np.inf):
        filled = np.where(active[..., None], interests, filling)
        for score in ("max", "sum"):
            ranked = search_top_n(filled, active, items, n=4, score=score)
            assert as_lists(ranked) == as_lists(
                search_top_n(interests * active[..., None], active, items, n=4, score=score)
            )
            assert ranked.items[3].tolist() == [-1] * 4
            assert not np.isin(ranked.interests, 1).any()


@pytest.mark.rules("recall-R6")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_list_has_the_same_bits_alone_and_in_a_batch(dtype):
    rng = np.random.default_rng(1)
    interests = rng.standard_normal((37, 3, 61)).astype(dtype)
    items = rng.standard_normal((300, 61)).astype(dtype)
    items[200:210] = items[3]  # equal items must tie, whatever the last bits of a product
    interests[:, 2] = interests[:, 0]
    active = np.ones((37, 3), np.bool_)
    crowd = search_top_n(interests, active, items, n=9)
    for block, width in ((1, 256), (4000, 256), (20_000, 7), (1 << 20, 90)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "ITEMS_PER_BLOCK", width)
            blocked = search_top_n(interests, active, items, n=9, block=block)
        for got, expected in zip(blocked, crowd, strict=True):
            np.testing.assert_array_equal(got, expected)
    for c in range(37):
        alone = search_top_n(interests[c : c + 1], active[c : c + 1], items, n=9)
        np.testing.assert_array_equal(alone.scores[0], crowd.scores[c])
        np.testing.assert_array_equal(alone.items[0], crowd.items[c])
    assert not (crowd.interests == 2).any(), "equal interests: the first brings the item"


@pytest.mark.rules("recall-R6")
@pytest.mark.parametrize("threads", ["2", "3"])
def test_lists_have_the_same_bytes_with_any_number_of_threads(threads):
    rng = np.random.default_rng(3)
    interests = rng.standard_normal((300, 4, 17)).astype(np.float32)
    items = rng.standard_normal((900, 17)).astype(np.float32)
    active = rng.random((300, 4)) < 0.6
    exclude = Ragged.of([rng.integers(0, 900, 40) for _ in range(300)])
    found = []
    for number in ("1", threads):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MINDREF_THREADS", number)
            ranked = search_top_n(interests, active, items, n=20, exclude=exclude, block=5000)
        found.append([array.tobytes() for array in ranked])
    assert found[0] == found[1]


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.filterwarnings("error")
def test_a_sum_of_products_beyond_the_largest_float_is_infinite_without_a_warning(
    threads, monkeypatch
):
    monkeypatch.setenv("MINDREF_THREADS", threads)
    interests = np.full((700, 4, 2), 1.2e19, np.float32)  # each product with an item is finite
    items = np.full((5, 2), 1.2e19, np.float32)
    ranked = search_top_n(interests, np.ones((700, 4), np.bool_), items, n=3, score="sum")
    np.testing.assert_array_equal(ranked.scores, np.inf)


@pytest.mark.rules("recall-R6", "recall-R7")
def test_the_rounding_of_the_matrix_product_has_no_influence(monkeypatch):
    rng = np.random.default_rng(6)
    interests, items = rng.standard_normal((20, 1, 8)), rng.standard_normal((300, 8))
    items[rng.choice(300, 12, replace=False)] = interests[:, 0].sum(axis=0)  # twelve equal ones
    problem = {"interests": interests, "active": np.ones((20, 1), np.bool_), "items": items, "n": 6}
    expected = search_top_n(**problem)
    keep = kernels.pool_block

    def another(products, *rest):
        """Select candidates by products with other rounding, as of another library."""
        keep(products * (1 + 1e-15 * rng.integers(-2, 3, products.shape)), *rest)

    monkeypatch.setattr(kernels, "pool_block", another)
    for got, want in zip(search_top_n(**problem), expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.rules("recall-R6")
def test_the_memory_layout_of_arrays_has_no_influence():
    """Read-only arrays are accepted: inputs are not modified."""
    rng = np.random.default_rng(4)
    arrays = [rng.standard_normal((9, 3, 33)), np.ones((9, 3), np.bool_), rng.random((70, 33))]
    exclude = Ragged.of([[c] for c in range(9)])
    expected = search_top_n(*arrays, n=8, exclude=exclude)
    for array in arrays:
        array.setflags(write=False)
    for lay in (np.asarray, np.asfortranarray, lambda x: np.repeat(x, 2, axis=-1)[..., ::2]):
        found = search_top_n(*map(lay, arrays), n=8, exclude=exclude)
        np.testing.assert_equal(found, expected)


@pytest.mark.rules("recall-R4", "recall-R7")
def test_the_best_items_of_a_long_catalogue_are_found():
    rng = np.random.default_rng(5)
    interests = rng.integers(-3, 4, (6, 2, 3)).astype(np.float32)
    active = np.array([[True, True]] * 4 + [[False, True]] * 2)
    rising = np.arange(5000)[:, None] // 7 * np.ones((1, 3))  # each item is better than the last
    for items in (rising, rising[::-1], rng.integers(-9, 10, (5000, 3))):
        problem = {
            "interests": interests,
            "active": active,
            "items": items.astype(np.float32),
            "n": 12,
            "exclude": Ragged.of([rng.integers(0, 5000, 3000) for _ in range(6)]),
            "score": "max",
        }
        assert as_lists(search_top_n(**problem)) == definition(**problem)


def test_zero_cases_give_zero_lists():
    ranked = search_top_n(np.ones((0, 2, 3)), np.ones((0, 2), np.bool_), np.ones((4, 3)), n=2)
    assert [array.shape for array in ranked] == [(0, 2)] * 3


@pytest.mark.rules("recall-R9")
def test_nan_infinity_and_overflow_are_errors():
    one = np.ones((1, 1), np.bool_)
    for bad in (np.nan, np.inf, -np.inf):
        items = np.ones((5, 2))
        items[3, 1] = bad
        message = "items: expected finite numbers, got NaN or infinity in row 3"
        with pytest.raises(DataError, match=message):
            search_top_n(np.ones((1, 1, 2)), one, items, n=1)
        with pytest.raises(DataError, match="interests: expected finite numbers"):
            search_top_n(np.full((1, 1, 2), bad), one, np.ones((5, 2)), n=1)
    for size, item_size in ((1e20, 1e20), (1e25, 1.0), (1.0, 1e25)):
        interests, items = np.full((1, 1, 2), size, "f4"), np.full((5, 2), item_size, "f4")
        with pytest.raises(DataError, match="products within float32"):
            search_top_n(interests, one, items, n=1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"items": np.ones((4, 2))}, ShapeError, "top_n: items has shape"),
        ({"items": np.ones((4, 3), np.float32)}, ShapeError, "float32"),
        ({"items": np.ones((0, 3))}, ShapeError, "at least one interest, item"),
        ({"n": 0}, ConfigError, "top_n: n: expected an integer of at least 1, got 0"),
        ({"score": "mean"}, ConfigError, "score: expected max or sum, got 'mean'"),
        ({"exclude": Ragged.of([[1]])}, ShapeError, "expected 2 rows, one per case, got 1"),
        ({"exclude": Ragged.of([[-1], [4]])}, DataError, "item ids from 0 to 3, got -1 to 4"),
    ],
)
def test_invalid_input_is_named(changes, error, message):
    good = {"interests": np.ones((2, 1, 3)), "active": np.ones((2, 1), np.bool_)}
    with pytest.raises(error, match=message):
        search_top_n(**{**good, "items": np.ones((4, 3)), "n": 2, **changes})


VALID = {
    "interests": np.ones((3, 2, 5)),
    "active": np.ones((3, 2), bool),
    "items": np.ones((9, 5)),
    "candidates": np.array([[0, 8, -1], [1, 2, 3], [-1, -1, -1]]),
}
INVALID = {
    "an id beyond the items": ({"candidates": np.full((3, 2), 9)}, DataError),
    "ids that are no integers": ({"candidates": np.zeros((3, 2))}, DataError),
    "candidates of more cases": ({"candidates": np.zeros((4, 2), int)}, ShapeError),
    "candidates of no case": ({"candidates": np.zeros(3, int)}, ShapeError),
    "interests of another width": ({"interests": np.ones((3, 2, 6))}, ShapeError),
    "interests of another type": ({"interests": np.ones((3, 2, 5), np.float32)}, ShapeError),
    "items of another type": ({"items": np.ones((9, 5), np.float32)}, ShapeError),
    "items of integers": ({"items": np.ones((9, 5), int)}, ShapeError),
    "active of another shape": ({"active": np.ones((3, 3), bool)}, ShapeError),
    "no place in the list": ({"n": 0}, ConfigError),
    "another score": ({"score": "mean"}, ConfigError),
}


@pytest.mark.parametrize(("change", "error"), INVALID.values(), ids=INVALID)
def test_invalid_candidates_raise(change, error):
    """Compiled code would read outside the arrays."""
    good = {**VALID, "n": 2}
    assert rescore_candidates(**good).items.tolist() == [[0, 8], [1, 2], [-1, -1]]
    with pytest.raises(error, match=r"^top_n"):
        rescore_candidates(**{**good, **change})
