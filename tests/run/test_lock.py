"""One writer at a time: the lock names its owner, outlives nobody, and hinders no reader."""

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

import pytest

from mindref.errors import RunError
from mindref.run import lock
from tests.runs import call, content, options, read_until, run_python, start, start_python, trained

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


@pytest.mark.rules("faults-R4")
def test_the_error_names_the_process_that_holds_the_lock(tmp_path):
    with holder(tmp_path) as child:
        with (
            pytest.raises(RunError, match="no other process that writes there") as told,
            lock.lock_inside(tmp_path),
        ):
            pytest.fail("two hold one lock")
        child.communicate("")
    words = str(told.value)
    assert f"{tmp_path}: " in words
    assert f"process {child.pid} on {socket.gethostname()} (-c {tmp_path}), since 2" in words
    assert words.endswith(" UTC; wait until it has ended, or stop it")
    assert os.listdir(tmp_path) == [], "who ends in good order removes the file"
    with lock.lock_inside(tmp_path) as line:
        assert line == ""


@pytest.mark.rules("faults-R5")
def test_a_killed_process_releases_the_lock(tmp_path):
    with holder(tmp_path) as child:
        child.kill()
    assert os.listdir(tmp_path) == [lock.NAME], "the file is still there, and hinders nobody"
    with lock.lock_inside(tmp_path) as line:
        assert line == ""
        words = json.loads((tmp_path / lock.NAME).read_text())
        assert words["pid"] == os.getpid(), "it names who holds it now"
    assert os.listdir(tmp_path) == []


@pytest.mark.rules("faults-R5")
def test_one_of_many_threads_holds_the_lock(tmp_path):
    """The file comes and goes all the time: nobody may hold one that lies there no more."""
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
    def flock(descriptor, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.SYSTEM, "flock", flock)
    with lock.lock_inside(tmp_path) as line:
        assert line.startswith(f"{tmp_path}: no lock is possible here ({os.strerror(number)})")
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(lock, "SYSTEM", None)
    with lock.lock_inside(tmp_path) as line:
        assert "this system has none" in line


