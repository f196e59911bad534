"""A failure as a file that runs alone, ends with 1 while it fails and with 0 once it is mended."""

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
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import Check, all_checks
from mindref.conformance.judging.engine import Effort, run_check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.judging.plan import Settings
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend
from mindref.conformance.report import script
from mindref.conformance.variants.loader import Variant, backend_of, catalogue
from tests import pages
from tests.conformance.judging.subjects import Squash, law, made, right
from tests.conformance.test_worked_backend import BLOCK

DOUBLE, SINGLE = Precision.of("float64"), Precision.of("float32")
SETTINGS = Settings("smoke", 7)


def judged(check: Check, backend: Any, precision: Precision = SINGLE) -> Result:
    found = run_check(check, OfBackend(backend), precision, Effort(10))
    assert found.status != "passed"
    return found


def run(found: Result, backend: Any) -> int:
    """Return what the script of a failure ends with for a backend, in this process."""
    script_of: dict[str, Any] = {"__name__": "script"}
    exec(compile(script.text(found, "mine:Mine", SETTINGS), "script", "exec"), script_of)
    script_of["load"] = lambda name, device: backend
    given = (script_of[name] for name in ("BACKEND", "CALLS", "WRONG", "DEVICE"))
    code = script_of["reproduce"](*given)
    assert isinstance(code, int)
    return code


def both(check: Check, wrong: Any, mended: Any, precision: Precision = SINGLE) -> tuple[int, int]:
    """Return what the script of a wrong backend ends with for it and for the mended one."""
    found = judged(check, wrong, precision)
    return run(found, wrong), run(found, mended)


def named(name: str) -> Check:
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
        (made(), scaled),
        (law(), lopsided),
        (made(), raises),
        (made(), writes),
        (made(), lambda x, kind: x),
        (made(), lambda x, kind: right(x).astype(np.float16)),
        (made(), lambda x, kind: right(x)[:, :1]),
    ],
)
@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
def test_it_ends_with_one_while_the_failure_is_there_and_with_nothing_once_it_is_gone(
    check: Check, forward: Callable[..., Any], precision: Precision
) -> None:
    assert both(check, Squash(forward), MENDED, precision) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_numbers_made_of_a_wrong_answer_do_not_judge_a_right_one() -> None:
    def opposite(judge: Judge, call: Call) -> None:
        """The opposite capsule has the opposite result, bit for bit."""
        other = judge.ask(call.change(x=-call.arrays["x"]))
        judge.exactly(judge.ask(call), "out", -other["out"])

    assert both(made(opposite), Squash(lopsided), MENDED) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_a_fact_that_is_no_comparison_is_mended_by_right_answers() -> None:
    def shapely(judge: Judge, call: Call) -> None:
        """No number is larger than one."""
        judge.holds((np.abs(judge.ask(call)["out"]) <= 1).all(), "too long")

    long = Squash(lambda x, kind: x * 100)
    assert both(made(shapely), long, MENDED) == (1, 0)
    assert run(judged(made(shapely), long), Squash(lambda x, kind: x * 200)) == 1


@pytest.mark.rules("conformance-R14")
def test_a_fact_about_right_answers_is_there_until_they_change() -> None:
    def never(judge: Judge, call: Call) -> None:
        """What cannot be."""
        judge.holds(False, "never", judge.ask(call), "out")

    found = judged(made(never), MENDED)
    assert run(found, MENDED) == 1
    assert run(found, Squash(lambda x, kind: np.nextafter(right(x), x))) == 0


@pytest.mark.rules("conformance-R14")
def test_a_question_that_ought_to_be_refused() -> None:
    def refuses(judge: Judge, call: Call) -> None:
        """Another kind is refused."""
        judge.refuses(call.change(kind="none"))

    lax = Squash(lambda x, kind: right(x))
    lazy = Squash(lambda x, kind: right(x) if kind == "squash" else later())
    strict = Squash(lambda x, kind: right(x) if kind == "squash" else [][1])
    found = judged(made(refuses), lax)
    assert [run(found, backend) for backend in (lax, lazy, strict)] == [1, 1, 0]


def later() -> Any:
    raise NotImplementedError


@pytest.mark.rules("conformance-R14")
def test_arrays_that_must_not_be_written_to_are_so_in_the_script() -> None:
    def needs(x: Any, kind: str) -> Any:
        if not x.flags.writeable:
            raise ValueError("buffer source array is read-only")
        return right(x)

    def frozen(judge: Judge, call: Call) -> None:
        """What must not be written to is answered all the same."""
        judge.equal(judge.ask(call), judge.ask(call, read_only=True))

    found = judged(made(frozen), Squash(needs))
    assert found.message.startswith("raised ValueError: buffer source")
    assert [run(found, backend) for backend in (Squash(needs), MENDED)] == [1, 0]


