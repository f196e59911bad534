import numpy as np


def user_vector(history, bilinear, init_logits, target, power):
    out = np.zeros(target.shape)
    for b in range(len(history)):
        votes = [bilinear @ e for e in history[b]]
        logits = init_logits[b].copy()
        for _ in range(3):
            capsules = np.zeros((logits.shape[1], target.shape[1]))
            for i in reversed(range(len(votes))):
                exps = np.exp(logits[i])
                capsules += np.outer(exps / exps.sum(), votes[i])
            for u in capsules:
                n_squared = float(u @ u)
                u *= np.sqrt(n_squared) / (1 + n_squared)
            for i, vote in enumerate(votes):
                logits[i] += capsules @ vote
        scores = [float(u @ target[b]) for u in capsules]
        exps = np.exp([s**power if s > 0 else -((-s) ** power) for s in scores])
        for h, u in reversed(list(zip(exps / exps.sum(), capsules, strict=True))):
            out[b] += h * u
    return out
