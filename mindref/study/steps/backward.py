"""The steps of the backward pass: from the loss to every parameter."""

from __future__ import annotations

from typing import Any

from mindref.study.steps.forward import MIND
from mindref.study.steps.kind import InvariantSpec, OutputSpec, StepKind, check_sum, check_zero
from mindref.study.steps.loss import ATTENTION, SOFTMAX
from mindref.study.steps.routing_backward import ROUNDS_BACKWARD


def first_user_profile(arrays: Any, context: Any) -> Any:
    """Return the gradient with respect to the profile (P,) of the first user."""
    return arrays["d_profile"][0]


LOGITS = StepKind(
    "loss.d_logits",
    "gradient of the loss with respect to the logits, divided by the temperature",
    "Gradient descent lowers each negative in proportion to its probability and raises the target.",
    ("sampled_softmax backward 4", "sampled_softmax backward 2.1", "sampled_softmax backward 2.2"),
    "derivative of eq. 10",
    "sampled_softmax-R12",
    (f"{SOFTMAX}:backward@d_negative_logits =", f"{SOFTMAX}:backward@d_target_logits ="),
    (
        OutputSpec("d_o", "beta: prob:s", "d_negatives", "s"),
        OutputSpec("d_o_t", "- d_o:s", "d_target"),
    ),
    exercises=("sampled-softmax-vjp",),
)
VECTORS = StepKind(
    "loss.d_vectors",
    "gradient of the loss with respect to the user vector and the item vectors",
    "Each vector receives the other factor of the inner product, times the gradient of the logit.",
    tuple(f"sampled_softmax backward 2.{number}" for number in (3, 4, 5)),
    "derivative of eq. 10",
    "sampled_softmax-R11",
    (
        f"{SOFTMAX}:backward@d_user = d_target_logits",
        f"{SOFTMAX}:backward@d_target = d_target_logits",
        f"{SOFTMAX}:backward@sampled_softmax-R11",
    ),
    (
        OutputSpec("d_{q}", "d_o_t: {t}:d + d_o:s {neg}:sd", "d_user", "d"),
        OutputSpec("d_{t}", "d_o_t: {q}:d", "d_target", "d"),
        OutputSpec("d_{neg}", "d_o:s {q}:d", "d_negatives", "sd"),
    ),
    exercises=("sampled-softmax-vjp",),
    event="loss.d_unit",
)
LENGTHS = StepKind(
    "loss.d_unit",
    "gradient through the normalisation to length 1",
    "The component along the vector vanishes, because the length is constant.",
    ("sampled_softmax backward 1",),
    "derivative of a unit vector",
    "sampled_softmax-R8",
    (f"{SOFTMAX}:to_unit_length_backward@sampled_softmax-R8",),
    (
        OutputSpec("q.across", "across(q:d; kind=unit)"),
        OutputSpec("t.across", "across(t:d; kind=unit)"),
        OutputSpec("neg.across", "across(neg:sd; kind=unit)", "", "s"),
        OutputSpec("d_q", "q.across: d_q1:d - q.across: q1:e d_q1:e q1:d", "d_user", "d"),
        OutputSpec("d_t", "t.across: d_t1:d - t.across: t1:e d_t1:e t1:d", "d_target", "d"),
        OutputSpec(
            "d_neg",
            "neg.across:s d_neg1:sd - neg.across:s neg1:se d_neg1:se neg1:sd",
            "d_negatives",
            "sd",
        ),
    ),
    absent_if="plain",
    event="loss.d_vectors",
)
USER = StepKind(
    "attention.d_user",
    "gradient of the loss with respect to the attention weights",
    "An interest with attention weight 0 receives no gradient from this step.",
    ("label_attention backward 4",),
    "derivative of section 3.4",
    "label_attention-R8",
    (f"{ATTENTION}:backward@d_weights =", f"{ATTENTION}:backward@d_interests = s3"),
    (
        OutputSpec("d_h", "d_q:d v:kd", "d_weights", "k"),
        OutputSpec("{d_mixed}", "h:k d_q:d", "d_interests", "kd"),
    ),
    exercises=("label-attention-vjp",),
    event="attention.d_out",
)
GAPS = StepKind(
    "attention.d_scores",
    "gradient of the loss with respect to the scores",
    "The softmax subtracts the weighted mean, so the gradients sum to 0.",
    ("label_attention backward 3", "label_attention backward 2"),
    "derivative of section 3.4",
    "softmax-R5 label_attention-R12",
    (
        f"{ATTENTION}:backward@d_powered =",
        "mindref.ops.softmax:backward@d_logits = out",
        f"{ATTENTION}:signed_power_backward@slope =",
        f"{ATTENTION}:signed_power_backward@d_scores = d_powered",
    ),
    (
        OutputSpec("d_c", "h:k d_h:k - h:k h:j d_h:j", "d_gaps", "k"),
        OutputSpec("d_s", "through_power(d_c:k; s:k; power={p})", "d_scores", "k"),
    ),
    (check_sum("the gradients through a softmax sum to 0", "d_c:k", "k", 0),),
    exercises=("softmax-vjp", "label-attention-vjp"),
    event="attention.d_gaps",
)
SCORES = StepKind(
    "attention.d_interests",
    "gradient of the loss with respect to the interests",
    "An interest is used as value and as key; the target is used as query and as label.",
    ("label_attention backward 1",),
    "derivative of section 3.4",
    "label_attention-R8 label_attention-R9",
    (f"{ATTENTION}:backward@label_attention-R8", f"{ATTENTION}:backward@label_attention-R9"),
    (
        OutputSpec("d_v", "h:k d_q:d + d_s:k t:d", "d_interests", "kd"),
        OutputSpec("d_query", "d_s:k v:kd", "d_target", "d"),
    ),
    exercises=("label-attention-vjp",),
    event="attention.d_scores",
)
ACTIVE = StepKind(
    "interests.d_active",
    "an inactive interest receives no gradient",
    "The forward pass set the interest to 0, so its input has no influence on the loss.",
    ("model backward 1.6",),
    "not in the paper",
    "model-R6",
    (f"{MIND}:interests_backward@saved.active",),
    (OutputSpec("{d_last}", "active:k d_v:kd", "d_x", "kd"),),
    (check_zero("the gradient of an inactive interest is 0", "{d_last}:kd", "active:k"),),
)
LAYER = StepKind(
    "layers.d_affine",
    "gradient of the loss with respect to weights, bias and input of a layer",
    "Where the ReLU returned 0, the gradient is 0.",
    ("relu_layer backward 2", "relu_layer backward 1"),
    "derivative of a layer",
    "relu_layer-R4",
    ("mindref.ops.relu_layer:backward@d_sum =", "mindref.ops.relu_layer:backward@relu_layer-R4"),
    (
        OutputSpec("d_y[t]", "{through}", "d_sum", "kn"),
        OutputSpec("d_W[t]", "x[t-1]:km d_y[t]:kn", "d_weight", "mn"),
        OutputSpec("d_bias[t]", "d_y[t]:kn", "d_bias", "n"),
        OutputSpec("d_x[t-1]", "d_y[t]:kn W[t]:mn", "d_x", "km"),
    ),
)
JOIN = StepKind(
    "interests.d_join",
    "gradient of the loss with respect to capsules and profile",
    "The profile is joined to every interest, so its gradient is the sum over the interests.",
    ("model backward 1.4",),
    "derivative of Fig. 2",
    "model-R4",
    (f"{MIND}:split_profile@d_joined[..., :width]",),
    (
        OutputSpec("d_u[{r}]", "front(d_x[0]:km; width={width})", "d_capsules", "kd"),
        OutputSpec(
            "d_p", "back(d_x[0]:km; width={width}; features={features})", first_user_profile, "gq"
        ),
    ),
)
ITEMS = StepKind(
    "items.gradient",
    "gradient of the loss with respect to the item table",
    "History, target and negatives use one table; the gradients of all uses of a row are summed.",
    ("model backward Table",),
    "not in the paper",
    "model-R9 model-R10 embedding-R3",
    (
        f"{MIND}:backward@items = sum_uses",
        "mindref.ops.embedding:sum_rows@np.add.reduceat",
    ),
    (
        OutputSpec("d_target", "d_t:d{query}", "target", "d"),
        OutputSpec("d_items.rows", "input", "rows", "r"),
        OutputSpec(
            "d_items",
            "scatter(d_items.rows:r; d_e:id; history.index:if; history.weights:if; d_target:d;"
            " target.index:f; target.weights:f;"
            " d_neg:sd; negatives.index:sf; negatives.weights:sf)",
            "items",
            "rd",
        ),
    ),
    (InvariantSpec("every number is finite", "finite", {"of": "d_items"}),),
    exercises=("embedding-vjp",),
    event="gradients",
)

BACKWARD = tuple(
    kind._replace(phase="backward")
    for kind in (
        LOGITS,
        VECTORS,
        LENGTHS,
        USER,
        GAPS,
        SCORES,
        ACTIVE,
        LAYER,
        JOIN,
        *ROUNDS_BACKWARD,
        ITEMS,
    )
)
