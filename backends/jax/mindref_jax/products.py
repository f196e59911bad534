"""Products of matrices in the full precision of their type.

Spec: specs/numerics.md. Left to itself, XLA rounds float32 to fewer bits on processors that have a
quick unit for it.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
