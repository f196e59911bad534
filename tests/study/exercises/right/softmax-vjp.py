import numpy as np


def softmax_vjp(weights, d_weights):
    out = np.zeros(weights.shape)
    for b, i, k in np.ndindex(weights.shape):
        for other in reversed(range(weights.shape[2])):
            slope = weights[b, i, other] * ((1.0 if other == k else 0.0) - weights[b, i, k])
            out[b, i, k] += d_weights[b, i, other] * slope
    return out
