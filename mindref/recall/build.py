"""Build an index, choose the kind by measurement, and open an index.

Spec: specs/recall.md, recall-R22 to recall-R25, R33.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref import __version__
from mindref.arguments import Count, check_arguments
from mindref.errors import FOREIGN_ERRORS, BackendError, ConfigError, DataError, MindrefError, say
from mindref.process.announcements import announce
from mindref.recall import manifest as manifests
from mindref.recall import registry
from mindref.recall.approximate import ApproximateIndex, scale_by_longest
from mindref.recall.checks import check_search_inputs
from mindref.recall.exact import ExactIndex
from mindref.recall.index import EFFORT_ITEMS, Index, Plugin
from mindref.recall.manifest import Manifest
from mindref.recall.probe import (
    MIN_RECALL,
    NUM_PROBES,
    ProbedRecall,
    evenly_spaced_rows,
    group_queries,
    probe_recall,
    seconds_per_user,
)
from mindref.recall.signature import sign_index
from mindref.run import atomic
from mindref.run.files import file_digest
from mindref.shapes import Array, bind_axes, common_float_dtype

MIN_MEASURED_ITEMS = 20_000  # below, an exact search takes much less than a millisecond
FAST_SECONDS = 0.0002  # seconds per user; no index can merge several lists in less time


class BuildRequest(NamedTuple):
    """The inputs of building an index."""

    folder: Path
    items: Array  # (N, D)
    queries: Array  # (Q, D), for the probe of recall
    interests: int  # queries per user
    seed: int
    n_jobs: int
    options: Mapping[str, int]  # of the plugin


@check_arguments
def build_index(
    items: Array,
    queries: Array,
    *,
    directory: Path | str,
    kind: str = "auto",
    seed: int = 0,
    options: Mapping[str, int] | None = None,
    n_jobs: int = 1,
    interests: Count = 4,
) -> Index:
    """Return an index over items (N, D), after writing it to a directory.

    queries (Q, D): interests of users. Up to 200 queries probe recall. Up to 256 users with
    `interests` queries each are timed. kind: "exact", a plugin, or "auto". "auto" is exact search
    below 20,000 items, and otherwise chosen by measurement; see `choice_reason` of the index.
    options: numbers for a plugin that is requested by name. If a plugin does not work on this
    machine, the index is exact search with a `warning`.
    Raises ConfigError, ShapeError, DataError, RunError, and BackendError for a broken plugin.
    """
    registry.check_kind(kind)
    queries = np.asarray(queries)  # a matrix always has two axes
    bind_axes("index", items=(items, "ND"), queries=(queries, "QD"))
    active = np.ones((len(queries), 1), np.bool_)
    check_search_inputs(queries[:, None], active, items, n=1, exclude=None, score="max")
    plugin = registry.load_plugin(kind) if kind not in registry.BUILT_IN else None
    defaults = {} if plugin is None else plugin.options
    check_index_options(kind, options or {}, defaults)
    folder = Path(directory)
    with atomic.explain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if kind == "exact":
        return write_exact(folder, items)
    if kind == "auto" and len(items) < MIN_MEASURED_ITEMS:  # recall-R22
        return write_exact(folder, items, reason=f"fewer than {MIN_MEASURED_ITEMS:,} items")
    if len(queries) == 0:
        raise DataError(say("index: queries", "at least one, to probe recall", 0))
    if len(items) >= MIN_MEASURED_ITEMS:  # recall-R56
        announce(f"building an index of {len(items):,} items, which may take minutes")
    all_options = {**defaults, **(options or {})}
    request = BuildRequest(folder, items, queries, interests, seed, n_jobs, all_options)
    return build_fastest(request) if plugin is None else build_named(request, plugin)


def check_index_options(kind: str, options: Mapping[str, int], defaults: Mapping[str, int]) -> None:
    """Raise ConfigError for an unknown option or an invalid number."""
    for name, value in options.items():
        if name not in defaults:
            names = " or ".join(defaults) or "none"
            raise ConfigError(say(f"index: options of {kind}", names, repr(name)))
        if not isinstance(value, int) or value < 1:
            raise ConfigError(say(f"index: {name}", "an integer of at least 1", value))


def build_fastest(request: BuildRequest) -> Index:
    """Measure exact search, then the plugins in order. Return the first plugin that is faster."""
    users = group_queries(request.queries, request.interests)
    exact_seconds = seconds_per_user(ExactIndex(request.items), users)
    figures = {"exact_seconds": exact_seconds}
    measurements = [f"exact search {1 / exact_seconds:,.0f} users/s"]
    if exact_seconds < FAST_SECONDS:
        reason = f"{measurements[0]}, {len(request.items):,} items: fast enough without an index"
        return write_exact(request.folder, request.items, reason=reason, figures=figures)
    plugins, broken = registry.auto_plugins()
    first_failure, tried = None, dict[str, str]()
    for plugin in plugins:  # recall-R33
        try:
            tried[plugin.name] = registry.plugin_version(plugin)
            if failure := registry.failure_reason(plugin):
                # recall-R24
                first_failure = first_failure or fallback_warning(plugin.name, failure)
                continue
            index, probed = build_and_probe(request._replace(options=plugin.options), plugin)
            index_seconds = seconds_per_user(index, users)
            figures |= {
                f"{plugin.name}_seconds": index_seconds,
                f"{plugin.name}_recall": probed.recall,
            }
            measurements.append(
                f"{plugin.name} {1 / index_seconds:,.0f} with {probed.recall:.1%} of the neighbours"
            )
            if index_seconds < exact_seconds and probed.recall >= MIN_RECALL:  # recall-R23
                index.choice_reason = "; ".join([*measurements, *broken])
                return write_plugin_index(
                    request._replace(options=plugin.options), plugin, index, figures, tried
                )
        except BackendError as error:  # recall-R29
            broken.append(str(error))
    reason = "; ".join([*measurements, *broken])
    return write_exact(request.folder, request.items, first_failure, figures, reason, tried)


def build_named(request: BuildRequest, plugin: Plugin) -> Index:
    """Return the index of a plugin that is requested by name, whatever its recall."""
    if reason := registry.failure_reason(plugin):  # recall-R24
        return write_exact(request.folder, request.items, fallback_warning(plugin.name, reason))
    index, probed = build_and_probe(request, plugin)
    if probed.recall < MIN_RECALL:
        percentage = f"{probed.recall:.0%} of the top {EFFORT_ITEMS}"
        index.warning = f"{plugin.name} finds only {percentage}; try exact search"
    users = group_queries(request.queries, request.interests)
    figures = {"exact_seconds": seconds_per_user(ExactIndex(request.items), users)}
    figures |= {f"{plugin.name}_seconds": seconds_per_user(index, users)}
    figures |= {f"{plugin.name}_recall": probed.recall}
    return write_plugin_index(request, plugin, index, figures)


def build_and_probe(request: BuildRequest, plugin: Plugin) -> tuple[ApproximateIndex, ProbedRecall]:
    """Return the index of a plugin, with the effort that reaches the required recall."""
    items = scale_by_longest(request.items)
    with registry.plugin_errors(plugin.name, "building"):
        structure = plugin.build(items, seed=request.seed, n_jobs=request.n_jobs, **request.options)
        effort, maximum = operator.index(structure.min_effort), operator.index(structure.max_effort)
        if not 1 <= effort <= maximum:
            raise ValueError(f"min_effort = {effort}, max_effort = {maximum}")
    index = ApproximateIndex(plugin.name, structure, request.items, effort)
    probed = probe_recall(index, evenly_spaced_rows(request.queries, NUM_PROBES))
    index.recall = probed.recall
    return index, probed


def write_plugin_index(
    request: BuildRequest,
    plugin: Plugin,
    index: ApproximateIndex,
    figures: Mapping[str, float],
    tried_versions: Mapping[str, str] | None = None,
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
    index.file_sha256 = sha
    facts: dict[str, Any] = {"file": path.name, "file_sha256": sha, "version": version}
    facts["file_bytes"] = path.stat().st_size
    facts |= {"seed": request.seed, "options": dict(request.options), "effort": index.effort}
    facts |= {"probed_recall": index.recall, "figures": figures}
    facts["tried_versions"] = tried_versions
    write_manifest(
        request.folder,
        request.items,
        plugin.name,
        warning=index.warning,
        choice_reason=index.choice_reason,
        **facts,
    )
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


@check_arguments
def open_index(directory: Path | str, items: Array) -> Index:
    """Return the index in a directory over these item vectors, after checking manifest and file.

    Raises RunError for a mismatch, BackendError for a plugin that cannot be used. If a plugin does
    not work on this machine, the index is exact search.
    """
    bind_axes("index", items=(items, "ND"))
    common_float_dtype("index", items=items)
    folder = Path(directory)
    manifest = manifests.check_manifest(folder, items)
    kind, manifest_warning = manifest.kind, manifest.warning
    if kind == "exact":
        return ExactIndex(items, manifest_warning, manifest.choice_reason)
    plugin = registry.load_plugin(kind)
    if reason := registry.failure_reason(plugin):
        return ExactIndex(items, fallback_warning(kind, reason))  # recall-R24
    path = manifests.check_index_file(folder, manifest, registry.plugin_version(plugin))
    with registry.plugin_errors(kind, f"opening {path}", manifests.TODO):
        structure = plugin.load(path, items.shape[1], len(items))
    effort = manifest.effort or structure.max_effort  # a number, by check_index_file
    return ApproximateIndex(
        kind,
        structure,
        items,
        effort,
        warning=manifest_warning,
        recall=manifest.probed_recall,
        choice_reason=manifest.choice_reason,
        file_sha256=manifest.file_sha256,
    )


def write_exact(
    folder: Path,
    items: Array,
    warning: str | None = None,
    figures: Mapping[str, float] | None = None,
    reason: str | None = None,
    tried_versions: Mapping[str, str] | None = None,
) -> ExactIndex:
    """Return the index of exact search, after writing its manifest. There is no index file."""
    facts = {"warning": warning, "figures": figures, "choice_reason": reason}
    write_manifest(folder, items, "exact", tried_versions=tried_versions, **facts)
    return ExactIndex(items, warning, reason)


def write_manifest(folder: Path, items: Array, kind: str, **facts: Any) -> None:
    """Write a manifest, then remove the index files that it does not name."""
    manifest = Manifest(
        format=manifests.FORMAT,
        kind=kind,
        metric="inner_product",
        dim=items.shape[1],
        count=len(items),
        items_sha256=manifests.array_digest(items),
        mindref=__version__,
        **facts,
    )
    if manifest.file is not None:
        # security-R11
        manifest = replace(manifest, signature=sign_index(manifests.signed_facts(manifest)))
    manifest.write(folder)  # recall-R25: from here on the new index is the index
    atomic.remove_leftovers(folder)
    for path in (*folder.glob("*.index"), *folder.glob("annoy-*.ann")):  # .ann: of format 2
        if path.name != manifest.file:
            path.unlink(missing_ok=True)


def fallback_warning(kind_name: str, reason: str) -> str:
    """Return the warning that exact search replaces a plugin."""
    return f"{kind_name} does not work here: {reason}; exact search is used"
