"""Right answers of all exercises with loops, or with sums of another order than the solutions.

A forward exercise is answered with tests/naive.py.
"""

import math
from types import SimpleNamespace

import numpy as np

import mindref.ops
from mindref.ops.embedding import RowGradient
from mindref.study.exercises import training
from tests import naive


def routing_weights(logits):
    return np.array([[naive.softmax(row) for row in user] for user in logits])


def squash(sums):
    return np.array([[naive.squash(z) for z in user] for user in sums])


def from_zero_logits(votes, interests, iterations):
    zeros, differences = np.zeros((votes.shape[1], interests)), np.zeros(iterations)
    for t in range(iterations):
        users = [naive.capsules(user, zeros, t + 1) for user in votes]
        capsules = np.array([u for u, _ in users])
        weights = np.array([couplings[-1] for _, couplings in users])
        differences[t] = np.ptp(capsules, axis=1).max()
    return differences, weights, capsules


def masked_weights(logits, mask, active):
    weights = np.zeros(logits.shape)
    for b, i in np.argwhere(mask):
        weights[b, i, active[b]] = naive.softmax(logits[b, i, active[b]])
    return weights


def route(history, mask, bilinear, init_logits, iterations):
    out = np.zeros((len(history), init_logits.shape[2], history.shape[2]))
    for b, rows in enumerate(mask):
        if rows.any():
            logits = init_logits[b, rows]
            votes = naive.votes_of(history[b, rows], bilinear)
            out[b], _ = naive.capsules(votes, logits, iterations)
    return out


def label_attention(interests, target, active, power):
    weights, out = np.zeros(active.shape), np.zeros(target.shape)
    for b, rows in enumerate(active):
        scores = [naive.dot(v, target[b]) for v in interests[b, rows]]
        weights[b, rows] = naive.attention_weights(scores, power)
        out[b] = naive.attention(interests[b, rows], target[b], power)
    return weights, out


def sampled_softmax(
    user, target, negatives, target_ids, negative_ids, target_log_expected, negative_log_expected
):
    losses = []
    for b in range(len(user)):
        y = math.fsum(user[b] * target[b]) - target_log_expected[b]
        gaps = [
            math.fsum(user[b] * negatives[s]) - negative_log_expected[s] - y
            for s in reversed(range(len(negatives)))
            if negative_ids[s] != target_ids[b]
        ]
        largest = max([0.0, *gaps])
        losses.append(largest + math.log(math.fsum(math.exp(x - largest) for x in [0.0, *gaps])))
    return np.array(losses), sum(losses) / len(losses)


def softmax_vjp(weights, d_weights):
    out = np.zeros(weights.shape)
    for b, i, k in np.ndindex(weights.shape):
        for other in reversed(range(weights.shape[2])):
            slope = weights[b, i, other] * ((1.0 if other == k else 0.0) - weights[b, i, k])
            out[b, i, k] += d_weights[b, i, other] * slope
    return out


def squash_vjp(sums, d_capsules):
    out = np.zeros(sums.shape)
    for index in np.ndindex(sums.shape[:2]):
        n = np.sqrt(sum(x * x for x in reversed(sums[index])))
        if n > 0:  # the complete Jacobian
            radial = np.outer(sums[index] / n, sums[index] / n)
            tangential = np.eye(len(radial)) - radial
            jacobian = n / (1 + n * n) * tangential + 2 * n / (1 + n * n) ** 2 * radial
            out[index] = jacobian @ d_capsules[index]
    return out


def aggregate_vjp(weights, votes, d_sums):
    d_weights, d_votes = np.zeros(weights.shape), np.zeros(votes.shape)
    users, behaviours, interests = weights.shape
    for b in range(users):
        for i in range(behaviours):
            for k in reversed(range(interests)):
                d_weights[b, i, k] = sum(reversed(d_sums[b, k] * votes[b, i]))
                d_votes[b, i] += weights[b, i, k] * d_sums[b, k]
    return d_weights, d_votes


def agreement_vjp(votes, capsules, d_agreement, d_votes_so_far):
    d_votes, d_capsules = np.array(d_votes_so_far), np.zeros(capsules.shape)
    users, behaviours, interests = d_agreement.shape
    for b in range(users):
        for i in reversed(range(behaviours)):
            for k in reversed(range(interests)):
                d_votes[b, i] += d_agreement[b, i, k] * capsules[b, k]
                d_capsules[b, k] += d_agreement[b, i, k] * votes[b, i]
    return d_votes, d_capsules


