"""Build an index, choose the kind by measurement, and open an index.

Spec: specs/recall.md, recall-R22 to recall-R25, R27, R32, R33.
"""

from __future__ import annotations

import operator
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.arguments import Count, check_arguments
from mindref.data.log import Ragged
from mindref.errors import FOREIGN_ERRORS, BackendError, DataError, MindrefError, RunError, say
from mindref.process.announcements import announce
from mindref.recall import manifest as manifests
from mindref.recall import registry
from mindref.recall.checks import check_search_inputs
from mindref.recall.exact import ExactIndex
from mindref.recall.index import (
    EFFORT_ITEMS,
    ApproximateIndex,
    Index,
    Plugin,
    nearest_items,
    plugin_errors,
    scale_by_longest,
)
from mindref.recall.manifest import Manifest, new_manifest, signed_facts
from mindref.recall.retrieval import ItemFilter, retrieve_top_n
from mindref.recall.signature import sign_index
from mindref.run import atomic
from mindref.run.files import file_digest
from mindref.shapes import Array, bind_axes, common_float_dtype

MIN_MEASURED_ITEMS = 20_000  # below, an exact search takes much less than a millisecond
NUM_PROBES = 200  # queries
MIN_RECALL = 0.95  # required of an index
# that recommending is timed with: users, items asked for, excluded
TIMED_USERS, TIMED_N, TIMED_EXCLUDED = 256, 20, 50
FAST_SECONDS = 0.0002  # seconds per user; no index can merge several lists in less time


class BuildRequest(NamedTuple):
    """The inputs of building an index."""

    folder: Path
    items: Array  # (N, D)
    queries: Array  # (Q, D), for the probe of recall
    interests: int  # queries per user
    seed: int


@check_arguments
def build_index(
    items: Array,
    queries: Array,
    *,
    directory: Path | str,
    kind: str = "auto",
    seed: int = 0,
    interests: Count = 4,
) -> Index:
    """Return an index over items (N, D), after writing it to a directory.

    queries (Q, D): interests of users. Up to 200 queries probe recall. Up to 256 users with
    `interests` queries each are timed. kind: "exact", a plugin, or "auto". "auto" is exact search
    below 20,000 items, and otherwise chosen by measurement; see `choice_reason` of the index. If a
    plugin does not work on this machine, the index is exact search with a `warning`.
    Raises ConfigError, ShapeError, DataError, RunError, and BackendError for a broken plugin.
    """
    registry.check_kind(kind)
    queries = np.asarray(queries)  # a matrix always has two axes
    bind_axes("index", items=(items, "ND"), queries=(queries, "QD"))
    active = np.ones((len(queries), 1), np.bool_)
    check_search_inputs(queries[:, None], active, items, n=1, exclude=None, score="max")
    plugin = registry.load_plugin(kind) if kind not in registry.BUILT_IN else None
    folder = Path(directory)
    with atomic.explain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if kind == "exact":
        return write_exact(folder, new_manifest("exact", items), items)
    if kind == "auto" and len(items) < MIN_MEASURED_ITEMS:  # recall-R22
        reason = f"fewer than {MIN_MEASURED_ITEMS:,} items"
        manifest = replace(new_manifest("exact", items), choice_reason=reason)
        return write_exact(folder, manifest, items)
    if len(queries) == 0:
        raise DataError(say("index: queries", "at least one, to probe recall", 0))
    if len(items) >= MIN_MEASURED_ITEMS:  # recall-R39
        announce(f"building an index of {len(items):,} items, which may take minutes")
    request = BuildRequest(folder, items, queries, interests, seed)
    return build_fastest(request) if plugin is None else build_named(request, plugin)


