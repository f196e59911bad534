"""The letters of each page that differ from the names of the tensors of a trace.

A page defines its letters: w is the attention weight on label_attention and the coupling weight on
routing. Tensors of a trace have one name each, so each page has an entry here: name in its formulas
(see `mindref.study.equation.part_names`) -> tensor. An entry of a page with a step overrides the
entry of the page. An empty name means that no tensor of the trace has these values.
"""

from __future__ import annotations

from collections.abc import Mapping

Letters = Mapping[str, Mapping[str, str]]

LETTERS: Letters = {
    "data": {"log E_i": "logq"},
    "embedding": {},  # see steps/forward.py: each use has its tensors
    "label_attention": {
        "e": "t", "d_e": "d_query", "c": "g", "w": "h", "o": "q", "g": "d_q", "d_a": "d_g",
    },
    "label_attention option power=0": {"a": "g"},  # the gap below the largest is 0 too
    "model": {
        "i": "ids", "b": "b[1]", "u": "u[{r}]", "q": "p", "x": "x[0]", "d_E": "d_items",
    },
    "model interests 6": {"x": "{last}"},
    "model backward 1.6": {"d_x": "{d_last}"},
    "optimiser": {},  # see steps/update_and_serving.py
    "recall": {"e": "E", "v": "{v}", "s": "score", "y": "best"},
    "relu_layer": {
        "x": "x[t-1]", "W": "W[t]", "c": "bias[t]", "a": "y[t]", "y": "x[t]", "g": "d_x[t]",
    },
    "routing": {"q": "allowed"},
    "routing backward 5": {"d_Se": "from_a[t]"},  # one term of d_Se
    "routing backward 3": {"d_Se": "from_z[t]"},
    "sampled_softmax": {
        "u": "{q}", "t": "{t}", "n": "{neg}", "log E_t": "logq_t", "log E_s": "logq",
        "y": "o_t", "z": "o", "i_s": "negative_ids", "i_t": "target_id",
        "x": "q", "x_hat": "q1", "1 / ||x||": "q.across", "p_s": "prob",
        "d_c_t": "d_o_t", "d_c": "d_o",
    },
    "sampled_softmax forward 3": {"z": "l"},
    "sampled_softmax forward 4": {"z": "l"},
    "sampled_softmax backward": {"z": "l", "d_y": "", "d_z": ""},
    "squash": {
        "x": "z[t]", "a": "unit[t]", "u": "u[t]", "g": "d_u[t]", "h / n": "across[t]",
        "h'": "along[t]",
    },
}  # fmt: skip


def select_letters(reference: str, step: Letters) -> dict[str, str]:
    """Return the letters of the formula at a reference, with those of the step."""
    every = [*LETTERS.items(), *step.items()]
    letters: dict[str, str] = {}
    for page, entries in sorted(every, key=lambda entry: len(entry[0])):  # a step after its page
        if reference == page or reference.startswith((f"{page} ", f"{page}.")):
            letters |= entries
    return letters
