"""What breaking a rule does to a model that is built of such an operator."""

from __future__ import annotations

NEVER_NOTICED = "a wrong call returns a result, not an error: visible only in the metrics"
PADS_SPEAK = "the content and the amount of padding change the interests of a user"
SPREADS = "a NaN or infinity is hidden, or appears in unrelated results"

WITHOUT_ERROR = (
    "notation-R1", "notation-R2", "numerics-R1", "numerics-R3", "routing-R29", "routing-R30",
    "routing-R31", "label_attention-R14", "label_attention-R15", "label_attention-R16",
)  # fmt: skip

EFFECTS = {
    **dict.fromkeys(WITHOUT_ERROR, NEVER_NOTICED),
    "numerics-R4": "a NaN in padding or in an inactive interest makes the result of the user NaN",
    "numerics-R5": SPREADS,
    "numerics-R6": "results differ from the specified model, in every dtype",
    "numerics-R10": "valid inputs give NaN, and the training stops",
    "numerics-R13": SPREADS,
    "backend-R12": "not observable: the operator does not return a result",
    "routing-R1": "votes are not one linear map, and other code cannot load S",
    "routing-R2": "interests do not compete for a behaviour: its weights may all be large or small",
    "routing-R3": "a repeated behaviour or a longer history does not get more weight",
    "routing-R4": "iterations after the first follow another algorithm",
    "routing-R5": "the capsules do not result from r iterations; a setting may have no effect",
    "routing-R6": PADS_SPEAK,
    "routing-R7": "inactive interests take weight from active interests",
    "routing-R8": "agreement does not accumulate, so interests do not separate over the iterations",
    "routing-R9": "with the softmax over behaviours, interests shrink as padding grows",
    "routing-R11": "training minimises another loss than the specified one",
    "routing-R12": "training does not differentiate the last iteration",
    "routing-R13": "a user without behaviours fails the batch, or gets an arbitrary vector",
    "routing-R19": "the result of a user depends on earlier users",
    "routing-R20": "the result of a user depends on the other users of the batch",
    "routing-R21": "the order of a history changes the result, which the model excludes",
    "routing-R22": "the result depends on the numbering of interests",
    "routing-R23": "the interest of a user with one interest is not the sum of the votes",
    "routing-R24": "interests differ by their number, not by the history",
    "routing-R28": "inactive interests send gradients to items",
    "label_attention-R1": "the attention uses another score than the ranking of items",
    "label_attention-R2": "with an even power, a worse matching interest gets more weight",
    "label_attention-R3": "attention weights of a user do not sum to 1",
    "label_attention-R4": "inactive interests change the user's vector or receive gradient",
    "label_attention-R5": "the mean over interests (p = 0) is not available",
    "label_attention-R6": "hard attention selects another interest than the best one",
    "label_attention-R7": "the vector of a user is not a weighted mean of the interests",
    "label_attention-R8": "the gradient of an interest is NaN or incomplete",
    "label_attention-R9": "the target gets no gradient from its use as attention query",
    "label_attention-R10": "items are trained through constant attention weights",
    "label_attention-R11": "large powers overflow: the first interest is selected, or NaN results",
    "label_attention-R12": "an interest orthogonal to the target makes the batch NaN",
    "label_attention-R13": "a large power makes the gradients of the batch infinite",
    "label_attention-R17": SPREADS,
}
"""Rule -> one sentence, for every rule that a package on the page fails."""
