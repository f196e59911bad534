"""How functions are compiled: one decorator, a cache where there can be one, nothing on import."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from mindref.backend import OPERATORS
from mindref.kernels import _jit
from mindref.kernels.backend import NumbaBackend

PACKAGE = Path(_jit.__file__).parents[1]
FILES = sorted((PACKAGE / "kernels").rglob("*.py"))
DECORATORS = {"jit", "jit_in_order", "jit_within"}
HINTS = "mindref.kernels.ahead"  # of this file alone: an old one of it computes the same bytes


def run(code: str, folder: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True,
        text=True,
        check=True,
    )


def compiled_in(path: Path) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file that are compiled."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d) in DECORATORS for d in node.decorator_list)
    }


def strangers(path: Path) -> Iterator[str]:
    """Yield what compiled functions take from other files that is no compiled function, nor a hint.

    What is compiled is followed by the cache; a number of another file would not be.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) or (
            isinstance(node, ast.ImportFrom) and node.module != HINTS
        ):
            given = {alias.name: alias.asname or alias.name for alias in node.names}
            file = PACKAGE.parent / f"{(getattr(node, 'module', '') or '').replace('.', '/')}.py"
            compiled = compiled_in(file) if file.is_file() else {}
            names |= {called for name, called in given.items() if name not in compiled}
    names -= {"np", "math"}
    for function, node in compiled_in(path).items():
        parts = [part for line in node.body for part in ast.walk(line)]
        notes = [x.annotation for x in parts if isinstance(x, ast.AnnAssign)]
        spared = {part for note in notes for part in ast.walk(note)}  # types of names cost nothing
        for part in parts:
            if isinstance(part, ast.Name) and part.id in names and part not in spared:
                yield f"{path.name}: {function} uses {part.id}"


def test_compiled_functions_use_compiled_functions_alone_of_another_file() -> None:
    assert sum(len(compiled_in(path)) for path in FILES) > 30
    assert [word for path in FILES for word in strangers(path)] == []


def test_a_number_or_a_module_of_another_file_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    text = "from mindref.kernels.rounds import TILE, agree\n"
    text += "from mindref.kernels import squash as s\nfrom mindref.kernels.ahead import fetch\n"
    text += "@jit\ndef f(x: s):\n    return agree(x) + TILE + np.exp(x) + g(x) + fetch(x, 0)\n"
    file.write_text(text + "@jit_in_order\ndef g(x):\n    return s.shorten(x)\n")
    assert list(strangers(file)) == ["some.py: f uses TILE", "some.py: g uses s"]


def decorated(path: Path, decorator: str) -> set[str]:
    """Return the names of the functions of a file that have this decorator."""
    found = compiled_in(path).values()
    return {x.name for x in found if decorator in map(ast.unparse, x.decorator_list)}


def test_what_is_compiled_within_its_caller_has_no_caller_whose_sums_keep_their_order() -> None:
    """It would get the flags of that one."""
    within = {name for path in FILES for name in decorated(path, "jit_within")}
    assert len(within) > 5
    for path in FILES:
        for name in decorated(path, "jit_in_order"):
            called = {x.id for x in ast.walk(compiled_in(path)[name]) if isinstance(x, ast.Name)}
            assert not called & within, f"{path.name}: {name}"


CHAIN = {
    "inner": "@jit\ndef one(x):\n    return x + 1\n",
    "middle": "from inner import one\n@jit\ndef two(x):\n    return 2 * one(x)\n",
    "outer": "from middle import two\n@jit\ndef three(x):\n    return 3 * two(x)\n",
}
CALLED = "from outer import three\nprint(three(1.0), sum(three.stats.cache_hits.values()))"


@pytest.mark.parametrize("decorator", ["jit", "jit_within"])
@pytest.mark.slow
def test_what_is_kept_is_compiled_again_when_a_file_behind_it_changes(
    decorator: str, tmp_path: Path
) -> None:
    """Numba looks at the file of a function alone; those that it calls may stand in others."""
    for name, text in CHAIN.items():
        how = decorator if name != "outer" else "jit"
        head = f"from mindref.kernels._jit import {how} as jit\n"
        (tmp_path / f"{name}.py").write_text(head + text)
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    assert run(CALLED, tmp_path, **kept).stdout == "12.0 0\n"
    assert run(CALLED, tmp_path, **kept).stdout == "12.0 1\n", "nothing changed"
    inner = tmp_path / "inner.py"
    inner.write_text(inner.read_text().replace("x + 1", "x + 2"))  # of the same size
    os.utime(inner, (1, 1))
    assert run(CALLED, tmp_path, **kept).stdout == "18.0 0\n"


PAIR = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    x: float\n"
ONE = "from mindref.kernels._jit import jit\n@jit\ndef one(pair):\n    return pair.x + 1\n"
ASK = "from pairs import Pair\nfrom one import one\n"
ASK += "print(one(Pair(1.0)), sum(one.stats.cache_hits.values()))"


