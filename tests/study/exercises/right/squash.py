import math

import numpy as np


def squash(sums):
    capsules = np.zeros(sums.shape)
    for b in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            n_squared = 0.0
            for x in reversed(sums[b, k]):
                n_squared += x * x
            n = math.sqrt(n_squared)
            if n > 0:
                capsules[b, k] = n_squared / (1 + n_squared) * (sums[b, k] / n)
    return capsules
