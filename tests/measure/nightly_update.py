"""Quality and time of nightly updates: an old model, warm starts, and training anew.

    OPENBLAS_NUM_THREADS=1 python -m tests.measure.nightly_update LOG --preset mind --steps 2000

The first model is trained on the first `--first` of the interactions by time. The interactions
after it are divided into nights of equal size. After each night, each arm is evaluated on the first
interaction of each user in the next night; the history is everything before it. The arms:

old           the first model, with the new histories
update N@R    warm start from the model of the night before: N steps on all interactions so far,
              with the learning rate R (without R, that of the preset)
anew          training from random parameters on all interactions so far, with `--steps` steps
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mindref
from mindref.data.frames import from_arrays
from mindref.data.log import InteractionLog, Ragged
from mindref.evaluation import metrics
from mindref.recommender.top_n_lists import recommend_batch
from mindref.run.source import Source, translate_items

LENGTH = 50


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
    """Return a log of some of the interactions, in the order of time, with the item features."""
    assert log.times is not None
    rows = np.flatnonzero(is_kept)
    rows = rows[np.argsort(log.times[rows], kind="stable")]
    features = {
        feature.name: {
            log.item_ids[i]: [feature.values[code] for code in feature.codes.row(i)]
            for i in range(len(log.item_ids))
        }
        for feature in log.item_features
    }
    names = np.array(log.user_ids, object), np.array(log.item_ids, object)
    return from_arrays(
        names[0][users[rows]],
        names[1][log.interactions.values[rows]],
        log.times[rows],
        item_features=features,
    )


def evaluate(model: mindref.MIND, night: Night) -> dict[str, float]:
    """Return hit rates on the targets, and their number and hit rate if the item was untrained."""
    served = model.served
    rows, _ = translate_items(night.histories, night.log, served.items.ids)
    dense = {name: i for i, name in enumerate(served.items.ids)}
    targets = np.array([dense.get(name, -1) for name in night.targets], np.int64)
    profiles = served.unknown_profile(len(rows))
    ranked, _ = recommend_batch(
        served.model, rows, profiles, n=LENGTH, exclude=rows, backend=served.load_backend().backend
    )
    cases = Ragged.of([[t] for t in targets])
    hit = metrics.hit_mask(ranked.items, cases) & (targets >= 0)[:, None]
    relevant = np.ones(len(targets), np.int64)
    result = {
        f"{name}@{n}": float(metrics.METRICS[name](hit, relevant, n).mean())
        for name, n in (("hit_rate", 10), ("hit_rate", LENGTH), ("ndcg", 10))
    }
    return {**result, "cases": len(targets)}


def train(log: InteractionLog, preset: str, start: Any = None, **settings: Any) -> Any:
    """Return a model trained on all interactions of a log, and the seconds."""
    begin = time.perf_counter()
    extra = {} if start is None else {"start_from": start}
    model = mindref.MIND(preset, **settings).fit(log, protocol="none", **extra)
    return model, time.perf_counter() - begin


def measure(log: InteractionLog, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Return the results of each arm, one for each night."""
    features = tuple(x for x in options.item_features.split(",") if x)
    common = {"item_features": features, "seed": options.seed, "evaluate_every": 1_000_000}
    results = defaultdict(list)
    models: dict[str, Any] = {}
    for number, night in enumerate(divide_by_time(log, options.first, options.nights)):
        anew, seconds = train(night.log, options.preset, steps=options.steps, **common)
        if number == 0:
            models = {"old": anew}
            models |= {f"update {x}": anew for x in options.updates}
            print(f"first model: {seconds:.1f} s, {evaluate(anew, night)}", flush=True)
            continue
        results["old"].append({**evaluate(models["old"], night), "seconds": 0.0})
        results["anew"].append({**evaluate(anew, night), "seconds": seconds})
        for update in options.updates:
            name, (steps, _, rate) = f"update {update}", update.partition("@")
            settings = {**common, **({"learning_rate": float(rate)} if rate else {})}
            models[name], spent = train(
                night.log, options.preset, models[name], steps=int(steps), **settings
            )
            results[name].append({**evaluate(models[name], night), "seconds": spent})
        for name in results:
            print(f"night {number} {name}: {results[name][-1]}", flush=True)
    return results


def main() -> None:
    """Print the mean of each arm over the cases of all nights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--preset", default="mind")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--updates", nargs="*", default=["100", "300"], metavar="N@R")
    parser.add_argument("--first", type=float, default=0.8)
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--item-features", default="")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results = measure(Source.of(options.log).read().log, options)
    for name, rows in results.items():
        weights = [row["cases"] for row in rows]
        means = {
            key: float(np.average([row[key] for row in rows], weights=weights))
            for key in rows[0]
            if key not in ("cases", "seconds")
        }
        means["seconds"] = float(np.mean([row["seconds"] for row in rows]))
        words = "  ".join(f"{key} {value:.4f}" for key, value in means.items())
        print(f"{name:16} {words}  cases {sum(weights)}")


if __name__ == "__main__":
    main()
