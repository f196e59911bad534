import numpy as np


def route_vjp_last(mine, history, mask, bilinear, init_logits, iterations, d_capsules):
    users, places = mask.shape
    interests = init_logits.shape[2]
    d_history, d_bilinear = np.zeros(history.shape), np.zeros(bilinear.shape)
    for b in reversed(range(users)):
        there = [i for i in range(places) if mask[b, i]]
        votes = {i: bilinear @ history[b, i] for i in there}
        logits = np.array(init_logits[b])
        for _ in range(iterations):
            weights = {i: np.exp(logits[i]) / np.exp(logits[i]).sum() for i in there}
            sums = np.array(
                [sum(weights[i][j] * votes[i] for i in there) for j in range(interests)]
            )
            for j in range(interests):
                n2 = sums[j] @ sums[j]
                for i in there:
                    logits[i, j] += votes[i] @ sums[j] * np.sqrt(n2) / (1 + n2)
        d_sums = mine.squash_vjp(sums[None], d_capsules[b][None])[0]
        for i in there:
            d_vote = sum(weights[i][j] * d_sums[j] for j in reversed(range(interests)))
            d_history[b, i] = bilinear.T @ d_vote
            d_bilinear += np.outer(d_vote, history[b, i])
    return d_history, d_bilinear, np.zeros(init_logits.shape)
