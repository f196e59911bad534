"""Initial logits of routing: random in training, a function of the item in serving.

Spec: specs/routing.md, rules 14 to 18. Source: Li et al., CIKM 2019, Algorithm 1, step 2:
b_ij ~ N(0, sigma^2); the paper does not define serving. With keyed logits the same history has the
same vectors in any batch, order or process. The setting `logits` selects:

    keyed      drawn in training, keyed in serving (routing-R16)
    fixed      keyed in both (routing-R17)
    per_call   drawn in both (routing-R18)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mindref.shapes import Array, Ints

Words = npt.NDArray[np.uint64]


def draw_logits(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: float, dtype: str
) -> Array:
    """Return N(0, sigma^2) of the shape; with sigma 0, nothing is drawn from the generator."""
    if sigma == 0:
        return np.zeros(shape, dtype)
    return (sigma * rng.standard_normal(shape)).astype(dtype)  # routing-R14


@lru_cache(maxsize=4)  # serving uses the same table in every request
def keyed_table(seed: int, items: int, interests: int, sigma: float, dtype: str) -> Array:
    """Return N(0, sigma^2) per item and interest (N, K), a function of seed, item and interest."""
    item = np.arange(items, dtype=np.uint64)[:, None]
    interest = np.arange(interests, dtype=np.uint64)
    with np.errstate(over="ignore"):  # 64-bit arithmetic must wrap around
        # routing-R15
        key = mix_words(mix_words(mix_words(np.array(seed, np.uint64)) ^ item) ^ interest)
        first, second = (uniform_numbers(mix_words(key ^ np.uint64(n))) for n in (1, 2))
    normal = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)  # Box and Muller
    table = (sigma * normal).astype(dtype)
    table.flags.writeable = False
    return table


def mix_words(words: Words) -> Words:
    """Return SplitMix64's finaliser of the words plus its increment (Steele et al. 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def uniform_numbers(words: Words) -> npt.NDArray[np.float64]:
    """Return numbers in (0, 1] from the upper 53 bits: never 0, as a logarithm follows."""
    return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def history_logits(table: Array, history: Ints) -> Array:
    """Return the logits (B, L, K) of the items of a history (B, L) from the keyed table (N, K)."""
    return table[history]  # model-R16