def build_fastest(request: BuildRequest) -> Index:
    """Measure exact search, then the plugins in order. Return the first plugin that is faster."""
    users = group_queries(request.queries, request.interests)
    exact_seconds = seconds_per_user(ExactIndex(request.items), users)
    figures = {"exact_seconds": exact_seconds}
    measurements = [f"exact search {1 / exact_seconds:,.0f} users/s"]
    if exact_seconds < FAST_SECONDS:
        reason = f"{measurements[0]}, {len(request.items):,} items: fast enough without an index"
        manifest = new_manifest("exact", request.items)
        manifest = replace(manifest, choice_reason=reason, figures=figures)
        return write_exact(request.folder, manifest, request.items)
    plugins, broken = registry.auto_plugins()
    first_failure, tried = None, dict[str, str]()
    for plugin in plugins:  # recall-R33
        try:
            tried[plugin.name] = registry.plugin_version(plugin)
            if failure := registry.failure_reason(plugin):
                # recall-R24
                first_failure = first_failure or fallback_warning(plugin.name, failure)
                continue
            index, recall = build_and_probe(request, plugin)
            index_seconds = seconds_per_user(index, users)
            figures |= {f"{plugin.name}_seconds": index_seconds, f"{plugin.name}_recall": recall}
            speed = f"{plugin.name} {1 / index_seconds:,.0f}"
            measurements.append(f"{speed} with {recall:.1%} of the neighbours")
            if index_seconds < exact_seconds and recall >= MIN_RECALL:  # recall-R23
                index.choice_reason = "; ".join([*measurements, *broken])
                return write_plugin_index(request, plugin, index, figures, tried)
        except BackendError as error:  # recall-R29
            broken.append(str(error))
    manifest = replace(
        new_manifest("exact", request.items),
        warning=first_failure,
        figures=figures,
        choice_reason="; ".join([*measurements, *broken]),
        tried_versions=tried,
    )
    return write_exact(request.folder, manifest, request.items)


def build_named(request: BuildRequest, plugin: Plugin) -> Index:
    """Return the index of a plugin that is requested by name, whatever its recall."""
    if reason := registry.failure_reason(plugin):  # recall-R24
        warning = fallback_warning(plugin.name, reason)
        manifest = replace(new_manifest("exact", request.items), warning=warning)
        return write_exact(request.folder, manifest, request.items)
    index, recall = build_and_probe(request, plugin)
    if recall < MIN_RECALL:
        percentage = f"{recall:.0%} of the top {EFFORT_ITEMS}"
        index.warning = f"{plugin.name} finds only {percentage}; try exact search"
    users = group_queries(request.queries, request.interests)
    figures = {
        "exact_seconds": seconds_per_user(ExactIndex(request.items), users),
        f"{plugin.name}_seconds": seconds_per_user(index, users),
        f"{plugin.name}_recall": recall,
    }
    return write_plugin_index(request, plugin, index, figures)


def build_and_probe(request: BuildRequest, plugin: Plugin) -> tuple[ApproximateIndex, float]:
    """Return the index of a plugin with the least sufficient effort, and its recall."""
    items = scale_by_longest(request.items)
    with plugin_errors(plugin.name, "building"):
        structure = plugin.build(items, seed=request.seed)
        effort, maximum = operator.index(structure.min_effort), operator.index(structure.max_effort)
        if not 1 <= effort <= maximum:
            raise ValueError(f"min_effort = {effort}, max_effort = {maximum}")
    index = ApproximateIndex(plugin.name, structure, request.items, effort)
    index.recall = probe_recall(index, evenly_spaced_rows(request.queries, NUM_PROBES))
    return index, index.recall


def probe_recall(index: ApproximateIndex, queries: Array) -> float:
    """Return the recall of an index, after increasing its effort.

    The effort grows until recall is MIN_RECALL, or to the maximum effort. queries (Q, D).
    """
    n, max_effort = min(EFFORT_ITEMS, len(index.items)), int(index.structure.max_effort)
    exact_scores = nearest_items(ExactIndex(index.items), queries, n).scores
    while True:
        recall = recall_of_scores(nearest_items(index, queries, n).scores, exact_scores)
        if recall >= MIN_RECALL or index.effort >= max_effort:
            return recall
        increased = index.effort + -(-index.effort // 2)
        index.effort = min(increased, max_effort)  # recall-R32


def seconds_per_user(index: Index, users: Array) -> float:
    """Return the seconds per user (C, K, D) of search, merging and exclusion together.

    The time of the search is not enough: an approximate index searches once per interest, and for
    longer lists.
    """
    ids = np.linspace(0, len(index.items) - 1, TIMED_EXCLUDED).astype(np.int64)
    excluded = Ragged.of([np.unique(ids)] * len(users))
    active = np.ones(users.shape[:2], np.bool_)
    # warm-up: compiles, and reads the mapped file
    retrieve_top_n(index, users[:1], active[:1], n=TIMED_N)
    started = time.perf_counter()
    retrieve_top_n(index, users, active, n=TIMED_N, item_filter=ItemFilter(exclude=excluded))
    return (time.perf_counter() - started) / len(users)


def recall_of_scores(scores: Array, exact_scores: Array) -> float:
    """Return the fraction of items whose score is at least the last true score; ties count."""
    return float((scores >= exact_scores[:, -1:]).mean())  # recall-R27


def evenly_spaced_rows(rows: Array, limit: int) -> Array:
    """Return up to `limit` evenly spaced rows."""
    indices = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), limit)).astype(int))
    selected: Array = rows[indices]
    return selected


