"""The variables with numbers of threads: checked together, before any work."""

import pytest

from mindref.doctor import checks
from mindref.errors import ConfigError
from mindref.process import threads
from tests.runs import run_python


@pytest.mark.rules("faults-R16")
@pytest.mark.parametrize("name", threads.THREAD_VARIABLES)
def test_a_variable_is_a_number_of_threads(name, monkeypatch):
    for other in threads.THREAD_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    threads.check_thread_variables()
    for right in ("", "1", "1024", " 4 ", "0008"):
        monkeypatch.setenv(name, right)
        threads.check_thread_variables()
    for wrong in ("0", "-1", "1025", "1000000000", "abc", "1.5", "٣", "9" * 5000, "00000001025"):
        monkeypatch.setenv(name, wrong)
        with pytest.raises(ConfigError, match=f"{name}: expected a number of threads from 1 to"):
            threads.check_thread_variables()


@pytest.mark.rules("faults-R16")
def test_the_variable_of_openmp_may_be_a_list(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    threads.check_thread_variables()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4,2")
    with pytest.raises(ConfigError, match="OPENBLAS_NUM_THREADS"):
        threads.check_thread_variables()
    monkeypatch.setenv("MINDREF_THREADS", "0")
    message = "MINDREF_THREADS, OPENBLAS_NUM_THREADS: expected .*, got '0', '4,2'; set it"
    with pytest.raises(ConfigError, match=message):
        threads.check_thread_variables()


@pytest.mark.rules("faults-R16")
@pytest.mark.parametrize(
    ("command", "name"),
    [("train", "MINDREF_THREADS"), ("recall none --all-users", "NUMBA_NUM_THREADS"),
     ("indexes", "OPENBLAS_NUM_THREADS")],
)  # fmt: skip
def test_a_command_ends_before_any_work(cli, command, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "0")
    assert cli.error_line(*command.split()).startswith(f"Error: {name}: expected a number of")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rules("faults-R16")
def test_the_import_of_kernels_is_an_error_of_mindref(tmp_path):
    code = (
        "from mindref.errors import ConfigError\nimport pytest\nwith pytest.raises(ConfigError):\n"
    )
    code += "    import mindref.kernels.squash"

    done = run_python("-c", code, cwd=tmp_path, NUMBA_NUM_THREADS="0")
    assert done.returncode == 0, done.stderr


@pytest.mark.rules("faults-R16")
def test_doctor_reports_a_problem(monkeypatch):
    monkeypatch.setenv("MINDREF_THREADS", "0")
    finding = checks.check_variables()
    assert finding.state == "problem"
    assert finding.todo.startswith("MINDREF_THREADS: expected a number of threads")
