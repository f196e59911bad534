"""Programs of the user guide that need other packages: Optuna, RecTools, LensKit.

RecTools and LensKit have pinned dependencies. RECTOOLS_PYTHON and LENSKIT_PYTHON name interpreters
of environments that have the package and the dependencies of mindref. If a variable is set, an
environment without the package is a failure.
"""

import json
import os
import re
import signal
import subprocess
import sys
from ast import literal_eval
from contextlib import suppress

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


@pytest.mark.needs("optuna")
def test_optuna_prunes_trials_by_a_callback(folder):
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
    python = python_with(package, f"{package.upper()}_PYTHON")
    (tmp_path / name).write_text(code, encoding="utf-8")
    write_ratings(tmp_path / "u.data")
    done = run_in(tmp_path, python, name, "u.data", "0")
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert f"```\n{error}\n```" in (GUIDE / "beside.md").read_text(encoding="utf-8")
    done = run_in(tmp_path, python, name, "u.data", "200")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *(\w+ [\w-]+) +(\d\.\d+)", done.stdout, re.M)
    rates = {model: float(rate) for model, rate in rows}
    assert len(rates) == 5, done.stdout
    popular = next(rate for model, rate in rates.items() if model.endswith("popular"))
    assert rates["mindref best"] > popular


def python_with(package, variable):
    """Return the interpreter that a variable names, which must import a package.

    Without the variable, the interpreter of this test is returned, or the test is skipped.
    """
    python = os.environ.get(variable, sys.executable)
    command = [python, "-c", f"import {package}"]
    tried = subprocess.run(command, check=False, capture_output=True, text=True)
    if tried.returncode and variable in os.environ:
        pytest.fail(f"{variable}: {python} cannot import {package}:\n{tried.stderr}")
    if tried.returncode:
        pytest.skip(f"{python} has no {package}; set {variable}")
    return python


def test_a_named_interpreter_without_the_package_is_a_failure(monkeypatch):
    monkeypatch.setenv("X_PYTHON", sys.executable)
    with pytest.raises(pytest.fail.Exception, match=r"X_PYTHON: .* cannot import no_such_package"):
        python_with("no_such_package", "X_PYTHON")
    monkeypatch.delenv("X_PYTHON")
    with pytest.raises(pytest.skip.Exception, match="set X_PYTHON"):
        python_with("no_such_package", "X_PYTHON")


@pytest.fixture
def shop(tmp_path):
    """An empty folder. A service that runs there is stopped at the end."""
    yield tmp_path
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((tmp_path / "service.pid").read_text()), signal.SIGTERM)


@pytest.mark.needs("mkdocs", "starlette")
def test_the_page_from_a_dataframe_to_a_web_service(shop):
    from executed import page_markdown

    text = page_markdown(GUIDE / "web_service.md", shop, True)
    outputs = re.findall(r"^```text\n(.*?)^```$", text, re.M | re.S)
    start, trained, listed, newer, answered, wrong, reloaded = outputs
    assert "customer  product" in start
    assert "expected a column 'buyer'" in trained.splitlines()[0]
    rates = dict(re.findall(r"^(\w+) (0\.\d+)$", trained, re.M))
    assert float(rates["model"]) > 2 * float(rates["popularity"])
    assert len(re.findall(r"^ +[01] +[1-4] +\d+ +\w+ no\. \d+ ", listed, re.M)) == 8
    assert len(re.findall(r"^ +1[12] +[12] +\d+ +\w+ no\. \d+ ", listed, re.M)) == 4
    assert listed.splitlines()[-1] == rates["model"], "evaluate is the report of the training"
    found = re.fullmatch(
        r"(\{.*^\})\n(\[.*?\])\n(\[.*?\])\npopular (.*?)\n\[.*\]\n", answered, re.M | re.S
    )
    answer, filtered, of_user, warnings = found.groups()
    items = json.loads(answer)["items"]
    assert [item["rank"] for item in items] == [1, 2]
    assert {item["item"] for item in items}.isdisjoint({3, 7, 203})
    assert {item for item, _ in literal_eval(filtered)} == {1, 201}
    assert len(literal_eval(of_user)) == 3
    assert "user: '9001' is not in the log of the run" in warnings
    items = [item for item, _ in literal_eval(newer)]
    assert reloaded == f"{items} []\n", "the service has the users of the newer run"
    statuses = [line.partition(" ") for line in wrong.splitlines()]
    assert [status for status, _, _ in statuses] == ["422", "422", "400"]
    assert all(json.loads(error).keys() == {"error"} for _, _, error in statuses)
    assert text.count("\nStopped.\n") == 1
    assert re.search(r"^serving shop at http://127\.0\.0\.1:\d+$", text, re.M)


def run_in(folder, *command):
    """Run a command in a folder; return its exit code and output."""
    options = {"capture_output": True, "text": True, "timeout": 600, "check": False}
    return subprocess.run(command, cwd=folder, env=environment(), **options)


def write_ratings(path):
    """Write the built-in log as ratings of integer ids, in the format of MovieLens-100K."""
    log = make_synthetic_log(users=200, items=200).log
    users = [u for u in range(len(log.interactions)) for _ in log.interactions.row(u)]
    rows = zip(users, log.interactions.values, log.times, strict=True)
    lines = [f"{user + 1}\t{item + 1}\t5\t{int(time)}" for user, item, time in rows]
    path.write_text("\n".join(lines) + "\n")
