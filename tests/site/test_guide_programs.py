"""Programs of the user guide that need other packages: Optuna, RecTools, LensKit.

RecTools and LensKit have pinned dependencies. RECTOOLS_PYTHON and LENSKIT_PYTHON name interpreters
of environments that have the package and the dependencies of mindref.
"""

import os
import re
import subprocess
import sys

import pytest

from mindref.data.synthetic import make_synthetic_log
from tests.runs import REPOSITORY, environment, run_python

GUIDE = REPOSITORY / ".site" / "pages" / "guide"
PROGRAM = re.compile(r"^```python run\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"^<!-- program: (\S+) -->\n```python\n(.*?)^```$", re.M | re.S)
PACKAGES = {"beside_rectools.py": "rectools", "beside_lenskit.py": "lenskit"}

pytestmark = pytest.mark.slow


def programs(page, pattern=PROGRAM):
    return pattern.findall((GUIDE / page).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the log that the guide writes."""
    folder = tmp_path_factory.mktemp("guide")
    done = run_python("-c", programs("data.md")[0], cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_programs_on_callbacks_and_logging(folder):
    stop, typo, logged = (run_python("-c", code, cwd=folder) for code in programs("watching.md"))
    assert "ended by callback at step" in stop.stdout, stop.stderr
    assert "did you mean on_validation?" in typo.stdout, typo.stderr
    assert "INFO step 200 of 200" in logged.stdout, logged.stderr


def test_optuna_prunes_trials_by_a_callback(folder):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    study, parameters = programs("tuning.md")
    done = run_python("-c", study, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\d+ COMPLETE", done.stdout, re.M)) >= 2
    assert re.search(r"^\d+ PRUNED", done.stdout, re.M)
    assert re.search(r"^best: \d 0\.\d+$", done.stdout, re.M)
    done = run_python("-c", parameters, cwd=folder)
    assert "did you mean window?" in done.stdout, done.stderr


@pytest.mark.parametrize(("name", "code"), programs("beside.md", FILE))
def test_mind_beside_the_models_of_another_package(tmp_path, name, code):
    package = PACKAGES[name]
    python = os.environ.get(f"{package.upper()}_PYTHON", sys.executable)
    if subprocess.run([python, "-c", f"import {package}"], check=False).returncode:
        pytest.skip(f"{python} has no {package}; set {package.upper()}_PYTHON")
    (tmp_path / name).write_text(code, encoding="utf-8")
    write_ratings(tmp_path / "u.data")
    done = subprocess.run(
        [python, name, "u.data", "200"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *(\w+ [\w-]+) +(\d\.\d+)", done.stdout, re.M)
    rates = {model: float(rate) for model, rate in rows}
    assert len(rates) == 5, done.stdout
    popular = next(rate for model, rate in rates.items() if model.endswith("popular"))
    assert rates["mindref best"] > popular


def write_ratings(path):
    """Write the built-in log as ratings of integer ids, in the format of MovieLens-100K."""
    log = make_synthetic_log(users=400, items=300).log
    users = [u for u in range(len(log.interactions)) for _ in log.interactions.row(u)]
    rows = zip(users, log.interactions.values, log.times, strict=True)
    lines = [f"{user + 1}\t{item + 1}\t5\t{int(time)}" for user, item, time in rows]
    path.write_text("\n".join(lines) + "\n")
