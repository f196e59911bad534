"""How functions are compiled: one decorator, a cache if possible, nothing compiled on import."""

import ast
import os
import shutil
from pathlib import Path

import numba
import numpy as np
import pytest

from mindref.kernels import _jit
from tests.kernels.cases import REPOSITORY, run_python

PACKAGE = Path(_jit.__file__).parents[1]
FILES = sorted((PACKAGE / "kernels").rglob("*.py"))
DECORATORS = {"jit", "jit_ordered", "jit_inline"}
PREFETCH = "mindref.kernels.prefetch"  # its functions change no byte


def output(code, folder=REPOSITORY, **env):
    """Return what a program prints."""
    return run_python("-c", code, folder=folder, **env).stdout


def check_recompiled(code, folder, before, after, change):
    """Run a program twice, of which the second uses the cache; then after a change, without."""
    cache = {"NUMBA_CACHE_DIR": str(folder / "kept")}
    assert output(code, folder, **cache) == f"{before} 0\n"
    assert output(code, folder, **cache) == f"{before} 1\n", "nothing changed"
    assert output(change() or code, folder, **cache) == f"{after} 0\n"


def compiled_functions(path):
    """Return the compiled functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d) in DECORATORS for d in node.decorator_list)
    }


def foreign_names(path):
    """Yield names of other files that a compiled function uses and that are not compiled functions.

    The cache follows compiled functions to their files, but not numbers. Prefetch is exempt.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) or (
            isinstance(node, ast.ImportFrom) and node.module != PREFETCH
        ):
            given = {alias.name: alias.asname or alias.name for alias in node.names}
            file = PACKAGE.parent / f"{(getattr(node, 'module', '') or '').replace('.', '/')}.py"
            compiled = compiled_functions(file) if file.is_file() else {}
            names |= {called for name, called in given.items() if name not in compiled}
    names -= {"np", "math"}
    for function, node in compiled_functions(path).items():
        parts = [part for line in node.body for part in ast.walk(line)]
        notes = [x.annotation for x in parts if isinstance(x, ast.AnnAssign)]
        # types of names cost nothing
        annotations = {part for note in notes for part in ast.walk(note)}
        for part in parts:
            if isinstance(part, ast.Name) and part.id in names and part not in annotations:
                yield f"{path.name}: {function} uses {part.id}"


def test_compiled_functions_use_only_compiled_functions_of_other_files():
    assert sum(len(compiled_functions(path)) for path in FILES) > 30
    assert [word for path in FILES for word in foreign_names(path)] == []


def test_the_check_finds_a_number_or_module_of_another_file(tmp_path):
    file = tmp_path / "some.py"
    text = "from mindref.kernels.routing import TILE_USERS, gather_rows\n"
    text += "from mindref.kernels import squash as s\n"
    text += "from mindref.kernels.prefetch import prefetch_row\n"
    text += "@jit\ndef f(x: s):\n    return gather_rows(x) + TILE_USERS + np.exp(x) + g(x)"
    text += " + prefetch_row(x, 0)\n"
    file.write_text(text + "@jit_ordered\ndef g(x):\n    return s.squash_rows(x)\n")
    assert list(foreign_names(file)) == ["some.py: f uses TILE_USERS", "some.py: g uses s"]


def functions_with_decorator(decorator):
    """Return the functions of all files with this decorator."""
    functions = [x for path in FILES for x in compiled_functions(path).values()]
    return [x for x in functions if decorator in map(ast.unparse, x.decorator_list)]


def test_no_ordered_function_calls_an_inlined_function():
    """It would get the flags of its caller."""
    inlined = {function.name for function in functions_with_decorator("jit_inline")}
    assert len(inlined) > 5
    for function in functions_with_decorator("jit_ordered"):
        called = {x.id for x in ast.walk(function) if isinstance(x, ast.Name)}
        assert not called & inlined, function.name


CHAIN = {
    "inner": "@jit\ndef one(x):\n    return x + 1\n",
    "middle": "from inner import one\n@jit\ndef two(x):\n    return 2 * one(x)\n",
    "outer": "from middle import two\n@jit\ndef three(x):\n    return 3 * two(x)\n",
}
CALLED = "from outer import three\nprint(three(1.0), sum(three.stats.cache_hits.values()))"


