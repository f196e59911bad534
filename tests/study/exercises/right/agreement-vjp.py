import numpy as np


def agreement_vjp(votes, capsules, d_agreement, d_votes_so_far):
    d_votes, d_capsules = np.array(d_votes_so_far), np.zeros(capsules.shape)
    users, places, interests = d_agreement.shape
    for b in range(users):
        for i in reversed(range(places)):
            for j in reversed(range(interests)):
                d_votes[b, i] += d_agreement[b, i, j] * capsules[b, j]
                d_capsules[b, j] += d_agreement[b, i, j] * votes[b, i]
    return d_votes, d_capsules
