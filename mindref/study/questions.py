"""Questions before the result of a step, with answers that are computed from the trace.

A question predicts: no earlier table has its answer. `because` has the numbers that decide it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mindref.study.iteration_changes import Numbers, find_moved_films
from mindref.study.number_texts import format_fixed, format_short
from mindref.study.recipe_arrays import evaluate_softmax, vector_lengths
from mindref.study.trace import Question

MIN_MARGIN = 1e-3
"""Two numbers that a question compares must differ by this, so that printed numbers differ."""


def ask_number_of_interests(x: Numbers) -> Question | None:
    """Ask for K', from the length of the history."""
    n, most, answer = len(x.films), len(x.values["active"]), len(x.active)
    rule = x.recipes["active"]["rule"]
    if rule != "log2" or n < 2:
        return None
    text = f"The history has {n} films, and K is {most}. How many interests are active?"
    because = f"log2 {n} = {np.log2(n):.2f}, rounded down {int(np.log2(n))}; K = {most}."
    choices = tuple(str(k + 1) for k in range(most))
    return Question(text, choices, answer - 1, because) if most > 1 else None


RAISED = (
    "each other weight falls by the same amount",
    "only the largest of the other weights falls",
    "each other weight falls by the same factor",
    "the other weights do not change",
)
FACTOR, UNCHANGED = 2, 3


def ask_raised_logit(x: Numbers) -> Question | None:
    """Ask what the softmax does to the other weights of a film if one logit rises by 1."""
    if len(x.active) < 3:
        return None
    weights, recipe = x.values["w[1]"], x.recipes["w[1]"]
    row = max(x.films, key=lambda i: np.ptp(weights[i, x.active]))
    k = int(np.argsort(weights[row, x.active])[-2])  # neither the largest nor the smallest
    k = x.active[k]
    logits = np.array(x.values["b[1]"], np.float64)
    logits[row, k] += 1
    raised = evaluate_softmax(recipe, logits, x.values["allowed"])[row]
    other_interests = [j for j in x.active if j != k]
    before, after = weights[row, other_interests], raised[other_interests]
    unequal = np.ptp(before) > MIN_MARGIN
    if np.allclose(before, after, rtol=0, atol=MIN_MARGIN / 10):
        answer = UNCHANGED
    elif unequal and np.ptp(after / before) < 1e-9:
        answer = FACTOR
    else:
        return None
    text = (
        f"Suppose that the logit of {x.film(row)} for {x.interest(k)} were larger by 1."
        " What happens to the other weights of this film?"
    )
    pairs = join_texts(
        f"{a:.3f} becomes {b:.3f} ({x.interest(j)})"
        for j, a, b in zip(other_interests, before, after, strict=True)
    )
    factor = after[0] / before[0]
    because = f"The weight for {x.interest(k)} changes from {weights[row, k]:.3f}"
    because += f" to {raised[k]:.3f}. {pairs[0].upper()}{pairs[1:]}."
    because += f" Each is multiplied by {factor:.3f}." if answer == FACTOR else ""
    return Question(text, RAISED, answer, because)


def ask_moving_film(x: Numbers) -> Question | None:
    """Ask which film changes its largest interest in iteration 2."""
    if len(x.active) < 2:
        return None
    before, after = x.values["w[1]"], x.values["w[2]"]
    if np.abs(after - before).max() < MIN_MARGIN:
        return None
    moved = find_moved_films(before, after, x.films)
    margins = {i: np.diff(np.sort(before[i, x.active])[-2:])[0] for i in x.films}
    movers = sorted(moved, key=lambda i: -np.diff(np.sort(after[i, x.active])[-2:])[0])
    close = sorted((i for i in x.films if i not in moved), key=margins.__getitem__)
    rows = sorted([*movers[:1], *close[: 4 - len(movers[:1])]])
    titles = [x.film(i) for i in rows]
    if len(rows) < 3 or len(set(titles)) < len(titles) or "none of these films" in titles:
        return None
    answer = rows.index(movers[0]) if movers else len(rows)
    row = movers[0] if movers else close[0]
    text = "The agreement was added to the logits."
    text += " Which of these films has its largest weight for another interest now?"
    old, new = (int(np.argmax(w[row])) for w in (before, after))
    second = max((j for j in x.active if j != old), key=lambda j: before[row, j])
    rival = new if movers else second
    parts = join_texts(f"{x.interest(j)}: {update_text(x, row, j)}" for j in (old, rival))
    because = f"Logits of {x.film(row)}: {parts}. "
    because += (
        f"The largest weight is now {after[row, new]:.2f}, for {x.interest(new)}."
        if movers
        else f"The margin of this film was smallest, and {x.interest(old)} is still the largest."
    )
    return Question(text, (*titles, "none of these films"), answer, because)