@pytest.mark.rules("faults-R7")
@pytest.mark.slow
def test_a_command_warns_if_there_are_no_locks(tmp_path):
    code = (
        "import errno, os, sys\nfrom mindref.run import lock\n"
        "def flock(*given): raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))\n"
        "lock.SYSTEM.flock = flock\nfrom mindref.cli import main\nmain(sys.argv[1:])"
    )
    words = ["train", "--out", "run", "--quiet", *options(steps=2, evaluate_every=1)]
    done = run_python("-c", code, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "run: no lock is possible here (No locks available)" in done.stderr
    assert not (tmp_path / "run" / lock.NAME).exists()


@pytest.mark.parametrize("words", ["", "[1]", '{"pid": 1}', "\x00" * 30, "[" * 4800])
def test_an_unreadable_lock_file_still_locks(tmp_path, words):
    message = "got one that has not written its name yet"
    with lock.lock_inside(tmp_path):
        (tmp_path / lock.NAME).write_text(words)
        with pytest.raises(RunError, match=message), lock.lock_inside(tmp_path):
            pass
        signed = {"pid": 1, "host": "a\x1b[2J", "command": "b\n", "since": "c"}
        (tmp_path / lock.NAME).write_text(json.dumps(signed))
        with pytest.raises(RunError) as told, lock.lock_inside(tmp_path):
            pass
    assert str(told.value).isprintable()


def test_links_folders_and_devices_in_the_place_of_a_lock(tmp_path):
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


@pytest.mark.rules("faults-R8")
def test_temporary_files_of_a_killed_writer_are_removed(tmp_path):
    left = {x: f".{x}.0a0a0a0a0a0a.tmp" for x in ("lists.tsv", "lists.tsv2", "other")}
    for name in left.values():
        (tmp_path / name).write_text("half")
    with lock.lock_output(tmp_path / "lists"):  # of a shorter name: none of these is its own
        assert set(left.values()) < set(os.listdir(tmp_path))
    with lock.lock_output(tmp_path / "lists.tsv"):
        assert sorted(os.listdir(tmp_path)) == [
            ".lists.tsv.lock", left["lists.tsv2"], left["other"],
        ]  # fmt: skip
        with pytest.raises(RunError), lock.lock_output(tmp_path / "lists.tsv"):
            pytest.fail("two make one file")
        with lock.lock_output(tmp_path / "other"):
            pass
    assert os.listdir(tmp_path) == [left["lists.tsv2"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run")


WRITERS = {
    "resume": ["train", "--resume", "run"],
    "train": ["train", "--out", "new"],
    "compare": ["compare", "--out", "new", "--models", "popularity,random"],
}


@pytest.mark.rules("faults-R4")
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.slow(every=3)
def test_a_writing_command_fails_in_a_locked_folder(run, name):
    folder = run.parent / WRITERS[name][2]
    folder.mkdir(exist_ok=True)
    before = content(run)
    with holder(folder) as child:
        done = call(*WRITERS[name], cwd=run.parent)
        child.communicate("")
    assert done.returncode == 2, done.stderr
    assert f"{folder.name}: expected no other process that writes there" in done.stderr
    assert f"process {child.pid} on " in done.stderr
    assert content(run) == before


@pytest.mark.rules("faults-R4", "faults-R6")
@pytest.mark.slow
def test_an_output_file_has_one_writer_and_readers_of_a_run_take_no_lock(run, tmp_path):
    part, lists = tmp_path / "part", tmp_path / "lists.tsv"
    shard = ["recall", run, "--all-users", "--shard", "1/1", "--output", part]
    with holder(run) as child:
        for words in (["evaluate", run], shard):
            done = call(*words, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        child.communicate("")
    with lock.lock_output(lists):
        for words in (
            ["recall", "--merge", part, "--output", lists],
            ["evaluate", run, "--predictions", lists],
        ):
            done = call(*words, cwd=tmp_path)
            assert done.returncode == 2, done.stderr
            assert "lists.tsv: expected no other process that writes there" in done.stderr
    assert not lists.exists()


def test_a_lock_that_was_removed_is_not_removed_again(tmp_path):
    with lock.lock_inside(tmp_path):
        (tmp_path / lock.NAME).unlink()
        (tmp_path / lock.NAME).write_text("another one's")
    assert os.listdir(tmp_path) == [lock.NAME]


@pytest.mark.rules("faults-R4")
@pytest.mark.slow
def test_two_trainings_of_one_run_at_once(tmp_path):
    """The second is refused while the first one trains, and the first one ends undisturbed."""
    long = ["train", "--out", "run", *options(steps=4000, evaluate_every=20)]
    with start(*long, cwd=tmp_path) as first:
        read_until(first, "step ")
        done = call("train", "--resume", "run", cwd=tmp_path)
        assert done.returncode == 2
        assert f"process {first.pid} on " in done.stderr
        assert "(mindref train --out run --preset mind --steps 4000" in done.stderr
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        first.communicate()
        assert first.returncode == 130
    assert not (tmp_path / "run" / lock.NAME).exists()


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


def asleep():
    while True:
        signal.pause()


@pytest.mark.skipif(os.getuid() != 0, reason="another user is made by root")
@pytest.mark.rules("faults-R4")
def test_the_lock_of_another_user_holds(open_folder):
    """Its file cannot be written by us, and is locked all the same."""

    def refused():
        os.setuid(54321)
        try:
            with lock.lock_inside(open_folder):
                return 1
        except RunError as error:
            return 0 if f"process {os.getppid()} on " in str(error) else 2

    with lock.lock_inside(open_folder), forked(refused) as child:
        assert code_of(child) == 0


@pytest.mark.rules("faults-R5")
@pytest.mark.parametrize("waits", [False, True])
def test_a_forked_child_holds_no_lock_of_its_parent(waits, tmp_path):
    """The parent is a process of its own, which is killed while its child lives on.

    It forks when it has the lock, or while a thread of it waits for the lock.
    """
    reading, writing = os.pipe()

    def parent():
        with ExitStack() as stack:
            stack.enter_context(lock.lock_inside(tmp_path))
            had = threading.Event()
            if waits:
                threading.Thread(target=keep, args=(tmp_path, had), daemon=True).start()
                while len(lock.OPEN) < 2:  # until it has opened the file
                    pass
            with forked(asleep) as grandchild:
                if waits:
                    stack.close()
                    had.wait()
                os.write(writing, str(grandchild).encode())
                return asleep()

    with forked(parent) as process:
        grandchild = int(os.read(reading, 20))
        try:
            with (
                pytest.raises(RunError, match=f"process {process} on "),
                lock.lock_inside(tmp_path),
            ):
                pass
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            with lock.lock_inside(tmp_path) as line:
                assert line == ""
        finally:
            os.kill(grandchild, signal.SIGKILL)
            os.close(reading)
            os.close(writing)


def keep(folder, had):
    """Wait for a lock, say so when it is had, and keep it."""
    with lock.lock_inside(folder, wait=True):
        had.set()
        threading.Event().wait()


@pytest.mark.rules("faults-R5")
def test_a_forked_child_that_ends_the_block_leaves_the_lock_alone(tmp_path):
    """Nor does it close its own lock, which may have the number that the other one had."""
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