@pytest.mark.parametrize(("old", "new"), [("Pair", "Two"), ("pairs", "twos")])
@pytest.mark.slow
def test_what_was_kept_under_names_that_are_gone_is_compiled_again(
    old: str, new: str, tmp_path: Path
) -> None:
    """As after an upgrade: types of arguments are kept under the names of classes and modules.

    The file of the class is not one that what is compiled is known to depend on.
    """
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    (tmp_path / "one.py").write_text(ONE)
    (tmp_path / "pairs.py").write_text(PAIR)
    assert run(ASK, tmp_path, **kept).stdout == "2.0 0\n"
    assert run(ASK, tmp_path, **kept).stdout == "2.0 1\n", "nothing changed"
    (tmp_path / "pairs.py").unlink()
    (tmp_path / "pairs.py".replace(old, new)).write_text(PAIR.replace(old, new))
    assert run(ASK.replace(old, new), tmp_path, **kept).stdout == "2.0 0\n"


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
def test_what_is_kept_is_compiled_again_when_names_of_a_tuple_change_places(tmp_path: Path) -> None:
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    (tmp_path / "long.py").write_text(LONG)
    (tmp_path / "lines.py").write_text(LINE)
    (tmp_path / "spans.py").write_text(SPAN.format("to", "at"))
    assert run("import long", tmp_path, **kept).stdout == "2.0 0\n"
    assert run("import long", tmp_path, **kept).stdout == "2.0 1\n", "nothing changed"
    (tmp_path / "spans.py").write_text(SPAN.format("at", "to"))
    os.utime(tmp_path / "spans.py", (1, 1))  # it is of the same size
    assert run("import long", tmp_path, **kept).stdout == "2.0 0\n"


def test_what_is_kept_depends_on_the_decorator_and_on_the_hints() -> None:
    assert {"_jit.py", "ahead.py"} <= files_behind("adam")


def test_what_is_kept_depends_on_the_blas_that_it_calls() -> None:
    assert any(name.startswith("cython_blas.") for name in files_behind("there_and_back"))


def files_behind(stem: str) -> set[str]:
    """Return the names of the files that what is kept of one of the fused step depends on."""
    code = f"from mindref.kernels import _jit\nfrom mindref.kernels.fused import {stem}\n"
    code += f"print(*_jit.behind[{stem}.__file__])"
    return {Path(name).name for name in run(code).stdout.split()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_numba_is_used_by_way_of_the_one_decorator(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    known = any(name.split(".")[0] in ("numba", "llvmlite") for name in names)
    assert known == (path.name in ("_jit.py", "ahead.py"))


def test_every_operator_has_a_twin() -> None:
    ops = NumbaBackend().ops
    for stem in OPERATORS:
        assert compiled_in(PACKAGE / "kernels" / f"{stem}.py") or stem == "routing"
        assert callable(getattr(ops, stem).forward)
        assert callable(getattr(ops, stem).backward)


def doubled(x: Any) -> Any:
    return x + x


def test_where_nothing_can_be_written_each_process_compiles_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    njit = numba.njit

    def homeless(*args: Any, **options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", homeless)
    assert _jit.jit(doubled)(np.float64(2)) == 4


def test_what_cannot_be_dated_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(files: set[str]) -> Any:
        raise FileNotFoundError("the files are those of an archive")

    monkeypatch.setattr(_jit, "stamps", gone)
    made: Any = _jit.jit(doubled)
    assert made(np.float64(2)) == 4
    assert type(made._cache).__name__ == "NullCache"


def halved(x: Any) -> Any:
    return x / 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError("no")])
def test_a_result_that_cannot_be_kept_is_used_all_the_same(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def full(*given: Any) -> None:
        asked.append(given)
        raise error

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    made = _jit.jit(halved)
    assert made(np.float64(3)) == 1.5
    assert made(np.float32(3)) == 1.5
    assert len(asked) == 2, "it was tried for each type"


@pytest.mark.rules("numerics-R13")
def test_sums_may_be_taken_in_lanes_but_infinity_and_nan_keep_their_meaning() -> None:
    def looks(x: Any) -> Any:
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
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone, as if installed there."""
    folder = tmp_path_factory.mktemp("site")
    ignore = shutil.ignore_patterns("__pycache__", "conformance", "golden")
    shutil.copytree(PACKAGE, folder / "mindref", ignore=ignore)
    return folder


@pytest.mark.slow
def test_without_a_cache_nothing_is_written_and_with_one_something_is(
    copied: Path, tmp_path: Path
) -> None:
    """And nothing beside the package: there it would outlive it, and hide another install."""
    env = {"PYTHONPATH": str(copied), "NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path)}
    assert run(CACHED, copied, MINDREF_NUMBA_CACHE="0", **env).stdout == "[]\n"
    assert not list(tmp_path.rglob("*.nb?"))
    assert run(CACHED, copied, **env).stdout == "[]\n"
    assert any("squash.shorten" in path.name for path in tmp_path.rglob("mindref/**/*.nb?"))


def test_the_folder_of_others_stays_what_it_was() -> None:
    before = numba.config.CACHE_DIR
    _jit.jit(doubled)
    assert before == numba.config.CACHE_DIR


@pytest.mark.slow
def test_without_a_home_each_process_compiles_for_itself(copied: Path) -> None:
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "NUMBA_CACHE_DIR": ""}
    code = CACHED + "print(type(squash.shorten._cache).__name__)"
    found = run(code, copied, PYTHONPATH=str(copied), **nowhere)
    assert found.stdout == "[]\nNullCache\n"


IMPORTED = """
import sys
from mindref.backend import available, load
backend = load("numba")
claims = backend.capabilities()
assert claims.levels == ("ops", "model", "train"), claims
assert "routing-R25" not in claims.options
print([name for name in sys.modules if name.split(".")[0] in ("numba", "llvmlite", "scipy")])
"""


@pytest.mark.rules("backend-R3")
def test_names_and_claims_are_read_without_numba() -> None:
    assert run(IMPORTED).stdout == "[]\n"


LISTENING = """
from mindref.kernels import listeners
heard = []
listeners.append(lambda: heard.append(1))
import mindref.kernels.operators, mindref.kernels.fused.step, mindref.kernels.fused.adam
import mindref.kernels.ranking
print(len(heard))
"""


def test_importing_the_kernels_compiles_nothing() -> None:
    assert run(LISTENING, MINDREF_NUMBA_CACHE="0").stdout == "0\n"
