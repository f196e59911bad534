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
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from mindref import __version__
from mindref.arguments import Count, check_arguments
from mindref.backend import device_name
from mindref.errors import ConfigError, MindrefError, RunError, say, value_text
from mindref.recall import lists, shard_file
from mindref.recall.approximate import ApproximateIndex
from mindref.recall.shard_file import ShardManifest, is_shard_number
from mindref.recommender.serving import recall as bulk
from mindref.recommender.serving.item_lists import read_list_files
from mindref.recommender.serving.recall import BulkRecall, count_blocks
from mindref.run import atomic
from mindref.run import lock as locks
from mindref.run.array_files import MODEL
from mindref.run.files import file_digest, real_path
from mindref.run.source import fingerprint

MAX_SHARDS = 64  # maximum default number of shards of an executor


class ShardRequest(NamedTuple):
    """A request for lists, as plain values that can be sent to a worker."""

    run: str
    data: str | None
    top: int
    kind: str
    exclude_seen: bool | None
    only: str | None  # files with lists of items
    exclude: str | None
    per_interest: int | None
    backend: str | None
    device: str
    form: str
    block: int  # users per block


class OpenedRun(NamedTuple):
    """An opened run, and the common manifest of its shards."""

    answers: BulkRecall
    facts: ShardManifest  # of shard 1 of 1
    blocks: int


@check_arguments
def recall_all(
    run: Path | str,
    output: Path | str,
    *,
    form: str = "tsv",
    shard: tuple[int, int] | None = None,
    executor: Executor | None = None,
    count: Count | None = None,
    data: Path | str | None = None,
    n: Count = 20,
    kind: str = "auto",
    exclude_seen: bool | None = None,
    only: Path | str | None = None,
    exclude: Path | str | None = None,
    per_interest: Count | None = None,
    backend: str | None = None,
    device: str = "cpu",
    block: Count | None = None,
) -> list[str]:
    """Write the lists of all users of a run to a file, and return messages for the user.

    shard (i, n): write only shard i of n, with its manifest, for `shard_file.merge_shards`.
    executor: computes `count` shards, which are then merged. It may use threads, processes, or
    `distributed.Client.get_executor()`. Workers must have access to the run, the log, the files
    `only` and `exclude` (`item_lists.read_item_lists`) and the output folder under the same paths.
    per_interest, exclude_seen: as `MIND.recommend_many`. A complete shard is not computed again.
    In every case the bytes are those of `mindref recall --all-users`, if all machines round
    equally.
    Raises ConfigError, DataError, BackendError, and RunError also for a worker that died.
    """
    target, size = Path(output), block or bulk.USERS_PER_BLOCK
    check_request(target, form, shard, executor, count, size)
    log, only_file, exclude_file = (
        None if path is None else str(real_path(path)) for path in (data, only, exclude)
    )
    filters = only_file, exclude_file, per_interest
    request = ShardRequest(
        str(real_path(run)), log, n, kind, exclude_seen, *filters, backend, device, form, size
    )
    opened = open_run(request)
    if shard is not None:
        message = write_shard(opened, target, *shard)
        return [*opened.answers.warnings, message]
    if executor is None:
        user_lists = opened.answers.blocks(0, opened.blocks, size)
        warned = lists.save_lists(target, user_lists, opened.answers.index, form)
        return [*opened.answers.warnings, *warned]
    # the choice of `auto`, for all shards
    resolved_request = request._replace(kind=opened.answers.index.kind)
    with opened_runs_lock:
        opened_runs[resolved_request] = opened  # for worker threads and forked workers
    shards = count or min(MAX_SHARDS, max(1, opened.blocks))
    try:
        write_all_shards(executor, resolved_request, opened, target, shards)
    finally:
        with opened_runs_lock:
            opened_runs.pop(resolved_request, None)
    return opened.answers.warnings


def check_request(
    output: Path,
    form: str,
    shard: tuple[int, int] | None,
    executor: Executor | None,
    count: int | None,
    block: int,
) -> None:
    """Raise ConfigError for invalid or contradictory arguments."""
    if form not in lists.FRAMES:
        raise ConfigError(say("recall_all: form", " or ".join(lists.FRAMES), repr(form)))
    if shard is not None and not is_shard_number(shard):
        raise ConfigError(say("--shard", "i/n with i from 1 to n", "/".join(map(str, shard))))
    if executor is not None and not callable(getattr(executor, "submit", None)):
        got = value_text(executor, quoted=True)
        raise ConfigError(say("recall_all: executor", "an executor of concurrent.futures", got))
    if shard is not None and executor is not None:
        raise ConfigError(say("recall_all", "a shard or an executor", "both"))
    if shard is not None and output.name.endswith(shard_file.SUFFIX):
        expected = f"a name without {shard_file.SUFFIX}, the end of a manifest's name"
        raise ConfigError(say("--output", expected, output))
    has_shards = shard is not None or executor is not None
    if has_shards and output.exists() and not output.is_file():
        raise ConfigError(say("--output", "a file", f"{output}, which is none"))


