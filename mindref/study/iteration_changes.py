"""Sentences on the change of a routing step since the same step of the previous iteration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.study.number_texts import format_fixed, format_short
from mindref.study.recipe_arrays import vector_lengths
from mindref.study.recipes import Recipe


class Numbers(NamedTuple):
    """The arrays, labels and recipes of a trace, and the iteration of a step."""

    values: Mapping[str, Any]
    labels: Mapping[str, Sequence[str]]
    number: int = 0  # of the iteration
    iterations: int = 0
    recipes: Mapping[str, Recipe] = {}

    def tensor(self, name: str, shift: int = 0) -> Any:
        """Return a tensor of this iteration, or of the iteration `shift` later."""
        return np.asarray(self.values[f"{name}[{self.number + shift}]"])

    @property
    def films(self) -> list[int]:
        """Return the rows of the history without padding."""
        return [int(i) for i in np.flatnonzero(self.values["mask"])]

    @property
    def active(self) -> list[int]:
        """Return the active interests."""
        return [int(k) for k in np.flatnonzero(self.values["active"])]

    def film(self, row: int) -> str:
        """Return the title of a film of the history."""
        return self.labels["behaviour"][row]

    def interest(self, k: int) -> str:
        """Return the name of an interest."""
        return self.labels["interest"][k]


def find_moved_films(before: Any, after: Any, films: Sequence[int]) -> list[int]:
    """Return the films whose largest coupling weight is for another interest than before."""
    return [i for i in films if np.argmax(before[i]) != np.argmax(after[i])]


def largest_change(change: Any, films: Sequence[int], active: Sequence[int]) -> tuple[int, int]:
    """Return film and interest of the change that is largest in size; ties: the first."""
    sizes = np.abs(change[np.ix_(films, active)])
    row, column = np.unravel_index(int(np.argmax(sizes)), sizes.shape)
    return films[int(row)], active[int(column)]


def change_text(before: float, after: float) -> str:
    """Return two numbers with two decimals: "0.31 to 0.64"."""
    return f"{format_fixed(before, 2)} to {format_fixed(after, 2)}"


def describe_weights(x: Numbers) -> str:
    """Return which films changed their largest interest, or the largest change of a weight."""
    before, after = x.tensor("w", -1), x.tensor("w")
    moved = find_moved_films(before, after, x.films)
    if not moved:
        row, k = largest_change(after - before, x.films, x.active)
        if before[row, k] == after[row, k]:
            return "No coupling weight changed."
        text = (
            f"No film changed its largest interest. The largest change: the weight of {x.film(row)}"
        )
        return f"{text} for {x.interest(k)}, {change_text(before[row, k], after[row, k])}."
    row = max(moved, key=lambda i: after[i].max() - before[i, np.argmax(after[i])])
    old, new = int(np.argmax(before[row])), int(np.argmax(after[row]))
    text = f"{x.film(row)} moved from {x.interest(old)} to {x.interest(new)}:"
    text += f" its weight there changed from {before[row, new]:.2f} to {after[row, new]:.2f}."
    num_further = len(moved) - 1
    films = (
        "1 more film changed its" if num_further == 1 else f"{num_further} more films changed their"
    )
    return text + (f" {films} largest interest." if num_further else "")


def describe_sums(x: Numbers) -> str:
    """Return which sum turned most, and its length."""
    before, after = x.tensor("z", -1)[x.active], x.tensor("z")[x.active]
    old, new = vector_lengths(before), vector_lengths(after)
    if not (old.all() and new.all()):
        return ""
    cosines = (before * after).sum(axis=1) / (old * new)
    row = int(np.argmin(cosines))
    name = x.interest(x.active[row])
    return (
        f"The sum of {name} turned most. The cosine of its sums in iterations {x.number - 1} and"
        f" {x.number} is {format_fixed(cosines[row], 2)}; the length changed from {old[row]:.2f}"
        f" to {new[row]:.2f}."
    )


def describe_capsules(x: Numbers) -> str:
    """Return which capsule changed its length most."""
    old, new = (vector_lengths(x.tensor("u", shift)[x.active]) for shift in (-1, 0))
    row = int(np.argmax(np.abs(new - old)))
    name = x.interest(x.active[row])
    if abs(new[row] - old[row]) < 5e-4:
        return (
            f"No capsule changed its length by 0.001. The capsule of {name} is {new[row]:.3f} long."
        )
    return f"The length of the capsule of {name} changed most: {old[row]:.3f} to {new[row]:.3f}."


def describe_agreement(x: Numbers) -> str:
    """Return which agreement changed most."""
    before, after = x.tensor("a", -1), x.tensor("a")
    row, k = largest_change(after - before, x.films, x.active)
    return (
        f"The agreement of {x.film(row)} with {x.interest(k)} changed most:"
        f" {change_text(before[row, k], after[row, k])}."
    )


def describe_update(x: Numbers) -> str:
    """Return which logit has changed most since the first logits."""
    first, now = np.asarray(x.values["b[1]"]), x.tensor("b", 1)
    row, k = largest_change(now - first, x.films, x.active)
    return (
        f"The logit of {x.film(row)} for {x.interest(k)} has changed most since the start:"
        f" {change_text(first[row, k], now[row, k])}, after {x.number} agreements were added."
    )


def describe_gradient(x: Numbers, name: str, noun: str) -> str:
    """Return the norm of a gradient here and in the later iteration."""
    norm, later_norm = (float(np.linalg.norm(x.tensor(name, shift))) for shift in (0, 1))
    text = f"The gradient of the {noun} has the norm {format_short(norm)}"
    return f"{text}; in iteration {x.number + 1} it is {format_short(later_norm)}."


DESCRIPTIONS: dict[str, Callable[[Numbers], str]] = {
    "routing.weights": describe_weights,
    "routing.sums": describe_sums,
    "routing.capsules": describe_capsules,
    "routing.agreement": describe_agreement,
    "routing.update": describe_update,
    "routing.d_sums": lambda x: describe_gradient(x, "d_z", "sums z"),
    "routing.d_weights": lambda x: describe_gradient(x, "d_b", "logits"),
    "routing.d_update": lambda x: describe_gradient(x, "d_u", "capsules"),
}


def describe_change(kind: str, numbers: Numbers) -> str:
    """Return what a step changed since its previous run; "" for the first run and other steps.

    A backward step is compared with the later iteration, which is computed before it.
    """
    number = numbers.number
    previous = number + 1 if ".d_" in kind else number - 1
    needed = {f"w[{previous}]", f"w[{number}]"}
    if kind not in DESCRIPTIONS or not needed <= numbers.values.keys() or not numbers.films:
        return ""
    try:
        return DESCRIPTIONS[kind](numbers)
    except KeyError:  # the trace of a variant can lack a tensor
        return ""
