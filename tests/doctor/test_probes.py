"""Probes of mindref's kernels: a wrong result fails."""

from types import SimpleNamespace

import numpy as np
import pytest

import mindref.backend
from mindref.doctor import examine, probes
from mindref.doctor.probe_runner import ProbeResult
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
    _, facts, _ = probes.probe_kernels()
    assert facts["threads"] >= 1
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(ArithmeticError, match=message):
        probes.probe_kernels()


def test_facts_name_libraries_threading_layers_and_the_size_of_the_cache(tmp_path):
    assert any("blas" in name for name in probes.probe_numpy()[1]["libraries"])
    layers = probes.probe_numba()[1]["layers"]
    assert set(layers) == {"tbb", "omp", "workqueue"}
    assert layers["workqueue"] == "installed"
    (tmp_path / "inner").mkdir()
    for name, content in (("a", b"12"), ("inner/b", b"345")):
        (tmp_path / name).write_bytes(content)
    assert probes.folder_size(str(tmp_path)) == 5
    assert probes.folder_size("") == 0
    assert probes.probe_kernels()[1]["bytes"] >= 0


def test_a_missing_built_in_backend_is_a_problem_and_the_others_are_listed():
    assert probes.BUILT_IN == mindref.backend.BUILT_IN
    facts = {"backend": ["numpy", "torch"], "index": [], "export": ["onnx"]}
    result = ProbeResult(summary="backend: numpy, torch", facts=facts)
    runner = SimpleNamespace(run=lambda *probe: result)
    finding = examine.check_registered(runner)
    assert (finding.state, finding.facts) == ("problem", facts)
    assert finding.summary.startswith("no entry point of the built-in numba; backend: numpy")


def test_an_unusable_index_has_the_hint_of_its_plugin(monkeypatch):
    from mindref.recall import registry

    row = {"name": "faiss-ivf", "usable": False, "reason": "broken", "hint": "install it"}
    monkeypatch.setattr(registry, "describe_plugin", lambda kind: row)
    with pytest.raises(probes.ProbeFailed) as caught:
        probes.probe_index("faiss-ivf")
    assert caught.value.todo == "exact search is used instead; install it"
