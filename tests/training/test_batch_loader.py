"""Batches that cannot be made are errors."""

import numpy as np
import pytest

from mindref.data.log import Ragged
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Sizes, catalogue_of_ids
from mindref.training.batch_loader import Task, make_loader


def test_a_reranker_without_candidates_is_an_error():
    sequences = Ragged.of([[0, 1, 2, 3]] * 4)
    profiles, sizes = np.zeros((4, 0), np.int64), Sizes(4, 4, 0, 0)
    task = Task(sequences, profiles, catalogue_of_ids(4, "float32"), sizes)
    loader = make_loader(task, DinConfig(batch=2, window=3, depth=3, recalled=1, popular=1))
    with pytest.raises(ValueError, match="the task of a reranker needs candidates"):
        loader.batch(0)
