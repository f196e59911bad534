import numpy as np


def sampled_softmax_vjp(user, target, negatives, target_ids, negative_ids, log_t, log_s, d_loss):
    d_user, d_target = np.zeros(user.shape), np.zeros(target.shape)
    d_negatives = np.zeros(negatives.shape)
    for b in range(len(user)):
        candidates = [s for s in range(len(negatives)) if negative_ids[s] != target_ids[b]]
        target_exp = np.exp(user[b] @ target[b] - log_t[b])
        exps = {s: np.exp(negatives[s] @ user[b] - log_s[s]) for s in candidates}
        total = target_exp + sum(exps[s] for s in reversed(candidates))
        for s in candidates:
            d_logit = exps[s] / total / len(user) * d_loss
            d_user[b] += d_logit * (negatives[s] - target[b])
            d_target[b] -= d_logit * user[b]
            d_negatives[s] += d_logit * user[b]
    return d_user, d_target, d_negatives
