"""The loss that specs/sampled_softmax.md gives for PyTorch conforms; cross_entropy does not."""

from __future__ import annotations

import pytest
import torch
from tests.backends.cross_entropy import BROKEN, check_status, recipe
from torch.nn import functional

from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.suite_run import run_suite
from mindref_torch import sampled_softmax
from mindref_torch.backend import TorchBackend


def library_losses(target_logit, negative_logits, hits):
    logits = torch.cat((target_logit[:, None], negative_logits.masked_fill(hits, -torch.inf)), 1)
    first = torch.zeros(len(logits), dtype=torch.long)
    return functional.cross_entropy(logits, first, reduction="none")


@pytest.mark.rules(*BROKEN)
def test_the_recipe_passes_the_whole_page(monkeypatch) -> None:
    monkeypatch.setattr(sampled_softmax, "cross_entropy", recipe("torch"))
    report = run_suite("torch", ("sampled_softmax",), RunSettings("smoke"))
    statuses = {result.status for result in report.results}
    assert statuses <= {"passed", "not_claimed"}
    assert sum(result.status == "passed" for result in report.results) > 80


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", BROKEN)
def test_the_cross_entropy_of_pytorch_breaks_the_rule(rule, dtype, monkeypatch) -> None:
    assert check_status(TorchBackend(), BROKEN[rule], dtype) == "passed"
    monkeypatch.setattr(sampled_softmax, "cross_entropy", library_losses)
    assert check_status(TorchBackend(), BROKEN[rule], dtype) == "failed"
