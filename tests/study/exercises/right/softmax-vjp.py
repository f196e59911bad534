import numpy as np


def softmax_vjp(weights, d_weights):
    out = np.zeros(weights.shape)
    for b, i, j in np.ndindex(weights.shape):
        for k in reversed(range(weights.shape[2])):
            slope = weights[b, i, k] * ((1.0 if k == j else 0.0) - weights[b, i, j])
            out[b, i, j] += d_weights[b, i, k] * slope
    return out
