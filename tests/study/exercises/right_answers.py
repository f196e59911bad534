"""Right answers of all exercises by loops over users, and sums of another order than the solutions.

Forward answers are those of tests/naive.py; gradients are its derivatives along complex numbers.
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


def sampled_softmax(user, target, negatives, target_ids, negative_ids, log_t, log_s):
    losses = []
    for b, q in enumerate(user):
        y = math.fsum(q * target[b]) - log_t[b]
        rows = np.flatnonzero(negative_ids != target_ids[b])[::-1]
        gaps = [0.0, *(math.fsum(q * negatives[s]) - log_s[s] - y for s in rows)]
        losses.append(max(gaps) + math.log(math.fsum(math.exp(x - max(gaps)) for x in gaps)))
    return np.array(losses), sum(losses) / len(losses)


def softmax_vjp(weights, d_weights):
    out = np.zeros(weights.shape)
    for index in np.ndindex(weights.shape[:2]):
        allowed = weights[index] > 0
        logits, cotangent = np.log(weights[index][allowed]), d_weights[index][allowed]
        out[index][allowed] = naive.derivative(naive.softmax, [logits], cotangent)[0]
    return out


def squash_vjp(sums, d_capsules):
    pairs = zip(sums.reshape(-1, sums.shape[2]), d_capsules.reshape(-1, sums.shape[2]), strict=True)
    rows = [naive.derivative(naive.squash, [z], g)[0] for z, g in pairs]
    return np.reshape(rows, sums.shape)


def aggregate_vjp(weights, votes, d_sums):
    return map_users(lambda w, v: w.T @ v, (weights, votes), d_sums)


def agreement_vjp(votes, capsules, d_agreement, d_votes_so_far):
    d_votes, d_capsules = map_users(lambda v, u: v @ u.T, (votes, capsules), d_agreement)
    return d_votes + d_votes_so_far, d_capsules


def map_users(function, arrays, cotangents):
    """Return the gradients of a function of each user's arrays, stacked."""
    users = zip(*arrays, cotangents, strict=True)
    gradients = [naive.derivative(function, user, cotangent) for *user, cotangent in users]
    return tuple(map(np.stack, zip(*gradients, strict=True)))


def route_vjp_last(functions, history, mask, bilinear, init_logits, iterations, d_capsules):
    def capsules(behaviours, matrix):
        votes = naive.votes_of(behaviours, matrix)
        return naive.capsules(votes, logits, iterations, constant=True)[0]

    d_history, d_bilinear = np.zeros(history.shape), np.zeros(bilinear.shape)
    for b, rows in enumerate(mask):
        logits = init_logits[b, rows]
        gradients = naive.derivative(capsules, [history[b, rows], bilinear], d_capsules[b])
        d_history[b, rows] = gradients[0]
        d_bilinear += gradients[1]
    return d_history, d_bilinear, np.zeros(init_logits.shape)


def route_with_copies(history, copies, logits):
    """Return the capsules of a user; each use of the matrix has its copy."""
    for t in range(len(copies) // 2 + 1):
        votes = naive.votes_of(history, copies[2 * t])
        weights = np.transpose([naive.softmax(row) for row in logits])
        capsules = [naive.squash(naive.weighted(w, votes, len(copies[0]))) for w in weights]
        if 2 * t + 1 < len(copies):
            votes = naive.votes_of(history, copies[2 * t + 1])
            logits = logits + np.array([[naive.dot(v, u) for u in capsules] for v in votes])
    return capsules


def route_vjp_full(functions, history, mask, bilinear, init_logits, iterations, d_capsules):
    copies = np.stack([bilinear] * (2 * iterations - 1))
    d_history, ledger = np.zeros(history.shape), np.zeros(copies.shape)
    d_logits = np.zeros(init_logits.shape)
    for b, rows in enumerate(mask):
        user = history[b, rows], copies, init_logits[b, rows]
        gradients = naive.derivative(route_with_copies, user, d_capsules[b])
        d_history[b, rows], d_logits[b, rows] = gradients[0], gradients[2]
        ledger += gradients[1]
    return ledger, sum(ledger[::-1]), d_history, d_logits


def label_attention_vjp(interests, target, active, power, d_user, d_target_so_far):
    def attend(vectors, query):
        scores = np.array([naive.dot(v, query) for v in vectors])
        if 0 < power < np.inf:
            signs = np.sign(scores.real)  # signs * scores is the magnitude, with its derivative
            return naive.weighted(naive.softmax(signs * (signs * scores) ** power), vectors, width)
        return naive.weighted(naive.attention_weights(list(scores.real), power), vectors, width)

    d_interests, d_target, width = (
        np.zeros(interests.shape),
        d_target_so_far.copy(),
        target.shape[1],
    )
    for b, rows in enumerate(active):
        gradients = naive.derivative(attend, [interests[b, rows], target[b]], d_user[b])
        d_interests[b, rows] = gradients[0]
        d_target[b] += gradients[1]
    return d_interests, d_target


def sampled_softmax_vjp(user, target, negatives, target_ids, negative_ids, log_t, log_s, d_loss):
    def mean_loss(users, targets, drawn):
        losses = []
        for b, q in enumerate(users):
            rows = np.flatnonzero(negative_ids != target_ids[b])[::-1]
            logits = [naive.dot(drawn[s], q) - log_s[s] for s in rows]
            losses.append(-np.log(naive.softmax([naive.dot(targets[b], q) - log_t[b], *logits])[0]))
        return sum(losses) / len(losses)

    return tuple(naive.derivative(mean_loss, [user, target, negatives], d_loss))


def embedding_vjp(rows, weights, d_out, count):
    d_table = np.zeros((count, d_out.shape[1]))
    for m, f, d in reversed(list(np.ndindex(*rows.shape, d_out.shape[1]))):
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
    inputs = history, mask, bilinear, init_logits, iterations, d_capsules
    return route_vjp_last(None, *inputs)[1]
