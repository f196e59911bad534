import numpy as np


def route_vjp_last(functions, history, mask, bilinear, init_logits, iterations, d_capsules):
    users, positions = mask.shape
    interests = init_logits.shape[2]
    d_history, d_bilinear = np.zeros(history.shape), np.zeros(bilinear.shape)
    for b in reversed(range(users)):
        behaviours = [i for i in range(positions) if mask[b, i]]
        votes = {i: bilinear @ history[b, i] for i in behaviours}
        logits = np.array(init_logits[b])
        for _ in range(iterations):
            weights = {i: np.exp(logits[i]) / np.exp(logits[i]).sum() for i in behaviours}
            sums = np.array(
                [sum(weights[i][k] * votes[i] for i in behaviours) for k in range(interests)]
            )
            for k in range(interests):
                n_squared = sums[k] @ sums[k]
                for i in behaviours:
                    logits[i, k] += votes[i] @ sums[k] * np.sqrt(n_squared) / (1 + n_squared)
        d_sums = functions.squash_vjp(sums[None], d_capsules[b][None])[0]
        for i in behaviours:
            d_vote = sum(weights[i][k] * d_sums[k] for k in reversed(range(interests)))
            d_history[b, i] = bilinear.T @ d_vote
            d_bilinear += np.outer(d_vote, history[b, i])
    return d_history, d_bilinear, np.zeros(init_logits.shape)
