"""The commands of the sweep, a folder in which they run, and the judgement of an outcome."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import NamedTuple

from mindref.run.files import INDEX
from tests.recall.annoy_trees import INDEX as KIND
from tests.runs import options, train_small_run, write_shop

TINY = " ".join(options(steps=2, evaluate_every=1, backend="numpy"))
DIN = (
    "--steps 4 --batch 16 --width 8 --window 5 --hidden 8 --attention-hidden 4 --candidates 20"
    " --recalled-negatives 6 --popular-negatives 3"
)
COMMANDS = {
    "train": f"train --data shop.inter --out new {TINY}",
    "resume": "train --resume run",
    "evaluate": "evaluate run --predictions ranked.tsv --json",
    "serve": "recall run --history ITEM --json",
    "search": f"recall indexed --history ITEM --index {KIND} --json",
    "index": f"recall cold --history ITEM --index {KIND} --json",
    "bulk": "recall run --all-users --output lists.tsv",
    "rerank": "recall run --history ITEM --rerank din --json",
    "resume din": "train --resume din",
    "export": "export run --to onnx --output out --users 20",
    "vectors": "export run --to vectors --all-users --output out",
    "compare": "compare shop.inter --models popularity,random --seeds 1 --out arms"
    " --metric hit_rate@10",
    "study": "study run --html study.html",
}
"""Name -> words of a command."""
READS = {
    "run": ("serve", "evaluate", "resume"),
    "indexed": ("search",),
    "din": ("rerank", "resume din"),
}
"""Folder -> the commands that are called when a file of this folder is damaged."""
READ_ONLY = ("serve", "search", "rerank")
STATEFUL = ("train", "resume", "resume din", "compare")  # files between the old and the new content
RERUN = ("export", "vectors")  # a complete export is not replaced
TIMED = ("manifest.json", "compare.json")  # contain seconds
OPTIONAL = f"cold/{INDEX}/"  # files that a command can do without
OTHER_ANSWER = {("optimiser.safetensors", "missing"), ("report.json", "missing")}
"""Damage with a different answer, by specs/security.md: a run without a state or a report."""
READING = ("open", "mmap")
"""Calls that change no file, and succeed on a full disk."""
Files = dict[str, bytes]


class Done(NamedTuple):
    """How a command ended, and its counted calls, such as "write"."""

    code: int
    out: str
    err: str
    calls: list[str]


class Fault(NamedTuple):
    """A fault at a call of the system."""

    mode: str  # error (once), full (a full disk from then on), kill
    at: int  # number of the call, 0 for no fault


NO_FAULT = Fault("error", 0)


class Workplace:
    """A folder with a log, runs that can be resumed, a reranker and old files.

    The run `indexed` has an index of vectors; `cold` has no index.

    Commands run in copies of it; each copy has the same path.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.template, self.folder = folder / "template", folder / "copy"
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["tests.faults.failing_calls"])
        self.template.mkdir()
        write_shop(self.template)
        train_small_run(self.template / "run", model=model)
        prepare = ["recall run --all-users --output lists.tsv"]
        if model == "mind":
            for name in ("cold", "indexed"):
                shutil.copytree(self.template / "run", self.template / name)
            prepare.append(f"recall indexed --all-users --index {KIND} --output lists.tsv")
            prepare.append(f"train --model din --recall run --out din {DIN}")
        for words in prepare:
            done = self.call(self.template, words)
            assert done.code == 0, (words, done.err)
        (self.template / "lists.tsv").write_text("earlier\n", encoding="utf-8")
        items = (self.template / "run" / "items.tsv").read_text(encoding="utf-8").split("\n")
        self.item = items[1].split("\t")[0]

    def renew(self) -> Path:
        """Make a new copy, and return its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.folder)
        return self.folder

    def run(self, name: str, fault: Fault = NO_FAULT) -> Done:
        """Run a command with a fault. A training that has begun is resumed."""
        words = COMMANDS[name].replace("ITEM", self.item)
        if name == "train" and (self.folder / "new" / "config.json").exists():
            words = "train --resume new"
        return self.call(self.folder, words, fault)

    def call(self, folder: Path, words: str, fault: Fault = NO_FAULT) -> Done:
        """Run a command in a folder."""
        from tests.faults.failing_calls import run_command

        with tempfile.TemporaryDirectory() as scratch:
            arguments = (str(folder), words.split(), fault.at, fault.mode, Path(scratch))
            process = self.processes.Process(target=run_command, args=arguments)
            process.start()
            process.join()
            texts = [
                Path(scratch, name).read_text("utf-8", "replace")
                for name in ("out", "err", "calls")
            ]
            assert process.exitcode is not None
            return Done(process.exitcode, texts[0], texts[1], texts[2].split())


def read_files(folder: Path) -> Files:
    """Return all files below a folder, hidden ones too. A file with seconds in it is b""."""
    contents = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        name = str(path.relative_to(folder))
        is_timed = path.name in TIMED
        contents[name] = b"" if is_timed else path.read_bytes()
        if is_timed and path.suffix == ".json" and not is_hidden(name):
            json.loads(path.read_text(encoding="utf-8"))  # complete
    return contents


def is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def differences(first: Files, second: Files) -> list[str]:
    """Return the names of files that differ; locks do not count."""
    names = sorted({*first, *second})
    return [x for x in names if first.get(x) != second.get(x) and not x.endswith(".lock")]


def judge_call(place: Workplace, name: str, fault: Fault, before: Files, after: Files) -> str:
    """Run a command with a fault, then again; return the promise that it broke, or ""."""
    place.renew()
    done = place.run(name, fault)
    content = read_files(place.folder)
    if reason := broken_promise(name, fault.mode, done, content, before, after):
        return reason
    is_complete = name in RERUN and (place.folder / "out").exists()
    if not (done.code == 0 and content == after) and not is_complete:
        again = place.run(name)
        if again.code != 0:
            return f"the command fails again: {again.err[-300:]}"
    different = differences(read_files(place.folder), after)
    return f"other files after the second call: {different}" if different else ""


def broken_promise(
    name: str, mode: str, done: Done, content: Files, before: Files, after: Files
) -> str:
    """Return the promise of the page faults that a command broke, or ""."""
    killed = mode == "kill"
    if done.code not in ([-signal.SIGKILL] if killed else [0, 2]):
        return f"exit code {done.code}: {done.err[-300:]}"
    if done.code == 2 and (reason := wrong_message(done.err)):
        return reason
    if done.code == 2 and mode == "full" and os.strerror(28) not in done.err:
        return f"no reason: {done.err[-300:]}"
    if lost := sorted(set(before) - set(content)):
        return f"lost: {lost}"
    hidden = [x for x in content if is_hidden(x) and not x.endswith(".lock")]
    if hidden and not killed:
        return f"left behind: {hidden}"
    needed = [x for x in differences(content, after) if not x.startswith(OPTIONAL)]
    if done.code == 0 and needed:
        return f"exit code 0 with other files: {needed}"
    visible = {x: data for x, data in content.items() if not is_hidden(x)}
    partial = [x for x, data in visible.items() if data not in (before.get(x), after.get(x))]
    return f"incomplete: {partial}" if partial and name not in STATEFUL else ""


def wrong_message(err: str) -> str:
    """Return what is wrong with the message of a command that ended with exit code 2, or ""."""
    if "Traceback" in err:
        return f"a traceback: {err[-300:]}"
    if "Error: " not in err:
        return f"no message: {err[-300:]}"
    strange = [char for char in err if not char.isprintable() and char not in "\n\t"]
    return f"control characters {strange}: {err[-300:]}" if strange else ""


def judge_damage(done: Done, expected: Done, file: str, damage: str) -> str:
    """Return what is wrong after a file was damaged: another answer, or no remedy."""
    if done.code == 0:
        is_other = (Path(file).name, damage) in OTHER_ANSWER
        return "" if done.out == expected.out or is_other else f"another answer: {done.out[-300:]}"
    if done.code != 2:
        return f"exit code {done.code}: {done.err[-300:]}"
    if reason := wrong_message(done.err):
        return reason
    message = done.err[done.err.index("Error: ") :]
    names = [file, file.removesuffix(".manifest.json")]
    names += (
        [str(Path(file).parent)] if file.endswith("config.json") else []
    )  # the folder is no run
    if not any(x in message for x in names):
        return f"names another file: {message}"
    return "" if ";" in message else f"does not say what to do: {message}"
