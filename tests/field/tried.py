"""What was tried and did not pay, screened by `mindref ablate`: two parts of REMI, seeded logits.

    OPENBLAS_NUM_THREADS=1 python -m tests.field.tried LOG --studies harder,even ... --out FOLDER

takes all options of `mindref ablate`, and has its studies and those of STUDIES below. Backends of
this module: `harder-H` has negatives of hardness H, `constant-H` the same with weights that are no
part of the gradient, `even-W` the routing regulariser with weight W, `seeded-S` seeds of the logits
of scale S. How they are computed is said in harder.py, even.py and seeded.py; what was seen, in
specs/evidence.md. Before NumPy is there nobody has told its library of the threads of --threads:
hence the variable.
"""

from __future__ import annotations

from typing import Any

from mindref.backend import Capabilities
from mindref.cli.ablate import command
from mindref.experiments import studies
from mindref.experiments.studies import Study
from mindref.kernels.backend import NumbaBackend
from tests.field import even, seeded
from tests.field.harder import Hardness, Pooled, Sampled

BASE = {"backend": "numba"}


class Ops:
    """The compiled operators, with some of them replaced."""

    def __init__(self, **own: Any) -> None:
        vars(self).update(own)

    def __getattr__(self, name: str) -> Any:
        return getattr(NumbaBackend().ops, name)


class Other(NumbaBackend):
    """The compiled backend with some operators replaced, and no step of its own."""

    ops: Any = None

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.ops = ops

    def capabilities(self) -> Capabilities:
        """Claim the operators alone: the others would not see what is replaced."""
        return super().capabilities()._replace(levels=("ops",))


def __getattr__(name: str) -> Other:
    """Return the backend of an arm, as `harder-0.3`."""
    kind, _, number = name.partition("-")
    if kind in ("harder", "constant"):
        hardness = Hardness(float(number), kind == "harder")
        return Other(Ops(pooled_softmax=Pooled(hardness), sampled_softmax=Sampled(hardness)))
    if kind == "even":
        return Other(Ops(routing=even.Routing(float(number))))
    if kind == "seeded":
        return Other(Ops(routing=seeded.Routing(float(number))))
    raise AttributeError(name)


def arms(kind: str, *values: float) -> dict[str, dict[str, str]]:
    """Return label -> settings of arms, the base first."""
    own = {f"{kind} {x:g}": {"backend": f"tests.field.tried:{kind}-{x:g}"} for x in values}
    return {"none": dict(BASE), **own}


STUDIES = {
    "harder": Study(
        "harder",
        "Harder negatives",
        "REMI's weights of negatives, differentiated as its code does, or constants?",
        "none",
        arms("harder", 0.1, 0.3, 1) | arms("constant", 0.3, 1),
    ),
    "even": Study(
        "even",
        "Evenness of what an interest consists of",
        "REMI's penalty; gradient 'last': it moves the weights by age alone.",
        "none",
        arms("even", 0.3, 3),
    ),
    "more": Study(
        "more",
        "More negatives",
        "Four times as many as the presets have?",
        "512",
        {"512": {"negatives": 512}, "2048": {"negatives": 2048}},
    ),
    "seeded": Study(
        "seeded",
        "Logits from seeds",
        "Behaviours far from each other, as in k-means++, in the place of drawn or equal logits?",
        "none",
        arms("seeded", 2, 10),
    ),
    "even_all": Study(
        "even_all",
        "The same through all rounds of routing",
        "Does it pay where it can reach the vectors?",
        "none",
        arms("even", 3),
        settings={"routing_gradient": "all"},
    ),
}


if __name__ == "__main__":
    known = STUDIES | studies.table()
    studies.table = lambda: known  # type: ignore[assignment]
    command(prog_name="python -m tests.field.tried")
