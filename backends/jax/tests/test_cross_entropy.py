"""The loss that specs/sampled_softmax.md gives for JAX conforms; log_softmax does not."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest
from tests.backends.cross_entropy import BROKEN, KEPT, check_status, recipe

from mindref_jax import sampled_softmax
from mindref_jax.backend import JaxBackend

CHECKS = [*BROKEN.values(), *KEPT.values()]


@pytest.fixture(autouse=True)
def no_compiled_loss(monkeypatch) -> Iterator[None]:
    """Compiled functions contain the loss with which they were compiled.

    The backend tests outside of the loss whether logits are finite; here the losses must.
    """
    monkeypatch.setattr(sampled_softmax, "nan_unless_finite", lambda logit, *others: logit)
    jax.clear_caches()
    yield
    jax.clear_caches()


def library_losses(target_logit, negative_logits, hits):
    logits = jnp.concatenate((target_logit[:, None], jnp.where(hits, -jnp.inf, negative_logits)), 1)
    return -jax.nn.log_softmax(logits, axis=1)[:, 0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("check", CHECKS)
def test_the_recipe_conforms(check, dtype, monkeypatch) -> None:
    monkeypatch.setattr(sampled_softmax, "cross_entropy", recipe("jax"))
    assert check_status(JaxBackend(), check, dtype) == "passed"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", BROKEN)
def test_the_log_softmax_of_jax_breaks_the_rule(rule, dtype, monkeypatch) -> None:
    monkeypatch.setattr(sampled_softmax, "cross_entropy", library_losses)
    assert check_status(JaxBackend(), BROKEN[rule], dtype) == "failed"
