"""A failure as a script that exits with 1 while the failure is present, and with 0 after."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mindref.backend import Capabilities, NumpyBackend
from mindref.conformance import versions
from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import Mutant, backend_of, suite_mutants
from mindref.conformance.report import reproduction
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.context import CheckContext
from mindref.conformance.runner.implementation import BackendImplementation
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.result import CheckResult
from tests import spec_pages
from tests.conformance.runner.implementations import (
    Squash,
    property_check,
    right,
    unregistered_check,
)
from tests.conformance.test_worked_backend import BLOCK

DOUBLE, SINGLE = Precision.of("float64"), Precision.of("float32")
SETTINGS = RunSettings("smoke", 7)


def judged(check: ConformanceCheck, backend: Any, precision: Precision = SINGLE) -> CheckResult:
    found = run_check(check, BackendImplementation(backend), precision, ExampleBudget(10))
    assert found.status != "passed"
    return found


def run(found: CheckResult, backend: Any) -> int:
    """Return the exit code of the script of a failure for a backend, in this process."""
    script_of: dict[str, Any] = {"__name__": "script"}
    exec(
        compile(reproduction.script_text(found, "mine:Mine", SETTINGS), "script", "exec"), script_of
    )
    script_of["import_backend"] = lambda name, device: backend
    given = (script_of[name] for name in ("BACKEND", "CALLS", "WRONG", "DEVICE"))
    code = script_of["reproduce"](*given)
    assert isinstance(code, int)
    return code


def both(
    check: ConformanceCheck, wrong: Any, mended: Any, precision: Precision = SINGLE
) -> tuple[int, int]:
    """Return the exit codes of the script of a wrong backend, for it and for the corrected one."""
    found = judged(check, wrong, precision)
    return run(found, wrong), run(found, mended)


def named(name: str) -> ConformanceCheck:
    return next(check for check in all_checks() if check.name == name)


MENDED = Squash(right)


def scaled(x: Any, kind: str) -> Any:
    return (right(x) * x.dtype.type(1.01)).astype(x.dtype)


def lopsided(x: Any, kind: str) -> Any:
    return right(x) + np.abs(x)


def raises(x: Any, kind: str) -> Any:
    raise RuntimeError("no device")


def writes(x: Any, kind: str) -> Any:
    found = right(x)
    x += 1
    return found


@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize(
    ("check", "forward"),
    [
        (unregistered_check(), scaled),
        (property_check(), lopsided),
        (unregistered_check(), raises),
        (unregistered_check(), writes),
        (unregistered_check(), lambda x, kind: x),
        (unregistered_check(), lambda x, kind: right(x).astype(np.float16)),
        (unregistered_check(), lambda x, kind: right(x)[:, :1]),
    ],
)
@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
def test_the_script_exits_with_1_until_the_failure_is_fixed(
    check: ConformanceCheck, forward: Callable[..., Any], precision: Precision
) -> None:
    assert both(check, Squash(forward), MENDED, precision) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_an_interval_from_a_wrong_answer_does_not_reject_a_right_one() -> None:
    def opposite(context: CheckContext, call: Call) -> None:
        """The opposite capsule has the opposite result, bit for bit."""
        other = context.run(call.change(x=-call.arrays["x"]))
        context.assert_exact(context.run(call), "out", -other["out"])

    assert both(unregistered_check(opposite), Squash(lopsided), MENDED) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_a_failure_without_interval_is_fixed_by_right_answers() -> None:
    def shapely(context: CheckContext, call: Call) -> None:
        """No number is larger than one."""
        context.assert_true((np.abs(context.run(call)["out"]) <= 1).all(), "too long")

    long = Squash(lambda x, kind: x * 100)
    assert both(unregistered_check(shapely), long, MENDED) == (1, 0)
    assert run(judged(unregistered_check(shapely), long), Squash(lambda x, kind: x * 200)) == 1


@pytest.mark.rules("conformance-R14")
def test_a_failure_with_right_answers_persists_until_they_change() -> None:
    def never(context: CheckContext, call: Call) -> None:
        """What cannot be."""
        context.assert_true(False, "never", context.run(call), "out")

    found = judged(unregistered_check(never), MENDED)
    assert run(found, MENDED) == 1
    assert run(found, Squash(lambda x, kind: np.nextafter(right(x), x))) == 0


@pytest.mark.rules("conformance-R14")
def test_the_script_of_an_invalid_call() -> None:
    def refuses(context: CheckContext, call: Call) -> None:
        """Another kind is refused."""
        context.assert_raises(call.change(kind="none"))

    lax = Squash(lambda x, kind: right(x))
    lazy = Squash(lambda x, kind: right(x) if kind == "squash" else later())
    strict = Squash(lambda x, kind: right(x) if kind == "squash" else [][1])
    found = judged(unregistered_check(refuses), lax)
    assert [run(found, backend) for backend in (lax, lazy, strict)] == [1, 1, 0]


def later() -> Any:
    raise NotImplementedError


@pytest.mark.rules("conformance-R14")
def test_read_only_arrays_are_read_only_in_the_script() -> None:
    def needs(x: Any, kind: str) -> Any:
        if not x.flags.writeable:
            raise ValueError("buffer source array is read-only")
        return right(x)

    def frozen(context: CheckContext, call: Call) -> None:
        """What must not be written to is answered all the same."""
        context.assert_equal(context.run(call), context.run(call, read_only=True))

    found = judged(unregistered_check(frozen), Squash(needs))
    assert found.message.startswith("raised ValueError: buffer source")
    assert [run(found, backend) for backend in (Squash(needs), MENDED)] == [1, 0]


@pytest.mark.rules("conformance-R14")
def test_the_scripts_of_claims_and_conversions() -> None:
    class Narrow(Squash):
        def to_numpy(self, x: Any) -> Any:
            return np.asarray(x, np.float32)

    class Claiming(Squash):
        def capabilities(self) -> Capabilities:
            return Capabilities(("squash", "softmax"), ("ops", "train"))

    whole = NumpyBackend()
    assert both(named("contract/claimed_members_exist"), Claiming(right), whole) == (1, 0)
    conversion = named("contract/conversion_round_trip_is_exact")
    assert both(conversion, Narrow(right), whole, DOUBLE) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_an_intermittent_failure_is_reproduced() -> None:
    seen: list[int] = []

    def moody(x: Any, kind: str) -> Any:
        seen.append(1)
        return scaled(x, kind) if len(seen) % 3 == 0 else right(x)

    assert both(unregistered_check(), Squash(moody), MENDED) == (1, 0)


@pytest.mark.rules("conformance-R14", "backend-R10")
@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
def test_the_script_of_a_missing_part(precision: Precision) -> None:
    check = named("contract/saved_of_routing_has_couplings")
    lacking = backend_of(next(v for v in suite_mutants() if v.name == "couplings-not-saved"))
    assert both(check, lacking, NumpyBackend(), precision) == (1, 0)


ONE_OF_EACH_PAGE = {v.page: v for v in reversed(suite_mutants())}.values()


@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize("mutant", ONE_OF_EACH_PAGE, ids=lambda v: v.page)
@pytest.mark.slow(every=3)
def test_mutants_of_every_level_are_reproduced(mutant: Mutant) -> None:
    citing = [check for check in all_checks() if mutant.rule in check.rules]
    for examples, check in itertools.product((8, 30), citing):
        wrong = backend_of(mutant)
        found = run_check(
            check, BackendImplementation(wrong), SINGLE, ExampleBudget(examples, shrink=False)
        )
        if found.status == "failed":
            assert (run(found, wrong), run(found, backend_of(None))) == (1, 0)
            return
    pytest.fail(f"no check finds {mutant.name}")


def imported(text: str) -> set[str]:
    """Return the modules that a script imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