def route_vjp_last(functions, *inputs):
    def stop_gradient(weights, d_weights):
        return np.zeros(weights.shape)

    stopped = SimpleNamespace(squash_vjp=functions.squash_vjp, softmax_vjp=stop_gradient)
    _, d_bilinear, d_history, d_logits = route_vjp_full(stopped, *inputs)
    return d_history, d_bilinear, d_logits


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


def label_attention_vjp(interests, target, active, power, d_user, d_target_so_far):
    d_interests, d_target = np.zeros(interests.shape), d_target_so_far.copy()
    for b in range(len(target)):
        indices = [k for k in range(active.shape[1]) if active[b, k]]
        rows = interests[b, indices]
        scores = rows @ target[b]
        if power == np.inf:
            weights, jacobian = (scores == scores.max()) * 1.0, np.zeros((len(indices),) * 2)
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


def embedding_vjp(rows, weights, d_out, count):
    d_table = np.zeros((count, d_out.shape[1]))
    for m in reversed(range(rows.shape[0])):
        for f in reversed(range(rows.shape[1])):
            for d in range(d_out.shape[1]):
                d_table[rows[m, f], d] += d_out[m, d] * weights[m, f]
    return d_table


def adam_step(table, first, second, steps, rows, values, learning_rate, beta1, beta2, epsilon):
    x, m, v = (np.array(array) for array in (table, first, second))
    root = np.sqrt(1 - beta2 ** (steps + 1))
    rate = learning_rate * root / (1 - beta1 ** (steps + 1))
    for position in reversed(range(len(rows))):
        for d in range(x.shape[1]):
            index, g = (rows[position], d), values[position, d]
            m[index] += (1 - beta1) * (g - m[index])
            v[index] += (1 - beta2) * (g * g - v[index])
            x[index] -= rate * m[index] / (np.sqrt(v[index]) + epsilon * root)
    return x, m, v


def train_with_yours(functions, gradient, power, steps):
    def embed(table, rows, weights):
        vectors = np.zeros((len(rows), table.shape[1]))
        for m, f in np.ndindex(rows.shape):
            vectors[m] += weights[m, f] * table[rows[m, f]]
        return vectors, (rows, weights, len(table))

    def embed_backward(d_out, saved):
        d_table = functions.embedding_vjp(*saved[:2], d_out, saved[2])
        used_rows = np.array(sorted(set(saved[0].ravel().tolist())), dtype=np.int64)
        return RowGradient(used_rows, d_table[used_rows])

    def route_backward(d_capsules, saved):
        arrays, options = saved
        inputs = (functions, *arrays[:4], options["iterations"], d_capsules)
        if options["gradient"] == "last":
            return functions.route_vjp_last(*inputs)
        ledger, _, d_history, d_logits = functions.route_vjp_full(*inputs)
        return d_history, sum(ledger[::-1]), d_logits

    library, make = mindref.ops, lambda f, b: SimpleNamespace(forward=f, backward=b)
    ops = SimpleNamespace(
        embedding=make(embed, embed_backward),
        routing=make(lambda *x, **o: (library.routing.forward(*x, **o)[0], (x, o)), route_backward),
        relu_layer=library.relu_layer,
        label_attention=make(
            lambda *x, power: (functions.label_attention(*x, power)[1], (*x, power)),
            lambda d, saved: functions.label_attention_vjp(*saved, d, 0 * d),
        ),
        sampled_softmax=make(
            lambda *x, **o: (functions.sampled_softmax(*x)[1], x),
            lambda d, saved: functions.sampled_softmax_vjp(*saved, d),
        ),
    )
    return training.compute_losses(ops, functions.adam_step, gradient, power, steps)


def user_vector(history, bilinear, init_logits, target, power):
    out = np.zeros(target.shape)
    for b, vectors in enumerate(history):
        capsules, _ = naive.capsules(naive.votes_of(vectors, bilinear), init_logits[b], 3)
        out[b] = naive.attention(capsules, target[b], power)
    return out


def bilinear_gradient(history, mask, bilinear, init_logits, d_capsules, iterations):
    functions = SimpleNamespace(squash_vjp=squash_vjp)
    inputs = history, mask, bilinear, init_logits, iterations, d_capsules
    return route_vjp_last(functions, *inputs)[1]
