"""How long a training step of torch-rechub's MIND takes, as its own trainer takes it.

    pip install torch torch-rechub==0.9.0      # an environment of its own
    python tests/measure/rechub_speed.py --batch 256

Sizes are those of `mindref bench`, but for three negatives of each user instead of 1,280 for all,
and no layers behind the capsules: the package has none. Its trainer's optimiser is a dense Adam.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.matching import MIND
from torch_rechub.trainers import MatchTrainer

ITEMS, LENGTH, WIDTH, INTERESTS, NEGATIVES = 100_000, 50, 64, 4, 3


def trainer() -> Any:
    """Return the package's trainer of its model; item 0 is its padding."""
    rows = ITEMS + 1
    user = [SparseFeature("user", 10, embed_dim=WIDTH)]
    item = [SparseFeature("item", rows, embed_dim=WIDTH)]
    history = [SequenceFeature("hist", rows, WIDTH, pooling="concat", shared_with="item")]
    negative = [SequenceFeature("neg", rows, WIDTH, pooling="concat", shared_with="item")]
    model = MIND(user, history, item, negative, max_length=LENGTH, interest_num=INTERESTS)
    return MatchTrainer(model, mode=2)


def batch(rng: np.random.Generator, users: int) -> tuple[dict[str, Any], Any]:
    """Draw histories of 1 to 50 items, targets and negatives, popular ones more often."""
    weights = 1 / np.arange(1, ITEMS + 1)
    ends = np.cumsum(weights / weights.sum())

    def items(*shape: int) -> Any:
        return np.minimum(np.searchsorted(ends, rng.random(shape)), ITEMS - 1) + 1

    mask = np.arange(LENGTH) < rng.integers(1, LENGTH + 1, users)[:, None]
    drawn = {
        "user": rng.integers(0, 10, users),
        "item": items(users),
        "hist": items(users, LENGTH) * mask,
        "neg": items(users, NEGATIVES),
    }
    return {name: torch.from_numpy(x) for name, x in drawn.items()}, torch.zeros(users).long()


def main() -> None:
    """Print the median of the steps and its quartiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    made, rng = trainer(), np.random.default_rng(0)
    batches = [batch(rng, given.batch) for _ in range(8)]
    seconds = []
    for number in range(given.steps + 10):
        x, y = batches[number % len(batches)]
        start = time.perf_counter()
        loss = made.criterion(made.model(x), y)  # as `train_one_epoch` does it
        made.model.zero_grad()
        loss.backward()
        made.optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - start)
    low, middle, high = (1e3 * q for q in statistics.quantiles(seconds[10:], n=4))
    print(f"B {given.batch}: {middle:.1f} ms a step ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
