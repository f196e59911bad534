"""All public bugs as backends, for `--backend tests.public_code.bugs:LogitsReplaced`."""

from __future__ import annotations

from tests.public_code.attention_bugs import (
    AlwaysArgmax,
    InactiveAttended,
    PowerBeforeArgmax,
    PowerMultiplied,
    RawPower,
    SizeOneAxis,
)
from tests.public_code.base import BuggyOperator
from tests.public_code.loss_bugs import (
    AccidentalHitsKept,
    EpsilonSquash,
    NoCorrection,
    OnlyUsersNormalised,
    TemperatureUnused,
)
from tests.public_code.routing_bugs import (
    AddedToWeights,
    AlwaysThreeIterations,
    BiasedVotes,
    GradientOfThirdIteration,
    InactiveCompete,
    LogitsReplaced,
    LogitsStored,
    NoMatrix,
    PositionsCompete,
    UnitBetweenIterations,
    UpdateSummedOverBatch,
    ZeroLogits,
)

BUGS: tuple[type[BuggyOperator], ...] = (
    PositionsCompete,
    LogitsStored,
    UpdateSummedOverBatch,
    AddedToWeights,
    LogitsReplaced,
    BiasedVotes,
    NoMatrix,
    UnitBetweenIterations,
    AlwaysThreeIterations,
    GradientOfThirdIteration,
    ZeroLogits,
    InactiveCompete,
    EpsilonSquash,
    PowerBeforeArgmax,
    RawPower,
    PowerMultiplied,
    AlwaysArgmax,
    InactiveAttended,
    SizeOneAxis,
    NoCorrection,
    AccidentalHitsKept,
    TemperatureUnused,
    OnlyUsersNormalised,
)
