import numpy as np


def adam_step(table, first, second, steps, rows, values, learning_rate, beta1, beta2, epsilon):
    x, m, v = (np.array(given) for given in (table, first, second))
    root = np.sqrt(1 - beta2 ** (steps + 1))
    rate = learning_rate * root / (1 - beta1 ** (steps + 1))
    for place in reversed(range(len(rows))):
        for d in range(x.shape[1]):
            at, g = (rows[place], d), values[place, d]
            m[at] += (1 - beta1) * (g - m[at])
            v[at] += (1 - beta2) * (g * g - v[at])
            x[at] -= rate * m[at] / (np.sqrt(v[at]) + epsilon * root)
    return x, m, v
