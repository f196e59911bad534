"""Recommended lists of all users of a run, in one file or in shards.

Spec: specs/recall.md, recall-R35 to recall-R38.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

from mindref import __version__
from mindref.arguments import Count, check_arguments, check_path_argument
from mindref.backend import device_name
from mindref.errors import ConfigError, say, value_text
from mindref.recall import Index, shard_file
from mindref.recall.approximate import ApproximateIndex
from mindref.recall.lists import FRAMES, save_lists, text_stream, write_lists
from mindref.recall.shard_file import ShardManifest, is_shard_number
from mindref.recommender.serving import recall
from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recall import RequestedLists, count_blocks, recall_lists
from mindref.run import atomic, lock
from mindref.run.array_files import MODEL
from mindref.run.files import file_digest
from mindref.run.source import fingerprint

ALL_USERS = ListRequest(n=20, index="auto")
"""The lists of all users, as `mindref recall --all-users` writes them by default."""


@check_arguments
def recall_all(
    run: Path | str,
    output: Path | str,
    request: ListRequest = ALL_USERS,
    *,
    form: str = "tsv",
    shard: tuple[int, int] | None = None,
    block: Count | None = None,
) -> list[str]:
    """Write the lists of all users of a run to a file, and return messages for the user.

    request: names no users and no histories; its lists of items are paths of files.
    shard (i, n): write only shard i of n, with its manifest, for `shard_file.merge_shards`. A
    complete shard is not computed again. The merged bytes are those of
    `mindref recall --all-users`, if all machines round equally. block: users per block.
    Raises ConfigError, DataError, BackendError and RunError.
    """
    folder, target, size = Path(run), Path(output), block or recall.USERS_PER_BLOCK
    check_request(request)
    check_written_file(target, form, shard)
    lists = recall_lists(folder, request)
    if shard is None:
        warnings = save_lists(target, lists.user_lists(size=size), lists.index, form)
        return [*lists.warnings, *warnings]
    served = lists.served
    facts = ShardManifest(
        format=shard_file.FORMAT,
        mindref=__version__,
        model=run_digest(folder, asdict(served.model.config)),
        step=served.step,
        log=fingerprint(served.log),
        users=len(lists.request.users.names),
        backend=served.backend_name,
        device=device_name(served.backend, request.device),
        index=index_facts(lists.index),
        shard=[*shard],
        top=request.n,
        exclude_seen=lists.request.excludes_seen,
        only="" if request.only is None else file_digest(request.only),  # recall-R49
        exclude="" if request.exclude is None else file_digest(request.exclude),
        per_interest=request.per_interest or 0,
        form=form,
        block=size,
    )
    return [*lists.warnings, write_shard(lists, facts, target)]


def check_request(request: object) -> None:
    """Raise ConfigError unless a request is for all users, with files of item lists."""
    if not isinstance(request, ListRequest):
        got = value_text(request, quoted=True)
        raise ConfigError(say("recall_all: request", "a ListRequest", got))
    if request.users is not None or request.histories is not None:
        raise ConfigError(say("recall_all: request", "all users", "users or histories"))
    for name in ("only", "exclude"):
        if (path := getattr(request, name)) is not None:
            check_path_argument(f"recall_all: {name}", path)


def check_written_file(output: Path, form: str, shard: tuple[int, int] | None) -> None:
    """Raise ConfigError for an unknown format, and for an invalid shard or its file."""
    if form not in FRAMES:
        raise ConfigError(say("recall_all: form", " or ".join(FRAMES), repr(form)))
    if shard is None:
        return
    if not is_shard_number(shard):
        raise ConfigError(say("--shard", "i/n with i from 1 to n", "/".join(map(str, shard))))
    if output.name.endswith(shard_file.SUFFIX):
        expected = f"a name without {shard_file.SUFFIX}, the end of a manifest's name"
        raise ConfigError(say("--output", expected, output))
    if output.exists() and not output.is_file():
        raise ConfigError(say("--output", "a file", f"{output}, which is none"))


def run_digest(run: Path, settings: dict[str, object]) -> str:
    """Return the sha256 of the settings, the model and the catalogue of a run."""
    words = [json.dumps(settings, sort_keys=True, default=str)]
    words += [file_digest(run / name) for name in (MODEL, "items.tsv")]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def index_facts(index: Index) -> dict[str, object]:
    """Return the facts of an index that determine its results."""
    if not isinstance(index, ApproximateIndex):
        return {"kind": index.kind}
    return {"kind": index.kind, "sha256": index.file_sha256, "effort": index.effort}


def write_shard(lists: RequestedLists, facts: ShardManifest, path: Path) -> str:
    """Write a shard and its manifest, unless it is complete; return a message."""
    number, count = facts.shard
    blocks = count_blocks(facts.users, facts.block)
    start, stop = blocks * (number - 1) // count, blocks * number // count
    first, last = (min(edge * facts.block, facts.users) for edge in (start, stop))
    user_range = f"users {first + 1} to {last}" if last > first else "no users"
    description = f"shard {number} of {count}: {user_range} of {facts.users}"
    if shard_file.is_complete_shard(path, facts):  # recall-R38
        return f"{description}, there already"
    manifest = shard_file.manifest_path(path)
    with lock.lock_output(path) as warning:
        if not warning:
            atomic.remove_leftovers(path.parent, manifest.name)  # faults-R8
        with atomic.atomic_path(path) as temporary:
            manifest.unlink(missing_ok=True)  # the old manifest belongs to another file
            with temporary.open("xb") as raw, text_stream(raw) as stream:
                users = lists.user_lists(start, stop, facts.block)
                write_lists(stream, users, lists.index, facts.form)
            digest, size = file_digest(temporary), temporary.stat().st_size
            written = replace(facts, file_sha256=digest, size=size)
        written.write(path)
    return f"{warning}\n{description}" if warning else description
