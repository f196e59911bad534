"""The list of model families: name, summary, module, and the settings that only some of them use.

This is the only list of families. It imports nothing heavy, so that the settings and
`mindref --help` read it without NumPy. `mindref.models.family.family_of` returns the family object
of an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class FamilyEntry(NamedTuple):
    """One family of models."""

    name: str  # as in the setting `model`
    summary: str
    module: str  # in mindref.models; its constant FAMILY is the family object
    settings: tuple[str, ...] = ()  # fields of Config that only the families that list them use
    defaults: Mapping[str, object] = {}  # of settings, where they are not those of Config
    reranks: bool = False  # reranks candidates of a recall run; has a separate settings class


MIND_COMMAND = "mindref train --preset mind, or mindref.MIND() in Python"
STEPS = ("epochs",)
"""Settings of the families that are trained by steps, besides those that all families accept."""
VECTOR_LOSS = (*STEPS, "adam", "dense_rate", "temperature", "normalise", "init_scale")
"""Settings of the families that learn vectors by a softmax loss."""

ENTRIES = (
    FamilyEntry(
        "mind",
        "multi-interest network with dynamic routing (Li et al., CIKM 2019)",
        "mind",
        VECTOR_LOSS,
    ),
    FamilyEntry(
        "mind_plus",
        "MIND with recency weights, contexts and the pooled loss",
        "mind_plus",
        (
            *VECTOR_LOSS,
            "sharpness",
            "recency",
            "votes",
            "head",
            "contexts",
            "dropout",
            "dropout_by_density",
            "own_counts_term",
            "popularity_term",
            "initial_matrices",
        ),
    ),
    FamilyEntry(
        "youtube_dnn",
        "one user vector from the mean of the behaviours (Covington et al., RecSys 2016)",
        "youtube_dnn",
        (*VECTOR_LOSS, "recency"),
    ),
    FamilyEntry(
        "maxmf",
        "K free vectors per user, pairwise loss (Weston et al., RecSys 2013)",
        "maxmf",
        (*STEPS, "pair_loss"),
    ),
    FamilyEntry(
        "wals",
        "weighted alternating least squares (Hu et al., ICDM 2008)",
        "wals",
        ("regularization", "confidence", "sweeps", "history_decay"),
    ),
    FamilyEntry(
        "item_knn",
        "item k-nearest-neighbours (Sarwar et al., WWW 2001)",
        "item_knn",
        ("similarity", "neighbours", "k1", "b", "history_decay"),
        defaults={"window": 50, "history_decay": 0.7},  # measured: specs/baselines.md
    ),
    FamilyEntry("popularity", "the most frequent items, the same for every user", "popularity"),
    FamilyEntry(
        "own_counts",
        "the items of a user by frequency, then the most frequent ones (Li et al., TOIS 2023)",
        "own_counts",
        ("history_decay",),
        defaults={"history_decay": 0.99},  # measured: specs/baselines.md
    ),
    FamilyEntry("random", "a random order of the catalogue per history", "random_scores"),
    FamilyEntry(
        "din",
        "deep interest network, reranks candidates of a recall run (Zhou et al., KDD 2018)",
        "din",
        reranks=True,
    ),
)

BY_NAME = {entry.name: entry for entry in ENTRIES}
RECALL_FAMILIES = tuple(entry.name for entry in ENTRIES if not entry.reranks)
"""Families whose settings are those of mindref.config.Config."""
RERANK_FAMILIES = tuple(entry.name for entry in ENTRIES if entry.reranks)


def families_using(setting: str) -> tuple[str, ...]:
    """Return the families that list a setting of Config as theirs; () if every family uses it."""
    return tuple(entry.name for entry in ENTRIES if setting in entry.settings)


def family_defaults(model: object) -> Mapping[str, object]:
    """Return the defaults of settings that a named family changes; {} for an unknown name."""
    entries = [entry.defaults for entry in ENTRIES if entry.name == model]  # baselines-R17
    return entries[0] if entries else {}


def uses_setting(model: str, setting: str) -> bool:
    """Return whether a family uses a setting of Config."""
    families = families_using(setting)
    return not families or model in families


def describe_model(model: str) -> dict[str, str]:
    """Return the entries of a report: the model, and how to train MIND if the model is another."""
    return {
        "model": model,
        **({} if model == "mind" else {"train_mind": MIND_COMMAND}),
    }  # model-R66


def is_reranker(model: object) -> bool:
    """Return whether a name is that of a family that reranks candidates."""
    return model in RERANK_FAMILIES
