"""Every public bug that is written as a backend: `--backend tests.field.bugs:LogitsReplaced`."""

from __future__ import annotations

from tests.field.attention_bugs import (
    AlwaysHard,
    InactiveAttended,
    PowerBeforeArgmax,
    PowerMultiplied,
    RawPower,
    SizeOneAxis,
)
from tests.field.base import Wrong
from tests.field.loss_bugs import (
    EpsilonSquash,
    HitsKept,
    NoCorrection,
    TemperatureUnused,
    UserAloneNormalised,
)
from tests.field.routing_bugs import (
    AddedToWeights,
    BatchSharesUpdate,
    BiasedVotes,
    GradientOfThirdRound,
    InactiveCompete,
    LogitsReplaced,
    LogitsStored,
    NoMatrix,
    PositionsCompete,
    ThreeRounds,
    UnitBetweenRounds,
    ZeroLogits,
)

BUGS: tuple[type[Wrong], ...] = (
    PositionsCompete,
    LogitsStored,
    BatchSharesUpdate,
    AddedToWeights,
    LogitsReplaced,
    BiasedVotes,
    NoMatrix,
    UnitBetweenRounds,
    ThreeRounds,
    GradientOfThirdRound,
    ZeroLogits,
    InactiveCompete,
    EpsilonSquash,
    PowerBeforeArgmax,
    RawPower,
    PowerMultiplied,
    AlwaysHard,
    InactiveAttended,
    SizeOneAxis,
    NoCorrection,
    HitsKept,
    TemperatureUnused,
    UserAloneNormalised,
)
