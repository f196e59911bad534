import numpy as np


def masked_weights(logits, mask, active):
    weights = np.zeros(logits.shape)
    users, behaviours, interests = logits.shape
    for b in range(users):
        active_interests = [k for k in reversed(range(interests)) if active[b, k]]
        for i in range(behaviours):
            if mask[b, i]:
                largest = max(logits[b, i, k] for k in active_interests)
                total = sum(np.exp(logits[b, i, k] - largest) for k in active_interests)
                for k in active_interests:
                    weights[b, i, k] = np.exp(logits[b, i, k] - largest) / total
    return weights
