"""Locks and forked processes: whose a lock is, and who lets go of it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mindref.errors import RunError
from mindref.run import lock

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@contextmanager
def forked(work: Callable[[], int]) -> Iterator[int]:
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


def code_of(child: int) -> int:
    """Wait for a child; return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def asleep() -> int:
    """Do nothing until killed."""
    while True:
        signal.pause()


@pytest.mark.skipif(os.getuid() != 0, reason="another user is made by root")
@pytest.mark.rules("faults-R4")
def test_the_lock_of_another_user_is_one(open_folder):
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


def keep(folder: Path, had: threading.Event) -> None:
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
