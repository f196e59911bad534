"""Errors of the system: exit code 2 and one line, never a report of a bug."""

import errno
import os

import pytest

from mindref.cli import system_errors
from mindref.errors import RunError
from mindref.run import array_files, files, items
from tests.runs import call, options

NUMBERS = [
    errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE, errno.EACCES, errno.EMFILE, errno.ENFILE,
    errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EBADF,
]  # fmt: skip


def system_error(number):
    return OSError(number, os.strerror(number), "/here/it is")


@pytest.mark.rules("faults-R18")
@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_an_error_of_the_system_is_no_bug(cli, number, monkeypatch):
    def fail(*arguments):
        raise system_error(number)

    monkeypatch.setattr("mindref.backend.list_backends", fail)
    line = cli.error_line("backends")
    assert "/here/it is" in line
    assert os.strerror(number) in line


@pytest.mark.rules("faults-R18")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("x.so: cannot open shared object file: Too many open files"), "libraries: "),
        (ImportError("libx.so: failed to map segment from shared object"), "raise the limit with"),
        (OSError("Could not find/load shared object file 'libllvmlite.so'"), "libraries: expected"),
        (ImportError("cannot import name 'x' from 'y'"), ""),
        (DeprecationWarning("old"), "unset PYTHONWARNINGS"),
        (MemoryError("no 3 GiB"), "memory: expected room for the arrays, got no 3 GiB"),
        (RuntimeError("can't start new thread"), "threads: expected one more thread"),
        (RuntimeError("another"), ""),
        (OSError("without a number"), ""),
    ],
    ids=str,
)  # fmt: skip
def test_the_causes_of_an_error_are_searched(error, message):
    outer = ValueError("outer")
    outer.__cause__ = error
    for raised in (error, outer):
        text = system_errors.system_error_message(raised)
        assert message in text
        assert bool(text) == bool(message)


@pytest.mark.rules("faults-R18")
def test_long_and_circular_paths_end_commands_with_code_2(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    long = "x" * 300
    for words in (
        ["train", "--data", "loop", "--out", "run"],
        ["train", "--data", long, "--out", "run"],
        ["train", "--out", long],
        ["train", "--out", "loop", "--data", "loop"],
        ["evaluate", "loop"],
        ["evaluate", long],
        ["recall", "loop", "--all-users"],
        ["train", "--resume", long],
        ["recall", "--merge", ".", "--output", "lists"],
    ):
        cli.error_line(*words)
    assert [x.name for x in tmp_path.iterdir()] == ["loop"]


@pytest.mark.rules("faults-R18")
@pytest.mark.parametrize("name", ["model.safetensors", "items.tsv", "config.json"])
def test_an_unreadable_file_is_not_called_missing(run, name, monkeypatch):
    """The tests may run as root, who can read every file: the error is that of the system."""
    real_open = type(run).open

    def refuse(path, *arguments, **keywords):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, *arguments, **keywords)

    monkeypatch.setattr(type(run), "open", refuse)
    read = {
        "model.safetensors": array_files.load_arrays,
        "items.tsv": items.read_items,
        "config.json": lambda path: files.read_json(path, "the configuration", "make it again"),
    }[name]
    with pytest.raises(RunError, match="Permission denied") as caught:
        read(run / name)
    text = str(caught.value)
    assert text.endswith("check its rights and its disk, then try again")
    assert "no file" not in text
    assert "again from the first step" not in text


@pytest.mark.rules("faults-R18")
@pytest.mark.slow
def test_warnings_as_errors_of_libraries_are_explained(tmp_path):
    variables = {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "error::EncodingWarning"}
    done = call("train", "--out", "run", *options(steps=1), cwd=tmp_path, **variables)
    assert done.returncode in (0, 2), done.stderr
    assert "bug" not in done.stderr


@pytest.mark.rules("faults-R22")
@pytest.mark.parametrize(
    "words",
    [
        "train --config /dev/zero --dry-run",
        "recall RUN --all-users --only /dev/zero",
        "recall RUN --all-users --exclude /dev/zero",
        "study --script /dev/zero",
        "conform --backend numpy --expectations /dev/zero softmax",
        "conform --backend numpy --diff /dev/zero softmax",
    ],
)
def test_no_command_reads_a_device(cli, trained_run, words):
    line = cli.error_line(*[str(trained_run) if x == "RUN" else x for x in words.split()])
    assert "/dev/zero: expected a file, got a device" in line
