"""Export for serving: the user tower as a file with the item matrix, or vectors.

    user_tower.onnx     histories -> interests and active interests
    items.safetensors   `items`, the vectors of the servable items (M, D), float32
    items.tsv           external id, dense id, count, title; the dense id is the row of the matrix
    export.json         description of the files, their sha256, and the scoring rule

mindref.recommender.export.onnx writes the tower.
The file is run and compared with the reference before the folder gets its name.

Vectors of items, and with `all_users` interests and histories, are for other engines. The files are
those of mindref.run.vector_files, and export.json. Users are written in the blocks of a bulk
recall, so memory is bounded and the interests are those of `mindref recall --all-users`.
Spec: specs/serving.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import mindref
from mindref.arguments import Count, check_arguments
from mindref.data.rng import make_rng
from mindref.errors import FOREIGN_ERRORS, BackendError, ConfigError, MindrefError, RunError, say
from mindref.models.family import family_of
from mindref.models.parameters import NO_TERMS
from mindref.models.serving import Model, compute_interests
from mindref.models.tower import (
    UserTower,
    require_tower,
    to_float32,
    user_tower,
    with_keyed_logits,
)
from mindref.process.requirements import install_extra
from mindref.recommender.export.check import ExportCheck, check_export, sample_checked_users
from mindref.recommender.serving.list_request import RequestedUsers, find_users
from mindref.recommender.serving.recall import USERS_PER_BLOCK
from mindref.recommender.serving.served_model import ServedModel
from mindref.run import array_files, atomic, checkpoint, files, lock
from mindref.run import items as catalogue
from mindref.run.files import file_digest
from mindref.run.items import Items
from mindref.run.vector_files import VectorTables, import_pyarrow
from mindref.shapes import Array

ONNX, VECTORS = KINDS = ("onnx", "vectors")
FORMAT = 1  # of export.json; incremented by incompatible changes
MANIFEST, ITEMS, IDS = "export.json", "items.safetensors", "items.tsv"
NOTES = "README.md"  # serving-R8: the user may add it to a folder
INSTALL = install_extra("onnx")


class ExportDiffers(MindrefError):
    """The results of an exported file differ from the reference; the folder is removed."""

    def __init__(self, verdict: ExportCheck) -> None:
        expected = f"a difference of at most {verdict.allowed:.1e} from the reference"
        got = f"{verdict.difference:.1e}, and {verdict.active_differ} interests too many or too few"
        super().__init__(say("the exported file", expected, got, "nothing was kept of it"))
        self.verdict = verdict


@check_arguments
def export_run(
    run: Path, output: Path, *, users: Count = 1000, data: Path | None = None
) -> dict[str, Any]:
    """Write the user tower and the items of a run as ONNX; return the content of export.json.

    output: a new or empty folder.

    The file is compared with the reference on `users` users of the log. data: new path of the log.
    If the log cannot be read, histories are drawn. The result also has `warnings` for the user.
    Raises BackendError without onnx or onnxruntime; RunError for a damaged run or a folder in use;
    ExportDiffers if the results of the file differ from the reference.
    """
    writer, versions = load_exporter()
    config = checkpoint.load_config(run)[0]
    require_tower(config, f"export {run}", writer.FAMILIES)
    served = ServedModel.load(run, data=data)
    with new_folder(output) as (folder, warnings):
        model = with_keyed_logits(served.model)
        parts = user_tower(model, len(served.vocabulary.values))
        words = {"format": array_files.FORMAT, "step": served.step}
        array_files.save_arrays(folder / ITEMS, {"items": to_float32(served.item_vectors)}, words)
        catalogue.write_items(folder / IDS, *servable_items(served))
        with exporter_errors():
            written = writer.write(parts, folder)
            opened = writer.open_file(folder / written["file"])
        checked_users = sample_checked_users(served, users)
        with exporter_errors():
            verdict = check_export(opened, model, checked_users)
        if not verdict.agrees:  # onnx-R10
            raise ExportDiffers(verdict)
        entries = {
            "tower": {**written, **tower_signature(parts)},
            "items": {
                "file": ITEMS,
                "array": "items",
                "shape": list(parts.items.shape),
                "ids": IDS,
            },
            **score_entry(served.model),
            **run_entry(run, served),
            "checked": verdict._asdict(),
        }
        facts = seal_manifest(folder, ONNX, entries, versions)
    if parts.routes and served.model.config.logits == "per_call":  # a file cannot draw
        warnings += [
            "the run draws initial logits anew for every request; the file has the keyed ones"
        ]
    warnings += term_warnings(served.model) + checked_users.warnings
    return {**facts, "warnings": warnings}


@check_arguments
def export_vectors(
    run: Path,
    output: Path,
    *,
    all_users: bool = False,
    data: Path | None = None,
) -> dict[str, Any]:
    """Write vectors of the servable items into a new folder; return the content of export.json.

    all_users: also write the active interests and the histories of every user of the log. data: new
    path of the log. The result also has `warnings` for the user. Raises ConfigError for a family
    that has only scores and without pyarrow; RunError for a damaged run, a folder in use or vectors
    that are not finite; DataError for an id that Parquet cannot hold.
    """
    family = checkpoint.load_config(run)[0].model
    if not family_of(family).has_vectors:  # serving-R6: before the model is read
        got = f"a run of {family}, which has only scores"
        todo = "mindref recall --all-users writes lists of any model"
        raise ConfigError(say(f"export {run} --to {VECTORS}", "a model with vectors", got, todo))
    import_pyarrow()
    atomic.check_unused(output)  # before slow work
    served = ServedModel.load(run, data=data).load_backend()
    requested = find_users(served, None) if all_users else None
    with new_folder(output) as (folder, warnings):
        with VectorTables(folder, served.item_vectors.shape[1]) as writer:
            vectors = finite_float32(served.item_vectors)
            ids, counts, titles = servable_items(served)
            writer.write_items(ids, titles, counts, vectors)
            rows = None if requested is None else write_users(writer, served, requested)
        entries = {
            "form": "parquet",
            "items": {"shape": list(served.item_vectors.shape)},
            **({} if rows is None else {"users": rows}),
            **score_entry(served.model),
            "exclude_seen": served.facts["exclude_seen"],
            **run_entry(run, served),
        }
        facts = seal_manifest(folder, VECTORS, entries, writer.versions)
    warnings += term_warnings(served.model) + ([] if requested is None else requested.warnings)
    return {**facts, "warnings": warnings}


def write_users(
    writer: VectorTables, served: ServedModel, requested: RequestedUsers
) -> dict[str, int]:
    """Write active interests and histories of all users in blocks; return the numbers of rows."""
    users, ids = len(requested.names), served.items.ids
    counts = {"users": users, "interests": 0, "behaviours": 0}
    for number, first in enumerate(range(0, users, USERS_PER_BLOCK)):  # serving-R5
        which = np.arange(first, min(first + USERS_PER_BLOCK, users))
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


@contextmanager
def new_folder(output: Path) -> Iterator[tuple[Path, list[str]]]:
    """Lock a new folder; yield the path at which it is written, and warnings for the user.

    The folder gets its name at the end. After an error, nothing is kept.
    """
    with atomic.explain_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with lock.lock_output(output) as warning, atomic.atomic_folder(output) as folder:
        yield folder, [warning] if warning else []


def servable_items(served: ServedModel) -> Items:
    """Return ids, counts and titles of the servable items, in the order of dense ids."""
    # model-R43, serving-R1
    return Items(*([column[i] for i in served.servable.ids] for column in served.items))


def seal_manifest(
    folder: Path, kind: str, entries: Mapping[str, object], versions: Mapping[str, str]
) -> dict[str, object]:
    """Write export.json for the files that a folder has; return its content with the digest."""
    facts = {
        "format": FORMAT,
        "kind": kind,
        **entries,
        "versions": {"mindref": mindref.__version__, **versions},
        "files": file_entries(folder),
    }
    return files.write_sealed(folder / MANIFEST, facts, files.FEWER)


def load_exporter() -> tuple[Any, dict[str, str]]:
    """Return the module that writes ONNX, and the versions of the packages that it needs."""
    try:
        from mindref.recommender.export import onnx

        return onnx, onnx.require()  # onnx-R11
    except ImportError as error:
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(f"--to {ONNX}", "onnx and onnxruntime", got, INSTALL)) from error


@contextmanager
def exporter_errors() -> Iterator[None]:
    """Convert an error of a framework into a BackendError; not MemoryError or a full disk."""
    try:
        yield
    except (MindrefError, MemoryError):
        raise
    except FOREIGN_ERRORS as error:
        if isinstance(error, OSError) and error.errno in atomic.FULL:
            # faults-R1: without the name of a file, the caller names the output folder
            raise OSError(error.errno, error.strerror) from error
        got = " ".join(f"{type(error).__name__}: {error}".split())
        todo = f"another version may do; {INSTALL}"
        raise BackendError(say(f"--to {ONNX}", "a file that runs", got, todo)) from error


def tower_signature(parts: UserTower) -> dict[str, object]:
    """Return the inputs and outputs of a tower, with shapes and the settings of the logits."""
    config = parts.config
    inputs, outputs = parts.signature()
    entry = {
        "inputs": inputs,
        "outputs": outputs,
        "order": "oldest first",
        "window": config.window,  # the tower ignores older behaviours
    }
    if parts.routes:
        entry |= {"logits": "keyed", "logits_seed": config.seed, "logits_sigma": config.sigma}
    return entry


def score_entry(model: Model) -> dict[str, object]:
    """Return the scoring rule."""
    score = {
        "product": "inner",
        "interests": model.config.score,  # max or sum, over the active ones
        # interests and items have length one already
        "normalised": model.config.normalise and model.item_lengths is None,
    }
    if model.terms != NO_TERMS:
        score["terms"] = model.terms._asdict()  # the vectors of items have their lengths already
    return {"score": score}  # serving-R4


def term_warnings(model: Model) -> list[str]:
    """Return the warning that a term of the score is not in the exported vectors."""
    if not model.terms.own_counts:
        return []
    return ["products of the vectors lack the term of own counts; export.json has its numbers"]


def run_entry(run: Path, served: ServedModel) -> dict[str, object]:
    """Return the origin of a model, without paths, because files may be moved."""
    vocabulary = served.vocabulary
    features = [
        {"name": name, "unknown": start, "values": list(vocabulary.values[name])}
        for name, start in vocabulary.starts.items()
    ]
    return {
        "user_features": features,  # the row of values[i] is unknown + 1 + i
        "run": {
            "step": served.step,
            "model_sha256": file_digest(run / array_files.MODEL),
            "log_sha256": served.facts["log"],
        },
        "settings": served.model.config.to_dict(),
    }


def verify_export(folder: Path) -> dict[str, Any]:
    """Return the content of export.json after every file was compared with it.

    Raises RunError with the name of a file that is damaged, missing or not listed.
    """
    todo = "export it again"
    stored = files.StoredFile(folder / MANIFEST, "the manifest of an exported folder", todo)
    files.check_folder(folder)
    with stored.explain_errors(missing="no file"):
        words = stored.read_json()
        if words["format"] != FORMAT:  # security-R3
            location = f"{stored.path}: format"
            raise RunError(say(location, str(FORMAT), repr(words["format"]), todo))
        facts = stored.unseal(words)
        # never outside the folder
        listed_files = {Path(name).name: x for name, x in facts["files"].items()}
        names = {x.name for x in folder.iterdir()}
        for name in sorted(names - {MANIFEST, NOTES, lock.NAME, *listed_files}):
            expected = f"a file that {MANIFEST} lists"  # security-R15
            raise RunError(say(str(folder / name), expected, "another", todo))
        for name, x in listed_files.items():  # security-R15
            exported = files.StoredFile(folder / name, "an exported file", todo)
            exported.check_bytes(x["sha256"], x["bytes"])
    return facts


def file_entries(folder: Path) -> dict[str, dict[str, object]]:
    """Return size and sha256 of every file of a folder."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.iterdir())
    }
