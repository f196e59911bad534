"""The steps of routing backwards: every way by which a behaviour reaches the capsules."""

from __future__ import annotations

from mindref.study.steps.kind import Ask, Kind, Out, sums, zero
from mindref.study.steps.routing import ROUTING

UPDATE = Kind(
    "routing.d_update",
    "routing.d_update",
    "later weights depend on this round's capsules: their gradient comes back here",
    "This is what stop-gradient leaves out: how a capsule changes whom it will listen to next.",
    "d_v_jd = sum_i d_b'_ij m_id",
    "derivative of Algorithm 1, step 7",
    "routing-R11",
    (f"{ROUTING}:backward@from_agreement = spread", f"{ROUTING}:backward@d_capsules = gather"),
    (
        Out(
            "from_agreement[r]",
            "user behaviour width",
            "d_b[r+1]:ij v[r]:jd",
            "votes",
            "id",
        ),
        Out("d_v[r]", "user interest width", "d_b[r+1]:ij m:id", "out", "jd"),
    ),
    variants=("stop-gradient",),
    exercises=("agreement-vjp", "route-vjp-full"),
)
SUMS = Kind(
    "routing.d_sums",
    "routing.d_sums",
    "back through squash and the weighted sum",
    "What points along a capsule changes its length, what points across it turns it.",
    "d_z_jd = across_j (d_v_jd - n_jd) + along_j n_jd with n_j = unit_j (unit_j . d_v_j)",
    "derivative of Algorithm 1, steps 5 and 6",
    "squash-R2 routing-R28",
    (
        f"{ROUTING}:backward@d_sums = squash.backward",
        f"{ROUTING}:backward@from_sums = spread",
        "mindref.ops.squash:backward@squash-R2",
    ),
    (
        Out(
            "d_z[r]",
            "user interest width",
            "across[r]:j d_v[r]:jd - across[r]:j unit[r]:je d_v[r]:je unit[r]:jd"
            " + along[r]:j unit[r]:je d_v[r]:je unit[r]:jd",
            "d_sums",
            "jd",
        ),
        Out("from_sums[r]", "user behaviour width", "w[r]:ij d_z[r]:jd", "votes", "id"),
    ),
    (zero("nothing reaches an inactive interest", "d_z[r]:jd", "active:j"),),
    exercises=("squash-vjp", "route-vjp-last"),
)
WEIGHTS = Kind(
    "routing.d_weights",
    "routing.d_weights",
    "back through the softmax to the logits of this round",
    "What one interest gains of a behaviour the others lose, so each row adds up to zero.",
    "d_b_ij = d_b'_ij + w_ij (d_w_ij - sum_k w_ik d_w_ik)",
    "derivative of Algorithm 1, step 4",
    "routing-R11 softmax-R5",
    (
        f"{ROUTING}:backward@d_weights = agree",
        f"{ROUTING}:backward@d_logits += softmax.backward",
        "mindref.ops.softmax:backward@softmax-R5",
    ),
    (
        Out("d_w[r]", "user behaviour interest", "m:id d_z[r]:jd", "d_weights", "ij"),
        Out("d_b[r]", "user behaviour interest", "{later}{d_softmax}", "d_logits", "ij"),
    ),
    (sums("the gradients over {over_name} add up to 0", "d_b[r]:ij", "{over}", 0),),
    Ask("Whose logit for {row} matters most?", "d_b[r]", "strongest", "interest", "behaviour"),
    variants=("stop-gradient",),
    exercises=("softmax-vjp", "route-vjp-full"),
)
VOTES = Kind(
    "routing.d_votes",
    "routing.d_votes",
    "all ways to the mapped behaviours are added up, then go back through S",
    "One path per place where m is used: 2R - 1 of them; the ledger shows each.",
    "d_S_de = sum_i d_m_id e_ie",
    "derivative of the shared bilinear map",
    "routing-R28",
    (
        f"{ROUTING}:backward@project_backward",
        "mindref.ops.votes:project_backward@d_bilinear = d_votes",
    ),
    (
        Out("d_m", "user behaviour width", "{paths}", "d_votes", "id"),
        Out("d_e", "user behaviour width", "d_m:id S:de", "d_history", "ie"),
        Out("d_S", "width width", "d_m:id e:ie", "d_bilinear", "de"),
    ),
    exercises=("aggregate-vjp", "route-vjp-full"),
)

ROUNDS_BACKWARD = (UPDATE, SUMS, WEIGHTS, VOTES)
