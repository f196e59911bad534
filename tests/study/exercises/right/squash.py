import math

import numpy as np


def squash(sums):
    capsules = np.zeros(sums.shape)
    for b in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            n2 = 0.0
            for x in reversed(sums[b, k]):
                n2 += x * x
            n = math.sqrt(n2)
            if n > 0:
                capsules[b, k] = n2 / (1 + n2) * (sums[b, k] / n)
    return capsules
