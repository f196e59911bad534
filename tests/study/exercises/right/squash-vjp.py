import numpy as np


def squash_vjp(sums, d_capsules):
    out = np.zeros(sums.shape)
    users, interests, width = sums.shape
    for b in range(users):
        for j in range(interests):
            z, g = sums[b, j], d_capsules[b, j]
            n2 = sum(x * x for x in reversed(z))
            if n2 == 0:
                continue
            n = np.sqrt(n2)
            for c in range(width):
                for e in range(width):  # the whole Jacobian, entry by entry
                    across = n / (1 + n2) * ((c == e) - z[c] * z[e] / n2)
                    along = 2 * n / (1 + n2) ** 2 * z[c] * z[e] / n2
                    out[b, j, c] += (across + along) * g[e]
    return out
