"""A module and a batch, as in a training script."""

from __future__ import annotations

import torch

from mindref.config import Config
from mindref_torch import MIND, Batch, Histories

ITEMS, USERS, LENGTH = 100, 32, 10
CONFIG = Config(interests=3, width=16, hidden=(32,), power=2.0)


def make_model(config: Config = CONFIG, **options: object) -> MIND:
    """Return a module with one row per item, drawn with a fixed seed."""
    torch.manual_seed(0)
    return MIND(config, torch.arange(ITEMS)[:, None], torch.ones(ITEMS, 1), **options)


def make_batch() -> Batch:
    """Return a batch drawn with a fixed seed."""
    torch.manual_seed(1)
    histories = Histories(
        items=torch.randint(ITEMS, (USERS, LENGTH)),
        mask=torch.rand(USERS, LENGTH) < 0.8,
        init_logits=0.1 * torch.randn(USERS, LENGTH, CONFIG.interests),
        profile=torch.empty(USERS, 0, dtype=torch.long),
    )
    return Batch(
        histories,
        target=histories.items[:, 0],
        negatives=torch.randperm(ITEMS)[:50],
        target_log_expected=torch.full((USERS,), -0.7),
        negative_log_expected=torch.full((50,), -0.7),
    )