@pytest.mark.parametrize("decorator", ["jit", "jit_inline"])
@pytest.mark.slow
def test_cached_code_is_recompiled_if_a_called_file_changes(decorator, tmp_path):
    """Numba checks the file of a function, but not the files of functions that it calls."""
    for name, text in CHAIN.items():
        name_of_jit = decorator if name != "outer" else "jit"
        head = f"from mindref.kernels._jit import {name_of_jit} as jit\n"
        (tmp_path / f"{name}.py").write_text(head + text)
    inner = tmp_path / "inner.py"

    def change():
        inner.write_text(inner.read_text().replace("x + 1", "x + 2"))  # of the same size
        os.utime(inner, (1, 1))

    check_recompiled(CALLED, tmp_path, "12.0", "18.0", change)


PAIR = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    x: float\n"
ONE = "from mindref.kernels._jit import jit\n@jit\ndef one(pair):\n    return pair.x + 1\n"
ASK = "from pairs import Pair\nfrom one import one\n"
ASK += "print(one(Pair(1.0)), sum(one.stats.cache_hits.values()))"


@pytest.mark.parametrize(("old", "new"), [("Pair", "Two"), ("pairs", "twos")])
@pytest.mark.slow
def test_cached_code_with_unknown_class_names_is_recompiled(old, new, tmp_path):
    """As after an upgrade: the index refers to argument types by class and module.

    Here the compiled function does not depend on the file of the class.
    """
    (tmp_path / "one.py").write_text(ONE)
    (tmp_path / "pairs.py").write_text(PAIR)

    def change():
        (tmp_path / "pairs.py").unlink()
        (tmp_path / "pairs.py".replace(old, new)).write_text(PAIR.replace(old, new))
        return ASK.replace(old, new)

    check_recompiled(ASK, tmp_path, "2.0", "2.0", change)