@pytest.mark.rules("conformance-R14")
def test_what_a_backend_claims_and_what_it_converts() -> None:
    class Narrow(Squash):
        def to_numpy(self, x: Any) -> Any:
            return np.asarray(x, np.float32)

    class Claiming(Squash):
        def capabilities(self) -> Capabilities:
            return Capabilities(("squash", "softmax"), ("ops", "train"))

    whole = NumpyBackend()
    assert both(named("backend/what_is_claimed_is_there"), Claiming(right), whole) == (1, 0)
    conversion = named("backend/an_array_there_and_back_is_the_same_array")
    assert both(conversion, Narrow(right), whole, DOUBLE) == (1, 0)


@pytest.mark.rules("conformance-R14")
def test_what_is_wrong_now_and_then_is_wrong() -> None:
    seen: list[int] = []

    def moody(x: Any, kind: str) -> Any:
        seen.append(1)
        return scaled(x, kind) if len(seen) % 3 == 0 else right(x)

    assert both(made(), Squash(moody), MENDED) == (1, 0)


@pytest.mark.rules("conformance-R14", "backend-R10")
@pytest.mark.parametrize("precision", [DOUBLE, SINGLE], ids=str)
def test_a_part_that_did_not_come_back(precision: Precision) -> None:
    check = named("backend/what_routing_saved_has_its_couplings")
    lacking = backend_of(next(v for v in catalogue() if v.name == "couplings-not-saved"))
    assert both(check, lacking, NumpyBackend(), precision) == (1, 0)


ONE_OF_EACH_PAGE = {v.page: v for v in reversed(catalogue())}.values()


@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize("variant", ONE_OF_EACH_PAGE, ids=lambda v: v.page)
@pytest.mark.slow(every=3)
def test_known_mistakes_of_every_level_are_reproduced(variant: Variant) -> None:
    citing = [check for check in all_checks() if variant.breaks in check.rules]
    for examples, check in itertools.product((8, 30), citing):
        wrong = backend_of(variant)
        found = run_check(check, OfBackend(wrong), SINGLE, Effort(examples, shrink=False))
        if found.status == "failed":
            assert (run(found, wrong), run(found, backend_of(None))) == (1, 0)
            return
    pytest.fail(f"no check finds {variant.name}")


def imported(text: str) -> set[str]:
    """Return the modules that a script imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


@pytest.mark.rules("conformance-R14")
def test_it_imports_nothing_of_the_suite() -> None:
    ops = imported(script.text(judged(made(), Squash(scaled)), "mine:Mine", SETTINGS))
    model = next(check for check in all_checks() if check.stem == "loss")
    lacking = SimpleNamespace(name="mine", capabilities=NumpyBackend().capabilities)
    whole = imported(script.text(judged(model, lacking), "mine:Mine", SETTINGS))
    assert "numpy" in ops
    assert "mindref.models.parameters" in whole
    assert not [name for name in ops | whole if name.startswith("mindref.conformance")]


def folder_of(tmp_path: Path, change: Callable[[str], str]) -> Path:
    """Return a folder with the backend of the page, changed."""
    found = BLOCK.search(pages.text("backend"))
    assert found
    (tmp_path / "mine.py").write_text(change(found["body"]), encoding="utf-8")
    return tmp_path


@pytest.mark.rules("conformance-R14")
@pytest.mark.slow
def test_it_runs_alone_in_the_folder_of_the_backend(tmp_path: Path) -> None:
    term = " - (weights * d_out).sum(axis, keepdims=True)"
    folder_of(tmp_path, lambda text: text.replace(term, ""))
    program = (
        "import sys; sys.path.insert(0, '.'); import mine;"
        "from pathlib import Path;"
        "from mindref.conformance.judging.judgement import judge_backend;"
        "from mindref.conformance.judging.plan import Settings;"
        "judge_backend('mine:Mine', ('softmax-R5',), Settings('smoke'), scripts=Path('out'))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    path = tmp_path / "out" / "softmax.the_gradient_is_that_of_the_reference.float32.py"
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
    assert gone.stderr.startswith("no backend mine:Mine: ModuleNotFoundError")
    assert gone.stderr.count("\n") == 1


def test_its_head_says_what_is_wrong_by_which_rule_and_who_says_so() -> None:
    found = judged(made(), Squash(scaled))._replace(diagnosis="scaled by 1.01")
    head = script.text(found, "mine:Mine", SETTINGS).split('"""')[0]
    words = " ".join(line.removeprefix("#").strip() for line in head.splitlines())
    assert words.startswith("squash/made [float32] fails for the backend mine:Mine.")
    assert "squash-R1 (must): " in words
    assert f"Found: {' '.join(found.message.split())}" in words
    assert "Probably: scaled by 1.01" in words
    assert f"specification {versions.SPEC}, suite {versions.SUITE}" in words
    assert "profile smoke, seed 7" in words
    assert max(len(line) for line in head.splitlines()) <= 100
