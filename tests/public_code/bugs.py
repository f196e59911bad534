"""Every public bug that is written as a backend: `--backend tests.public_code.bugs:LogitsReplaced`."""

from __future__ import annotations

from tests.public_code.attention_bugs import (
    AlwaysHard,
    InactiveAttended,
    PowerBeforeArgmax,
    PowerMultiplied,
    RawPower,
    SizeOneAxis,
)
from tests.public_code.base import Wrong
from tests.public_code.loss_bugs import (
    EpsilonSquash,
    HitsKept,
    NoCorrection,
    TemperatureUnused,
    UserAloneNormalised,
)
from tests.public_code.routing_bugs import (
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
