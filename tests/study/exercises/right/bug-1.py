import numpy as np


def route(history, mask, bilinear, init_logits, iterations):
    users, places, width = history.shape
    interests = init_logits.shape[2]
    out = np.zeros((users, interests, width))
    for b in range(users):
        there = [i for i in reversed(range(places)) if mask[b, i]]
        votes = {i: bilinear @ history[b, i] for i in there}
        logits = init_logits[b].copy()
        for _ in range(iterations):
            out[b] = 0
            for i in there:
                raised = np.exp(logits[i])
                for j in range(interests):
                    out[b, j] += raised[j] / raised.sum() * votes[i]
            for j in range(interests):
                n2 = float(out[b, j] @ out[b, j])
                out[b, j] *= np.sqrt(n2) / (1 + n2)
            for i in there:
                logits[i] += out[b] @ votes[i]
    return out
