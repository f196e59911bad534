"""Shard files of a bulk recall: the manifest, verification and merging.

Spec: specs/recall.md, recall-R35 to recall-R38. A shard file has the lists of some users, in the
same form as the file of all users. Its manifest has the request, the digest of the model and the
sha256 of the shard file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeAlias

from mindref.errors import ConfigError, RunError, say
from mindref.recall.lists import FRAMES
from mindref.run import atomic, files, lock
from mindref.run.stored_json import Rule

FORMAT = 4  # 2: device; 3: only, exclude, per_interest; 4: digest of the manifest
SUFFIX = ".manifest.json"
SHARD_FIELDS = ("shard", "file_sha256", "size")
"""Fields that differ between shards. All other fields must be equal."""

AGAIN = "recall it again"
TODO = {"device": "results of devices differ in bits: recall all shards with the same --device"}
"""What to do if a field differs."""

COPIED = 1 << 20  # bytes per read


def is_shard_number(shard: Sequence[Any]) -> bool:
    """Return whether a pair is (i, n) of a shard: integers, i from 1 to n."""
    return len(shard) == 2 and all(isinstance(x, int) for x in shard) and 1 <= shard[0] <= shard[1]


ShardNumber: TypeAlias = Annotated[list[int], Rule("i and n, i from 1 to n", is_shard_number)]
IndexFacts: TypeAlias = Annotated[
    dict[str, object],
    Rule(
        "texts and numbers",
        lambda index: all(isinstance(x, str | int | float | None) for x in index.values()),
    ),
]


@dataclass(frozen=True)
class ShardManifest:
    """The content of the manifest of a shard file."""

    format: int  # of this file
    mindref: str  # version that wrote it
    model: str  # sha256 of parameters, settings and catalogue
    step: int  # of the parameters
    log: str  # sha256 of the log
    users: int  # of the log
    backend: str
    device: str  # where the interests were computed: cpu or cuda
    index: IndexFacts  # kind, and all that its results depend on
    top: int
    exclude_seen: bool
    only: str  # sha256 of the file of the option, empty without it
    exclude: str
    per_interest: int  # 0: no limit
    form: str  # of the lists
    block: int  # users per batch
    shard: ShardNumber
    file_sha256: str = ""  # of the shard file
    size: int = 0  # bytes of the shard file

    def write(self, path: Path) -> None:
        """Write the manifest of a shard file atomically, with the digest of its values."""
        files.write_sealed(manifest_path(path), asdict(self))


def manifest_path(path: Path) -> Path:
    """Return the path of the manifest of a shard file."""
    return Path(f"{path}{SUFFIX}")


def read_shard_manifest(shard_file: Path) -> ShardManifest:
    """Return the manifest of a shard file after checking its fields. Raises RunError."""
    path, expected = manifest_path(shard_file), "the manifest of a shard of a bulk recall"
    return files.read_record(path, ShardManifest, FORMAT, expected, AGAIN)  # recall-R37


def verify_shard(path: Path) -> ShardManifest:
    """Return the manifest of a shard file after checking the bytes. Raises RunError."""
    shard_manifest = read_shard_manifest(path)
    digest, size, form = shard_manifest.file_sha256, shard_manifest.size, shard_manifest.form
    files.check_bytes(path, digest, size, "a shard of a bulk recall", AGAIN)  # recall-R37
    if form not in FRAMES:
        location = f"{manifest_path(path)}: form"
        raise RunError(say(location, " or ".join(FRAMES), repr(form), AGAIN))
    return shard_manifest


def is_complete_shard(path: Path, shard_manifest: ShardManifest) -> bool:
    """Return whether this shard file exists and is complete (recall-R38)."""
    try:
        manifest = verify_shard(path)
    except RunError:
        return False
    return manifest == replace(shard_manifest, file_sha256=manifest.file_sha256, size=manifest.size)


def merge_shards(paths: Iterable[Path], output: Path) -> None:
    """Write the lists of all shards to one file, with the same bytes as without sharding.

    Manifests among the paths are skipped. Raises RunError before writing if a shard is damaged,
    missing or repeated, or if the shards are not of one recall.
    """
    shard_files = [path for path in paths if not path.name.endswith(SUFFIX)]
    if not shard_files:
        raise ConfigError(say("--merge", "the shard files", "none"))
    input_files = {os.path.realpath(x) for path in shard_files for x in (path, manifest_path(path))}
    if os.path.realpath(output) in input_files:
        expected = "another file than the shards and their manifests"
        raise ConfigError(say("--output", expected, output))
    first, path_of_shard = read_shard_manifest(shard_files[0]), dict[int, Path]()
    for path in shard_files:
        shard_manifest = read_shard_manifest(path)
        check_same_recall(shard_files[0], first, path, shard_manifest)
        number, count = shard_manifest.shard
        if number in path_of_shard:  # recall-R37
            got = f"{path_of_shard[number]} and {path}"
            raise RunError(say(f"shard {number} of {count}", "one file", got))
        path_of_shard[number] = path
    check_all_shards(path_of_shard, first.shard[1])
    manifests = {path: verify_shard(path) for _, path in sorted(path_of_shard.items())}
    with lock.lock_output(output), atomic.open_atomic(output) as stream:
        write_merged(stream, manifests, first.form)


def check_same_recall(
    first: Path, manifest: ShardManifest, path: Path, other: ShardManifest
) -> None:
    """Raise RunError with the different field unless two shards are of the same recall."""
    for name, expected in asdict(manifest).items():
        got = getattr(other, name)
        if name == "shard":
            name, expected, got = "shard: n", expected[1], got[1]
        elif name in SHARD_FIELDS:
            continue
        if got != expected:  # recall-R37
            location, expected = f"{path}: {name}", f"{expected!r}, as of {first}"
            todo = TODO.get(name, "merge shards of one recall")
            raise RunError(say(location, expected, repr(got), todo))


def check_all_shards(path_of_shard: dict[int, Path], count: int) -> None:
    """Raise RunError unless every shard is present."""
    if len(path_of_shard) < count:  # recall-R37
        missing = list(islice((i for i in range(1, count + 1) if i not in path_of_shard), 6))
        numbers = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        got = f"{len(path_of_shard)}, without {numbers}"
        todo = f"recall --shard {missing[0]}/{count}, or name its file"
        raise RunError(say("--merge", f"all {count} shards", got, todo))


def write_merged(stream: BinaryIO, manifests: Mapping[Path, ShardManifest], form: str) -> None:
    """Write the head, the lists of each shard, and the tail (recall-R36)."""
    head, between, tail = (text.encode() for text in FRAMES[form])
    stream.write(head)
    has_lists = False
    for path, shard_manifest in manifests.items():
        remaining = shard_manifest.size - len(head) - len(tail)
        if remaining > 0:
            stream.write(between if has_lists else b"")
            has_lists = True
        with path.open("rb") as file:
            begin = file.read(len(head))
            read_so_far = hashlib.sha256(begin)
            while remaining > 0 and (block := file.read(min(remaining, COPIED))):
                stream.write(block)
                read_so_far.update(block)
                remaining -= len(block)
            read_so_far.update(file.read())
        digest = shard_manifest.file_sha256
        if read_so_far.hexdigest() != digest:  # the file changed during the read
            raise RunError(say(str(path), f"sha256 {digest}", "other bytes", AGAIN))
        if begin != head:  # recall-R37
            expected = f"the head of a file of the format {form}"
            raise RunError(say(str(path), expected, "other bytes", AGAIN))
    stream.write(tail)
