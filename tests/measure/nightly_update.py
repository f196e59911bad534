"""Quality and time of nightly updates: an old model, warm starts, and training anew.

    OPENBLAS_NUM_THREADS=1 python -m tests.measure.nightly_update LOG --preset mind --steps 2000

The first model is trained on the first `--first` of the interactions by time. The interactions
after it are divided into nights of equal size. After each night, each arm is evaluated on the first
interaction of each user in the next night; the history is everything before it. The arms:

old           the first model, with the new histories
N@R           warm start from the model of the night before: N steps on all interactions so far,
              with the learning rate R (without R, that of the preset)
N@R+moments   the same, and the moments of Adam are kept
anew          training from random parameters on all interactions so far, with `--steps` steps
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mindref
from mindref.data.frames import from_arrays
from mindref.data.log import Feature, InteractionLog, Ragged
from mindref.evaluation import metrics
from mindref.recommender.top_n_lists import recommend_batch
from mindref.run.source import Source, translate_items

LENGTH = 50


class Result(NamedTuple):
    """The cases of one night or of several."""

    hit10: Any  # (C,)
    hit50: Any
    ndcg10: Any
    is_new: Any  # the target has its first interaction after the first model
    is_cold: Any  # the target has no interaction so far
    seconds: float

    def text(self) -> str:
        """Return the means, and hit rates at 50 of new and of cold targets."""
        words = [f"{np.mean(x):.4f}" for x in (self.hit10, self.hit50, self.ndcg10)]
        for chosen in (self.is_new, self.is_cold):
            words.append(f"{np.mean(self.hit50[chosen]) if chosen.any() else 0:.4f}")
        return "  ".join([*words, f"{self.seconds:.1f} s"])


class Night(NamedTuple):
    """All interactions so far, and the first interaction of each user in the next night."""

    log: InteractionLog
    histories: Ragged  # in the ids of `log`
    targets: list[str]  # external ids


def divide_by_time(log: InteractionLog, first: float, nights: int) -> Iterator[Night]:
    """Yield the log before the first night, and after each night but the last."""
    assert log.times is not None
    users = np.repeat(np.arange(len(log.interactions)), log.interactions.lengths)
    order = np.sort(log.times)
    shares = np.linspace(first, 1, nights + 1)
    cuts = [*order[[int(share * len(order)) for share in shares[:-1]]], np.inf]
    for cut, end in pairwise(cuts):
        before = log.times < cut
        so_far = select(log, users, before)
        after = np.flatnonzero(~before & (log.times < end))
        new_users, rows = np.unique(users[after], return_index=True)
        index = {name: i for i, name in enumerate(so_far.user_ids)}
        known = [i for i, user in enumerate(new_users) if log.user_ids[user] in index]
        mapped = np.array([index[log.user_ids[new_users[i]]] for i in known], np.int64)
        targets = [log.item_ids[log.interactions.values[after[rows[i]]]] for i in known]
        yield Night(so_far, so_far.interactions.take(mapped), targets)


def select(log: InteractionLog, users: Any, is_kept: Any) -> InteractionLog:
    """Return a log of some of the interactions, in the order of time, with all items."""
    assert log.times is not None
    rows = np.flatnonzero(is_kept)
    rows = rows[np.argsort(log.times[rows], kind="stable")]
    names = np.array(log.user_ids, object), np.array(log.item_ids, object)
    return from_arrays(
        names[0][users[rows]],
        names[1][log.interactions.values[rows]],
        log.times[rows],
        item_features={feature.name: values_of(feature, log) for feature in log.item_features},
        keep_unused_items=True,
    )


def values_of(feature: Feature, log: InteractionLog) -> dict[str, list[str]]:
    """Return item -> values of a feature."""
    codes = map(feature.codes.row, range(len(log.item_ids)))
    rows = zip(log.item_ids, codes, strict=True)
    return {name: [feature.values[code] for code in row] for name, row in rows}


def evaluate(model: mindref.MIND, night: Night, old: set[str]) -> Result:
    """Return the hits of a model on the targets; old: items with an interaction at the start."""
    served = model.served
    rows, _ = translate_items(night.histories, night.log, served.items.ids)
    dense = {name: i for i, name in enumerate(served.items.ids)}
    targets = np.array([dense.get(name, -1) for name in night.targets], np.int64)
    ranked, _ = recommend_batch(
        served.model,
        rows,
        served.unknown_profile(len(rows)),
        n=LENGTH,
        exclude=rows,
        backend=served.load_backend().backend,
    )
    cases = Ragged.of([[target] for target in targets])
    hit = metrics.hit_mask(ranked.items, cases) & (targets >= 0)[:, None]
    counts = np.bincount(night.log.interactions.values, minlength=len(night.log.item_ids))
    seen = {name for name, count in zip(night.log.item_ids, counts, strict=True) if count}
    is_cold = np.array([name not in seen for name in night.targets])
    is_new = np.array([name not in old for name in night.targets]) & ~is_cold
    ones = np.ones(len(targets), np.int64)
    ndcg = metrics.METRICS["ndcg"](hit, ones, 10)
    return Result(hit[:, :10].any(axis=1), hit.any(axis=1), ndcg, is_new, is_cold, 0.0)


def train(
    log: InteractionLog,
    preset: str,
    start: Path | None = None,
    *,
    moments: bool = False,
    **settings: Any,
) -> Any:
    """Return a model trained on all interactions, its run, and the seconds of CPU time."""
    begin = time.process_time()
    extra = {} if start is None else {"start_from": start, "keep_moments": moments}
    run = Path(tempfile.mkdtemp()) / "run"
    model = mindref.MIND(preset, **settings).fit(log, split="none", run=run, **extra)
    return model, run, time.process_time() - begin


def measure(log: InteractionLog, options: argparse.Namespace) -> dict[str, list[Result]]:
    """Return the results of each arm, one for each night."""
    features = tuple(x for x in options.item_features.split(",") if x)
    common = {"item_features": features, "seed": options.seed, "evaluate_every": 1_000_000}
    results = defaultdict(list)
    models: dict[str, Any] = {}
    runs: dict[str, Path] = {}  # of the model of each update arm
    old: set[str] = set()
    for number, night in enumerate(divide_by_time(log, options.first, options.nights)):
        anew, run, seconds = train(night.log, options.preset, steps=options.steps, **common)
        if number == 0:
            models = {"old": anew}
            runs = dict.fromkeys(options.updates, run)
            used = np.unique(night.log.interactions.values)
            old = {night.log.item_ids[i] for i in used}
            print(f"first model: {evaluate(anew, night, old)._replace(seconds=seconds).text()}")
            continue
        trained = {"old": (models["old"], 0.0), "anew": (anew, seconds)}
        for update in options.updates:
            words, _, moments = update.partition("+")
            steps, _, rate = words.partition("@")
            settings = {**common, **({"learning_rate": float(rate)} if rate else {})}
            inputs = night.log, options.preset, runs[update]
            model, runs[update], seconds = train(
                *inputs, moments=bool(moments), steps=int(steps), **settings
            )
            trained[update] = model, seconds
        for name, (model, seconds) in trained.items():
            results[name].append(evaluate(model, night, old)._replace(seconds=seconds))
            print(f"night {number}  {name:12} {results[name][-1].text()}", flush=True)
    return results


def main() -> None:
    """Print each arm over the cases of all nights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--preset", default="mind")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--updates", nargs="*", default=["100", "300"], metavar="N@R+moments")
    parser.add_argument("--first", type=float, default=0.8)
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--item-features", default="")
    parser.add_argument("--items", type=Path)
    parser.add_argument("--item-column", nargs="*", default=[], metavar="NAME=COL")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    reading: dict[str, Any] = {
        "columns": {"item_features": dict(x.split("=") for x in options.item_column)}
    }
    reading |= {"item_file": options.items, "keep_unused_items": True} if options.items else {}
    results = measure(Source.of(options.log, reading).read().log, options)
    print("arm  HR@10  HR@50  NDCG@10  HR@50 of new items  HR@50 of cold items  CPU seconds")
    for name, nights in results.items():
        *columns, seconds = zip(*nights, strict=True)
        joined = dict(zip(Result._fields, map(np.concatenate, columns), strict=False))
        total = Result(**joined, seconds=float(np.mean(seconds)))
        print(f"{name:12} {total.text()}")
        counts = len(total.hit10), int(total.is_new.sum()), int(total.is_cold.sum())
    print("{} cases, {} with a new item, {} with a cold item".format(*counts))


if __name__ == "__main__":
    main()
