"""Every save is detected, for any editor; q and Ctrl-C end the command."""

import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

from mindref.study.exercises import commands
from mindref.study.exercises.exercise import find_exercise

NAME = "routing-axis"
LONG = 30.0
"""Seconds before a test fails; a save is detected after 1.5 times PAUSE."""


class WatchProcess:
    """The command in a separate process, and its output lines."""

    def __init__(self, process):
        self.process = process
        self.lines = queue.Queue()
        threading.Thread(target=self.read_lines, daemon=True).start()

    def read_lines(self):
        for line in self.process.stdout or ():
            self.lines.put(line)

    def wait_for(self, text):
        while text not in self.lines.get(timeout=LONG):
            pass

    def send(self, text):
        print(text, end="", file=self.process.stdin, flush=True)


@pytest.fixture
def watching(workspace):
    """The command, which watches the starter."""
    workspace.create_file(find_exercise(NAME))
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE) | {"stderr": subprocess.STDOUT}
    command = [sys.executable, "-u", "-m", "mindref", "study", "--exercise", NAME]
    with subprocess.Popen([*command, "--watch"], text=True, **pipes) as process:
        yield WatchProcess(process)
        process.kill()


def test_every_save_is_checked_and_q_exits_with_the_last_code(watching, workspace):
    watching.wait_for("Watching")
    path = workspace.file_path(NAME)
    path.write_text("def def\n", encoding="utf-8")  # in place
    watching.wait_for("SyntaxError")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(find_exercise(NAME).solution, encoding="utf-8")
    os.replace(temporary, path)  # another file with the same name
    watching.wait_for("Passed.")
    path.rename(path.with_suffix(".bak"))  # moved away, then written again
    path.write_text(find_exercise(NAME).mistakes[0].code, encoding="utf-8")
    watching.wait_for("known mistake")
    path.write_text(find_exercise(NAME).solution, encoding="utf-8")
    watching.wait_for("Passed.")
    watching.send("no\nq\n")
    assert watching.process.wait(timeout=LONG) == 0


def test_q_exits_with_1_for_a_wrong_answer(watching):
    watching.wait_for("Watching")
    watching.send("q\n")
    assert watching.process.wait(timeout=LONG) == 1


def test_ctrl_c_exits_with_130(watching):
    watching.wait_for("Watching")
    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait(timeout=LONG) == 130


def test_a_save_is_detected_within_a_second():
    assert 3 * commands.PAUSE < 1


def test_a_missing_file_keeps_the_old_state(tmp_path):
    state = (1, 2, 3)
    assert commands.wait_for_stable_file(tmp_path / "missing.py", state, lambda _: False) == state


def test_a_file_is_stable_after_two_equal_looks(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("a", encoding="utf-8")
    contents = iter(["ab", "abc"])

    def wait(seconds):
        path.write_text(next(contents, "abc"), encoding="utf-8")
        os.utime(path, (0, 0))
        return False

    state = commands.wait_for_stable_file(path, None, wait)
    assert state[2] == 3