@pytest.mark.rules("conformance-R14")
def test_the_script_imports_nothing_of_the_suite() -> None:
    ops = imported(
        reproduction.script_text(
            judged(unregistered_check(), Squash(scaled)), "mine:Mine", SETTINGS
        )
    )
    model = next(check for check in all_checks() if check.stem == "loss")
    lacking = SimpleNamespace(name="mine", capabilities=NumpyBackend().capabilities)
    whole = imported(reproduction.script_text(judged(model, lacking), "mine:Mine", SETTINGS))
    assert "numpy" in ops
    assert "mindref.models.parameters" in whole
    assert not [name for name in ops | whole if name.startswith("mindref.conformance")]


def folder_of(tmp_path: Path, change: Callable[[str], str]) -> Path:
    """Return a folder with the changed backend of the page."""
    found = BLOCK.search(spec_pages.text("backend"))
    assert found
    (tmp_path / "mine.py").write_text(change(found["body"]), encoding="utf-8")
    return tmp_path


@pytest.mark.rules("conformance-R14")
@pytest.mark.slow
def test_the_script_runs_in_the_folder_of_the_backend(tmp_path: Path) -> None:
    term = " - (weights * d_out).sum(axis, keepdims=True)"
    folder_of(tmp_path, lambda text: text.replace(term, ""))
    program = (
        "import sys; sys.path.insert(0, '.'); import mine;"
        "from pathlib import Path;"
        "from mindref.conformance.runner.suite_run import run_suite;"
        "from mindref.conformance.runner.plan import RunSettings;"
        "run_suite('mine:Mine', ('softmax-R5',), RunSettings('smoke'), scripts=Path('out'))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    path = tmp_path / "out" / "softmax.softmax_gradient_matches_the_reference.float32.py"
    # the suite is made unimportable: whoever imports it ends with a traceback
    alone = f"import sys, runpy; sys.modules['mindref.conformance'] = None; sys.argv = ['x'];\
runpy.run_path({str(path)!r}, run_name='__main__')"

    def ran() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", "-c", alone]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    wrong = ran()
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "allowed " in wrong.stdout
    assert wrong.stdout.endswith("are outside\nFAILS\n")
    folder_of(tmp_path, lambda text: text)
    mended = ran()
    assert (mended.returncode, mended.stdout, mended.stderr) == (0, "holds\n", "")
    (tmp_path / "mine.py").unlink()
    gone = ran()
    assert (gone.returncode, gone.stdout) == (2, "")
    assert gone.stderr.startswith("cannot load the backend mine:Mine: ModuleNotFoundError")
    assert gone.stderr.count("\n") == 1


def test_the_header_states_failure_rule_and_versions() -> None:
    found = judged(unregistered_check(), Squash(scaled))._replace(diagnosis="scaled by 1.01")
    head = reproduction.script_text(found, "mine:Mine", SETTINGS).split('"""')[0]
    words = " ".join(line.removeprefix("#").strip() for line in head.splitlines())
    assert words.startswith("squash/made [float32] fails for the backend mine:Mine.")
    assert "squash-R1 (must): " in words
    assert f"Found: {' '.join(found.message.split())}" in words
    assert "Diagnosis: scaled by 1.01" in words
    assert f"specification {versions.SPEC}, suite {versions.SUITE}" in words
    assert "profile smoke, seed 7" in words
    assert max(len(line) for line in head.splitlines()) <= 100
