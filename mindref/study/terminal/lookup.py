"""Find steps, tensors and cells by the text that the user types."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np

from mindref.data.quoting import quote_text
from mindref.errors import ConfigError, say
from mindref.study.suggest import suggest_names
from mindref.study.terminal.numbers_and_axes import INDEX_TENSORS, Axis, get_axes
from mindref.study.terminal.text import escape_title
from mindref.study.trace import Step, Tensor, Trace


def find_step(trace: Trace, text: str) -> int:
    """Return the index of a step, named by number from 1, by id, or by a tensor that it computes.

    Raises ConfigError with the three closest ids.
    """
    name = text.strip()
    ids = [step.id for step in trace.steps]
    if name in ids:
        return ids.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(ids):
        return int(name) - 1
    if name in trace.producers:
        return ids.index(trace.producers[name].id)
    expected = f"a number from 1 to {len(ids)} or the id of a step"
    raise ConfigError(say("step", expected, quote_text(name), suggest_names(name, ids)))


def find_producer(trace: Trace, name: str) -> int:
    """Return the index of the step that computes a tensor."""
    producer = trace.producers[name].id
    return next(i for i, step in enumerate(trace.steps) if step.id == producer)


def select_main_tensor(step: Step) -> Tensor:
    """Return the main tensor of a step: the last float tensor that has axes.

    The parts of a gradient ("from_z") follow the gradient and are skipped.
    """
    with_axes = [tensor for tensor in step.outputs if tensor.axes] or list(step.outputs)
    numbers = [tensor for tensor in with_axes if np.asarray(tensor.values).dtype.kind == "f"]
    complete = [tensor for tensor in numbers if not tensor.name.startswith("from_")]
    return (complete or numbers or with_axes)[-1]


def find_previous_iteration(trace: Trace, step_index: int) -> int | None:
    """Return the index of the same step in the previous routing iteration, or None."""
    step = trace.steps[step_index]
    if not step.number or not step.id.startswith("routing"):
        return None  # layers have a number, too
    for index in range(step_index - 1, -1, -1):
        other = trace.steps[index]
        if other.kind == step.kind and other.number != step.number and other.phase == step.phase:
            return index
    return None


def find_matching_tensor(tensor: Tensor, step: Step) -> Tensor | None:
    """Return the tensor of a step with the same symbol, axes and shape, or None."""
    matching = [t for t in step.outputs if t.symbol == tensor.symbol and t.axes == tensor.axes]
    same_shape = matching and np.shape(matching[0].values) == np.shape(tensor.values)
    return matching[0] if same_shape else None


def find_gradient_step(trace: Trace, step_index: int) -> int | None:
    """Return the step of the gradient of a tensor; for a gradient, the step of its tensor."""
    for tensor in trace.steps[step_index].outputs:
        name = tensor.name
        partner = name.removeprefix("d_") if name.startswith("d_") else f"d_{name}"
        # the last layer may have no ReLU
        for candidate in (partner, partner.replace("x[", "y[")):
            if candidate in trace.tensors:
                return find_producer(trace, candidate)
    return None


class TraceCell(NamedTuple):
    """One entry of a tensor of the trace."""

    tensor: Any
    step_index: int  # of the step that computes the tensor
    position: tuple[int, ...]


def parse_cell(trace: Trace, step_index: int, text: str) -> TraceCell:
    """Return the cell that a text names; a tensor without an index means its largest entry.

    A tensor has a full name (`w[2]`) or a symbol (`w`: the one of this step, or of the nearest
    step before it). A position is a number from 1, a title, or an unambiguous part of a title.
    Raises ConfigError with the valid positions or the closest names.
    """
    if not text.strip():
        tensor = select_main_tensor(trace.steps[step_index])
        return TraceCell(tensor, step_index, find_largest(tensor))
    for tensor, producer, suffix in split_tensor_name(trace, step_index, text.strip()):
        if not suffix:
            return TraceCell(tensor, producer, find_largest(tensor))
        if suffix[0] == "[" and suffix[-1] == "]":
            return TraceCell(tensor, producer, parse_index(trace, tensor, suffix[1:-1]))
    names = [*trace.tensors]
    expected = "a cell such as " + example_cell(trace, step_index)
    raise ConfigError(say("cell", expected, quote_text(text), suggest_names(text, names)))


def split_tensor_name(trace: Trace, step_index: int, text: str) -> Iterator[tuple[Any, int, str]]:
    """Yield each reading of a text: tensor, step and suffix. Long names first, then symbols."""
    tensors = trace.tensors
    for name in sorted(tensors, key=len, reverse=True):
        if text.startswith(name):
            yield tensors[name], find_producer(trace, name), text[len(name) :].strip()
    candidates = [(find_producer(trace, name), name) for name in tensors]
    candidates.sort(key=lambda pair: (pair[0] > step_index, abs(pair[0] - step_index)))
    for producer, name in sorted(candidates, key=lambda pair: -len(tensors[pair[1]].symbol)):
        symbol = tensors[name].symbol
        if text.startswith(symbol):
            yield tensors[name], producer, text[len(symbol) :].strip()


def find_largest(tensor: Any) -> tuple[int, ...]:
    """Return the index of the entry of largest magnitude; the first entry of an index tensor."""
    if tensor.name in INDEX_TENSORS:
        return (0,)
    sizes = np.abs(np.nan_to_num(np.asarray(tensor.values, float), neginf=0, posinf=0))
    return tuple(int(i) for i in np.unravel_index(int(sizes.argmax()), sizes.shape))


def parse_index(trace: Trace, tensor: Any, text: str) -> tuple[int, ...]:
    """Return the index that is written between the brackets. A title may contain commas."""
    axes = get_axes(trace, tensor)
    pieces = text.split(",")
    for groups in join_neighbours(pieces, len(axes)):
        pairs = zip(axes, groups, strict=True)
        index = [parse_position(axis.titles, group) for axis, group in pairs]
        if all(isinstance(i, int) for i in index):
            return tuple(index)  # type: ignore[arg-type]
    raise ConfigError(describe_bad_index(tensor, axes, text, pieces))


def describe_bad_index(tensor: Any, axes: list[Axis], text: str, pieces: list[str]) -> str:
    """Return the error message for an index: the first unknown position, or the number of axes."""
    if axes and len(pieces) >= len(axes):
        groups = [*pieces[: len(axes) - 1], ",".join(pieces[len(axes) - 1 :])]
        for axis, group in zip(axes, groups, strict=True):
            position = parse_position(axis.titles, group)
            if not isinstance(position, int):
                expected = f"a number from 1 to {len(axis.titles)} or a title"
                return say(axis.name, expected, quote_text(group.strip()), position)
    expected = f"{len(axes)} positions" + "".join(f", {axis.name}" for axis in axes)
    return say(f"{tensor.name}[..]", expected, quote_text(text))


def join_neighbours(pieces: list[str], count: int) -> Iterator[list[str]]:
    """Yield every way to join neighbouring pieces into `count` groups."""
    for cuts in combinations(range(1, len(pieces)), count - 1) if count else ():
        bounds = pairwise((0, *cuts, len(pieces)))
        yield [",".join(pieces[first:end]) for first, end in bounds]


def parse_position(titles: tuple[str, ...], text: str) -> int | str:
    """Return the position of a number or title, from 0; otherwise a suggestion as text."""
    word = escape_title(text.strip())
    if word.isdecimal() and 1 <= int(word) <= len(titles):
        return int(word) - 1
    word = word.strip("'\"").casefold()
    folded = [title.casefold() for title in titles]
    tests = (word.__eq__, lambda title: title.startswith(word), lambda title: word in title)
    for test in tests:
        positions = [i for i, title in enumerate(folded) if test(title)]
        if len(positions) == 1:
            return positions[0]
        if positions:
            return "it could be " + " or ".join(str(i + 1) for i in positions[:5])
    return suggest_names(word, titles)


def example_cell(trace: Trace, step_index: int) -> str:
    """Return the name of the largest cell of a step."""
    tensor = select_main_tensor(trace.steps[step_index])
    return format_cell(trace, tensor, find_largest(tensor))


def format_cell(trace: Trace, tensor: Any, index: tuple[int, ...]) -> str:
    """Return the name of a cell in a form that `parse_cell` reads."""
    if not index:
        return str(tensor.name)
    axes = get_axes(trace, tensor)
    words = [name_position(axis, i) for axis, i in zip(axes, index, strict=True)]
    return f"{tensor.name}[{', '.join(words)}]"


def name_position(axis: Axis, i: int) -> str:
    """Return the title of a position if `parse_position` finds it by the title, else its number."""
    title = axis.titles[i]
    unambiguous = axis.shows_number and "," not in title and parse_position(axis.titles, title) == i
    return title if unambiguous else str(i + 1)
