import numpy as np


def aggregate_vjp(weights, votes, d_sums):
    d_weights, d_votes = np.zeros(weights.shape), np.zeros(votes.shape)
    users, behaviours, interests = weights.shape
    for b in range(users):
        for i in range(behaviours):
            for k in reversed(range(interests)):
                d_weights[b, i, k] = sum(reversed(d_sums[b, k] * votes[b, i]))
                d_votes[b, i] += weights[b, i, k] * d_sums[b, k]
    return d_weights, d_votes
