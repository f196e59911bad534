import numpy as np


def label_attention(interests, target, active, power):
    users, count, _ = interests.shape
    weights, out = np.zeros((users, count)), np.zeros(target.shape)
    for b in range(users):
        indices = [k for k in reversed(range(count)) if active[b, k]]
        scores = {k: float(target[b] @ interests[b, k]) for k in indices}
        if power == np.inf:
            best = max(scores.values())
            weights[b, min(k for k in indices if scores[k] == best)] = 1
        elif power == 0:
            weights[b, indices] = 1 / len(indices)
        else:
            powers = {k: (1 if s > 0 else -1) * abs(s) ** power for k, s in scores.items()}
            softmax = {k: 1 / sum(np.exp(powers[j] - powers[k]) for j in indices) for k in indices}
            weights[b, indices] = [softmax[k] for k in indices]
        out[b] = sum(weights[b, k] * interests[b, k] for k in indices)
    return weights, out
