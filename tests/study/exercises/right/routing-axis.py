import numpy as np


def routing_weights(logits):
    weights = np.zeros(logits.shape)
    for b in range(logits.shape[0]):
        for i in range(logits.shape[1]):
            largest = max(logits[b, i])
            total = 0.0
            for other in reversed(range(logits.shape[2])):
                total += np.exp(logits[b, i, other] - largest)
            for k in range(logits.shape[2]):
                weights[b, i, k] = np.exp(logits[b, i, k] - largest) / total
    return weights
