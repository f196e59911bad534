"""Probes of mindref's kernels: a wrong result fails."""

import numpy as np
import pytest

import mindref.backend
from mindref.doctor import probes
from mindref.kernels import matmul, squash


def wrong_product(a, b, out):
    np.copyto(out, a @ b + 1)


@pytest.mark.parametrize(
    ("module", "name", "wrong", "message"),
    [
        (squash, "forward", lambda x: (2 * x, None), "a kernel disagrees"),
        (matmul, "matmul_into", wrong_product, "a matrix product of SciPy's"),
    ],
)
def test_a_wrong_kernel_fails(module, name, wrong, message, monkeypatch):
    assert probes.probe_kernels().facts["threads"] >= 1
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(ArithmeticError, match=message):
        probes.probe_kernels()


def test_a_missing_built_in_backend_is_a_problem_and_the_others_are_listed(monkeypatch):
    assert probes.BUILT_IN == mindref.backend.BUILT_IN
    names = ["numpy", "torch"]
    monkeypatch.setattr(mindref.backend, "list_backends", lambda: dict.fromkeys(names))
    finding = probes.probe_registered()
    assert (finding.state, finding.facts["backend"]) == ("problem", names)
    assert finding.summary.startswith("no entry point of the built-in numba; backend: numpy")
