"""The outcome of a command in which one call of the system fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mindref.data.synthetic import make_synthetic_log, write_synthetic_log
from mindref.run.files import INDEX
from tests import test_full_disk
from tests.runs import call, environment
from tests.test_full_disk import TINY, files, is_hidden

SOURCE = Path(__file__).with_name("failing_calls.c")
WORKS = {
    **test_full_disk.WORKS,
    "similar": ["similar", "run", "ITEM", "--output", "similar.tsv"],
    "study": ["study", "run", "--html", "study.html"],
}
"""Name -> words of a command. The table of specs/faults.md has a row for each."""
OUTCOMES = ("right", "message", "wrong")
OPTIONAL = f"run/{INDEX}/"  # files that a command can do without
RERUN = ("export", "vectors")  # a complete export is not replaced


class Outcome(NamedTuple):
    """The outcome of a command in which one call failed."""

    call: str  # open, write, rename, ...
    kind: str  # of OUTCOMES
    reason: str = ""  # why it is wrong


def compile_library(folder: Path) -> Path:
    """Compile the library. Raises FileNotFoundError without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise FileNotFoundError("no compiler")
    library = folder / "failing_calls.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wno-nonnull-compare"]
    subprocess.run([compiler, *flags, SOURCE, "-o", library, "-ldl"], check=True)
    return library


class Server:
    """Runs commands, in a copy of a folder with a log and a trained run."""

    def __init__(self, process: Any, template: Path, folder: Path) -> None:
        self.process, self.template, self.folder = process, template, folder

    def fresh(self) -> Path:
        """Return a new copy of the folder; each copy has the same path."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.folder)
        return self.folder

    def run(self, name: str, at: int = 0) -> dict[str, Any]:
        """Run a command in which call number `at` fails; return exit code, output and calls."""
        request = {"folder": str(self.folder), "words": self.words(name), "at": at}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        result: dict[str, Any] = json.loads(self.process.stdout.readline())
        return result

    def words(self, name: str) -> list[str]:
        """Return the words of a command. A training that has begun is resumed."""
        if name == "train" and (self.folder / "new" / "config.json").exists():
            return ["train", "--resume", "new"]
        item = (
            (self.template / "run" / "items.tsv").read_text("utf-8").split("\n")[1].split("\t")[0]
        )
        return [item if word == "ITEM" else word for word in WORKS[name]]


@contextmanager
def open_server(folder: Path) -> Iterator[Server]:
    """Yield a server with a new folder."""
    library, template = compile_library(folder), folder / "template"
    template.mkdir()
    write_synthetic_log(make_synthetic_log(users=60, items=120), template)
    done = call("train", "--data", "shop.inter", "--out", "run", *TINY, cwd=template)
    assert done.returncode == 0, done.stderr
    (template / "lists.tsv").write_text("earlier\n", encoding="utf-8")
    command = [sys.executable, "-m", "tests.injection.server"]
    variables = environment(LD_PRELOAD=str(library), MINDREF_THREADS="1")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=variables, cwd=folder, **pipes) as process:
        yield Server(process, template, folder / "copy")
        assert process.stdin is not None
        process.stdin.close()


def complete(server: Server, name: str) -> tuple[list[str], dict[str, bytes], dict[str, bytes]]:
    """Return the calls of a command in which none fails, and the files before and after it."""
    before = files(server.fresh())
    done = server.run(name)
    assert done["code"] == 0, done["err"]
    calls = [line.partition(" ")[0] for line in done["calls"].splitlines()]
    return calls, before, files(server.folder)


def outcome(
    server: Server, name: str, at: int, before: dict[str, bytes], after: dict[str, bytes]
) -> Outcome:
    """Return the outcome of a command whose call number `at` fails."""
    server.fresh()
    done = server.run(name, at)
    lines = done["calls"].splitlines()
    if len(lines) < at:
        return Outcome("none", "wrong", f"call {at} did not happen")
    kind = lines[at - 1].partition(" ")[0]
    content = files(server.folder)
    if reason := why_wrong(name, done, content, before, after):
        return Outcome(kind, "wrong", f"{lines[at - 1 : at]}: {reason}")
    if done["code"] == 0 and content == after:
        return Outcome(kind, "right")
    if name not in RERUN or not (server.folder / "out").exists():
        again = server.run(name)
        if again["code"] != 0:
            return Outcome(kind, "wrong", f"the command fails again: {again['err'][-300:]}")
    for path in server.folder.rglob("*.lock"):
        path.unlink()
    if (content := files(server.folder)) != after:
        names = sorted(x for x in {*content, *after} if content.get(x) != after.get(x))
        return Outcome(kind, "wrong", f"other files after the second call: {names}")
    return Outcome(kind, "right" if done["code"] == 0 else "message")


def why_wrong(
    name: str,
    done: dict[str, Any],
    content: dict[str, bytes],
    before: dict[str, bytes],
    after: dict[str, bytes],
) -> str:
    """Return the promise of the page that a command broke, or ""."""
    if done["code"] not in (0, 2):
        return f"exit code {done['code']}: {done['err'][-300:]}"
    if "Traceback" in done["err"]:
        return f"a traceback: {done['err'][-300:]}"
    if done["code"] == 2 and "Error: " not in done["err"]:
        return f"no message: {done['err'][-300:]}"
    if lost := sorted(set(before) - set(content)):
        return f"lost: {lost}"
    hidden = [x for x in content if is_hidden(x) and not x.endswith(".lock")]
    if hidden:
        return f"left behind: {hidden}"
    is_state = name in ("train", "resume", "compare")
    if done["code"] == 0 and (other := different(content, after)):
        return f"exit code 0 with other files: {other}"
    partial = [x for x, data in content.items() if data not in (before.get(x), after.get(x))]
    partial = [x for x in partial if not is_state and not is_hidden(x)]
    return f"neither the old nor the new content: {partial}" if partial else ""


def different(content: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Return the names of files that differ, except locks and indexes, which may be missing."""
    names = {x for x in {*content, *after} if content.get(x) != after.get(x)}
    return sorted(x for x in names if not x.endswith(".lock") and not x.startswith(OPTIONAL))


def outcomes(folder: Path, name: str, step: int = 1, start: int = 1) -> list[Outcome]:
    """Return the outcomes of a command for every `step`-th call."""
    with open_server(folder) as server:
        server.fresh()
        server.run(name)  # compile all functions before calls are counted
        calls, before, after = complete(server, name)
        numbers = range(start, len(calls) + 1, step)
        return [outcome(server, name, at, before, after) for at in numbers]


def table_row(name: str, results: list[Outcome]) -> str:
    """Return a row of the table: the failing calls of a command by kind, and the outcomes."""
    calls = Counter(x.call for x in results)
    kinds = Counter(x.kind for x in results)
    listed = ", ".join(f"{n} {call}" for call, n in sorted(calls.items()))
    counts = " | ".join(str(kinds[kind]) for kind in OUTCOMES)
    return f"| `{' '.join(WORKS[name][:2])}` ({name}) | {listed} | {counts} |"


def processes() -> int:
    """Return the number of commands that run at the same time."""
    return max(1, len(os.sched_getaffinity(0)))
