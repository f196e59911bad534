"""A script of a failure exits with 1 while the failure is present, then with 0.

Numbers in a script are those of the failure, bit for bit.
"""

import ast
import itertools
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mindref.backend import Capabilities, NumpyBackend
from mindref.config import Config
from mindref.conformance import versions
from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.report import reproduction
from mindref.conformance.runner.call import BackendImplementation, Call
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.result import Evidence
from mindref.errors import RunError
from tests.conformance import small
from tests.conformance.runner.implementations import (
    Squash,
    property_check,
    right,
    unregistered_check,
)
from tests.conformance.test_worked_backend import block

DOUBLE, SINGLE = Precision.of("float64"), Precision.of("float32")
SETTINGS = RunSettings("smoke", 7)


def failure_of(check, backend, precision=SINGLE):
    result = run_check(check, BackendImplementation(backend), precision, ExampleBudget(10))
    assert result.status != "passed"
    return result


def script_text(result):
    return reproduction.script_text(result, "mine:Mine", SETTINGS)


def exit_code(result, backend):
    """Return the exit code of the script of a failure for a backend, in this process."""
    script = {"__name__": "script"}
    exec(compile(script_text(result), "script", "exec"), script)
    script["import_backend"] = lambda name, device: backend
    arguments = (script[name] for name in ("BACKEND", "CALLS", "WRONG", "DEVICE"))
    code = script["reproduce"](*arguments)
    assert isinstance(code, int)
    return code


def exit_codes(check, wrong, correct, precision=SINGLE):
    """Return the exit codes of the script of a wrong backend, for it and for a correct one."""
    result = failure_of(check, wrong, precision)
    return exit_code(result, wrong), exit_code(result, correct)


def named(name):
    return next(check for check in all_checks() if check.name == name)


CORRECT = Squash(right)


def scaled(x, kind):
    return (right(x) * x.dtype.type(1.01)).astype(x.dtype)


def asymmetric(x, kind):
    return right(x) + np.abs(x)


def raises(x, kind):
    raise RuntimeError("no device")


def writes(x, kind):
    out = right(x)
    x += 1
    return out


@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize(
    ("check", "forward"),
    [
        (unregistered_check(), scaled),
        (property_check(), asymmetric),
        (unregistered_check(), raises),
        (unregistered_check(), writes),
        (unregistered_check(), lambda x, kind: x),
        (unregistered_check(), lambda x, kind: right(x).astype(np.float16)),
        (unregistered_check(), lambda x, kind: right(x)[:, :1]),
    ],
)
@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
@pytest.mark.slow(every=3)
def test_the_script_exits_with_1_until_the_failure_is_fixed(check, forward, precision):
    assert exit_codes(check, Squash(forward), CORRECT, precision) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_an_interval_from_a_wrong_answer_does_not_reject_a_right_one():
    def opposite(context, call):
        """The opposite capsule has the opposite result, bit for bit."""
        other = context.run(call.change(x=-call.arrays["x"]))
        context.assert_exact(context.run(call), "out", -other["out"])

    assert exit_codes(unregistered_check(opposite), Squash(asymmetric), CORRECT) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_a_failure_without_interval_is_fixed_by_right_answers():
    def bounded(context, call):
        """No number is larger than one."""
        context.assert_true((np.abs(context.run(call)["out"]) <= 1).all(), "too long")

    long = Squash(lambda x, kind: x * 100)
    assert exit_codes(unregistered_check(bounded), long, CORRECT) == (1, 0)
    assert (
        exit_code(failure_of(unregistered_check(bounded), long), Squash(lambda x, kind: x * 200))
        == 1
    )


@pytest.mark.rules("conformance-R14")
def test_a_failure_with_right_answers_persists_until_they_change():
    def never(context, call):
        """What cannot be."""
        context.assert_true(False, "never", context.run(call), "out")

    result = failure_of(unregistered_check(never), CORRECT)
    assert exit_code(result, CORRECT) == 1
    assert exit_code(result, Squash(lambda x, kind: np.nextafter(right(x), x))) == 0


