import numpy as np


def squash_vjp(sums, d_capsules):
    out = np.zeros(sums.shape)
    users, interests, width = sums.shape
    for b in range(users):
        for k in range(interests):
            z, g = sums[b, k], d_capsules[b, k]
            n_squared = sum(x * x for x in reversed(z))
            if n_squared == 0:
                continue
            n = np.sqrt(n_squared)
            for c in range(width):
                for e in range(width):  # the complete Jacobian, entry by entry
                    tangential = n / (1 + n_squared) * ((c == e) - z[c] * z[e] / n_squared)
                    radial = 2 * n / (1 + n_squared) ** 2 * z[c] * z[e] / n_squared
                    out[b, k, c] += (tangential + radial) * g[e]
    return out
