"""Matrix products in the full precision of the dtype.

Spec: specs/numerics.md. By default, XLA rounds float32 to fewer bits on hardware with fast units
for such products.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
