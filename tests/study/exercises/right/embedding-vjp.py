import numpy as np


def embedding_vjp(rows, weights, d_out, count):
    d_table = np.zeros((count, d_out.shape[1]))
    for m in reversed(range(rows.shape[0])):
        for f in reversed(range(rows.shape[1])):
            for d in range(d_out.shape[1]):
                d_table[rows[m, f], d] += d_out[m, d] * weights[m, f]
    return d_table
