"""The interest report of an evaluation."""

import numpy as np
import pytest

from mindref.models.serving import Interests
from mindref.recommender.evaluate_run import interest_report


def test_interests_without_coupling_weights_have_no_report():
    history, mask = np.zeros((1, 3), np.int64), np.ones((1, 3), bool)
    interests = Interests(np.ones((1, 2, 4)), np.ones((1, 2), bool), None, history, mask)
    with pytest.raises(ValueError, match="interests without couplings"):
        interest_report(interests, None, np.random.default_rng(0))
