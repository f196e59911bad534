"""A share of a bulk recall as a file: what it is, whether it is whole, and all of them as one.

Spec: specs/recall.md, recall-R35 to recall-R38. A part is what the command would write if its users
were all; beside it stands a manifest that says what was asked of which model, and the sha256.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from mindref.errors import ConfigError, RunError, say
from mindref.recommender.lists import FRAMES
from mindref.run import atomic, files, lock

FORMAT = 2  # from 2 on with the device
SUFFIX = ".manifest.json"
OF_ONE_PART = ("share", "sha256", "size")
"""What differs from part to part; everything else is the same, or they do not belong together."""

AGAIN = "recall it again"
TODO = {"device": "bytes of devices differ: recall all parts with one --device"}
"""What to do where parts do not belong together, if there is more to say."""

COPIED = 1 << 20  # bytes at a time


@dataclass(frozen=True)
class Part:
    """The facts of a part, as they stand beside it."""

    format: int  # of this file
    mindref: str  # version that wrote it
    model: str  # sha256 of parameters, settings and catalogue
    step: int  # of the parameters
    log: str  # sha256 of the log
    users: int  # of the log
    backend: str
    device: str  # where the interests were computed: cpu or cuda
    index: dict[str, Any]  # kind, and what its answers depend on
    top: int
    exclude_seen: bool
    form: str  # of the lists
    block: int  # users that are computed together
    share: list[int]  # i and n
    sha256: str = ""  # of the part
    size: int = 0  # bytes of the part

    def write(self, part: Path) -> None:
        """Write it beside the part, whole or not at all."""
        atomic.write_json(beside(part), asdict(self))


def beside(part: Path) -> Path:
    """Return where the manifest of a part stands."""
    return part.with_name(part.name + SUFFIX)


def read(part: Path) -> Part:
    """Read the manifest of a part and check that it is one. Raises RunError."""
    path, what = beside(part), "the manifest of a part of a bulk recall"
    try:
        found = files.read_json(path, what, AGAIN)
    except FileNotFoundError:
        raise RunError(say(str(path), what, "no file", AGAIN)) from None
    known = {field.name: field.type for field in fields(Part)}
    plain = {"int": int, "str": str, "bool": bool}
    if isinstance(found, dict) and found.get("format", FORMAT) != FORMAT:
        raise RunError(say(f"{path}: format", str(FORMAT), repr(found["format"]), AGAIN))
    if not isinstance(found, dict) or sorted(found) != sorted(known):
        raise RunError(say(str(path), what, "other JSON", AGAIN))
    for name, kind in known.items():
        expected = plain.get(str(kind), (dict, list))
        if not isinstance(found[name], expected):
            raise RunError(say(f"{path}: {name}", str(kind), repr(found[name]), AGAIN))
    part_of = Part(**found)
    if not is_share(part_of.share):
        raise RunError(say(f"{path}: share", "i and n, i from 1 to n", part_of.share, AGAIN))
    return part_of


def is_share(share: Sequence[Any]) -> bool:
    """Return whether these are the i and n of a share: whole numbers, i from 1 to n."""
    return len(share) == 2 and all(isinstance(x, int) for x in share) and 1 <= share[0] <= share[1]


def verify(path: Path) -> Part:
    """Return the manifest of a part whose bytes are those that were written. Raises RunError."""
    part = read(path)
    files.check_bytes(path, part.sha256, part.size, "a part of a bulk recall", AGAIN)  # recall-R37
    if part.form not in FRAMES:
        raise RunError(say(f"{beside(path)}: form", " or ".join(FRAMES), repr(part.form), AGAIN))
    return part


def is_done(path: Path, part: Part) -> bool:
    """Return whether this part is there, whole (recall-R38)."""
    try:
        found = verify(path)
    except RunError:
        return False
    return found == replace(part, sha256=found.sha256, size=found.size)


def merge(paths: Iterable[Path], output: Path) -> None:
    """Write the lists of all parts as one file: the very bytes of the command without shares.

    Manifests among the paths are passed over. Raises RunError, before anything is written, for
    parts that are damaged, that do not belong together, that are missing or come twice.
    """
    given = [path for path in paths if not path.name.endswith(SUFFIX)]
    if not given:
        raise ConfigError(say("--merge", "the files of the parts", "none"))
    own = {os.path.realpath(x) for path in given for x in (path, beside(path))}
    if os.path.realpath(output) in own:
        expected = "another file than the parts and their manifests"
        raise ConfigError(say("--output", expected, output))
    first, places = read(given[0]), dict[int, Path]()
    for path in given:
        part = read(path)
        belong(given[0], first, path, part)
        if part.share[0] in places:  # recall-R37
            got = f"{places[part.share[0]]} and {path}"
            raise RunError(say(f"part {part.share[0]} of {part.share[1]}", "one file", got))
        places[part.share[0]] = path
    check_complete(places, first.share[1])
    whole = {places[number]: verify(places[number]) for number in sorted(places)}
    with lock.making(output), atomic.writing(output) as stream:
        join(stream, whole, first.form)


def belong(first: Path, one: Part, path: Path, other: Part) -> None:
    """Raise RunError, naming what differs, unless two parts are shares of the same lists."""
    for name, expected in asdict(one).items():
        got = getattr(other, name)
        if name == "share":
            name, expected, got = "share: n", expected[1], got[1]
        elif name in OF_ONE_PART:
            continue
        if got != expected:  # recall-R37
            where, expected = f"{path}: {name}", f"{expected!r}, as of {first}"
            todo = TODO.get(name, "merge parts of one recall")
            raise RunError(say(where, expected, repr(got), todo))


def check_complete(places: dict[int, Path], count: int) -> None:
    """Raise RunError unless every part is there."""
    if len(places) < count:  # recall-R37
        missing = list(islice((i for i in range(1, count + 1) if i not in places), 6))
        some = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        got = f"{len(places)}, without {some}"
        todo = f"recall --shard {missing[0]}/{count}, or name its file"
        raise RunError(say("--merge", f"all {count} parts", got, todo))


def join(stream: BinaryIO, whole: Mapping[Path, Part], form: str) -> None:
    """Write head, the lists of each part, and tail (recall-R36)."""
    head, between, tail = (text.encode() for text in FRAMES[form])
    stream.write(head)
    begun = False
    for path, part in whole.items():
        left = part.size - len(head) - len(tail)
        if left > 0:
            stream.write(between if begun else b"")
            begun = True
        with path.open("rb") as file:
            read_so_far = hashlib.sha256(file.read(len(head)))
            while left > 0 and (some := file.read(min(left, COPIED))):
                stream.write(some)
                read_so_far.update(some)
                left -= len(some)
            read_so_far.update(file.read())
        if read_so_far.hexdigest() != part.sha256:  # it changed while it was read
            raise RunError(say(str(path), f"sha256 {part.sha256}", "other bytes", AGAIN))
    stream.write(tail)