SPAN = "from typing import NamedTuple\nclass Span(NamedTuple):\n    {}: float\n    {}: float\n"
LINE = """
from typing import NamedTuple
from spans import Span
class Line(NamedTuple):
    span: Span
"""
LONG = """
from mindref.kernels._jit import jit
import lines
from lines import Line
@jit
def long(line: Line):
    return line.span.to - line.span.at
print(long(Line(lines.Span(to=3.0, at=1.0))), sum(long.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_cached_code_is_recompiled_if_named_tuple_fields_are_reordered(tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    (tmp_path / "lines.py").write_text(LINE)
    (tmp_path / "spans.py").write_text(SPAN.format("to", "at"))

    def change():
        (tmp_path / "spans.py").write_text(SPAN.format("at", "to"))
        os.utime(tmp_path / "spans.py", (1, 1))  # it is of the same size

    check_recompiled("import long", tmp_path, "2.0", "2.0", change)


def test_cached_code_depends_on_the_decorator_prefetch_and_blas():
    code = "from mindref.kernels import _jit\nfrom mindref.kernels.fused import user_block, adam\n"
    for module, needed in (("adam", ("_jit.py", "prefetch.py")), ("user_block", ("cython_blas.",))):
        files = output(f"{code}print(*_jit.dependencies_of_file[{module}.__file__])").split()
        for start in needed:
            assert any(Path(file).name.startswith(start) for file in files), start


def double_value(x):
    return x + x


def test_without_a_writable_folder_functions_compile_without_a_cache(monkeypatch):
    njit = numba.njit

    def homeless(*args, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", homeless)
    assert _jit.jit(double_value)(np.float64(2)) == 4


def test_functions_without_time_stamps_are_not_cached(monkeypatch):
    def gone(files):
        raise FileNotFoundError("the files are those of an archive")

    monkeypatch.setattr(_jit, "file_stamps", gone)
    made = _jit.jit(double_value)
    assert made(np.float64(2)) == 4
    assert type(made._cache).__name__ == "NullCache"


def halve_value(x):
    return x / 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError("no")])
def test_a_failed_cache_write_does_not_stop_the_call(error, monkeypatch):
    asked = []

    def full(*given):
        asked.append(given)
        raise error

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    made = _jit.jit(halve_value)
    assert made(np.float64(3)) == 1.5
    assert made(np.float32(3)) == 1.5
    assert len(asked) == 2, "it was tried for each type"


@pytest.mark.rules("numerics-R13")
def test_sums_may_be_reordered_but_infinity_and_nan_keep_their_meaning():
    def looks(x):
        return x == x, abs(x) < np.inf, 1 / (x - x)

    made = _jit.jit(looks)
    assert made(2.0) == (True, True, np.inf)
    assert made(np.inf)[:2] == (True, False)
    assert made(np.nan)[:2] == (False, False)
    assert sorted(_jit.FASTMATH) == ["contract", "reassoc"]


CACHED = """
import numpy as np
from mindref.kernels import relu_layer, squash
squash.forward(np.ones((2, 3)))
print([str(path) for path in __import__("pathlib").Path(squash.__file__).parent.rglob("*.nb?")])
"""


@pytest.fixture(scope="module")
def copied_package(tmp_path_factory):
    """A folder with the package alone, as if installed there."""
    folder = tmp_path_factory.mktemp("site")
    ignore = shutil.ignore_patterns("__pycache__", "conformance", "golden")
    shutil.copytree(PACKAGE, folder / "mindref", ignore=ignore)
    return folder


@pytest.mark.slow
def test_files_are_written_only_with_a_cache_and_never_in_the_package(copied_package, tmp_path):
    """A cache in the package would stay behind when the package is removed."""
    env = {"PYTHONPATH": str(copied_package), "XDG_CACHE_HOME": str(tmp_path)}
    env["NUMBA_CACHE_DIR"] = ""
    assert output(CACHED, copied_package, MINDREF_NUMBA_CACHE="0", **env) == "[]\n"
    assert not list(tmp_path.rglob("*.nb?"))
    assert output(CACHED, copied_package, **env) == "[]\n"
    assert any("squash.squash_rows" in path.name for path in tmp_path.rglob("mindref/**/*.nb?"))


def test_the_cache_folder_of_other_packages_is_unchanged():
    before = numba.config.CACHE_DIR
    _jit.jit(double_value)
    assert before == numba.config.CACHE_DIR


IMPORTED = """
import sys
from mindref.backend import load_backend
backend = load_backend("numba")
claims = backend.capabilities()
assert claims.levels == ("ops", "model", "train"), claims
assert "routing-R25" not in claims.options
print([name for name in sys.modules if name.split(".")[0] in ("numba", "llvmlite", "scipy")])
"""


@pytest.mark.rules("backend-R3")
def test_capabilities_are_read_without_importing_numba():
    assert output(IMPORTED) == "[]\n"


LISTENING = """
from mindref.kernels import listeners
heard = []
listeners.append(lambda: heard.append(1))
from mindref.kernels.backend import compiled_operators
compiled_operators()
import mindref.kernels.fused.step, mindref.kernels.fused.adam
import mindref.kernels.top_n
print(len(heard))
"""


def test_importing_the_kernels_compiles_nothing():
    assert output(LISTENING, MINDREF_NUMBA_CACHE="0") == "0\n"


@pytest.mark.rules("faults-R17")
def test_a_division_by_zero_without_compilation_prints_no_warning():
    code = "import numpy as np, warnings\nwarnings.simplefilter('error')\n"
    code += "from mindref.kernels._jit import jit, jit_ordered\n"
    code += (
        "f = jit(lambda x: x / np.float64(0))\ng = jit_ordered(lambda x: np.exp(x) - np.exp(x))\n"
    )
    code += "print(f(np.float64(1)), g(np.float64(1e4)))"
    assert output(code, NUMBA_DISABLE_JIT="1") == "inf nan\n"


FORK = """
import os, sys, threading, time
import numpy as np
from mindref.kernels import _jit, listeners

@_jit.jit
def slow(x):
    return x + 1

@_jit.jit
def other(x):
    return x + 2

from numba.core.compiler_lock import global_compiler_lock
held = threading.Event()

def compile_long():
    with global_compiler_lock:
        held.set()
        time.sleep(0.5)

thread = threading.Thread(target=compile_long)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    threading.Timer(20, lambda: os._exit(3)).start()
    os._exit(0 if other(np.float64(1)) == 3 else 1)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), slow(np.float64(1)))
"""


@pytest.mark.rules("faults-R19")
def test_a_fork_during_a_compilation_can_compile(tmp_path):
    assert output(FORK, MINDREF_NUMBA_CACHE="0") == "0 2.0\n"


@pytest.mark.rules("security-R17")
def test_compiled_functions_are_kept_only_in_a_folder_of_the_user(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr(_jit.SETTINGS, "CACHE_DIR", str(folder))
    monkeypatch.delenv("MINDREF_NUMBA_CACHE", raising=False)
    assert _jit.cache_folder() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o775)
    assert _jit.cache_folder() == str(folder)
    folder.chmod(0o777)
    assert _jit.cache_folder() == ""
    folder.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert _jit.cache_folder() == ""
