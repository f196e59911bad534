import numpy as np


def label_attention_vjp(interests, target, active, power, d_user, d_target_so_far):
    d_interests, d_target = np.zeros(interests.shape), d_target_so_far.copy()
    for b in range(len(target)):
        indices = [k for k in range(active.shape[1]) if active[b, k]]
        rows = interests[b, indices]
        scores = rows @ target[b]
        if power == np.inf:
            weights, jacobian = (
                (scores == scores.max()) * 1.0,
                np.zeros((len(indices),) * 2),
            )
        else:
            powers = np.sign(scores) * np.abs(scores) ** power if power else 0 * scores
            weights = np.exp(powers) / np.exp(powers)[::-1].sum()
            jacobian = np.diag(weights) - np.outer(weights, weights)
            jacobian = jacobian * (power * np.abs(scores) ** (power - 1) if power else 0)
        d_scores = (rows @ d_user[b]) @ jacobian
        for row, k in enumerate(indices):
            d_interests[b, k] = d_scores[row] * target[b] + weights[row] * d_user[b]
            d_target[b] += d_scores[row] * interests[b, k]
    return d_interests, d_target
