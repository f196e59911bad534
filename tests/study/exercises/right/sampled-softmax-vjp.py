import numpy as np


def sampled_softmax_vjp(user, target, negatives, target_ids, negative_ids, log_t, log_s, d_loss):
    d_user, d_target = np.zeros(user.shape), np.zeros(target.shape)
    d_negatives = np.zeros(negatives.shape)
    for b in range(len(user)):
        there = [s for s in range(len(negatives)) if negative_ids[s] != target_ids[b]]
        own = np.exp(user[b] @ target[b] - log_t[b])
        raised = {s: np.exp(negatives[s] @ user[b] - log_s[s]) for s in there}
        total = own + sum(raised[s] for s in reversed(there))
        for s in there:
            share = raised[s] / total / len(user) * d_loss
            d_user[b] += share * (negatives[s] - target[b])
            d_target[b] -= share * user[b]
            d_negatives[s] += share * user[b]
    return d_user, d_target, d_negatives
