import numpy as np


def route_vjp_full(functions, history, mask, bilinear, init_logits, iterations, d_capsules):
    votes = history @ bilinear.T
    logits = [np.array(init_logits)]
    steps = []
    for _ in range(iterations):
        exps = np.exp(logits[-1])
        weights = exps / sum(exps[:, :, k : k + 1] for k in range(exps.shape[2]))
        weights[~mask] = 0
        sums = sum(weights[:, i, :, None] * votes[:, i, None] for i in range(votes.shape[1]))
        n = np.linalg.norm(sums, axis=2, keepdims=True)
        steps.append((weights, sums, sums * (n / (1 + n**2))))
        logits.append(logits[-1] + votes @ steps[-1][2].swapaxes(1, 2))
    rows = np.zeros((2 * iterations - 1, *bilinear.shape))
    d_history, d_logits = np.zeros(history.shape), np.zeros(init_logits.shape)
    for iteration in range(iterations - 1, -1, -1):
        weights, sums, capsules = steps[iteration]
        uses = []
        if iteration < iterations - 1:
            d_capsules = sum(
                d_logits[:, i, :, None] * votes[:, i, None] for i in range(votes.shape[1])
            )
            uses.append((2 * iteration + 1, d_logits @ capsules))
        d_sums = functions.squash_vjp(sums, d_capsules)
        uses.append((2 * iteration, weights @ d_sums))
        d_logits = functions.softmax_vjp(weights, votes @ d_sums.swapaxes(1, 2)) + d_logits
        for row, d_votes in uses:
            d_history += d_votes @ bilinear
            for b in range(len(history)):
                rows[row] += d_votes[b].T @ history[b]
    return rows, sum(rows[::-1]), d_history, d_logits
