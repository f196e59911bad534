"""A coverage-guided fuzzer: inputs that reach new lines of mindref are kept and changed further.

    pip install atheris            (required by this script, not by the tests)
    python -m tests.fuzz.guided TARGET [FOLDER] [options of libFuzzer, as -max_total_time=300]

TARGET is a name of `TARGETS`. FOLDER stores the inputs; the first are logs of tests/fuzz/logs.py,
or files that mindref writes. Without FOLDER it is temporary. Every input must be read or refused
(tests/fuzz/outcome.py). Any other outcome ends the campaign and writes `crash-*`, `timeout-*` or
`oom-*`: add its bytes to a test. `python -m tests.fuzz.guided TARGET FILE` runs one file.

No test run includes it: a campaign ends by -max_total_time alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mindref"]):
    from mindref.cli.settings import config_from_options
    from mindref.data.log import InteractionLog
    from mindref.data.readers import FORMATS, read_log
    from tests.fuzz import test_run_files as run_files
    from tests.fuzz.invariants import check_log
    from tests.fuzz.logs import FORMS, name_of
    from tests.fuzz.outcome import COUNTS, outcome
    from tests.fuzz.packed import pack
    from tests.fuzz.test_settings import TOML, check_config

FORMAT_NAMES = ["auto", *FORMATS]
ROWS = [("u", "a", 1.0), ("u", "b", 2.0), ("v", "a", 1.0), ("v", 'x"y', -0.5), ("w", "01", 1e9)]


def reader(folder: Path, data: bytes) -> None:
    """Read a log: the first byte chooses format, limit and columns; the others are the file."""
    choice, raw = data[:1] or b"\0", data[1:]
    (folder / "log").write_bytes(raw)
    options = {"format": FORMAT_NAMES[choice[0] % len(FORMAT_NAMES)]}
    if choice[0] & 64:
        options |= {"columns": {"user": 1, "item": 2, "time": 3}}  # type: ignore[dict-item]
    limit = 1000 if choice[0] & 128 else 0
    log = outcome(read_log, folder / "log", max_bad_lines=limit, **options)
    if isinstance(log, InteractionLog):
        check_log(log)


def side_file(folder: Path, data: bytes) -> None:
    """Read the bytes as an item file and as a user file of a small log."""
    (folder / "log").write_text("u a\nu b\nv a\n")
    for name in ("side", "side.json"):
        (folder / name).write_bytes(data)
        options = {"item_file": folder / name, "user_file": folder / "side", "max_bad_lines": 100}
        log = outcome(read_log, folder / "log", format="pairs", **options)
        if isinstance(log, InteractionLog):
            check_log(log)


def toml(folder: Path, data: bytes) -> None:
    """Read the bytes as a file of settings."""
    (folder / "settings.toml").write_bytes(data)
    check_config(outcome(config_from_options, None, folder / "settings.toml", {}))


def run_file(kind: str, folder: Path, data: bytes) -> None:
    """Read the bytes as a file of a run."""
    run_files.read(kind, data)


TARGETS: dict[str, Callable[[Path, bytes], None]] = {
    **{target.__name__: target for target in (reader, side_file, toml)},
    **{kind: partial(run_file, kind) for kind in run_files.FILES},
}


def seeds(target: str) -> list[bytes]:
    """Return the first inputs of a campaign."""
    if target == "reader":
        logs = []
        for form in FORMS:
            for packing in ("plain", "gzip", "deflated"):
                raw = pack(FORMS[form].write(ROWS), packing)
                number = FORMAT_NAMES.index(name_of(form))
                logs += [bytes([number]) + raw, bytes([128 + number]) + raw, b"\0" + raw]
        return logs
    if target == "side_file":
        table = b"item,title,f\na,A,x|y\n", b"item_id:token\tname:token\na\tA\n", b"a::A::x|y\n"
        return [*table, b'{"a": ["x", "y"]}', b"user_id:token\tage:token\nu\t7\n"]
    if target == "toml":
        return [TOML.encode()]
    with tempfile.TemporaryDirectory() as folder:
        return [run_files.written(target, Path(folder))]


def main() -> None:
    """Run inputs until libFuzzer ends; print how many were answered and refused."""
    target, *options = sys.argv[1:]
    corpus = [word for word in options if not word.startswith("-")]
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as fresh:
        if not corpus:
            corpus, options = [fresh], [*options, fresh]
        if Path(corpus[0]).is_dir():
            for seed in seeds(target):
                (Path(corpus[0]) / hashlib.sha1(seed).hexdigest()).write_bytes(seed)

        def once(data: bytes) -> None:
            TARGETS[target](Path(scratch), data)
            if sum(COUNTS.values()) % 10_000 == 0:
                print(target, dict(COUNTS), file=sys.stderr, flush=True)

        atheris.Setup(sys.argv[:1] + options, once)
        with contextlib.suppress(KeyboardInterrupt):
            atheris.Fuzz()


if __name__ == "__main__":
    main()
