import numpy as np


def label_attention(interests, target, active, power):
    users, most, _ = interests.shape
    weights, out = np.zeros((users, most)), np.zeros(target.shape)
    for b in range(users):
        there = [k for k in reversed(range(most)) if active[b, k]]
        scores = {k: float(target[b] @ interests[b, k]) for k in there}
        if power == np.inf:
            best = max(scores.values())
            weights[b, min(k for k in there if scores[k] == best)] = 1
        elif power == 0:
            weights[b, there] = 1 / len(there)
        else:
            raised = {k: (1 if s > 0 else -1) * abs(s) ** power for k, s in scores.items()}
            shares = {k: 1 / sum(np.exp(raised[j] - raised[k]) for j in there) for k in there}
            weights[b, there] = [shares[k] for k in there]
        out[b] = sum(weights[b, k] * interests[b, k] for k in there)
    return weights, out
