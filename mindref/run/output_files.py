"""Check the file that a user names for a result: it must not replace data that are in use.

Spec: specs/faults.md, faults-R15. Every other existing file is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mindref.errors import ConfigError, MindrefError, say
from mindref.run.files import read_json

Inputs = Mapping[str, str | Path | None]
"""Description of an input -> path, None for an absent input."""
EXPECTED = "a file that is not in use"
TODO = "choose another file"


def check_output(option: str, path: Path, inputs: Inputs) -> None:
    """Raise ConfigError for an input of the command, and for a path inside a run directory.

    Links are followed. If the log is a folder, the input is the log file in this folder. The item
    and user files that are read with a log are inputs too.
    """
    target = Path(os.path.realpath(path))
    for folder in target.parents:
        if is_run(folder):
            got = f"{path}, inside the run directory {folder}"
            todo = "choose a file outside the folder"
            raise ConfigError(say(option, EXPECTED, got, todo))  # faults-R15
    if not target.exists():
        return
    for description, source in inputs.items():
        if source is not None and any(is_same_file(target, x) for x in files_of(str(source))):
            raise ConfigError(say(option, EXPECTED, f"{path}, {description}", TODO))


def is_same_file(target: Path, other: Path) -> bool:
    """Return whether two paths name the same file, on any file system."""
    try:
        return target.samefile(other)
    except OSError:  # no such file, or no access
        return target == Path(os.path.realpath(other))


def files_of(text: str) -> Iterator[Path]:
    """Yield the files of an input: a file, a folder of a log, or `archive.zip:inner/name`."""
    from mindref.data.formats import FORMATS
    from mindref.data.readers.columns import Columns
    from mindref.data.readers.data_file import DataFile
    from mindref.data.readers.detect import find_log, find_side_files

    yield Path(text)
    try:
        file = DataFile.of(text)
        yield file.path
        file = find_log(file, Columns())
        yield file.path
        for name in FORMATS:
            yield from (x.path for x in find_side_files(file, name) if x is not None)
    except (MindrefError, OSError):  # the reader of the input reports it
        return


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run directory, even if its configuration is damaged."""
    try:
        values = read_json(folder / "config.json", "the configuration of a run", "")
    except OSError:
        return False
    except MindrefError:
        return (folder / "items.tsv").exists()
    return isinstance(values, dict) and {"format", "settings", "sha256"} <= set(values)


def run_inputs(run: str | Path, config: Mapping[str, object]) -> dict[str, str | Path | None]:
    """Return the log, the item file and the user file of a run, whose config.json is `config`.

    Missing or damaged values are left out, because loading the run reports them.
    """
    source = config.get("source")
    if not isinstance(source, dict):
        return {}
    options = source.get("options")
    paths: dict[str, object] = {"log": source.get("place")}
    if isinstance(options, dict):
        paths |= {"item file": options.get("item_file"), "user file": options.get("user_file")}
    return {
        f"the {k} of {run}": x for k, x in paths.items() if isinstance(x, str) and os.path.isabs(x)
    }
