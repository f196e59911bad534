import numpy as np


def masked_weights(logits, mask, active):
    weights = np.zeros(logits.shape)
    users, places, interests = logits.shape
    for b in range(users):
        there = [k for k in reversed(range(interests)) if active[b, k]]
        for i in range(places):
            if mask[b, i]:
                top = max(logits[b, i, k] for k in there)
                total = sum(np.exp(logits[b, i, k] - top) for k in there)
                for k in there:
                    weights[b, i, k] = np.exp(logits[b, i, k] - top) / total
    return weights
