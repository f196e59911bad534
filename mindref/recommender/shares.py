"""The lists of all users, in shares: one share of a machine, or all of them over an executor.

Spec: specs/recall.md, recall-R35 to recall-R39. Workers are told paths alone: each reads the run,
opens the index that lies there, and writes its part beside the output.
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
from mindref.backend import device_name
from mindref.errors import ConfigError, MindrefError, RunError, say
from mindref.recall.approximate import ApproximateIndex
from mindref.recommender import bulk, lists, parts
from mindref.recommender.bulk import Answers, blocks_of
from mindref.recommender.parts import Part, is_share
from mindref.run import atomic
from mindref.run import lock as locks
from mindref.run.checkpoint import MODEL
from mindref.run.files import file_digest
from mindref.run.source import fingerprint

PARTS = 64  # that an executor is given, at most


class Asked(NamedTuple):
    """What is asked of a run, as plain values that travel to a worker."""

    run: str
    data: str | None
    top: int
    kind: str
    exclude_seen: bool
    backend: str | None
    device: str
    form: str
    block: int  # users that are computed together


class Opened(NamedTuple):
    """A run that is ready to answer, and the facts that its parts share."""

    answers: Answers
    facts: Part  # of share 1 of 1
    blocks: int


def recall_all(
    run: Path | str,
    output: Path | str,
    *,
    form: str = "tsv",
    shard: tuple[int, int] | None = None,
    executor: Executor | None = None,
    count: int | None = None,
    data: Path | str | None = None,
    n: int = 20,
    kind: str = "auto",
    exclude_seen: bool = True,
    backend: str | None = None,
    device: str = "cpu",
    block: int | None = None,
) -> list[str]:
    """Write the lists of all users of a run to a file, and return lines that must be said.

    shard (i, n): write share i of n alone, with a manifest beside it, for `parts.merge`.
    executor: who computes `count` shares (threads, processes, `distributed.Client.get_executor()`);
    then they are merged. Workers must see the run, the log and the folder of the output under the
    same paths. What a share wrote before is not computed again. The bytes are those of `mindref
    recall --all-users` in all ways, as far as all machines multiply alike.
    Raises ConfigError, DataError, BackendError, and RunError also for a worker that died.
    """
    target, size = Path(output), block or bulk.USERS_AT_ONCE
    check(target, form, shard, executor, count, size)
    place = None if data is None else str(Path(data).resolve())
    who = backend, device
    asked = Asked(str(Path(run).resolve()), place, n, kind, exclude_seen, *who, form, size)
    opened = open_run(asked)
    if shard is not None:
        said = write_part(opened, target, *shard)
        return [*opened.answers.warnings, said]
    if executor is None:
        some = opened.answers.blocks(0, opened.blocks, size)
        warned = lists.save(target, some, opened.answers.index, form)
        return [*opened.answers.warnings, *warned]
    known = asked._replace(kind=opened.answers.index.kind)  # what `auto` took, for all
    with lock:
        kept[known] = opened  # for threads, and for the children of a fork
    try:
        spread(executor, known, opened, target, count or min(PARTS, max(1, opened.blocks)))
    finally:
        with lock:
            kept.pop(known, None)
    return opened.answers.warnings


def check(
    output: Path,
    form: str,
    shard: tuple[int, int] | None,
    executor: Executor | None,
    count: int | None,
    block: int,
) -> None:
    """Raise ConfigError for what cannot be meant."""
    if form not in lists.FRAMES:
        raise ConfigError(say("recall_all: form", " or ".join(lists.FRAMES), repr(form)))
    if shard is not None and not is_share(shard):
        raise ConfigError(say("--shard", "i/n with i from 1 to n", "/".join(map(str, shard))))
    if shard is not None and executor is not None:
        raise ConfigError(say("recall_all", "a shard or an executor", "both"))
    if block < 1 or (count is not None and count < 1):
        raise ConfigError(say("recall_all: block, count", "integers from 1", (block, count)))
    if (shard or executor) and output.exists() and not output.is_file():
        raise ConfigError(say("--output", "a file", f"{output}, which is none"))


def open_run(asked: Asked) -> Opened:
    """Read a run, its log and its index, which is built if there is none that fits."""
    run = Path(asked.run)
    answers = bulk.recall(
        run,
        data=None if asked.data is None else Path(asked.data),
        n=asked.top,
        kind=asked.kind,
        exclude_seen=asked.exclude_seen,
        backend=asked.backend,
        device=asked.device,
    )
    served, users = answers.served, len(answers.asked.names)
    facts = Part(
        format=parts.FORMAT,
        mindref=__version__,
        model=model_digest(run, asdict(served.model.config)),
        step=served.step,
        log=fingerprint(served.log),
        users=users,
        backend=served.backend_name,
        device=device_name(served.backend, asked.device),
        index=facts_of_index(answers),
        top=asked.top,
        exclude_seen=asked.exclude_seen,
        form=asked.form,
        block=asked.block,
        share=[1, 1],
    )
    return Opened(answers, facts, blocks_of(users, asked.block))


def model_digest(run: Path, settings: dict[str, object]) -> str:
    """Return the sha256 of all of a run that its lists depend on, but the log and the index."""
    words = [json.dumps(settings, sort_keys=True, default=str)]
    words += [file_digest(run / name) for name in (MODEL, "items.tsv")]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def facts_of_index(answers: Answers) -> dict[str, object]:
    """Return what the answers of an index depend on."""
    index = answers.index
    if not isinstance(index, ApproximateIndex):
        return {"kind": index.kind}
    return {"kind": index.kind, "sha256": index.file_sha256, "effort": index.effort}


def write_part(opened: Opened, path: Path, number: int, count: int) -> str:
    """Write share `number` of `count`, unless it is there and whole; return what was done."""
    facts = replace(opened.facts, share=[number, count])
    start, stop = (opened.blocks * edge // count for edge in (number - 1, number))
    first, last = (min(edge * facts.block, facts.users) for edge in (start, stop))
    who = f"users {first + 1} to {last}" if last > first else "no users"
    what = f"part {number} of {count}: {who} of {facts.users}"
    if parts.is_done(path, facts):  # recall-R38
        return f"{what}, there already"
    with locks.making(path) as said, atomic.placing(path) as temporary:
        parts.beside(path).unlink(missing_ok=True)  # it would speak of another file
        with temporary.open("xb") as stream:
            some = opened.answers.blocks(start, stop, facts.block)
            lists.save_to(stream, some, opened.answers.index, facts.form)
        written = replace(facts, sha256=file_digest(temporary), size=temporary.stat().st_size)
    written.write(path)
    return f"{said}\n{what}" if said else what


lock, kept = Lock(), dict[Asked, Opened]()
"""What this process has opened last, for the next part."""


def open_once(asked: Asked) -> Opened:
    """Return an opened run; a worker writes many parts of one."""
    with lock:
        if asked not in kept:
            kept.clear()
            kept[asked] = open_run(asked)
        return kept[asked]


def work(asked: Asked, facts: Part, path: str, number: int, count: int) -> None:
    """Write a part, in a worker. Raises RunError if it sees another run than was meant."""
    opened = open_once(asked)
    if opened.facts != facts:
        with lock:
            kept.clear()  # what lies there may have changed since
        opened = open_once(asked)
    parts.belong(Path("the caller"), facts, Path(path), opened.facts)
    write_part(opened, Path(path), number, count)


def spread(executor: Executor, asked: Asked, opened: Opened, output: Path, count: int) -> None:
    """Let an executor write all parts, merge them, and remove them (recall-R39)."""
    folder = output.with_name(f"{output.name}.parts")
    with atomic.explained(folder):
        folder.mkdir(exist_ok=True)
    paths = [folder / f"part-{i:05}-of-{count:05}" for i in range(1, count + 1)]
    futures: list[Future[None]] = []
    with explained(folder, futures):
        for i, path in enumerate(paths, 1):
            given = (asked, opened.facts, str(path.resolve()), i, count)
            futures.append(executor.submit(work, *given))
        for future in futures:
            future.result()
    parts.merge(paths, output)
    for path in paths:
        path.unlink(missing_ok=True)
        parts.beside(path).unlink(missing_ok=True)
    with suppress(OSError):  # what else lies there is not ours
        folder.rmdir()


@contextmanager
def explained(folder: Path, futures: list[Future[None]]) -> Iterator[None]:
    """Say of a worker that died what to do; whatever is raised, begin no other part."""
    try:
        yield
    except MindrefError:
        raise
    except Exception as error:
        its_own = type(error).__module__.partition(".")[0] in ("concurrent", "distributed")
        if not its_own and not isinstance(error, BrokenExecutor | CancelledError):
            raise
        todo = f"run it again: the parts that are done are kept in {folder}"
        got = f"{type(error).__name__}: {error}"
        raise RunError(say("executor", "workers that live", got, todo)) from error
    finally:
        for future in futures:
            future.cancel()
