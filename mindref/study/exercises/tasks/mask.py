"""mask: inactive interests, padding, NaN in the padding, and a user without behaviours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Cases, EntryTerms, ExerciseTask, Inputs, make_mask


class MaskTask(ExerciseTask):
    """The cases of mask."""

    def make_cases(self, rng: np.random.Generator) -> Cases:
        """Return the cases."""
        full = self.make_inputs(rng, [5, 5], [4, 4], 5, 4)
        fewer = self.make_inputs(rng, [5, 5], [2, 3], 5, 4)
        padded = self.make_inputs(rng, [3, 5], [4, 4], 5, 4)
        garbage = self.make_inputs(rng, [2, 4], [3, 2], 5, 3)
        garbage["logits"][~garbage["mask"]] = np.nan
        huge = self.make_inputs(rng, [4, 3], [2, 1], 4, 3)
        huge["logits"][~np.broadcast_to(huge["active"][:, None], huge["logits"].shape)] = 1e4
        empty = self.make_inputs(rng, [0, 4], [1, 3], 4, 3)
        return {
            "fewer interests": {
                "nothing is masked": full,
                "2 and 3 of 4 interests": fewer,
                "huge logits of inactive interests": huge,
            },
            "padding": {"3 and 5 of 5 behaviours": padded},
            "garbage": {"NaN in the padding": garbage},
            "no behaviour": {"0 and 4 of 4 behaviours": empty},
        }

    def make_inputs(
        self,
        rng: np.random.Generator,
        lengths: Sequence[int],
        counts: Sequence[int],
        behaviours: int,
        interests: int,
    ) -> Inputs:
        """Return logits of users with `lengths` behaviours and `counts` active interests."""
        logits = rng.normal(size=(len(lengths), behaviours, interests))
        mask, active = make_mask(lengths, behaviours), make_mask(counts, interests)
        return {"logits": logits, "mask": mask, "active": active}

    def compute_answer(self, inputs: Inputs) -> Array:
        """Return the weights of `softmax.forward` with both masks."""
        allowed = inputs["mask"][:, :, None] & inputs["active"][:, None, :]
        return softmax.forward(inputs["logits"], allowed, axis=2)[0]

    def explain_entry(self, inputs: Inputs, part: str, index: tuple[int, ...]) -> EntryTerms:
        """Return the exponentials of the active interests; zero for a masked entry."""
        b, i, k = index
        if not inputs["mask"][b, i]:
            return EntryTerms("sum", (("zero: the position is padding", 0.0),))
        if not inputs["active"][b, k]:
            return EntryTerms("sum", (("zero: the interest is inactive", 0.0),))
        active = np.flatnonzero(inputs["active"][b]).tolist()
        logits = inputs["logits"][b, i, active]
        exps = np.exp(logits - logits.max())
        numbers = EntryTerms.name_numbers("exp(b - max) of interest {}", exps, active)
        return EntryTerms("quotient", (numbers[active.index(k)], *numbers))


TASK = MaskTask()