def update_text(x: Numbers, row: int, k: int) -> str:
    """Return the first update of a logit as a sum."""
    b, a, updated = (x.values[name][row, k] for name in ("b[1]", "a[1]", "b[2]"))
    return f"{format_fixed(b, 2)} + {format_fixed(a, 2)} = {format_fixed(updated, 2)}"


def ask_other_axis(x: Numbers) -> Question | None:
    """Ask for the sum of the weights of a film if the softmax ran over the other axis."""
    if len(x.active) < 2 or len(x.films) < 3:
        return None
    name = f"w[{x.number}]"
    recipe = x.recipes[name]
    to_films = recipe["over"] == "k"
    other = {**recipe, "over": "i" if to_films else "k"}
    logits = x.values[f"b[{x.number}]"]
    weights = evaluate_softmax(other, logits, x.values["allowed"])
    sums = {i: float(weights[i].sum()) for i in x.films}
    large = [i for i in x.films if sums[i] >= MIN_MARGIN]  # short to print
    if not large:
        return None
    row = min(large, key=lambda i: (sums[i] if to_films else x.values[name][i].sum(), i))
    total, count, n = sums[row], len(x.active), len(x.films)
    wrong = (1.0, float(count), count / n) if to_films else (float(count), count / n, 1 / count)
    numbers = [total, *(y for y in wrong if abs(y - total) > 0.01)]
    choices = sorted({format_short(y): y for y in numbers}.items(), key=lambda pair: pair[1])
    if len(choices) < 3:
        return None
    texts = tuple(text for text, _ in choices)
    axis_name = "films" if to_films else "interests"
    text = f"Suppose that the softmax ran over the {axis_name}."
    text += f" What would the weights of {x.film(row)} sum to, over the interests?"
    parts = " + ".join(
        format_short(y, 3) if y >= total / 200 else "about 0"
        for y in map(float, weights[row, x.active])
    )
    because = f"The sum is {parts} = {format_short(total, 3)}. "
    because += (
        f"Each interest then divides a weight of 1 among {n} films, so the mean sum"
        f" is {count} / {n} = {format_short(count / n)}."
        if to_films
        else "Each film then divides a weight of 1 among the interests."
    )
    return Question(text, texts, texts.index(format_short(total)), because)


TURNS = (
    "the direction turns towards the film with the largest weight",
    "the direction stays the same",
    "the direction turns towards the longest sum",
)


def ask_direction(x: Numbers) -> Question | None:
    """Ask whether squash changes the direction of a sum."""
    sums, capsules = x.values["z[1]"], x.values["u[1]"]
    lengths, ends = vector_lengths(sums), vector_lengths(capsules)
    rows = [k for k in x.active if lengths[k] > 0]
    if not rows:
        return None
    cosines = [float(sums[k] @ capsules[k] / (lengths[k] * ends[k])) for k in rows]
    if min(cosines) < 1 - 1e-9:
        return None
    parts = join_texts(
        f"{x.interest(k)}: |z| = {lengths[k]:.2f}, |u| = {ends[k]:.3f}, cosine {cosine:.3f}"
        for k, cosine in zip(rows, cosines, strict=True)
    )
    text = "The capsule u is computed from the sum z. What happens to the direction of z?"
    return Question(
        text, TURNS, 1, f"{parts[0].upper()}{parts[1:]}. A cosine of 1 is the same direction."
    )


def ask_length(x: Numbers) -> Question | None:
    """Ask for the length of a capsule, from the length of its sum."""
    if x.recipes["across[2]"]["kind"] != "squash":
        return None
    lengths = {k: float(vector_lengths(x.values["z[2]"][k])) for k in x.active}
    row = min(lengths, key=lambda k: lengths[k])
    n, end = lengths[row], float(vector_lengths(x.values["u[2]"][row]))
    numbers = {f"{y:.2f}": y for y in (end, n / (1 + n), 1 / (1 + n * n), min(n, 1.0))}
    if n == 0 or len(numbers) < 3:
        return None
    texts = tuple(text for text, _ in sorted(numbers.items(), key=lambda pair: pair[1]))
    text = f"The sum z of {x.interest(row)} has the length {n:.2f}. How long is its capsule?"
    because = f"n^2 / (1 + n^2) with n = |z| = {n:.3f}: {n * n:.3f} / {1 + n * n:.3f} = {end:.3f}."
    return Question(text, texts, texts.index(f"{end:.2f}"), because)


