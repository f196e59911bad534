"""Measure the time of a training step of MIND in torch-rechub by its trainer.

    pip install torch torch-rechub==0.9.0      # in a separate environment
    python tests/measure/rechub_speed.py --batch 256

Sizes are those of `mindref bench`, with two differences. Each user has three negatives instead of
1,280 shared ones, and there are no layers after the capsules. The optimiser is a dense Adam.
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


def make_trainer() -> Any:
    """Return the trainer of the package for its model; item 0 is padding."""
    rows = ITEMS + 1
    user = [SparseFeature("user", 10, embed_dim=WIDTH)]
    item = [SparseFeature("item", rows, embed_dim=WIDTH)]
    history = [SequenceFeature("hist", rows, WIDTH, pooling="concat", shared_with="item")]
    negative = [SequenceFeature("neg", rows, WIDTH, pooling="concat", shared_with="item")]
    model = MIND(user, history, item, negative, max_length=LENGTH, interest_num=INTERESTS)
    return MatchTrainer(model, mode=2)


def draw_batch(rng: np.random.Generator, users: int) -> tuple[dict[str, Any], Any]:
    """Draw histories of 1 to 50 items, targets and negatives by popularity."""
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
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    match_trainer, rng = make_trainer(), np.random.default_rng(0)
    batches = [draw_batch(rng, options.batch) for _ in range(8)]
    seconds = []
    for number in range(options.steps + 10):
        x, y = batches[number % len(batches)]
        start = time.perf_counter()
        loss = match_trainer.criterion(match_trainer.model(x), y)  # as in `train_one_epoch`
        match_trainer.model.zero_grad()
        loss.backward()
        match_trainer.optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - start)
    low, middle, high = (1e3 * q for q in statistics.quantiles(seconds[10:], n=4))
    print(f"B {options.batch}: {middle:.1f} ms per step ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
