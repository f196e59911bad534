"""No code of a run is executed: no module that it names is imported, no pickle is read."""

import ast
import os

import pytest

from mindref.backend import check_installed
from mindref.errors import BackendError
from mindref.run import checkpoint
from tests.assertions import nonempty
from tests.runs import REPOSITORY, call
from tests.security.tampering import bind_arrays, edit_json

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
def test_a_module_that_a_run_names_is_not_imported(run, tmp_path, words):
    """The module can be imported, but the user must name it with --backend."""
    (tmp_path / "evil.py").write_text(EVIL.format(place=str(tmp_path / "proof")))
    config, _ = checkpoint.load_config(run)
    settings = {**config.to_dict(), "backend": "evil:Thing"}
    edit_json(run / "config.json", lambda words: words.update(settings=settings))
    bind_arrays(run, checkpoint.run_identity(*checkpoint.load_config(run)))
    command = [run if x == "RUN" else x for x in words]
    options = {"cwd": tmp_path, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    done = call(*command, **options)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected an installed backend, got 'evil:Thing'" in done.stderr
    assert "--backend evil:Thing" in done.stderr
    assert not (tmp_path / "proof").exists()
    done = call(*command, "--backend", "evil:Thing", **options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "proof").exists()


@pytest.mark.rules("security-R9")
def test_a_run_may_name_only_installed_backends():
    for name in ("numpy", "mindref.backend:NumpyBackend", "mindref.kernels:X", "mindref:X"):
        check_installed(name, "here")
    for name in ("mindref.back:X", "mindref.backend.more:X", "os:system", "evil:x", ":", "a:b:c"):
        with pytest.raises(BackendError, match="here: expected an installed backend"):
            check_installed(name, "here")


FORBIDDEN = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}


@pytest.mark.rules("security-R13")
def test_no_module_loads_pickles():
    for path in nonempty(sorted((REPOSITORY / "mindref").rglob("*.py"))):
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
