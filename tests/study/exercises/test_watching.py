"""E8: a save is noticed, whatever the editor does; q and Ctrl-C end it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mindref.study.exercises import watching
from mindref.study.exercises.desk import Desk
from mindref.study.exercises.exercise import find

NAME = "routing-axis"
LONG = 30.0
"""Seconds before a test gives up; a save is noticed after PAUSE and a half."""


class Watched:
    """The command in a process of its own, and its lines as they come."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-u", "-m", "mindref.study.exercises"]
        self.process = subprocess.Popen(
            [*command, "--exercise", NAME, "--watch"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def until(self, text: str) -> None:
        """Read on until a line has a text in it."""
        while text not in self.lines.get(timeout=LONG):
            pass

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def watched(desk: Desk) -> Iterator[Watched]:
    """The command, watching the starter."""
    desk.create(find(NAME))
    found = Watched(desk.folder.parent.absolute())
    yield found
    found.end()


def test_saves_are_noticed_and_q_ends_with_the_last_result(watched: Watched, desk: Desk) -> None:
    watched.until("Watching")
    path = desk.file(NAME)
    path.write_text("def def\n", encoding="utf-8")  # in place
    watched.until("SyntaxError")
    replacing = path.with_suffix(".tmp")
    replacing.write_text(find(NAME).solution, encoding="utf-8")
    os.replace(replacing, path)  # another file under the name
    watched.until("Passed.")
    path.rename(path.with_suffix(".bak"))  # moved away, and written anew a little later
    path.write_text(find(NAME).mistakes[0].code, encoding="utf-8")
    watched.until("known slip")
    path.write_text(find(NAME).solution, encoding="utf-8")
    watched.until("Passed.")
    watched.say("no\nq\n")
    assert watched.process.wait(timeout=LONG) == 0


def test_q_ends_with_1_while_the_answer_is_wrong(watched: Watched) -> None:
    watched.until("Watching")
    watched.say("q\n")
    assert watched.process.wait(timeout=LONG) == 1


def test_ctrl_c_ends_with_130(watched: Watched) -> None:
    watched.until("Watching")
    watched.process.send_signal(signal.SIGINT)
    assert watched.process.wait(timeout=LONG) == 130


def test_a_save_is_looked_for_often_enough() -> None:
    assert 3 * watching.PAUSE < 1


def test_a_file_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    seen = (1, 2, 3)
    assert watching.settled(tmp_path / "away.py", seen, lambda _: False) == seen


def test_a_file_is_read_when_two_looks_at_it_agree(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text("a", encoding="utf-8")
    growing = iter(["ab", "abc"])

    def wait(seconds: float) -> bool:
        path.write_text(next(growing, "abc"), encoding="utf-8")
        os.utime(path, (0, 0))
        return False

    found = watching.settled(path, None, wait)
    assert found is not None
    assert found[2] == 3
