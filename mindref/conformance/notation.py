"""What is asked of the shapes of every operator. Spec: specs/notation.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from mindref.conformance import routing
from mindref.conformance.draws.operators import for_each_operator
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge

NOT_OBSERVED = {
    "notation-R3": "the words of a message are not part of the contract of a backend",
    "notation-R6": "a backend that breaks it cannot be called: every check of the operator fails",
    "notation-R7": "a backend that breaks it cannot be called: every check of a gradient fails",
}

LETTERS = {
    "embedding": ("VD", "MF", "MF"),
    "routing": ("BLD", "BL", "DD", "BLK", "BK"),
    "relu_layer": ("MI", "IO", "O"),
    "label_attention": ("BKD", "BD", "BK"),
    "sampled_softmax": ("BD", "BD", "SD", "B", "S", "B", "S"),
}
"""Operator -> axis letters of its arrays. The arrays of softmax and squash may have any axes."""


@for_each_operator("notation-R1", stems=LETTERS)
def arrays_that_disagree_are_refused(judge: Judge, call: Call) -> None:
    """An axis one longer than its letter, or of size one where that would be stretched."""
    judge.ask(call)
    for wrong in disagreeing(call):
        judge.refuses(wrong)


@for_each_operator("notation-R2", stems=LETTERS)
def another_number_of_axes_is_refused(judge: Judge, call: Call) -> None:
    """An array with an axis too many or too few is refused."""
    judge.ask(call)
    for name, x in call.arrays.items():
        judge.refuses(call.change(**{name: x[None]}))
        if len(x):
            judge.refuses(call.change(**{name: np.asarray(x[0])}))


@for_each_operator("notation-R4", gradient=True)
def a_gradient_has_the_shape_of_what_it_belongs_to(judge: Judge, call: Call) -> None:
    """Every gradient comes back in the shape of its argument."""
    got = judge.ask(call)
    for name in call.learned:
        found, wanted = got[f"d_{name}"].shape, call.arrays[name].shape
        judge.holds(found == wanted, f"d_{name} has shape {found}, expected {wanted}")


@check(
    "notation-R4", "routing-R25", draws=routing.calls(general=True), stem="routing", gradient=True
)
def the_gradient_of_general_matrices_has_their_shape(judge: Judge, call: Call) -> None:
    """The gradient of a matrix for each pair of place and interest comes back in that order."""
    a_gradient_has_the_shape_of_what_it_belongs_to(judge, call)


def disagreeing(call: Call) -> Iterator[Call]:
    """Yield the call with one axis of one array resized that another axis has to agree with."""
    words = dict(zip(call.arrays, LETTERS[call.stem], strict=True))
    counts = Counter("".join(words.values()))
    for name, word in words.items():
        for axis, letter in enumerate(word):
            x = call.arrays[name]
            for size in {x.shape[axis] + 1, 1} - {x.shape[axis]}:
                if counts[letter] > 1:
                    yield call.change(**{name: resized(x, axis, size)})


def resized(x: Anything, axis: int, size: int) -> Anything:
    """Return x with another size of an axis, its last entry repeated; zeros if it has none."""
    if x.shape[axis] == 0:
        return np.zeros([*x.shape[:axis], size, *x.shape[axis + 1 :]], x.dtype)
    return np.take(x, np.minimum(np.arange(size), x.shape[axis] - 1), axis=axis)
