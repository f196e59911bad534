"""A coverage-guided fuzzer: inputs that reach new lines of mindref are kept and changed further.

    pip install atheris            (required by this script, not by the tests)
    python -m tests.fuzz.guided TARGET [FOLDER] [options of libFuzzer, as -max_total_time=300]

TARGET is a name of `TARGETS`. FOLDER keeps what was found, and begins with logs of the strategies
of tests/fuzz/logs.py; without one a temporary folder does. Every input is read, or refused in words
(tests/fuzz/outcome.py); anything else ends the campaign and leaves `crash-*`, `timeout-*` or
`oom-*`, whose bytes belong into a test. `python -m tests.fuzz.guided TARGET FILE` tries one file.

It is no part of any test run: a campaign has no end, and takes its own from -max_total_time.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["mindref"]):
    from mindref.cli.settings import config_from_options
    from mindref.data.log import InteractionLog
    from mindref.data.readers import FORMATS, read_log
    from mindref.recall import open_index
    from mindref.run import items
    from mindref.run.array_files import load_arrays
    from mindref.run.checkpoint import load_config

from tests.fuzz.invariants import check_log
from tests.fuzz.logs import FORMS, name_of
from tests.fuzz.outcome import COUNTS, outcome
from tests.fuzz.packed import pack
from tests.fuzz.test_settings import TOML, check_config

FORMAT_NAMES = ["auto", *FORMATS]
ROWS = [("u", "a", 1.0), ("u", "b", 2.0), ("v", "a", 1.0), ("v", 'x"y', -0.5), ("w", "01", 1e9)]
VECTORS = np.arange(12, dtype=np.float32).reshape(6, 2)


def reader(folder: Path, data: bytes) -> None:
    """The first byte chooses form, limit and columns; the rest is the file."""
    choice, raw = data[:1] or b"\0", data[1:]
    (folder / "log").write_bytes(raw)
    options = {"format": FORMAT_NAMES[choice[0] % len(FORMAT_NAMES)]}
    if choice[0] & 64:
        options |= {"columns": {"user": 1, "item": 2, "time": 3}}  # type: ignore[dict-item]
    found = outcome(
        read_log, folder / "log", max_bad_lines=1000 if choice[0] & 128 else 0, **options
    )
    if isinstance(found, InteractionLog):
        check_log(found)


def side_file(folder: Path, data: bytes) -> None:
    """The bytes are an item file and a user file of a small log."""
    (folder / "log").write_text("u a\nu b\nv a\n")
    for name in ("side", "side.json"):
        (folder / name).write_bytes(data)
        given = {"item_file": folder / name, "user_file": folder / "side", "max_bad_lines": 100}
        found = outcome(read_log, folder / "log", format="pairs", **given)
        if isinstance(found, InteractionLog):
            check_log(found)


def toml(folder: Path, data: bytes) -> None:
    """The bytes are a file of settings."""
    (folder / "settings.toml").write_bytes(data)
    check_config(outcome(config_from_options, None, folder / "settings.toml", {}))


def config(folder: Path, data: bytes) -> None:
    """The bytes are config.json of a run."""
    (folder / "config.json").write_bytes(data)
    outcome(load_config, folder)


def arrays(folder: Path, data: bytes) -> None:
    """The bytes are a file of arrays of a run."""
    (folder / "model.safetensors").write_bytes(data)
    outcome(load_arrays, folder / "model.safetensors")


def catalogue(folder: Path, data: bytes) -> None:
    """The bytes are items.tsv of a run."""
    (folder / "items.tsv").write_bytes(data)
    outcome(items.read_items, folder / "items.tsv")


def manifest(folder: Path, data: bytes) -> None:
    """The bytes are the manifest of an index."""
    (folder / "manifest.json").write_bytes(data)
    outcome(open_index, folder, VECTORS)


TARGETS: dict[str, Callable[[Path, bytes], None]] = {
    one.__name__: one for one in (reader, side_file, toml, config, arrays, catalogue, manifest)
}


def seeds(target: str) -> list[bytes]:
    """Return inputs to begin with."""
    if target == "reader":
        found = []
        for form in FORMS:
            for packing in ("plain", "gzip", "deflated"):
                raw = pack(FORMS[form].write(ROWS), packing)
                number = FORMAT_NAMES.index(name_of(form))
                found += [bytes([number]) + raw, bytes([128 + number]) + raw, b"\0" + raw]
        return found
    if target == "side_file":
        table = b"item,title,f\na,A,x|y\n", b"item_id:token\tname:token\na\tA\n", b"a::A::x|y\n"
        return [*table, b'{"a": ["x", "y"]}', b"user_id:token\tage:token\nu\t7\n"]
    if target == "toml":
        return [TOML.encode()]
    return [written(target)]


def written(target: str) -> bytes:
    """Return what mindref itself writes for a target."""
    from mindref.config import Config
    from mindref.recall import build_index
    from mindref.run.array_files import FORMAT, save_arrays
    from mindref.run.checkpoint import save_config

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if target == "config":
            facts = {"source": {"place": "built-in", "options": {}}, "protocol": "paper"}
            more = {"exclude_seen": True, "sizes": {}, "user_features": {}, "log": ""}
            save_config(folder, Config(), {**facts, **more, "items": ""})
        elif target == "arrays":
            save_arrays(folder / "x", {"a": VECTORS}, {"format": FORMAT, "step": 1})
        elif target == "catalogue":
            items.write_items(folder / "x", ["a", "b\t"], [1, 2], ["A\n", ""])
        else:
            build_index(VECTORS, VECTORS, directory=folder, kind="exact")
        return next(folder.iterdir()).read_bytes()


def main() -> None:
    """Try inputs until libFuzzer ends; say how many were answered and refused."""
    target, *rest = sys.argv[1:]
    corpus = [word for word in rest if not word.startswith("-")]
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as fresh:
        if not corpus:
            corpus, rest = [fresh], [*rest, fresh]
        if Path(corpus[0]).is_dir():
            for seed in seeds(target):
                (Path(corpus[0]) / hashlib.sha1(seed).hexdigest()).write_bytes(seed)

        def once(data: bytes) -> None:
            TARGETS[target](Path(scratch), data)
            if sum(COUNTS.values()) % 10_000 == 0:
                print(target, dict(COUNTS), file=sys.stderr, flush=True)

        atheris.Setup(sys.argv[:1] + rest, once)
        with contextlib.suppress(KeyboardInterrupt):
            atheris.Fuzz()


if __name__ == "__main__":
    main()
