"""One writer at a time: the lock names its owner, ends with its process, and blocks no reader."""

import errno
import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from mindref.errors import RunError
from mindref.run import lock
from tests.runs import call, content, start_python, trained

pytestmark = [
    pytest.mark.skipif(lock.SYSTEM is None, reason="this system has no flock"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
HOLDER = """
import sys
from pathlib import Path
from mindref.run import lock
with lock.lock_inside(Path(sys.argv[1])) as line:
    print(f"held{line}", flush=True)
    sys.stdin.read()
"""


def holder(folder):
    """Start a process that holds the lock of a folder until its standard input is closed."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": None}
    child = start_python("-c", HOLDER, folder, **pipes)
    assert child.stdout.readline() == "held\n"
    return child


@pytest.mark.rules("faults-R4", "faults-R5")
def test_the_error_names_the_owner_and_a_killed_process_releases_the_lock(tmp_path):
    with holder(tmp_path) as child:
        message = "no other process that writes there"
        with pytest.raises(RunError, match=message) as caught, lock.lock_inside(tmp_path):
            pytest.fail("two processes hold one lock")
        child.kill()
    owner = f"process {child.pid} on {socket.gethostname()} (-c {tmp_path}), since 2"
    assert f"{tmp_path}: " in str(caught.value)
    assert owner in str(caught.value)
    assert str(caught.value).endswith(" UTC; wait until it has ended, or stop it")
    assert os.listdir(tmp_path) == [lock.NAME], "the file of the killed process remains"
    with lock.lock_inside(tmp_path) as line:
        assert line == ""
        assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


@pytest.mark.rules("faults-R5")
def test_one_of_many_threads_holds_the_lock(tmp_path):
    """Each release removes the file: a lock on a removed file must not count."""
    inside, most, served = [0], [0], [0]

    def worker():
        for _ in range(40):
            with lock.lock_inside(tmp_path, wait=True):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0001)
                inside[0] -= 1
                served[0] += 1

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], served[0]) == (1, 240)


@pytest.mark.rules("faults-R7")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_system_without_locks_gives_a_warning(tmp_path, number, monkeypatch):
    error = OSError(number, os.strerror(number))
    monkeypatch.setattr(lock.SYSTEM, "flock", Mock(side_effect=error))
    with lock.lock_inside(tmp_path) as line:
        assert line.startswith(f"{tmp_path}: no lock is possible here ({os.strerror(number)})")
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(lock, "SYSTEM", None)
    with lock.lock_inside(tmp_path) as line:
        assert "this system has none" in line


@pytest.mark.parametrize("words", ["", '{"pid": 1}', "\x00" * 30, "[" * 4800])
def test_an_unreadable_lock_file_still_locks(tmp_path, words):
    with lock.lock_inside(tmp_path):
        (tmp_path / lock.NAME).write_text(words)
        message = "got one that has not written its name yet"
        with pytest.raises(RunError, match=message), lock.lock_inside(tmp_path):
            pass
        owner = {"pid": 1, "host": "a\x1b[2J", "command": "b\n", "since": "c"}
        (tmp_path / lock.NAME).write_text(json.dumps(owner))
        with pytest.raises(RunError) as caught, lock.lock_inside(tmp_path):
            pass
    assert str(caught.value).isprintable()


def test_links_folders_devices_and_other_files_in_place_of_a_lock(tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / lock.NAME).symlink_to(tmp_path / "mine")
    with lock.lock_inside(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "kept"
    (tmp_path / "folder" / lock.NAME).mkdir(parents=True)
    with lock.lock_inside(tmp_path / "folder") as line:
        assert "no lock is possible here (Is a directory)" in line
    with lock.lock_output(os.devnull) as line:
        assert line == ""
    assert not Path("/dev/.null.lock").exists()
    (tmp_path / lock.NAME).unlink()
    with lock.lock_inside(tmp_path):
        (tmp_path / lock.NAME).unlink()
        (tmp_path / lock.NAME).write_text("of another process")
    assert (tmp_path / lock.NAME).exists()


@pytest.mark.rules("faults-R8")
def test_temporary_files_of_a_killed_writer_are_removed(tmp_path):
    left = {x: f".{x}.0a0a0a0a0a0a.tmp" for x in ("lists.tsv", "lists.tsv2", "other")}
    for name in left.values():
        (tmp_path / name).write_text("half")
    with lock.lock_output(tmp_path / "lists"):  # none of the files belongs to this shorter name
        assert set(left.values()) < set(os.listdir(tmp_path))
    with lock.lock_output(tmp_path / "lists.tsv"):
        expected = [".lists.tsv.lock", left["lists.tsv2"], left["other"]]
        assert sorted(os.listdir(tmp_path)) == expected
        with pytest.raises(RunError), lock.lock_output(tmp_path / "lists.tsv"):
            pytest.fail("two processes write one file")
        with lock.lock_output(tmp_path / "other"):
            pass
    assert os.listdir(tmp_path) == [left["lists.tsv2"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.rules("faults-R4", "faults-R6")
@pytest.mark.parametrize(
    ("command", "fails"),
    [
        ("train --resume run", True),
        ("compare --out run --models popularity,random", True),
        ("evaluate run", False),
        ("recall run --all-users --output lists", False),
    ],
)
@pytest.mark.slow(every=3)
def test_a_writing_command_fails_in_a_locked_folder_and_a_reading_one_works(run, command, fails):
    before = content(run)
    with holder(run) as child:
        done = call(*command.split(), cwd=run.parent)
        child.communicate("")
    assert done.returncode == (2 if fails else 0), done.stderr
    assert ("run: expected no other process that writes there" in done.stderr) == fails
    assert content(run) == before


@contextmanager
def forked(work):
    """Fork a child that works and ends with a code, 99 for an error; it is killed in the end."""
    child = os.fork()
    if not child:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.getuid() != 0, reason="another user is made by root")
@pytest.mark.rules("faults-R4")
def test_a_lock_file_of_another_user_locks(open_folder):

    def lock_as_another_user():
        os.setuid(54321)
        try:
            with lock.lock_inside(open_folder):
                return 1
        except RunError as error:
            return 0 if f"process {os.getppid()} on " in str(error) else 2

    with lock.lock_inside(open_folder), forked(lock_as_another_user) as child:
        assert code_of(child) == 0


@pytest.mark.rules("faults-R5")
def test_a_forked_child_holds_no_lock_of_its_killed_parent(tmp_path):
    reading, writing = os.pipe()

    def parent():
        with lock.lock_inside(tmp_path), forked(signal.pause) as grandchild:
            os.write(writing, str(grandchild).encode())
            return signal.pause()

    with forked(parent) as process:
        grandchild = int(os.read(reading, 20))
        with pytest.raises(RunError, match=f"process {process} on "), lock.lock_inside(tmp_path):
            pass
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        with lock.lock_inside(tmp_path) as line:
            assert line == ""
        os.kill(grandchild, signal.SIGKILL)


@pytest.mark.rules("faults-R5")
def test_a_forked_child_that_ends_the_block_does_not_release_the_lock(tmp_path):
    """The child does not close its own lock either, which may have the same descriptor."""
    other = tmp_path / "other"
    other.mkdir()
    with ExitStack() as stack:
        stack.enter_context(lock.lock_inside(tmp_path))

        def leave():
            with lock.lock_inside(other):
                stack.close()
                with pytest.raises(RunError), lock.lock_inside(other):
                    pass
            return 0 if sorted(os.listdir(tmp_path)) == [lock.NAME, "other"] else 1

        with forked(leave) as child:
            assert code_of(child) == 0
