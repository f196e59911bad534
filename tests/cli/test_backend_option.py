"""--backend of evaluate and recall: another backend than that of the run."""

import json
import os

import pytest

from mindref.backend import OPERATORS, Capabilities, NumpyBackend
from mindref.conformance.runner.composed_backend import reference_model
from mindref.process.threads import BLAS_THREAD_VARIABLES, usable_cores


class Operators(NumpyBackend):
    name, calls, error = "of_operators", 0, None

    @property
    def ops(self):
        return self.counted(super().ops)

    @classmethod
    def counted(cls, value):
        cls.calls += 1
        if cls.error is not None:
            raise cls.error
        return value


class Levels(Operators):
    name, ops = "of_levels", NumpyBackend.ops

    def capabilities(self):
        return Capabilities(OPERATORS, ("ops", "model"))

    def interests(self, *given):
        return self.change(*self.counted(reference_model().interests(*given)))

    @staticmethod
    def change(vectors, active):
        return vectors, active


@pytest.fixture(autouse=True)
def own_threads(monkeypatch):
    for name in BLAS_THREAD_VARIABLES:
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("MINDREF_THREADS", "")  # undone at the end, whatever a command sets


def recall_command(run):
    row = (run / "items.tsv").read_text(encoding="utf-8").splitlines()[1:6]
    history = ",".join(line.split("\t")[0] for line in row)
    return ["recall", str(run), "--history", history, "--index", "exact"]


@pytest.fixture(params=["evaluate", "recall"])
def command(request, run):
    return recall_command(run) if request.param == "recall" else ["evaluate", str(run)]


@pytest.mark.parametrize("backend", [Operators, Levels])
def test_another_backend_is_evaluated_and_recalls_the_same_items(cli, run, backend):
    for command in (recall_command(run), ["evaluate", run]):
        expected = cli.json(*command)
        backend.calls = 0
        result = cli(*command, "--json", "--backend", f"{__name__}:{backend.__name__}")
        assert (result.code, result.err) == (0, "")
        assert backend.calls > 0
        found = json.loads(result.out)
        if command[0] == "recall":
            items = [[x["item"] for x in answer[0]["items"]] for answer in (found, expected)]
            assert items[0] == items[1]
            continue
        values, reference = (x["metrics"]["test"]["model"] for x in (found, expected))
        for metric, value in values.items():
            assert value["value"] == pytest.approx(reference[metric]["value"], abs=1e-3), metric


def test_threads_are_set_for_the_named_backend(cli, command, monkeypatch):
    for options, pool, products in (
        ([], usable_cores(), "1"),
        (["--backend", "numba", "--threads", 2], 2, "1"),
        (["--backend", f"{__name__}:Operators"], 1, "7"),
        (["--backend", "numpy", "--threads", 3], 1, "3"),
    ):
        for name in BLAS_THREAD_VARIABLES:
            monkeypatch.setenv(name, "7")
        monkeypatch.setenv("MINDREF_THREADS", "")
        assert cli(*command, *options).code == 0
        assert os.environ["MINDREF_THREADS"] == str(pool), options
        assert {os.environ[name] for name in BLAS_THREAD_VARIABLES} == {products}, options


@pytest.mark.rules("backend-R4", "backend-R5")
@pytest.mark.parametrize("error", [RuntimeError("no device"), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("backend", [Operators, Levels])
def test_an_error_of_a_backend_is_one_line(cli, command, backend, error, monkeypatch):
    name = f"{__name__}:{backend.__name__}"
    monkeypatch.setattr(backend, "error", error)
    message = cli.error_line(*command, "--backend", name)
    assert message.startswith(f"Error: backend {backend.name}, ")
    assert f"{type(error).__name__}: {error}" in message
    assert "bug in mindref" not in message
    monkeypatch.setattr(backend, "capabilities", lambda self: 1 / 0)
    assert f"backend {backend.name}" in cli.error_line(*command, "--backend", name)
    assert "backend: expected one of " in cli.error_line(*command, "--backend", "abacus")


@pytest.mark.parametrize(
    "change",
    [
        lambda vectors, active: (vectors, active.astype(int)),
        lambda vectors, active: (vectors[..., :-1], active),
        lambda vectors, active: (vectors[:0], active[:0]),
        lambda vectors, active: (vectors.astype("float64"), active),
        lambda vectors, active: (1.0, True),
    ],
)
def test_invalid_interests_are_one_line(cli, run, change, monkeypatch):
    monkeypatch.setattr(Levels, "change", staticmethod(change))
    error_text = cli.error(*recall_command(run), "--backend", f"{__name__}:Levels")
    assert "backend of_levels" in error_text
    assert "bug" not in error_text
