"""Build an index, choose its kind by measurement, and open it again.

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
from mindref.errors import STRANGE, BackendError, ConfigError, DataError, MindrefError, say
from mindref.evaluation import top_n
from mindref.recall import manifest as manifests
from mindref.recall import registry
from mindref.recall.approximate import ApproximateIndex, in_units_of_the_longest
from mindref.recall.exact import ExactIndex
from mindref.recall.index import PER, Index, Plugin
from mindref.recall.manifest import Manifest
from mindref.recall.mark import mark
from mindref.recall.probe import ENOUGH, PROBES, Probed, probe, seconds, spread, users_of
from mindref.run import atomic
from mindref.run.files import file_digest
from mindref.shapes import Array

MEASURED_FROM = 20_000  # items; below, a search takes well under a millisecond anyhow
QUICK = 0.0002  # seconds a user, in which no index has merged the lists of several interests


class Order(NamedTuple):
    """What an index is built of."""

    folder: Path
    items: Array  # (N, D)
    queries: Array  # (Q, D) that probe recall
    interests: int  # of a user
    seed: int
    n_jobs: int
    options: Mapping[str, int]  # of the plugin


def build_index(
    items: Array,
    queries: Array,
    *,
    directory: Path | str,
    kind: str = "auto",
    seed: int = 0,
    options: Mapping[str, int] | None = None,
    n_jobs: int = 1,
    interests: int = 4,
) -> Index:
    """Build an index over items (N, D), write it to a directory and return it opened.

    queries (Q, D): interests as users have them; up to 200 of them probe recall, and up to 256
    users of `interests` queries each the speed. kind: "exact", a plugin, or "auto", which takes
    exact search below 20 000 items, and otherwise what it measures; `why` of the index says so.
    options: numbers for a plugin that is named. Where a plugin does not work, exact search stands
    in and `warning` says so.
    Raises ConfigError, ShapeError, DataError, RunError, and BackendError for a broken plugin.
    """
    registry.check_kind(kind)
    if interests < 1:
        raise ConfigError(say("index: interests", "an integer of at least 1", interests))
    one = np.ones((len(queries), 1), np.bool_)
    top_n.check(queries[:, None], one, items, n=1, exclude=None, score="max")
    plugin = registry.load(kind) if kind not in registry.OURS else None
    known = {} if plugin is None else plugin.options
    check_options(kind, options or {}, known)
    folder = Path(directory)
    with atomic.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if kind == "exact":
        return write_exact(folder, items)
    if kind == "auto" and len(items) < MEASURED_FROM:  # recall-R22
        return write_exact(folder, items, why=f"fewer than {MEASURED_FROM:,} items")
    if len(queries) == 0:
        raise DataError(say("index: queries", "at least one, to probe recall", 0))
    chosen = {**known, **(options or {})}
    order = Order(folder, items, queries, interests, seed, n_jobs, chosen)
    return choose(order) if plugin is None else build_one(order, plugin)


def check_options(kind: str, options: Mapping[str, int], known: Mapping[str, int]) -> None:
    """Raise ConfigError for a number that a plugin does not take."""
    for name, value in options.items():
        if name not in known:
            some = " or ".join(known) or "none"
            raise ConfigError(say(f"index: options of {kind}", some, repr(name)))
        if not isinstance(value, int) or value < 1:
            raise ConfigError(say(f"index: {name}", "an integer of at least 1", value))


def choose(order: Order) -> Index:
    """Measure exact search, then one plugin after the other, and keep the first that is better."""
    users = users_of(order.queries, order.interests)
    exact = seconds(ExactIndex(order.items), users)
    figures, said = {"exact_seconds": exact}, [f"exact search {1 / exact:,.0f} users/s"]
    if exact < QUICK:
        why = f"{said[0]}, {len(order.items):,} items: no index is sought"
        return write_exact(order.folder, order.items, why=why, figures=figures)
    plugins, broken = registry.candidates_for_auto()
    failed, tried = None, dict[str, str]()
    for plugin in plugins:  # recall-R33
        try:
            tried[plugin.name] = registry.version_of(plugin)
            if reason := registry.reason_of(plugin):
                failed = failed or warning(plugin.name, reason)  # recall-R24
                continue
            index, found = built(order._replace(options=plugin.options), plugin)
            took = seconds(index, users)
            figures |= {f"{plugin.name}_seconds": took, f"{plugin.name}_recall": found.recall}
            said.append(f"{plugin.name} {1 / took:,.0f} with {found.recall:.1%} of the neighbours")
            if took < exact and found.recall >= ENOUGH:  # recall-R23
                index.why = "; ".join([*said, *broken])
                return keep(order._replace(options=plugin.options), plugin, index, figures, tried)
        except BackendError as error:  # recall-R29
            broken.append(str(error))
    why = "; ".join([*said, *broken])
    return write_exact(order.folder, order.items, failed, figures, why, tried)


def build_one(order: Order, plugin: Plugin) -> Index:
    """Build the index of a plugin that was asked for, and keep it whatever it finds."""
    if reason := registry.reason_of(plugin):  # recall-R24
        return write_exact(order.folder, order.items, warning(plugin.name, reason))
    index, found = built(order, plugin)
    if found.recall < ENOUGH:
        share = f"{found.recall:.0%} of the {PER} best"
        index.warning = f"{plugin.name} finds only {share}; try exact search"
    users = users_of(order.queries, order.interests)
    figures = {"exact_seconds": seconds(ExactIndex(order.items), users)}
    figures |= {f"{plugin.name}_seconds": seconds(index, users)}
    figures |= {f"{plugin.name}_recall": found.recall}
    return keep(order, plugin, index, figures)


def built(order: Order, plugin: Plugin) -> tuple[ApproximateIndex, Probed]:
    """Return the index of a plugin, with the effort that a probe found to be enough."""
    items = in_units_of_the_longest(order.items)
    with registry.answering(plugin.name, "building"):
        structure = plugin.build(items, seed=order.seed, n_jobs=order.n_jobs, **order.options)
        effort, most = operator.index(structure.least), operator.index(structure.most)
        if not 1 <= effort <= most:
            raise ValueError(f"efforts from least = {effort} to most = {most}")
    index = ApproximateIndex(plugin.name, structure, order.items, effort)
    found = probe(index, spread(order.queries, PROBES))
    index.recall = found.recall
    return index, found


def keep(
    order: Order,
    plugin: Plugin,
    index: ApproximateIndex,
    figures: Mapping[str, float],
    tried: Mapping[str, str] | None = None,
) -> Index:
    """Write an index: first its file, named after its sha256, then the manifest.

    Raises RunError where it cannot be written, and leaves nothing of it.
    """
    version = registry.version_of(plugin)  # before there is a file
    temporary = atomic.temporary_name(order.folder / plugin.name)
    with atomic.explained(order.folder / plugin.name):
        try:
            save(index, temporary)
            atomic.sync_file(temporary)
            sha = file_digest(temporary)
            path = temporary.replace(order.folder / f"{plugin.name}-{sha[:12]}.index")
        finally:
            temporary.unlink(missing_ok=True)
    index.file_sha256 = sha
    facts: dict[str, Any] = {"file": path.name, "file_sha256": sha, "version": version}
    facts["file_bytes"] = path.stat().st_size
    facts |= {"seed": order.seed, "options": dict(order.options), "effort": index.effort}
    facts |= {"probed_recall": index.recall, "figures": figures, "tried": tried}
    write(order.folder, order.items, plugin.name, warning=index.warning, why=index.why, **facts)
    return index


def save(index: ApproximateIndex, path: Path) -> None:
    """Let a structure write its file. Raises OSError whatever it raises: faiss says a full disk so.

    A disk is full more often than a plugin cannot write.
    """
    try:
        index.structure.save(path)
    except (MindrefError, MemoryError):
        raise
    except STRANGE as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def open_index(directory: Path | str, items: Array) -> Index:
    """Open an index over these item vectors, after its manifest and its file have been checked.

    Raises RunError naming what does not fit, BackendError for a plugin that cannot be used. Where
    a plugin does not work, exact search stands in.
    """
    folder = Path(directory)
    manifest = manifests.verify(folder, items)
    kind, told = manifest.kind, manifest.warning
    if kind == "exact":
        return ExactIndex(items, told, manifest.why)
    plugin = registry.load(kind)
    if reason := registry.reason_of(plugin):
        return ExactIndex(items, warning(kind, reason))  # recall-R24
    path = manifests.verify_file(folder, manifest, registry.version_of(plugin))
    with registry.answering(kind, f"opening {path}", manifests.TODO):
        structure = plugin.load(path, items.shape[1], len(items))
    effort = manifest.effort or structure.most  # it is a number, by verify_file
    known = (told, manifest.probed_recall, manifest.why, manifest.file_sha256)
    return ApproximateIndex(kind, structure, items, effort, *known)


def write_exact(
    folder: Path,
    items: Array,
    warning: str | None = None,
    figures: Mapping[str, float] | None = None,
    why: str | None = None,
    tried: Mapping[str, str] | None = None,
) -> ExactIndex:
    """Write the manifest of exact search, which needs no file."""
    write(folder, items, "exact", warning=warning, figures=figures, why=why, tried=tried)
    return ExactIndex(items, warning, why)


def write(folder: Path, items: Array, kind: str, **facts: Any) -> None:
    """Write a manifest, then remove what it does not name."""
    manifest = Manifest(
        format=manifests.FORMAT,
        kind=kind,
        metric="inner_product",
        dim=items.shape[1],
        count=len(items),
        items_sha256=manifests.digest(items),
        mindref=__version__,
        **facts,
    )
    if manifest.file is not None:
        manifest = replace(manifest, mark=mark(manifests.marked(manifest)))  # security-R11
    manifest.write(folder)  # recall-R25: from here on the new index is the index
    atomic.sweep(folder)
    for path in (*folder.glob("*.index"), *folder.glob("annoy-*.ann")):  # .ann: of format 2
        if path.name != manifest.file:
            path.unlink(missing_ok=True)


def warning(kind: str, reason: str) -> str:
    """Return the line that says why exact search stands in."""
    return f"{kind} does not work here: {reason}; exact search is used"