def group_queries(queries: Array, interests: int) -> Array:
    """Return up to 256 users (C, K, D), each with K consecutive queries as interests."""
    queries_per_user = min(interests, len(queries))
    num_users = len(queries) // queries_per_user
    users = queries[: num_users * queries_per_user].reshape(num_users, queries_per_user, -1)
    return evenly_spaced_rows(users, TIMED_USERS)


def write_plugin_index(
    request: BuildRequest,
    plugin: Plugin,
    index: ApproximateIndex,
    figures: dict[str, float],
    tried_versions: dict[str, str] | None = None,
) -> Index:
    """Write an index: first the index file, named after its sha256, then the manifest.

    Raises RunError on a failed write, after removing the partial file.
    """
    version = registry.plugin_version(plugin)  # before there is a file
    temporary = atomic.temporary_name(request.folder / plugin.name)
    with atomic.explain_errors(request.folder / plugin.name):
        try:
            save_structure(index, temporary)
            atomic.sync_file(temporary)
            sha = file_digest(temporary)
            path = temporary.replace(request.folder / f"{plugin.name}-{sha[:12]}.index")
        finally:
            temporary.unlink(missing_ok=True)
    manifest = replace(
        new_manifest(plugin.name, request.items),
        choice_reason=index.choice_reason,
        warning=index.warning,
        figures=figures,
        tried_versions=tried_versions,
        file=path.name,
        file_sha256=sha,
        file_bytes=path.stat().st_size,
        version=version,
        seed=request.seed,
        effort=index.effort,
        probed_recall=index.recall,
    )
    signature = sign_index(signed_facts(manifest))  # security-R11
    write_manifest(request.folder, replace(manifest, signature=signature))
    return index


def save_structure(index: ApproximateIndex, path: Path) -> None:
    """Write the file of a structure. Raises OSError for every error, as faiss does for a full disk.

    A full disk is more probable than a defect of the plugin.
    """
    try:
        index.structure.save(path)
    except (MindrefError, MemoryError):
        raise
    except FOREIGN_ERRORS as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def write_exact(folder: Path, manifest: Manifest, items: Array) -> ExactIndex:
    """Return the index of exact search, after writing its manifest. There is no index file."""
    write_manifest(folder, manifest)
    return ExactIndex(items, manifest.warning, manifest.choice_reason)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest, then remove the index files that it does not name."""
    manifest.write(folder)  # recall-R25: from here on the new index is the index
    atomic.remove_leftovers(folder)
    for path in folder.glob("*.index"):
        if path.name != manifest.file:
            path.unlink(missing_ok=True)


@check_arguments
def open_index(directory: Path | str, items: Array) -> Index:
    """Return the index in a directory over these item vectors, after checking manifest and file.

    Raises RunError for a mismatch, BackendError for a plugin that cannot be used. If a plugin does
    not work on this machine, the index is exact search.
    """
    bind_axes("index", items=(items, "ND"))
    common_float_dtype("index", items=items)
    folder = Path(directory)
    manifest = manifests.read_manifest(folder)
    manifests.check_vectors(folder, manifest, items)
    return open_checked_index(folder, manifest, items)


def open_checked_index(folder: Path, manifest: Manifest, items: Array) -> Index:
    """Return the index of a manifest of these vectors. Raises as `open_index`."""
    kind, kinds = manifest.kind, registry.index_kinds()[1:]  # all but `auto`
    if kind not in kinds:
        location = f"{folder / manifests.NAME}: kind"
        raise RunError(say(location, " or ".join(kinds), repr(kind), manifests.TODO))
    if kind == "exact":
        return ExactIndex(items, manifest.warning, manifest.choice_reason)
    plugin = registry.load_plugin(kind)
    if reason := registry.failure_reason(plugin):
        return ExactIndex(items, fallback_warning(kind, reason))  # recall-R24
    path = manifests.check_index_file(folder, manifest, registry.plugin_version(plugin))
    with plugin_errors(kind, f"opening {path}", manifests.TODO):
        structure = plugin.load(path, items.shape[1], len(items))
    return ApproximateIndex(
        kind,
        structure,
        items,
        manifest.effort or structure.max_effort,  # a number, by check_index_file
        warning=manifest.warning,
        recall=manifest.probed_recall,
        choice_reason=manifest.choice_reason,
    )


def fallback_warning(kind_name: str, reason: str) -> str:
    """Return the warning that exact search replaces a plugin."""
    return f"{kind_name} does not work here: {reason}; exact search is used"
