import numpy as np


def agreement_vjp(votes, capsules, d_agreement, d_votes_so_far):
    d_votes, d_capsules = np.array(d_votes_so_far), np.zeros(capsules.shape)
    users, behaviours, interests = d_agreement.shape
    for b in range(users):
        for i in reversed(range(behaviours)):
            for k in reversed(range(interests)):
                d_votes[b, i] += d_agreement[b, i, k] * capsules[b, k]
                d_capsules[b, k] += d_agreement[b, i, k] * votes[b, i]
    return d_votes, d_capsules
