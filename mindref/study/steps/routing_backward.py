"""The backward steps of routing: every path from the votes to the capsules."""

from __future__ import annotations

from mindref.study.steps.kind import OutputSpec, StepKind, check_sum, check_zero
from mindref.study.steps.routing import ROUTING

UPDATE = StepKind(
    "routing.d_update",
    "gradient of the loss with respect to the capsules, through the next logits",
    "Stop-gradient omits this path: the capsules of an iteration change the next coupling weights.",
    ("routing backward 5",),
    "derivative of Algorithm 1, step 7",
    "routing-R11",
    (f"{ROUTING}:backward@votes_from_agreement =", f"{ROUTING}:backward@d_capsules = sum_votes"),
    (
        OutputSpec("from_a[t]", "d_b[t+1]:ik u[t]:kd", "votes", "id"),
        OutputSpec("d_u[t]", "d_b[t+1]:ik Se:id", "out", "kd"),
    ),
    variants=("stop-gradient",),
    exercises=("agreement-vjp", "route-vjp-full"),
)
SUMS = StepKind(
    "routing.d_sums",
    "gradient of the loss with respect to the sums z, through squash",
    "The part along the capsule changes its length; the perpendicular part changes its direction.",
    ("routing backward 4", "squash backward Together.5", "routing backward 3.1"),
    "derivative of Algorithm 1, steps 5 and 6",
    "squash-R2 routing-R28",
    (
        f"{ROUTING}:backward@d_z = squash.backward",
        f"{ROUTING}:backward@votes_from_z =",
        "mindref.ops.squash:forward@across =",
        "mindref.ops.squash:forward@along =",
        "mindref.ops.squash:backward@squash-R2",
    ),
    (
        OutputSpec(
            "d_z[t]",
            "across[t]:k d_u[t]:kd - across[t]:k unit[t]:ke d_u[t]:ke unit[t]:kd"
            " + along[t]:k unit[t]:ke d_u[t]:ke unit[t]:kd",
            "d_sums",
            "kd",
        ),
        OutputSpec("from_z[t]", "w[t]:ik d_z[t]:kd", "votes", "id"),
    ),
    (check_zero("the gradient of an inactive interest is 0", "d_z[t]:kd", "active:k"),),
    exercises=("squash-vjp", "route-vjp-last"),
)
WEIGHTS = StepKind(
    "routing.d_weights",
    "gradient of the loss with respect to the logits, through the softmax",
    "The coupling weights of a film sum to 1, so the gradients of each row sum to 0.",
    ("routing backward 3.2", "routing backward 2.1"),
    "derivative of Algorithm 1, step 4",
    "routing-R11 softmax-R5",
    (
        f"{ROUTING}:backward@d_weights = vote_agreement",
        f"{ROUTING}:backward@d_logits += softmax.backward",
        "mindref.ops.softmax:backward@d_logits = out",
    ),
    (
        OutputSpec("d_w[t]", "Se:id d_z[t]:kd", "d_weights", "ik"),
        OutputSpec("d_b[t]", "{later}{d_softmax}", "d_logits", "ik"),
    ),
    (check_sum("the gradients over {over_name} sum to 0", "d_b[t]:ik", "{over}", 0),),
    variants=("stop-gradient",),
    exercises=("softmax-vjp", "route-vjp-full"),
)
VOTES = StepKind(
    "routing.d_votes",
    "gradient of the loss with respect to the votes, S and the item vectors",
    "The votes have 2r - 1 uses in r iterations.",
    ("routing backward 1.1", "routing backward 1.2"),
    "derivative of the shared bilinear map",
    "routing-R28",
    (
        f"{ROUTING}:backward@project_votes_backward",
        "mindref.ops.votes:project_votes_backward@d_bilinear = d_votes",
        "mindref.ops.votes:project_votes_backward@return d_votes @ bilinear",
    ),
    (
        OutputSpec("d_Se", "{paths}", "d_votes", "id"),
        OutputSpec("d_e", "d_Se:id S:de", "d_history", "ie"),
        OutputSpec("d_S", "d_Se:id e:ie", "d_bilinear", "de"),
    ),
    exercises=("aggregate-vjp", "route-vjp-full"),
)

ROUNDS_BACKWARD = (UPDATE, SUMS, WEIGHTS, VOTES)