@pytest.mark.rules("conformance-R14")
def test_the_script_of_an_invalid_call():
    def refuses(context, call):
        """Another kind is refused."""
        context.assert_raises(call.change(kind="none"))

    lax = Squash(lambda x, kind: right(x))
    lazy = Squash(lambda x, kind: right(x) if kind == "squash" else later())
    strict = Squash(lambda x, kind: right(x) if kind == "squash" else [][1])
    result = failure_of(unregistered_check(refuses), lax)
    assert [exit_code(result, backend) for backend in (lax, lazy, strict)] == [1, 1, 0]


def later():
    raise NotImplementedError


@pytest.mark.rules("conformance-R14")
def test_read_only_arrays_are_read_only_in_the_script():
    def needs(x, kind):
        if not x.flags.writeable:
            raise ValueError("buffer source array is read-only")
        return right(x)

    def frozen(context, call):
        """Read-only arrays have the same answer."""
        context.assert_equal(context.run(call), context.run(call, read_only=True))

    result = failure_of(unregistered_check(frozen), Squash(needs))
    assert result.message.startswith("raised ValueError: buffer source")
    assert [exit_code(result, backend) for backend in (Squash(needs), CORRECT)] == [1, 0]


@pytest.mark.rules("conformance-R14")
def test_the_scripts_of_claims_and_conversions():
    class Narrow(Squash):
        def to_numpy(self, x):
            return np.asarray(x, np.float32)

    class Claiming(Squash):
        def capabilities(self):
            return Capabilities(("squash", "softmax"), ("ops", "train"))

    reference = NumpyBackend()
    assert exit_codes(named("contract/claimed_members_exist"), Claiming(right), reference) == (1, 0)
    conversion = named("contract/conversion_round_trip_is_exact")
    assert exit_codes(conversion, Narrow(right), reference, DOUBLE) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_an_intermittent_failure_is_reproduced():
    calls = itertools.count(1)

    def intermittent(x, kind):
        return right(x) if next(calls) % 3 else scaled(x, kind)

    assert exit_codes(unregistered_check(), Squash(intermittent), CORRECT) == (1, 0)


@pytest.mark.rules("conformance-R14", "backend-R10")
@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
def test_the_script_of_a_missing_part(precision):
    check = named("contract/saved_of_routing_has_couplings")
    without_part = backend_of(next(v for v in suite_mutants() if v.name == "couplings-not-saved"))
    assert exit_codes(check, without_part, NumpyBackend(), precision) == (1, 0)


ONE_OF_EACH_PAGE = {v.page: v for v in reversed(suite_mutants())}.values()


@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize("mutant", ONE_OF_EACH_PAGE, ids=lambda v: v.page)
@pytest.mark.slow(every=3)
def test_mutants_of_every_level_are_reproduced(mutant):
    citing = [check for check in all_checks() if mutant.rule in check.rules]
    for examples, check in itertools.product((8, 30), citing):
        wrong = backend_of(mutant)
        result = run_check(
            check, BackendImplementation(wrong), SINGLE, ExampleBudget(examples, shrink=False)
        )
        if result.status == "failed":
            assert (exit_code(result, wrong), exit_code(result, backend_of(None))) == (1, 0)
            return
    pytest.fail(f"no check finds {mutant.name}")


def imported_modules(text):
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            modules.add(str(node.module))
    return modules


@pytest.mark.rules("conformance-R14")
def test_the_script_imports_nothing_of_the_suite():
    ops = imported_modules(script_text(failure_of(unregistered_check(), Squash(scaled))))
    loss_check = next(check for check in all_checks() if check.stem == "loss")
    without_loss = SimpleNamespace(name="mine", capabilities=NumpyBackend().capabilities)
    model = imported_modules(script_text(failure_of(loss_check, without_loss)))
    assert "numpy" in ops
    assert "mindref.models.parameters" in model
    assert not [name for name in ops | model if name.startswith("mindref.conformance")]


