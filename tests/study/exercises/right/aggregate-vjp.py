import numpy as np


def aggregate_vjp(weights, votes, d_sums):
    d_weights, d_votes = np.zeros(weights.shape), np.zeros(votes.shape)
    users, places, interests = weights.shape
    for b in range(users):
        for i in range(places):
            for j in reversed(range(interests)):
                d_weights[b, i, j] = sum(reversed(d_sums[b, j] * votes[b, i]))
                d_votes[b, i] += weights[b, i, j] * d_sums[b, j]
    return d_weights, d_votes
