import numpy as np


def from_zero_logits(votes, interests, iterations):
    users, behaviours, width = votes.shape
    logits = np.zeros((users, behaviours, interests))
    differences = np.zeros(iterations)
    for iteration in range(iterations):
        exps = np.exp(logits)
        weights = exps / exps.sum(axis=2, keepdims=True)
        capsules = np.zeros((users, interests, width))
        for i in reversed(range(behaviours)):
            capsules += weights[:, i, :, None] * votes[:, i, None, :]
        n = np.sqrt((capsules**2).sum(axis=2, keepdims=True))
        capsules = n / (1 + n * n) * capsules
        differences[iteration] = (capsules.max(axis=1) - capsules.min(axis=1)).max()
        logits = logits + np.einsum("bld,bkd->blk", votes, capsules)
    return differences, weights, capsules
