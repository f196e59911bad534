"""Export of vectors for other engines: items, and with `all_users` interests and histories.

Spec: specs/serving.md. The files are those of mindref.run.vector_files, and export.json. Users are
written in the blocks of a bulk recall, so memory is bounded and the interests are those of
`mindref recall --all-users`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mindref.arguments import check_arguments
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, RunError, say
from mindref.models.family import family_of
from mindref.models.serving import compute_interests
from mindref.models.tower import to_float32
from mindref.recommender.export import (
    new_folder,
    run_entry,
    score_entry,
    seal_manifest,
    servable_items,
)
from mindref.recommender.serving.list_request import RequestedUsers, find_users
from mindref.recommender.serving.recall import USERS_PER_BLOCK, count_blocks
from mindref.recommender.serving.served_model import ServedModel
from mindref.run import atomic, checkpoint
from mindref.run.vector_files import FORMATS, TABLES, VectorTables, check_vector_format
from mindref.shapes import Array

KIND = "vectors"


@check_arguments
def export_vectors(
    run: Path,
    output: Path,
    *,
    form: str = FORMATS[0],
    all_users: bool = False,
    data: Path | None = None,
) -> dict[str, Any]:
    """Write vectors of the servable items into a new folder; return the content of export.json.

    form: "parquet" or "npy". all_users: also write the active interests and the histories of every
    user of the log; data: new path of the log. The result also has `warnings` for the user. Raises
    ConfigError for a family that has only scores and without pyarrow; RunError for a damaged run, a
    folder in use or vectors that are not finite; DataError for an id that Parquet cannot hold.
    """
    family = checkpoint.load_config(run)[0].model
    if not family_of(family).has_vectors:  # serving-R6: before the model is read
        got = f"a run of {family}, which has only scores"
        todo = "mindref recall --all-users writes lists of any model"
        raise ConfigError(say(f"export {run} --to {KIND}", "a model with vectors", got, todo))
    check_vector_format(form)
    atomic.check_unused(output)  # before slow work
    served = ServedModel.load(run, data=data).load_backend()
    requested = find_users(served, None) if all_users else None
    with new_folder(output) as (folder, warnings):
        with TABLES[form](folder, served.item_vectors.shape[1]) as writer:
            vectors = finite_float32(served.item_vectors)
            ids, counts, titles = servable_items(served)
            writer.write_items(ids, titles, counts, vectors)
            rows = None if requested is None else write_users(writer, served, requested)
        entries = {
            "form": form,
            "items": {"shape": list(served.item_vectors.shape)},
            **({} if rows is None else {"users": rows}),
            **score_entry(served.model.config),
            "exclude_seen": served.facts["exclude_seen"],
            **run_entry(run, served),
        }
        facts = seal_manifest(folder, KIND, entries, writer.versions)
    return {**facts, "warnings": warnings + ([] if requested is None else requested.warnings)}


def write_users(
    writer: VectorTables, served: ServedModel, requested: RequestedUsers
) -> dict[str, int]:
    """Write active interests and histories of all users in blocks; return the numbers of rows."""
    users, ids = len(requested.names), served.items.ids
    counts = {"users": users, "interests": 0, "behaviours": 0}
    for number in range(count_blocks(users, USERS_PER_BLOCK)):  # serving-R5
        which = np.arange(number * USERS_PER_BLOCK, min((number + 1) * USERS_PER_BLOCK, users))
        names = [requested.names[user] for user in which.tolist()]
        rows, profiles = requested.histories.take(which), requested.profiles[which]
        rng = make_rng(served.model.config.seed, "serving", number)  # recall-R35
        computed = compute_interests(served.model, rows, profiles, served.backend, rng)
        vectors = finite_float32(computed.vectors[computed.active])
        cases, interests = np.nonzero(computed.active)  # serving-R2
        user_ids = [names[case] for case in cases]
        writer.append("interests", {"user": user_ids, "interest": interests}, vectors)
        counts["interests"] += len(cases)
        cases = np.repeat(np.arange(len(rows)), rows.lengths)
        items = [ids[item] for item in rows.values]
        user_ids = [names[case] for case in cases]
        writer.append("histories", {"user": user_ids, "item": items})  # serving-R3
        counts["behaviours"] += len(cases)
    return counts


def finite_float32(vectors: Array) -> Array:
    """Return vectors as float32. Raises RunError unless all entries are finite."""
    with np.errstate(over="ignore"):
        rounded = to_float32(vectors)
    if not np.isfinite(rounded).all():
        expected = "finite numbers in float32"
        raise RunError(say("vectors of the run", expected, "others", "train it again"))
    return rounded
