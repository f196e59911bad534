"""The same steps backwards: from the loss to every parameter."""

from __future__ import annotations

from typing import Any

from mindref.study.steps.forward import MIND
from mindref.study.steps.kind import Check, Kind, Out, sums, zero
from mindref.study.steps.loss import ATTENTION, SOFTMAX
from mindref.study.steps.routing_backward import ROUNDS_BACKWARD


def profile_of_user(arrays: Any, about: Any) -> Any:
    """Return the gradient of the profile (P,), which the code has side by side."""
    return arrays["d_profile"][0]


LOGITS = Kind(
    "loss.d_logits",
    "loss.d_logits",
    "the loss pulls the target up and pushes each negative down by its probability",
    "A negative that the model finds likely is pushed hardest; the pulls add up to the pushes.",
    "d_o_s = beta prob_s",
    "derivative of eq. 10",
    "sampled_softmax-R12",
    (f"{SOFTMAX}:backward@d_at_negatives =", f"{SOFTMAX}:backward@d_at_target ="),
    (
        Out("d_o", "user negative", "beta: prob:s", "d_negatives", "s"),
        Out("d_o_t", "user", "- d_o:s", "d_target", ""),
    ),
    exercises=("sampled-softmax-vjp",),
)
VECTORS = Kind(
    "loss.d_vectors",
    "loss.d_unit",
    "from logits to the vectors that were multiplied",
    "Each vector receives the other one, as often as the logit asks.",
    "d_q_d = d_o_t t_d + sum_s d_o_s neg_sd",
    "derivative of eq. 10",
    "sampled_softmax-R11",
    (
        f"{SOFTMAX}:backward@d_user = d_at_target",
        f"{SOFTMAX}:backward@d_target = d_at_target",
        f"{SOFTMAX}:backward@sampled_softmax-R11",
    ),
    (
        Out("d_{q}", "user width", "d_o_t: {t}:d + d_o:s {neg}:sd", "d_user", "d"),
        Out("d_{t}", "user width", "d_o_t: {q}:d", "d_target", "d"),
        Out("d_{neg}", "negative width", "d_o:s {q}:d", "d_negatives", "sd"),
    ),
    exercises=("sampled-softmax-vjp",),
)
LENGTHS = Kind(
    "loss.d_unit",
    "loss.d_vectors",
    "back through the scaling to length one",
    "Only what turns a vector counts: along it nothing can change.",
    "d_q_d = (d_q1_d - sum_e q1_e d_q1_e q1_d) / |q|",
    "derivative of a unit vector",
    "sampled_softmax-R8",
    (f"{SOFTMAX}:through_unit@sampled_softmax-R8",),
    (
        Out("q.across", "user", "across(q:d; kind=unit)", "", ""),
        Out("t.across", "user", "across(t:d; kind=unit)", "", ""),
        Out("neg.across", "negative", "across(neg:sd; kind=unit)", "", "s"),
        Out("d_q", "user width", "q.across: d_q1:d - q.across: q1:e d_q1:e q1:d", "d_user", "d"),
        Out("d_t", "user width", "t.across: d_t1:d - t.across: t1:e d_t1:e t1:d", "d_target", "d"),
        Out(
            "d_neg",
            "negative width",
            "neg.across:s d_neg1:sd - neg.across:s neg1:se d_neg1:se neg1:sd",
            "d_negatives",
            "sd",
        ),
    ),
    unless="plain",
)
USER = Kind(
    "attention.d_user",
    "attention.d_out",
    "from the user's vector to the interests and their weights",
    "An interest with weight 0 learns nothing from this pair.",
    "d_h_j = sum_d d_q_d u_jd",
    "derivative of section 3.4",
    "label_attention-R8",
    (f"{ATTENTION}:backward@d_weights =", f"{ATTENTION}:backward@d_interests = s3"),
    (
        Out("d_h", "user interest", "d_q:d u:jd", "d_weights", "j"),
        Out("{d_mixed}", "user interest width", "h:j d_q:d", "d_interests", "jd"),
    ),
    exercises=("label-attention-vjp",),
)
GAPS = Kind(
    "attention.d_scores",
    "attention.d_gaps",
    "back through softmax and power to the scores",
    "A softmax passes on only what differs from the mean: its gradients add up to zero.",
    "d_g_j = h_j (d_h_j - sum_k h_k d_h_k)",
    "derivative of section 3.4",
    "softmax-R5 label_attention-R12",
    (f"{ATTENTION}:backward@d_powered =", f"{ATTENTION}:through_power@slope ="),
    (
        Out("d_g", "user interest", "h:j d_h:j - h:j h:k d_h:k", "d_gaps", "j"),
        Out("d_s", "user interest", "through_power(d_g:j; s:j; power={p})", "d_scores", "j"),
    ),
    (sums("the gradients of a softmax add up to 0", "d_g:j", "j", 0),),
    exercises=("softmax-vjp", "label-attention-vjp"),
)
SCORES = Kind(
    "attention.d_interests",
    "attention.d_scores",
    "the interests learn twice: as what is mixed, and as what is chosen",
    "And the target learns as the query, beside what it learns as the label.",
    "d_u_jd = h_j d_q_d + d_s_j t_d",
    "derivative of section 3.4",
    "label_attention-R8 label_attention-R9",
    (f"{ATTENTION}:backward@label_attention-R8", f"{ATTENTION}:backward@label_attention-R9"),
    (
        Out("d_u", "user interest width", "h:j d_q:d + d_s:j t:d", "d_interests", "jd"),
        Out("d_query", "user width", "d_s:j u:jd", "d_target", "d"),
    ),
    exercises=("label-attention-vjp",),
)
ACTIVE = Kind(
    "interests.d_active",
    "interests.d_active",
    "an inactive interest learns nothing",
    "It was set to zero on the way, so nothing that went into it matters.",
    "d_y_jd = active_j d_u_jd",
    "not in the paper",
    "model-R6",
    (f"{MIND}:interests_backward@saved.active",),
    (Out("{d_last}", "interest width", "active:j d_u:jd", "d_x", "jd"),),
    (zero("nothing reaches an inactive interest", "{d_last}:jd", "active:j"),),
)
LAYER = Kind(
    "layers.d_affine",
    "layers.d_affine",
    "back through a layer: to its weights, its bias and its input",
    "Where the rectifier was shut nothing passes.",
    "d_W_mn = sum_j x_jm d_y_jn",
    "derivative of a layer",
    "relu_layer-R4",
    ("mindref.ops.relu_layer:backward@d_sum =", "mindref.ops.relu_layer:backward@relu_layer-R4"),
    (
        Out("d_y[r]", "interest {out}", "{through}", "d_sum", "jn"),
        Out("d_W[r]", "{in} {out}", "x[r-1]:jm d_y[r]:jn", "d_weight", "mn"),
        Out("d_bias[r]", "{out}", "d_y[r]:jn", "d_bias", "n"),
        Out("d_x[r-1]", "interest {in}", "d_y[r]:jn W[r]:mn", "d_x", "jm"),
    ),
)
JOIN = Kind(
    "interests.d_join",
    "interests.d_join",
    "the gradient is cut where the profile was put behind the capsule",
    "The profile learns from all interests at once, so theirs are added up.",
    "d_v_jd = d_x_jd",
    "derivative of section 3.3.3",
    "model-R4",
    (f"{MIND}:part@d_joined[..., :width]",),
    (
        Out("d_v[{R}]", "interest width", "front(d_x[0]:jm; width={width})", "d_capsules", "jd"),
        Out(
            "d_p",
            "profile profile-width",
            "back(d_x[0]:jm; width={width}; features={G})",
            profile_of_user,
            "gq",
        ),
    ),
)
ITEMS = Kind(
    "items.gradient",
    "gradients",
    "one table, three uses: history, target and negatives add up",
    "A row that is used twice gets the sum; a row that is not used is not named at all.",
    "d_items_rd = sum over the uses of row r",
    "not in the paper",
    "model-R9 model-R10 embedding-R3",
    (
        f"{MIND}:backward@items = sum_uses",
        "mindref.ops.embedding:sum_uses",
        "mindref.ops.embedding:sum_rows",
    ),
    (
        Out("d_target", "user width", "d_t:d{query}", "target", "d"),
        Out("d_items.rows", "row", "given", "rows", "r"),
        Out(
            "d_items",
            "row width",
            "scatter(d_items.rows:r; d_e:id; history.index:if; history.weights:if; d_target:d;"
            " target.index:f; target.weights:f;"
            " d_neg:sd; negatives.index:sf; negatives.weights:sf)",
            "items",
            "rd",
        ),
    ),
    (Check("every number is finite", "finite", {"of": "d_items"}),),
    exercises=("embedding-vjp",),
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
