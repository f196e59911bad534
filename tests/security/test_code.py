"""Nothing of a run is run: no module that it names is imported, and no pickle is read."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mindref.backend import check_installed
from mindref.errors import BackendError
from mindref.run import array_files, checkpoint
from tests.runs import REPOSITORY, environment
from tests.security.hands import change

EVIL = """
from pathlib import Path
Path({place!r}).write_text("was here")
from mindref.backend import NumpyBackend as Thing
"""


@pytest.mark.rules("security-R9")
@pytest.mark.parametrize(
    "words", [["recall", "RUN", "--history", "article-0007"], ["evaluate", "RUN"],
              ["train", "--resume", "RUN"]]
)  # fmt: skip
@pytest.mark.slow(every=3)
def test_a_module_that_a_run_names_is_not_imported(
    run: Path, tmp_path: Path, words: list[str]
) -> None:
    """Not even if it lies where Python finds it, unless the user names it, too."""
    (tmp_path / "evil.py").write_text(EVIL.format(place=str(tmp_path / "proof")))
    config, _ = checkpoint.load_config(run)
    settings = {**config.to_dict(), "backend": "evil:Thing"}
    change(run / "config.json", lambda words: words.update(settings=settings))
    both = (array_files.MODEL, array_files.STATE)
    arrays = {name: array_files.load_arrays(run / name) for name in both}
    whose = checkpoint.run_identity(*checkpoint.load_config(run))
    for name, (some, known) in arrays.items():
        array_files.save_arrays(run / name, some, {**known, "run": whose})
    command = [sys.executable, "-m", "mindref", *(str(run) if x == "RUN" else x for x in words)]
    env = environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{REPOSITORY}")
    given: Any = {"capture_output": True, "text": True, "env": env, "cwd": tmp_path}
    done = subprocess.run(command, check=False, **given)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected an installed backend, got 'evil:Thing'" in done.stderr
    assert "--backend evil:Thing" in done.stderr
    assert not (tmp_path / "proof").exists()
    done = subprocess.run([*command, "--backend", "evil:Thing"], check=False, **given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "proof").exists()


@pytest.mark.rules("security-R9")
def test_what_is_installed_beside_a_backend_may_be_named_by_a_run() -> None:
    for name in ("numpy", "mindref.backend:NumpyBackend", "mindref.kernels:X", "mindref:X"):
        check_installed(name, "here")
    for name in ("mindref.back:X", "mindref.backend.more:X", "os:system", "evil:x", ":", "a:b:c"):
        with pytest.raises(BackendError, match="here: expected an installed backend"):
            check_installed(name, "here")


FORBIDDEN = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}


@pytest.mark.rules("security-R13")
def test_nothing_that_runs_is_read() -> None:
    for path in sorted((REPOSITORY / "mindref").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names}
                names |= {(getattr(node, "module", None) or "").split(".")[0]}
                assert not names & FORBIDDEN, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", path
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                assert [k for k in node.keywords if k.arg == "allow_pickle"], path
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in ("torch.load", "np.fromregex"), path
