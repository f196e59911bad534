import math

import numpy as np


def sampled_softmax(
    user, target, negatives, target_ids, negative_ids, target_log_expected, negative_log_expected
):
    losses = []
    for b in range(len(user)):
        y = math.fsum(user[b] * target[b]) - target_log_expected[b]
        gaps = [
            math.fsum(user[b] * negatives[s]) - negative_log_expected[s] - y
            for s in reversed(range(len(negatives)))
            if negative_ids[s] != target_ids[b]
        ]
        largest = max([0.0, *gaps])
        losses.append(largest + math.log(math.fsum(math.exp(x - largest) for x in [0.0, *gaps])))
    return np.array(losses), sum(losses) / len(losses)
