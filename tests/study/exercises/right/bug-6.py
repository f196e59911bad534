import numpy as np


def bilinear_gradient(history, mask, bilinear, init_logits, d_capsules, iterations):
    out = np.zeros(bilinear.shape)
    for b in range(len(history)):
        behaviours = [i for i in reversed(range(len(mask[b]))) if mask[b, i]]
        logits = init_logits[b].copy()
        for _ in range(iterations):
            weights = {i: np.exp(logits[i]) / np.exp(logits[i]).sum() for i in behaviours}
            sums = sum(np.outer(weights[i], bilinear @ history[b, i]) for i in behaviours)
            n = np.sqrt((sums**2).sum(axis=1, keepdims=True))
            for i in behaviours:
                logits[i] = logits[i] + (sums * n / (1 + n * n)) @ (bilinear @ history[b, i])
        for k, z in enumerate(sums):
            g, length = d_capsules[b, k], float(n[k, 0])
            slope = (1 - length**2) / (1 + length**2) ** 2
            d_z = length / (1 + length**2) * g + slope * (z @ g) * z / length
            for i in behaviours:
                out += weights[i][k] * np.outer(d_z, history[b, i])
    return out
