import numpy as np


def route(history, mask, bilinear, init_logits, iterations):
    users, positions, width = history.shape
    interests = init_logits.shape[2]
    out = np.zeros((users, interests, width))
    for b in range(users):
        behaviours = [i for i in reversed(range(positions)) if mask[b, i]]
        votes = {i: bilinear @ history[b, i] for i in behaviours}
        logits = init_logits[b].copy()
        for _ in range(iterations):
            out[b] = 0
            for i in behaviours:
                exps = np.exp(logits[i])
                for k in range(interests):
                    out[b, k] += exps[k] / exps.sum() * votes[i]
            for k in range(interests):
                n_squared = float(out[b, k] @ out[b, k])
                out[b, k] *= np.sqrt(n_squared) / (1 + n_squared)
            for i in behaviours:
                logits[i] += out[b] @ votes[i]
    return out
