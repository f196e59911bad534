import numpy as np


def label_attention_vjp(interests, target, active, power, d_user, d_target_so_far):
    d_interests, d_target = np.zeros(interests.shape), d_target_so_far.copy()
    for b in range(len(target)):
        there = [k for k in range(active.shape[1]) if active[b, k]]
        rows = interests[b, there]
        scores = rows @ target[b]
        if power == np.inf:
            weights, jacobian = (scores == scores.max()) * 1.0, np.zeros((len(there),) * 2)
        else:
            raised = np.sign(scores) * np.abs(scores) ** power if power else 0 * scores
            weights = np.exp(raised) / np.exp(raised)[::-1].sum()
            jacobian = np.diag(weights) - np.outer(weights, weights)
            jacobian = jacobian * (power * np.abs(scores) ** (power - 1) if power else 0)
        d_scores = (rows @ d_user[b]) @ jacobian
        for place, k in enumerate(there):
            d_interests[b, k] = d_scores[place] * target[b] + weights[place] * d_user[b]
            d_target[b] += d_scores[place] * interests[b, k]
    return d_interests, d_target
