import numpy as np


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
