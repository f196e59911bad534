"""Recommended lists of all users in shards: one shard on a machine, or all on an executor.

Spec: specs/recall.md, recall-R35 to recall-R39. Workers receive paths. Each reads the run, opens
its index and writes its shard next to the output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mindref import __version__
from mindref.arguments import Count, check_arguments, check_path_argument
from mindref.backend import device_name
from mindref.errors import ConfigError, MindrefError, RunError, say, value_text
from mindref.recall import Index, shard_file
from mindref.recall.approximate import ApproximateIndex
from mindref.recall.lists import FRAMES, save_lists, text_stream, write_lists
from mindref.recall.shard_file import ShardManifest, is_shard_number
from mindref.recommender.serving import recall
from mindref.recommender.serving.list_request import ListRequest, Origin
from mindref.recommender.serving.recall import RequestedLists, count_blocks
from mindref.run import atomic
from mindref.run import lock as locks
from mindref.run.array_files import MODEL
from mindref.run.files import file_digest, real_path
from mindref.run.source import fingerprint

ALL_USERS = ListRequest(n=20, index="auto")
"""The lists of all users, as `mindref recall --all-users` writes them by default."""

MAX_SHARDS = 64  # maximum default number of shards of an executor


@dataclass(frozen=True)
class BulkRequest:
    """The lists of all users, as plain values that can be sent to a worker."""

    run: str
    request: ListRequest  # with paths of files of item lists
    form: str
    block: int  # users per block


class OpenedRun(NamedTuple):
    """An opened run, and the common manifest of its shards."""

    lists: RequestedLists
    facts: ShardManifest  # of shard 1 of 1
    blocks: int


@check_arguments
def recall_all(
    run: Path | str,
    output: Path | str,
    request: ListRequest = ALL_USERS,
    *,
    form: str = "tsv",
    shard: tuple[int, int] | None = None,
    executor: Executor | None = None,
    count: Count | None = None,
    block: Count | None = None,
) -> list[str]:
    """Write the lists of all users of a run to a file, and return messages for the user.

    request: names no users and no histories; its lists of items are paths of files.
    shard (i, n): write only shard i of n, with its manifest, for `shard_file.merge_shards`.
    executor: computes `count` shards, which are then merged. It may use threads, processes, or
    `distributed.Client.get_executor()`. Workers must have access to the run, the log, the files
    `only` and `exclude` (`item_lists.read_item_lists`) and the output folder under the same paths.
    A complete shard is not computed again. In every case the bytes are those of
    `mindref recall --all-users`, if all machines round equally.
    Raises ConfigError, DataError, BackendError, and RunError also for a worker that died.
    """
    target, size = Path(output), block or recall.USERS_PER_BLOCK
    check_request(request)
    check_written_file(target, form, shard, executor)
    request = replace(
        request,
        origin=Origin.COMMAND,
        data=real_file(request.data),
        only=real_file(request.only),
        exclude=real_file(request.exclude),
    )
    bulk = BulkRequest(str(real_path(run)), request, form, size)
    open_run.cache_clear()
    opened = open_run(bulk)
    lists = opened.lists
    if shard is not None:
        message = write_shard(opened, target, *shard)
        return [*lists.warnings, message]
    if executor is None:
        warned = save_lists(target, lists.user_lists(size=size), lists.index, form)
        return [*lists.warnings, *warned]
    shards = count or min(MAX_SHARDS, max(1, opened.blocks))
    try:
        write_all_shards(executor, bulk, opened, target, shards)
    finally:
        open_run.cache_clear()
    return lists.warnings


def real_file(path: str | Path | None) -> Path | None:
    """Return the path of a file without links, None for no file."""
    return None if path is None else Path(real_path(path))


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


def check_written_file(
    output: Path, form: str, shard: tuple[int, int] | None, executor: Executor | None
) -> None:
    """Raise ConfigError for invalid or contradictory arguments."""
    if form not in FRAMES:
        raise ConfigError(say("recall_all: form", " or ".join(FRAMES), repr(form)))
    if executor is not None and not callable(getattr(executor, "submit", None)):
        got = value_text(executor, quoted=True)
        raise ConfigError(say("recall_all: executor", "an executor of concurrent.futures", got))
    if shard is not None:
        if not is_shard_number(shard):
            raise ConfigError(say("--shard", "i/n with i from 1 to n", "/".join(map(str, shard))))
        if executor is not None:
            raise ConfigError(say("recall_all", "a shard or an executor", "both"))
        if output.name.endswith(shard_file.SUFFIX):
            expected = f"a name without {shard_file.SUFFIX}, the end of a manifest's name"
            raise ConfigError(say("--output", expected, output))
    has_shards = shard is not None or executor is not None
    if has_shards and output.exists() and not output.is_file():
        raise ConfigError(say("--output", "a file", f"{output}, which is none"))


@lru_cache(maxsize=1)  # a worker writes many shards of one run
def open_run(bulk: BulkRequest) -> OpenedRun:
    """Return a run with its log and its index; an index that does not match is built again."""
    run, request = Path(bulk.run), bulk.request
    lists = recall.recall_lists(run, request)
    served, users = lists.served, len(lists.request.users.names)
    facts = ShardManifest(
        format=shard_file.FORMAT,
        mindref=__version__,
        model=run_digest(run, asdict(served.model.config)),
        step=served.step,
        log=fingerprint(served.log),
        users=users,
        backend=served.backend_name,
        device=device_name(served.backend, request.device),
        index=index_facts(lists.index),
        shard=[1, 1],
        top=request.n,
        exclude_seen=lists.request.excludes_seen,
        only=list_digest(request.only),  # recall-R49
        exclude=list_digest(request.exclude),
        per_interest=request.per_interest or 0,
        form=bulk.form,
        block=bulk.block,
    )
    return OpenedRun(lists, facts, count_blocks(users, bulk.block))


def list_digest(path: Path | None) -> str:
    """Return the sha256 of a file with lists of items, empty without a file."""
    return "" if path is None else file_digest(path)


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


def write_shard(opened: OpenedRun, path: Path, number: int, count: int) -> str:
    """Write shard `number` of `count`, unless it is complete; return a message."""
    facts = replace(opened.facts, shard=[number, count])
    start, stop = (opened.blocks * edge // count for edge in (number - 1, number))
    first, last = (min(edge * facts.block, facts.users) for edge in (start, stop))
    user_range = f"users {first + 1} to {last}" if last > first else "no users"
    description = f"shard {number} of {count}: {user_range} of {facts.users}"
    if shard_file.is_complete_shard(path, facts):  # recall-R38
        return f"{description}, there already"
    manifest = shard_file.manifest_path(path)
    with locks.lock_output(path) as warning:
        if not warning:
            atomic.remove_leftovers(path.parent, manifest.name)  # faults-R8
        with atomic.atomic_path(path) as temporary:
            manifest.unlink(missing_ok=True)  # the old manifest belongs to another file
            with temporary.open("xb") as raw, text_stream(raw) as stream:
                user_lists = opened.lists.user_lists(start, stop, facts.block)
                write_lists(stream, user_lists, opened.lists.index, facts.form)
            digest, size = file_digest(temporary), temporary.stat().st_size
            written = replace(facts, file_sha256=digest, size=size)
        written.write(path)
    return f"{warning}\n{description}" if warning else description


def write_shard_in_worker(
    bulk: BulkRequest, facts: ShardManifest, path: str, number: int, count: int
) -> None:
    """Write a shard in a worker. Raises RunError if the worker's run is not the caller's run."""
    opened = open_run(bulk)
    if opened.facts != facts:
        open_run.cache_clear()  # the run may have changed since
        opened = open_run(bulk)
    shard_file.check_same_recall(Path("the caller"), facts, Path(path), opened.facts)
    write_shard(opened, Path(path), number, count)


def write_all_shards(
    executor: Executor, bulk: BulkRequest, opened: OpenedRun, output: Path, count: int
) -> None:
    """Write all shards with an executor, merge them, and remove them (recall-R39)."""
    folder = output.with_name(f"{output.name}.shards")
    with atomic.explain_errors(folder):
        folder.mkdir(exist_ok=True)
    paths = [folder / f"shard-{i:05}-of-{count:05}" for i in range(1, count + 1)]
    futures: list[Future[None]] = []
    with executor_errors(folder, futures):
        for i, path in enumerate(paths, 1):
            target = str(real_path(path))
            future = executor.submit(write_shard_in_worker, bulk, opened.facts, target, i, count)
            futures.append(future)
        for future in futures:
            future.result()
    shard_file.merge_shards(paths, output)
    for path in paths:
        path.unlink(missing_ok=True)
        shard_file.manifest_path(path).unlink(missing_ok=True)
    with suppress(OSError):  # the folder may contain other files
        folder.rmdir()


@contextmanager
def executor_errors(folder: Path, futures: list[Future[None]]) -> Iterator[None]:
    """Convert the error of a worker that died to RunError; after any error, start no shard."""
    try:
        yield
    except MindrefError:
        raise
    except Exception as error:
        from_executor = type(error).__module__.partition(".")[0] in ("concurrent", "distributed")
        if not from_executor and not isinstance(error, BrokenExecutor | CancelledError):
            raise
        todo = f"run it again: complete shards are kept in {folder}"
        got = f"{type(error).__name__}: {error}"
        raise RunError(say("executor", "workers that complete their shards", got, todo)) from error
    finally:
        for future in futures:
            future.cancel()
