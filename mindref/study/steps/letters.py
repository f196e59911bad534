"""The letters of each page that differ from the names of the tensors of a trace.

A page defines its letters: w is the attention weight on label_attention and the coupling weight on
routing. Tensors of a trace have one name each, so each page has an entry here: name in its formulas
(see `mindref.study.equation.part_names`) -> tensor. An entry of a page with a step overrides the
entry of the page. An empty name means that no tensor of the trace has these values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Letters = Mapping[str, Mapping[str, str]]

LETTERS: Letters = {
    "data": {"log E_i": "logq"},
    "embedding": {},  # see steps/forward.py: each use has its tensors
    "label_attention": {
        "e": "t", "d_e": "d_query", "w": "h", "o": "q", "g": "d_q", "d_a": "d_c",
    },
    "label_attention option power=0": {"a": "c"},  # the gap below the largest is 0 too
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


CONSTANTS: Letters = {
    "data": {"S": "number of drawn negatives", "q": "probability of a film in one draw"},
    "embedding": {"T": "item table"},
    "label_attention": {"a": "signed power of a score; the trace has c", "p": "power, {p}"},
    "model": {
        "H": "history", "P": "vector of a user feature", "K'": "number of active interests",
        "K": "largest number of interests, {K}", "r": "number of iterations, {r}",
        "a": "weight of a row in the mean of a film", "g": "gradient of the joined profile",
        "d_item(i)": "gradient with respect to the vector of a film, all uses",
    },
    "optimiser": {
        "eta'": "step size with the bias correction", "eta": "learning rate, {rate}",
        "epsilon'": "epsilon with the bias correction", "epsilon": "epsilon, {epsilon}",
        "t": "number of the optimiser step, {step}",
    },
    "relu_layer": {"a": "affine map; the last layer has no ReLU"},
    "recall": {"n": "length of the list, {n}"},
    "routing": {
        "K'": "number of active interests", "K": "largest number of interests, {K}",
        "N": "normal distribution", "sigma": "standard deviation of the initial logits, {sigma}",
        "J": "derivative of squash", "z^(t)": "weighted sum of the votes",
        "d_b^(t+1)": "0 in the last iteration",
    },
    "sampled_softmax": {
        "tau": "temperature, {temperature}", "m": "largest logit of a negative",
        "p_t": "probability of the target",
        "d_y": "gradient with respect to the logit of the target",
        "d_z_s": "gradient with respect to the logit of a negative",
        "d_loss": "gradient with respect to the loss, 1",
    },
    "squash": {"n": "length of x", "h": "length of u"},
}  # fmt: skip
"""For each page, or a step of a page: name in its formulas -> meaning, where it is no tensor."""


def select_letters(reference: str, step: Letters) -> dict[str, str]:
    """Return the letters of the formula at a reference, with those of the step."""
    return select_entries(reference, [*LETTERS.items(), *step.items()])


def select_constants(reference: str) -> dict[str, str]:
    """Return the constants of the formula at a reference."""
    return select_entries(reference, CONSTANTS.items())


def select_entries(
    reference: str, entries: Iterable[tuple[str, Mapping[str, str]]]
) -> dict[str, str]:
    """Return the entries of the page and of the step; those of a step override the page."""
    selected: dict[str, str] = {}
    for page, letters in sorted(entries, key=lambda entry: len(entry[0])):
        if reference == page or reference.startswith((f"{page} ", f"{page}.")):
            selected |= letters
    return selected