def ask_serving_interest(x: Numbers) -> Question | None:
    """Ask which interest has the largest inner product with the target."""
    scores = x.values["s"]
    ordered = sorted(x.active, key=lambda k: -scores[k])
    if len(ordered) < 2 or scores[ordered[0]] - scores[ordered[1]] < MIN_MARGIN:
        return None
    weights = x.values[f"w[{x.iterations}]"]
    choices = []
    for k in x.active:
        largest = sorted(x.films, key=lambda i: -weights[i, k])[:2]
        titles = " and ".join(f"{x.film(i)} ({format_fixed(weights[i, k], 2)})" for i in largest)
        choices.append(f"{x.interest(k)}: {titles}")
    target = x.labels["target"][0]
    text = f"Each interest has the two films with its largest weights. Which one serves {target}?"
    parts = join_texts(f"{format_fixed(scores[k], 2)} for {x.interest(k)}" for k in ordered)
    because = f"The score is the inner product of interest and target: {parts}."
    return Question(text, tuple(choices), x.active.index(ordered[0]), because)


def ask_larger_gradient(x: Numbers) -> Question | None:
    """Ask which of two films has the larger gradient of its item vector."""
    sizes = vector_lengths(x.values["d_e"])
    ordered = sorted(x.films, key=lambda i: sizes[i])
    if len(ordered) < 2:
        return None
    low, high = ordered[0], ordered[-1]
    titles = [x.film(i) for i in sorted((low, high))]
    if sizes[high] < 1.5 * sizes[low] or titles[0] == titles[1]:
        return None
    parts = gradient_parts(x)
    if sum(part[high] for part in parts.values()) <= sum(part[low] for part in parts.values()):
        return None  # the parts of a film cancel, so they do not explain the order
    text = f"The loss compares {x.labels['target'][0]} with the negatives."
    text += " Which film gets the larger gradient with respect to its item vector?"
    because = ". ".join(
        f"The norm of the gradient is {format_short(sizes[i])} for {x.film(i)}: "
        + " and ".join(f"{format_short(part[i])} {path}" for path, part in parts.items())
        for i in (high, low)
    )
    return Question(text, tuple(titles), titles.index(x.film(high)), f"{because}.")


def gradient_parts(x: Numbers) -> dict[str, Any]:
    """Return the norms of the two parts of the gradients of the item vectors, over all iterations.

    One part is through the sums z, the other through the agreements a. The parts add up as vectors.
    """
    paths = {"from_z": "through the sums z of all iterations", "from_a": "through the agreements a"}
    iterations = range(1, x.iterations + 1)
    out = {}
    for prefix, path in paths.items():
        names = [f"{prefix}[{t}]" for t in iterations if f"{prefix}[{t}]" in x.values]
        if names:
            votes = sum(np.asarray(x.values[name]) for name in names)
            out[path] = vector_lengths(votes @ x.values["S"])
    return out


QUESTIONS: dict[str, Callable[[Numbers], Question | None]] = {
    "interests.count": ask_number_of_interests,
    "routing[1].weights": ask_raised_logit,
    "routing[1].capsules": ask_direction,
    "routing[2].weights": ask_moving_film,
    "routing[2].capsules": ask_length,
    "routing[3].weights": ask_other_axis,
    "attention.scores": ask_serving_interest,
    "routing.d_votes": ask_larger_gradient,
}
"""The question of each step, by the id of the step; it is asked before the result."""


ROTATED = ("routing[1].weights", "routing[1].capsules", "routing[2].capsules", "routing[3].weights")
"""Questions whose answer would be at the same place for every user."""


def make_question(step: str, numbers: Numbers, user: str = "") -> Question | None:
    """Return the question of a step, or None if the numbers leave the answer open.

    user: the id of the user; the order of some choices depends on it.
    """
    ask = QUESTIONS.get(step)
    try:
        question = ask(numbers) if ask and numbers.films else None
    except KeyError:  # the trace of a variant can lack a tensor
        return None
    if question is None or step not in ROTATED:
        return question
    return rotate_choices(question, f"{user} {step}")


def rotate_choices(question: Question, key: str) -> Question:
    """Return the question with its choices rotated by a hash of the key, so that places differ."""
    count = len(question.choices)
    shift = zlib.crc32(key.encode()) % count
    choices = question.choices[shift:] + question.choices[:shift]
    return question._replace(choices=choices, answer=(question.answer - shift) % count)


def join_texts(texts: Iterable[str]) -> str:
    """Return texts as one list, separated by semicolons."""
    return "; ".join(texts)
