import numpy as np


def routing_weights(logits):
    weights = np.zeros(logits.shape)
    for b in range(logits.shape[0]):
        for i in range(logits.shape[1]):
            top = max(logits[b, i])
            total = 0.0
            for k in reversed(range(logits.shape[2])):
                total += np.exp(logits[b, i, k] - top)
            for j in range(logits.shape[2]):
                weights[b, i, j] = np.exp(logits[b, i, j] - top) / total
    return weights