def open_run(request: ShardRequest) -> OpenedRun:
    """Return a run with its log and its index; an index that does not match is built again."""
    run = Path(request.run)
    only, exclude = read_list_files(request.only, request.exclude)
    answers = bulk.recall_lists(
        run,
        data=None if request.data is None else Path(request.data),
        n=request.top,
        kind=request.kind,
        exclude_seen=request.exclude_seen,
        only=only,
        exclude=exclude,
        per_interest=request.per_interest,
        backend=request.backend,
        device=request.device,
    )
    served, users = answers.served, len(answers.requested.names)
    facts = ShardManifest(
        format=shard_file.FORMAT,
        mindref=__version__,
        model=run_digest(run, asdict(served.model.config)),
        step=served.step,
        log=fingerprint(served.log),
        users=users,
        backend=served.backend_name,
        device=device_name(served.backend, request.device),
        index=index_facts(answers),
        shard=[1, 1],
        exclude_seen=answers.request.excludes_seen,
        only=list_digest(request.only),  # recall-R49
        exclude=list_digest(request.exclude),
        per_interest=request.per_interest or 0,
        **{name: getattr(request, name) for name in ("top", "form", "block")},
    )
    return OpenedRun(answers, facts, count_blocks(users, request.block))


def list_digest(path: str | None) -> str:
    """Return the sha256 of a file with lists of items, empty without a file."""
    return "" if path is None else file_digest(Path(path))


def run_digest(run: Path, settings: dict[str, object]) -> str:
    """Return the sha256 of the settings, the model and the catalogue of a run."""
    words = [json.dumps(settings, sort_keys=True, default=str)]
    words += [file_digest(run / name) for name in (MODEL, "items.tsv")]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def index_facts(answers: BulkRecall) -> dict[str, object]:
    """Return the facts of an index that determine its results."""
    index = answers.index
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
            with temporary.open("xb") as stream:
                user_lists = opened.answers.blocks(start, stop, facts.block)
                lists.write_lists_to_stream(stream, user_lists, opened.answers.index, facts.form)
            digest, size = file_digest(temporary), temporary.stat().st_size
            written = replace(facts, file_sha256=digest, size=size)
        written.write(path)
    return f"{warning}\n{description}" if warning else description


opened_runs_lock, opened_runs = Lock(), dict[ShardRequest, OpenedRun]()
"""The run that this process opened last, for its next shard, and the lock of the cache."""


def open_cached(request: ShardRequest) -> OpenedRun:
    """Return an opened run from the cache, because a worker writes many shards of one run."""
    with opened_runs_lock:
        if request not in opened_runs:
            opened_runs.clear()
            opened_runs[request] = open_run(request)
        return opened_runs[request]


def write_shard_in_worker(
    request: ShardRequest, facts: ShardManifest, path: str, number: int, count: int
) -> None:
    """Write a shard in a worker. Raises RunError if the worker's run is not the caller's run."""
    opened = open_cached(request)
    if opened.facts != facts:
        with opened_runs_lock:
            opened_runs.clear()  # the run may have changed since
        opened = open_cached(request)
    shard_file.check_same_recall(Path("the caller"), facts, Path(path), opened.facts)
    write_shard(opened, Path(path), number, count)


def write_all_shards(
    executor: Executor, request: ShardRequest, opened: OpenedRun, output: Path, count: int
) -> None:
    """Write all shards with an executor, merge them, and remove them (recall-R39)."""
    folder = output.with_name(f"{output.name}.shards")
    with atomic.explain_errors(folder):
        folder.mkdir(exist_ok=True)
    paths = [folder / f"shard-{i:05}-of-{count:05}" for i in range(1, count + 1)]
    futures: list[Future[None]] = []
    with executor_errors(folder, futures):
        for i, path in enumerate(paths, 1):
            arguments = (request, opened.facts, str(real_path(path)), i, count)
            futures.append(executor.submit(write_shard_in_worker, *arguments))
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
