"""Where the first number that is no number came from: operator, users, items, rows of tables.

Spec: specs/optimiser.md, R14 to R16. Asked when a step has gone wrong, never before: the batch is
taken through the operators of the reference once more, from the parameters before the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import mindref.ops as reference
from mindref.errors import MindrefError, say
from mindref.models import mind
from mindref.models.parameters import Catalogue
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints
from mindref.training import optimiser

SHARED = ("negatives", "negative_log_expected")  # by all users of a batch of MIND
NAMED = 5  # users, items or rows that a message names
TODO = "train anew with a lower --learning-rate"


class Found(NamedTuple):
    """What is known of a number that is not finite."""

    operator: str = ""  # "routing (forward)", or what it came after; "" where nothing was found
    users: tuple[int, ...] = ()  # places in the batch
    items: tuple[int, ...] = ()  # dense ids
    rows: Mapping[str, tuple[int, ...]] = {}  # of parameters and moments


class Diverged(MindrefError):
    """A loss or a gradient is no number any more; the last epoch on disk is still good."""

    def __init__(
        self,
        step: int,
        got: str,
        found: Found,
        todo: str = f"{TODO}; the run keeps its best epoch",
        *,
        user: Callable[[int], Any] = "place {} of the batch".format,
        item: Callable[[int], Any] = str,
        words: tuple[str, str] = ("step {}", "a finite loss"),
    ) -> None:
        """Say what was got in a step; user, item: what names a place in the batch, a dense id."""
        self.step, self.got, self.found, self.words = step, got, found, words
        where = told(found, user, item)
        super().__init__(say(words[0].format(step), words[1], got + where, todo))


def told(found: Found, user: Callable[[int], Any], item: Callable[[int], Any]) -> str:
    """Return what was found, in brackets; nothing of nothing."""
    parts = [f"first in {found.operator}"] if found.operator else []
    parts += some("users", found.users, user) + some("items", found.items, item)
    for name, rows in found.rows.items():
        parts += some(f"rows of {name}", rows, str)
    return f" ({'; '.join(parts)})" if parts else ""


def some(what: str, which: tuple[int, ...], name: Callable[[int], Any]) -> list[str]:
    """Return the first of them by name, and how many more there are; nothing of none."""
    if not which:
        return []
    more = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
    return [f"{what} {', '.join(str(name(x)) for x in which[:NAMED])}{more}"]


def finite(x: Any) -> bool:
    """Return whether all numbers of an array, of a gradient or of a tuple of them are finite."""
    if isinstance(x, tuple):
        return all(finite(part) for part in x)
    if x is None or getattr(x, "dtype", np.dtype(float)).kind != "f":
        return True
    return bool(np.isfinite(x).all())


def bounded(gradient: Array | RowGradient) -> bool:
    """Return whether a gradient and its square are finite, in the type of the gradient."""
    x = gradient.values if isinstance(gradient, RowGradient) else gradient
    if not x.size:
        return True
    largest = max(x.max(), -x.min(), key=lambda n: (n != n, n))  # NaN before all
    return bool(np.isfinite(largest * largest))  # optimiser-R14


def by_name(params: Mapping[str, Array], moments: optimiser.State) -> dict[str, Array]:
    """Return parameters and moments, the first.items and second.items of items with them."""
    first = {f"first.{name}": x for name, x in moments.first.items()}
    return {**params, **first, **{f"second.{name}": x for name, x in moments.second.items()}}


def check_state(params: Mapping[str, Array], moments: optimiser.State) -> None:
    """Raise Diverged for parameters or moments that are not finite: nobody may keep them."""
    rows = bad_rows(by_name(params, moments))
    if rows:  # optimiser-R16
        got = "parameters or moments that are not finite"
        raise Diverged(moments.step, got, Found("the parameters", rows=rows))


def bad_rows(tables: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """Return the rows that are not finite, of the tables that have some."""
    found = {}
    for name, x in tables.items():
        if not finite(x):
            rows = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
            found[name] = tuple(np.flatnonzero(rows).tolist())
    return found


class Watch:
    """The operators, watched: the first that makes something of finite numbers that is not."""

    def __init__(self, ops: Any) -> None:
        self.ops, self.first, self.last = ops, "", "the parameters"

    def __getattr__(self, stem: str) -> Any:
        return Watched(self, stem, getattr(self.ops, stem, None) or getattr(reference, stem))

    def saw(self, name: str, given: Any, out: Any) -> None:
        """Take note of a call: in the order of the computation, so the first one counts."""
        if not self.first and not finite(out):
            self.first = name if finite(given) else f"what comes after {self.last}"
        self.last = name


class Watched(NamedTuple):
    """An operator that tells the watch of its calls."""

    watch: Watch
    stem: str
    module: Any

    def forward(self, *arrays: Any, **numbers: Any) -> Any:
        """Call it, and tell what came of it."""
        out, saved = self.module.forward(*arrays, **numbers)
        self.watch.saw(f"{self.stem} (forward)", arrays, out)
        return out, saved

    def backward(self, d_out: Any, saved: Any, **more: Any) -> Any:
        """Call it, and tell what came of it."""
        out = self.module.backward(d_out, saved, **more)
        self.watch.saw(f"{self.stem} (backward)", np.asarray(d_out), out)
        return out


def look(
    family: Any, params: Any, batch: Any, catalogue: Catalogue, config: Any, tables: Any
) -> Found:
    """Return where a batch goes wrong; family: the module with `loss`, `backward` and a flattening.

    tables: arrays by name, parameters with moments; rows of them that are not finite are named,
    and nothing is computed from them but the items that they belong to. Never raises.
    """
    rows = bad_rows(tables)
    with np.errstate(all="ignore"):
        if rows:  # optimiser-R15
            lost = np.union1d(rows.get("items", ()), rows.get("first.items", ())).astype(int)
            lost = np.union1d(lost, np.array(rows.get("second.items", ()), int))
            return Found("the parameters", (), tuple(with_rows(batch, catalogue, lost)), rows)
        first, _, gradients = replay(family, params, batch, catalogue, config)
        users = tuple(bad_users(family, params, batch, catalogue, config))
        items: tuple[int, ...] = ()
        if gradients is not None and not users and not finite(gradients["items"]):
            of = gradients["items"]
            bad = of.rows[~np.isfinite(of.values).all(axis=1)]
            items = tuple(bad[bad < len(catalogue.rows)].tolist())
        return Found(first, users, items)


def replay(
    family: Any, params: Any, batch: Any, catalogue: Catalogue, config: Any, d_out: float = 1.0
) -> tuple[str, bool, dict[str, Any] | None]:
    """Return the operator where a batch goes wrong, whether it goes well, and its gradients."""
    watch = Watch(reference)
    loss, saved = family.loss(params, batch, catalogue, config, watch)
    if not np.isfinite(loss):
        return watch.first or f"what comes after {watch.last}", False, None
    gradients = flat(family.backward(saved, d_out, ops=watch))
    well = all(bounded(x) for x in gradients.values())
    if well:
        return "", True, gradients
    if all(finite(x) for x in gradients.values()):
        return "the square of a gradient", False, gradients
    return watch.first or f"what comes after {watch.last}", False, gradients


def flat(gradients: Any) -> dict[str, Any]:
    """Return gradients by name; those of layers by their numbers."""
    found: dict[str, Any] = {}
    for name, x in gradients._asdict().items():
        if isinstance(x, tuple) and not isinstance(x, RowGradient):
            for i, layer in enumerate(x):
                found |= {f"{name}.{i}.{part}": y for part, y in zip("wb", layer, strict=True)}
        else:
            found[name] = x
    return found


def bad_users(
    family: Any, params: Any, batch: Any, catalogue: Catalogue, config: Any
) -> Iterator[int]:
    """Yield the places in a batch of the users who go wrong by themselves, as weighed in it."""
    size = len(histories_of(batch).mask)
    for place in range(size):
        alone = of_user(batch, place)
        if not replay(family, params, alone, catalogue, config, 1 / size)[1]:
            yield place


def of_user(batch: Any, place: int) -> Any:
    """Return the batch of one user: what all share stays."""
    some = slice(place, place + 1)
    parts: dict[str, Any] = {}
    for name, x in batch._asdict().items():
        if isinstance(batch, mind.Batch) and name in SHARED:
            parts[name] = x
        elif isinstance(x, tuple):
            parts[name] = of_user(x, place)
        else:
            parts[name] = x if x is None else x[some]
    return batch._replace(**parts)


def histories_of(batch: Any) -> mind.Histories:
    """Return the histories of the batch of any family."""
    found: mind.Histories = getattr(batch, "shared", batch).histories
    return found


def with_rows(batch: Any, catalogue: Catalogue, rows: Ints) -> Iterator[int]:
    """Yield the items of a batch, ascending, that have a part in one of these rows."""
    shared = getattr(batch, "shared", batch)
    asked = [shared.histories.items[shared.histories.mask]]
    asked += [getattr(shared, n).ravel() for n in ("target", "negatives", "candidates")
              if hasattr(shared, n)]  # fmt: skip
    ids = np.unique(np.concatenate(asked))
    parts = np.isin(catalogue.rows[ids], rows) & (catalogue.weights[ids] != 0)
    yield from ids[parts.any(axis=1)].tolist()
