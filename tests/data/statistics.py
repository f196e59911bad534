"""A chi-square test: does a sample follow a distribution?"""

import numpy as np
import numpy.typing as npt


def agrees(counts: npt.NDArray[np.int64], probability: npt.NDArray[np.float64]) -> bool:
    """Compare counts with probabilities by chi-square.

    The statistic has mean f and variance 2 f for f degrees of freedom; six deviations above the
    mean is out of reach for a right sampler (less than one in a million at the sizes used here).
    """
    expected = counts.sum() * probability
    assert expected.min() >= 5, "too few draws for chi-square"
    freedom = len(counts) - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return statistic < freedom + 6 * np.sqrt(2 * freedom)
