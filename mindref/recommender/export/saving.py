"""A trained model as a run directory: `MIND.save`, and the lock of a new run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from mindref.errors import RunError, say
from mindref.recommender.callbacks import send_warnings
from mindref.recommender.serving.served_model import ServedModel
from mindref.run import atomic, checkpoint, files, items, lock, report
from mindref.run.checkpoint import WRITTEN, check_free
from mindref.run.files import INDEX
from mindref.run.source import is_in_memory
from mindref.run.stored_log import MissingLogError, save_log

OF_FIT = "name another folder with run"
OF_SAVE = "name another folder, or pass overwrite=True to replace the run"


def save_run(
    served: ServedModel, summary: Mapping[str, object], run: Path, *, overwrite: bool
) -> None:
    """Write a served model with its report as a run. The optimiser state is not written.

    overwrite: replace a run in the folder. The new run is complete before the old run is removed.
    Raises RunError if the folder is in use, has other files, or has no config.json of mindref.
    """
    if not (overwrite and (run / "config.json").exists()):
        with new_run_lock(run, OF_SAVE):
            write_run(served, summary, run)
        return
    target = files.real_path(run)
    check_replaceable(target)
    with lock.lock_inside(target) as warning, atomic.explain_errors(target):
        send_warnings([warning] if warning else [])
        atomic.remove_leftovers(target.parent, target.name)
        new = atomic.temporary_name(target)
        try:
            new.mkdir()
            write_run(served, summary, new)
            atomic.sync_tree(new)
            atomic.exchange_folders(target, new)  # the old run is now at `new`
        finally:
            shutil.rmtree(new, ignore_errors=True)


def check_replaceable(run: Path) -> None:
    """Raise RunError for a folder that is no run, or has other entries than those of a run."""
    todo = "name another folder"
    try:
        checkpoint.read_config(run, "the configuration of a run", todo)
    except (OSError, *files.MALFORMED) as error:  # another tool wrote config.json
        got = f"a config.json of another program ({error!r})"
        raise RunError(say(str(run), "a run of mindref to overwrite", got, todo)) from error
    run_entries = {*WRITTEN, INDEX, lock.NAME}
    other_entries = [
        x.name for x in run.iterdir() if x.name not in run_entries and x.suffix != ".tmp"
    ]
    if other_entries:
        got = f"other entries, such as {sorted(other_entries)[0]!r}"
        raise RunError(say(str(run), "only files of a run to overwrite", got, "move them first"))


def write_run(served: ServedModel, summary: Mapping[str, object], run: Path) -> None:
    """Write the files of a run into an existing folder."""
    ids, counts, titles = served.items
    model = served.model
    digest = items.write_items(run / "items.tsv", ids, np.array(counts, np.int64), titles)
    facts = {**served.facts, "source": served.source.to_dict(), "items": digest}
    identity = checkpoint.run_identity(model.config, facts)
    checkpoint.save_model(
        run,
        model.params,
        model.catalogue,
        served.step,
        model=model.config.model,
        identity=identity,
        terms=model.terms,
    )
    if summary:
        report.save_report(run, dict(summary), identity)
    if is_in_memory(facts):
        with suppress(MissingLogError):  # a run without its log stays one
            save_log(run, served.log, identity)  # recall-R56
    checkpoint.save_config(run, model.config, facts)  # last: it makes the folder a run


@contextmanager
def new_run_lock(run: Path | None, todo: str = OF_FIT) -> Iterator[None]:
    """Create the folder of a new run, if any, and hold its lock in the block.

    todo: advice if the folder contains a run.
    """
    if run is None:
        yield
        return
    check_free(run, todo)
    with atomic.explain_errors(run):
        run.mkdir(parents=True, exist_ok=True)
    with lock.lock_inside(run) as warning:
        send_warnings([warning] if warning else [])
        check_free(run, todo)  # another process may have created a run before the lock
        yield