@pytest.mark.rules("conformance-R14")
@pytest.mark.slow
def test_the_script_runs_in_the_folder_of_the_backend(tmp_path):
    backend, text = tmp_path / "mine.py", block("worked-backend")
    term = " - (weights * d_out).sum(axis, keepdims=True)"
    backend.write_text(text.replace(term, ""), encoding="utf-8")
    program = (
        "import sys; sys.path.insert(0, '.'); import mine;"
        "from pathlib import Path;"
        "from mindref.conformance.runner.suite_run import run_suite;"
        "from mindref.conformance.runner.plan import RunSettings;"
        "run_suite('mine:Mine', ('softmax-R5',), RunSettings('smoke'), scripts=Path('out'))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    path = tmp_path / "out" / "softmax.softmax_gradient_matches_the_reference.float32.py"
    # without the suite: a script that imports it ends with a traceback
    program = f"import sys, runpy; sys.modules['mindref.conformance'] = None; sys.argv = ['x'];\
runpy.run_path({str(path)!r}, run_name='__main__')"

    def ran():
        command = [sys.executable, "-B", "-c", program]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    wrong = ran()
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "allowed " in wrong.stdout
    assert wrong.stdout.endswith("are outside\nFAILS\n")
    backend.write_text(text, encoding="utf-8")
    mended = ran()
    assert (mended.returncode, mended.stdout, mended.stderr) == (0, "holds\n", "")
    backend.unlink()
    gone = ran()
    assert (gone.returncode, gone.stdout) == (2, "")
    assert gone.stderr.startswith("cannot load the backend mine:Mine: ModuleNotFoundError")
    assert gone.stderr.count("\n") == 1


def test_the_header_states_failure_rule_and_versions():
    result = failure_of(unregistered_check(), Squash(scaled))._replace(diagnosis="scaled by 1.01")
    head = script_text(result).split('"""')[0]
    words = " ".join(line.removeprefix("#").strip() for line in head.splitlines())
    assert words.startswith("squash/made [float32] fails for the backend mine:Mine.")
    assert "squash-R1 (must): " in words
    assert f"Found: {' '.join(result.message.split())}" in words
    assert "Diagnosis: scaled by 1.01" in words
    assert f"specification {versions.SPEC}, suite {versions.SUITE}" in words
    assert "profile smoke, seed 7" in words
    assert max(len(line) for line in head.splitlines()) <= 100


def evaluate_literal(x):
    imports = set()
    text = reproduction.value_literal(x, imports)
    names = {"np": np, "inf": np.inf, "nan": np.nan}
    for module in imports:
        exec(f"import {module}", names)
    return eval(text, names)


RNG = np.random.default_rng(0)
CUBE = RNG.standard_normal((2, 3, 4))


@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize(
    "x",
    [
        CUBE,
        CUBE.astype(np.float32),
        CUBE.astype(np.float16),
        np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308]),
        np.asfortranarray(CUBE),
        CUBE.transpose(1, 2, 0).copy(order="K"),
        np.array(0.1, np.float32),
        np.zeros((2, 0, 3), np.float32),
        np.array([[True, False]]),
        np.array([1, -(2**62)]),
    ],
)
def test_a_literal_makes_the_same_array_bit_for_bit(x):
    back = evaluate_literal(x)
    assert (back.dtype, back.shape) == (x.dtype, x.shape)
    assert back.tobytes() == x.tobytes()
    if x.size:
        assert back.strides == x.strides


def test_a_literal_of_numbers_texts_and_nested_values():
    config = Config.of(changes={"interests": 3})
    for x in (None, True, 3, "softmax", 0.1, float("inf"), (1,), (1, (2.5, "a")), [1], {"a": (1,)}):
        assert evaluate_literal(x) == x
    assert evaluate_literal(config) == config
    call = Call("squash", {"x": CUBE}, {"kind": "squash"})
    assert evaluate_literal(call).arrays["x"].tobytes() == CUBE.tobytes()
    with pytest.raises(TypeError, match="no literal for set"):
        evaluate_literal({1})


def test_file_names_have_no_brackets_and_slashes():
    result = small.result("numerics/inputs[softmax]", precision="float16/float32")
    assert reproduction.file_name(result) == "numerics.inputs.softmax.float16-float32.py"


def test_an_unwritable_folder_raises(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    evidence = Evidence((Call("softmax", {}, {}),), kind="raised")
    result, folder = small.result(status="failed", evidence=evidence), tmp_path / "new" / "scripts"
    with pytest.raises(RunError, match="expected a place that can be written"):
        reproduction.write_script(result, "mine:Mine", SETTINGS, tmp_path / "file" / "scripts")
    reproduction.write_script(result, "mine:Mine", SETTINGS, folder)
    assert os.listdir(folder) == [reproduction.file_name(result)]
    with pytest.raises(TypeError, match="no evidence"):
        script_text(small.result(status="failed"))
