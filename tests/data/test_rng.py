"""Random generators by seed, purpose and index."""

from itertools import product

import pytest

from mindref.data.rng import PURPOSES, make_rng
from tests import spec_pages

SEEDS = (0, 1, 2**32 - 1, 2**32, 2**32 + 1, 5 + 2 * 2**32, 2**63 - 1)
INDICES = (0, 1, 3, 64, 1000, 2**20, 2**32 - 1)


def numbers(seed, purpose, index):
    return tuple(make_rng(seed, purpose, index).random(4))


@pytest.mark.rules("data-R68")
def test_a_generator_depends_on_seed_purpose_and_index_alone():
    triples = list(product((*SEEDS, 5), PURPOSES, INDICES))
    drawn = [numbers(*triple) for triple in triples]
    assert drawn == [numbers(*triple) for triple in triples], "not on earlier draws"
    assert len(set(drawn)) == len(triples)
    assert f"numbers from 0, are: {', '.join(PURPOSES)}." in spec_pages.text("data")
    # joined without fixed widths, these two would be one
    assert numbers(5, "batch", 3) != numbers(5 + 2 * 2**32, "serving", 0)
